-- The records that a failed submission waits for (docs/service.md, guarantee 11).
CREATE TABLE waits (
    collection TEXT NOT NULL,
    record     TEXT NOT NULL,
    doc_id     TEXT NOT NULL,
    PRIMARY KEY (collection, record, doc_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX waits_document ON waits (collection, doc_id);

CREATE TRIGGER waits_delete AFTER DELETE ON submissions BEGIN
    DELETE FROM waits WHERE collection = old.collection AND doc_id = old.doc_id;
END;
