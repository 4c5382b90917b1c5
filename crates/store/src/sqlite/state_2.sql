-- Changes of the vault that the journal does not have yet: each is written with the change, and removed when it is recorded.
CREATE TABLE vault_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    by     TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
