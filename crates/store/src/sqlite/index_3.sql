-- What a statement's answer is made of, so that it is known what was given of a column that is classified only now.
-- The index is made anew from the journal.
PRAGMA defer_foreign_keys = ON;
DELETE FROM progress;
DELETE FROM columns;
DELETE FROM relations;
DELETE FROM names;
DELETE FROM session_behalf;
DELETE FROM sessions;
DELETE FROM subjects;
DELETE FROM statements;
DELETE FROM effects;
DELETE FROM rulings;
DELETE FROM ruling_statements;
DELETE FROM ruling_policies;
DELETE FROM requests;
DELETE FROM class_disclosures;
DELETE FROM column_disclosures;
DELETE FROM events;

-- Where it was run; NULL while only requests spoke of it.
ALTER TABLE statements ADD COLUMN target INTEGER;
ALTER TABLE statements ADD COLUMN database INTEGER;
CREATE INDEX statements_place ON statements (target, database);
CREATE TABLE answers (
    column_id INTEGER NOT NULL, statement INTEGER NOT NULL,
    places    INTEGER,                     -- how many values of it a row holds at most; NULL if nobody can say
    PRIMARY KEY (column_id, statement)
) STRICT, WITHOUT ROWID;
-- Statements of whose answers it is not proved where all of it comes from: any column of these relations. Relation 0 is
-- any relation there is.
CREATE TABLE unproved (
    relation INTEGER NOT NULL, statement INTEGER NOT NULL,
    PRIMARY KEY (relation, statement)
) STRICT, WITHOUT ROWID;
