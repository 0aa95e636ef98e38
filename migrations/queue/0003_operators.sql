-- What operators ask, answered in the same time however many records have completed.

-- Records by status, kept by the database itself: counting a million rows takes long.
CREATE TABLE counts (
    collection TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    records    INTEGER NOT NULL,
    PRIMARY KEY (collection, status)
) STRICT, WITHOUT ROWID;

INSERT INTO counts SELECT collection, status, count(*) FROM submissions GROUP BY collection, status;

CREATE TRIGGER count_insert AFTER INSERT ON submissions BEGIN
    INSERT INTO counts VALUES (new.collection, new.status, 1)
        ON CONFLICT DO UPDATE SET records = records + 1;
END;

CREATE TRIGGER count_update AFTER UPDATE OF status ON submissions WHEN old.status <> new.status BEGIN
    UPDATE counts SET records = records - 1 WHERE collection = old.collection AND status = old.status;
    INSERT INTO counts VALUES (new.collection, new.status, 1)
        ON CONFLICT DO UPDATE SET records = records + 1;
END;

CREATE TRIGGER count_delete AFTER DELETE ON submissions BEGIN
    UPDATE counts SET records = records - 1 WHERE collection = old.collection AND status = old.status;
    DELETE FROM written WHERE collection = old.collection AND doc_id = old.doc_id;
END;

-- Failures by what they are filtered by.
CREATE INDEX submissions_failed_job
    ON submissions (collection, json_extract(state, '$.job_name'), updated_at, doc_id)
    WHERE status = 'failed';
CREATE INDEX submissions_failed_kind
    ON submissions (collection, json_extract(state, '$.error_kind'), updated_at, doc_id)
    WHERE status = 'failed';
CREATE INDEX submissions_failed_job_kind
    ON submissions (
        collection, json_extract(state, '$.job_name'), json_extract(state, '$.error_kind'), updated_at, doc_id
    )
    WHERE status = 'failed';

-- What has completed of late, and what may be removed.
CREATE INDEX submissions_completed ON submissions (collection, updated_at) WHERE status = 'completed';

-- Answers whose code no label table knows, and the records that had them.
CREATE TABLE unmapped_answers (
    collection TEXT    NOT NULL,
    job_name   TEXT    NOT NULL,
    path       TEXT    NOT NULL,
    code       TEXT    NOT NULL,
    records    INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    PRIMARY KEY (collection, job_name, path, code)
) STRICT, WITHOUT ROWID;

CREATE INDEX unmapped_answers_last_seen ON unmapped_answers (last_seen);
