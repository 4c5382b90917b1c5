-- The texts of revisions, each once. A text that is not shown (targets, keys) is known by its digest alone.
CREATE TABLE revision_texts (
    digest BLOB PRIMARY KEY,
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE revision_files (
    number INTEGER NOT NULL,
    path   TEXT    NOT NULL,
    digest BLOB    NOT NULL,
    shown  INTEGER NOT NULL CHECK (shown IN (0, 1)),
    PRIMARY KEY (number, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX revision_files_digest ON revision_files (digest);

CREATE TABLE proposals (
    id         INTEGER PRIMARY KEY,
    version    INTEGER NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('open', 'applied', 'withdrawn')),
    author     TEXT    NOT NULL,           -- issuer|id
    changed_at INTEGER NOT NULL,
    revision   INTEGER,                    -- as which it came into force
    proposal   TEXT    NOT NULL,           -- all but the files
    changes    TEXT    NOT NULL            -- the files, before and after
) STRICT;
CREATE INDEX proposals_time ON proposals (changed_at);
CREATE UNIQUE INDEX proposals_revision ON proposals (revision) WHERE revision IS NOT NULL;
