-- A payload for CommCare beyond a document's limit is stored in parts, which share their job id: it
-- is what finds them all. No other collection has parts, and none pays for the index.
CREATE INDEX submissions_job ON submissions (json_extract(state, '$.job_id'))
    WHERE collection = 'salesforce_collection';
