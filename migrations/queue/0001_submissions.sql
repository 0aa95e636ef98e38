-- The embedded queue. One row is one document of a Firestore collection: `state` holds the record
-- as JSON but for its payload, `data`; the other columns repeat what is searched.
-- Times are microseconds since 1970, as Firestore keeps them.
CREATE TABLE submissions (
    collection       TEXT    NOT NULL,
    doc_id           TEXT    NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('new', 'processing', 'completed', 'failed')),
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    lease_expires_at INTEGER,
    due_at           INTEGER, -- when auto-retry may take a failed one: 0 at once, null never
    state            TEXT    NOT NULL,
    data             TEXT    NOT NULL,
    version          INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE UNIQUE INDEX submissions_document ON submissions (collection, doc_id);
CREATE INDEX submissions_arrival ON submissions (collection, status, created_at, doc_id);
CREATE INDEX submissions_due ON submissions (collection, due_at) WHERE status = 'failed' AND due_at IS NOT NULL;
CREATE INDEX submissions_failed ON submissions (collection, updated_at, doc_id) WHERE status = 'failed';

-- The Salesforce records that each submission wrote and that are not its own.
CREATE TABLE written (
    collection TEXT NOT NULL,
    record     TEXT NOT NULL,
    doc_id     TEXT NOT NULL,
    PRIMARY KEY (collection, record, doc_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX written_document ON written (collection, doc_id);
