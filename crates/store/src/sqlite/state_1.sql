-- Ids are 64 random bits stored as a signed integer; times are milliseconds since the epoch.
CREATE TABLE approvals (
    id         INTEGER PRIMARY KEY,
    digest     BLOB    NOT NULL,
    subject    TEXT    NOT NULL,           -- issuer|id
    target     TEXT    NOT NULL,
    session    INTEGER NOT NULL,           -- of the request that asked
    mode       TEXT    NOT NULL CHECK (mode IN ('hold', 'ticket', 'window')),
    status     TEXT    NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'withdrawn', 'expired', 'consumed')),
    asked_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    needs      TEXT    NOT NULL,           -- in canonical order
    asked      TEXT    NOT NULL,           -- what the approver saw
    window     TEXT,                       -- the terms of a window
    ended      TEXT,
    CHECK ((mode = 'window') = (window IS NOT NULL))
) STRICT;
CREATE INDEX approvals_open_digest ON approvals (digest) WHERE status IN ('pending', 'approved');
CREATE INDEX approvals_open_subject ON approvals (subject, mode) WHERE status IN ('pending', 'approved');
CREATE INDEX approvals_open_session ON approvals (session) WHERE status IN ('pending', 'approved');
CREATE INDEX approvals_open_end ON approvals (expires_at) WHERE status IN ('pending', 'approved');
CREATE INDEX approvals_subject ON approvals (subject, asked_at);
CREATE INDEX approvals_time ON approvals (asked_at);

CREATE TABLE answers (
    number   INTEGER PRIMARY KEY,
    approval INTEGER NOT NULL REFERENCES approvals (id),
    people   TEXT    NOT NULL,             -- every identity of the approver, folded
    answer   TEXT    NOT NULL
) STRICT;
CREATE INDEX answers_approval ON answers (approval);

-- No reference to approvals: what the journal knows to be spent is here even if a restored backup lacks it.
CREATE TABLE uses (
    approval  INTEGER NOT NULL,
    session   INTEGER NOT NULL,
    request   INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    once      INTEGER NOT NULL CHECK (once IN (0, 1)),
    completed INTEGER NOT NULL CHECK (completed IN (0, 1)),
    PRIMARY KEY (approval, session, request)
) STRICT, WITHOUT ROWID;
-- Exactly once, again: whatever the code believes, nothing but a window has a second use.
CREATE UNIQUE INDEX uses_once ON uses (approval) WHERE once = 1;
CREATE INDEX uses_unresolved ON uses (approval) WHERE completed = 0;

CREATE TABLE secrets (
    name       TEXT PRIMARY KEY,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE vault_check (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE revisions (
    number INTEGER PRIMARY KEY,
    digest BLOB    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
