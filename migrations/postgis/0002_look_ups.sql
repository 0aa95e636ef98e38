-- Indexes for what is looked up. Case id and submission ids are covered by their UNIQUEs, except in
-- a database whose tables were made without them: the service's upserts need them.

DO $$
DECLARE
    key RECORD;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES
            ('wetmills', 'commcare_case_id'),
            ('form_visits', 'submission_id'),
            ('survey_responses', 'submission_id'),
            ('survey_question_responses', 'submission_id')
        ) AS keys (of_table, of_column)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_index
            JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
            WHERE indrelid = to_regclass(key.of_table) AND attname = key.of_column
                AND indisunique AND indnkeyatts = 1 AND indpred IS NULL
        ) THEN
            EXECUTE format('CREATE UNIQUE INDEX ON %I (%I)', key.of_table, key.of_column);
        END IF;
    END LOOP;
END
$$;

CREATE INDEX IF NOT EXISTS wetmills_user_id_idx ON wetmills (user_id);
CREATE INDEX IF NOT EXISTS wetmills_wet_mill_unique_id_idx ON wetmills (wet_mill_unique_id);
CREATE INDEX IF NOT EXISTS wetmills_office_gps_idx ON wetmills USING gist (office_gps);

CREATE INDEX IF NOT EXISTS form_visits_wetmill_id_idx ON form_visits (wetmill_id);
CREATE INDEX IF NOT EXISTS form_visits_user_id_idx ON form_visits (user_id);
CREATE INDEX IF NOT EXISTS form_visits_geo_location_idx ON form_visits USING gist (geo_location);

CREATE INDEX IF NOT EXISTS survey_responses_form_visit_id_idx ON survey_responses (form_visit_id);

CREATE INDEX IF NOT EXISTS survey_question_responses_survey_response_id_idx
    ON survey_question_responses (survey_response_id);
-- Nothing is recognised as a position yet, so that it stays empty and costs nothing.
CREATE INDEX IF NOT EXISTS survey_question_responses_value_gps_idx
    ON survey_question_responses USING gist (value_gps) WHERE value_gps IS NOT NULL;
