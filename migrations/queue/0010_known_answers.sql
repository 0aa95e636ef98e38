-- A record that has the answer, and whether an operator has marked the answer as known (docs/service.md, section 11).
ALTER TABLE unmapped_answers ADD COLUMN example TEXT;
ALTER TABLE unmapped_answers ADD COLUMN known INTEGER NOT NULL DEFAULT 0;
