-- What may be used once, and was, by the SHA-256 of what names it, until it is refused for its age.
CREATE TABLE used_once (
    digest  BLOB    PRIMARY KEY,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_once_by_end ON used_once (ends_at);
