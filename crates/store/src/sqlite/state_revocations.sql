-- Who is no longer believed. One of each kind (issued, all, groups) for the same credentials.
CREATE TABLE revocations (
    whose      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    until      INTEGER,                    -- NULL until it is lifted
    revocation TEXT NOT NULL,
    PRIMARY KEY (whose, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_end ON revocations (until) WHERE until IS NOT NULL;

-- Security events that were taken, so that none is taken twice.
CREATE TABLE security_events (
    issuer TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (issuer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX security_events_end ON security_events (until);
