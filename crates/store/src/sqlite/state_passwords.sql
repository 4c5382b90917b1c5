-- Short-lived passwords that Sluice issued, by the SHA-256 of each: what they stand for, and when they end.
CREATE TABLE passwords (
    digest     BLOB    PRIMARY KEY,
    stands_for TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
