-- Small documents of the service itself, each by its name: the result of the last check of the destinations, say.
CREATE TABLE state (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
