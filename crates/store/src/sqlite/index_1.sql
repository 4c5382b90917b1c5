-- A copy of the journal for searching. Texts that repeat are stored once, in `names` and `subjects`.
CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL) STRICT;
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE relations (id INTEGER PRIMARY KEY, schema TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (name, schema)) STRICT;
CREATE TABLE columns (
    id INTEGER PRIMARY KEY, relation INTEGER NOT NULL REFERENCES relations (id), name TEXT NOT NULL,
    UNIQUE (relation, name)
) STRICT;
CREATE TABLE subjects (id INTEGER PRIMARY KEY, issuer TEXT NOT NULL, sub TEXT NOT NULL, UNIQUE (sub, issuer)) STRICT;

CREATE TABLE sessions (
    id          INTEGER PRIMARY KEY,
    position    INTEGER NOT NULL,
    opened_at   INTEGER NOT NULL,
    subject     INTEGER NOT NULL REFERENCES subjects (id),
    target      INTEGER NOT NULL REFERENCES names (id),
    database    INTEGER NOT NULL REFERENCES names (id),
    source      TEXT    NOT NULL,
    application TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL,
    closed_at   INTEGER,
    reason      TEXT,
    tape        BLOB,
    tape_bytes  INTEGER
) STRICT;
CREATE INDEX sessions_time ON sessions (opened_at);
CREATE INDEX sessions_subject ON sessions (subject, opened_at);
CREATE INDEX sessions_target ON sessions (target, opened_at);

-- The delegation behind a session, the nearest first.
CREATE TABLE session_behalf (
    session INTEGER NOT NULL, place INTEGER NOT NULL, subject INTEGER NOT NULL,
    PRIMARY KEY (session, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_behalf_subject ON session_behalf (subject, session);

CREATE TABLE statements (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    text   TEXT                            -- NULL while only requests spoke of it
) STRICT;
CREATE TABLE effects (
    statement INTEGER NOT NULL, place INTEGER NOT NULL,
    verb      TEXT    NOT NULL,
    line      TEXT,                        -- the effect for people; NULL for its second column
    relation  INTEGER,
    column_id INTEGER,
    PRIMARY KEY (statement, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX effects_relation ON effects (relation, statement) WHERE relation IS NOT NULL;
CREATE INDEX effects_column ON effects (column_id, statement) WHERE column_id IS NOT NULL;

-- What many requests have in common: what they run, and by which policies it was decided. Requests outnumber them by far,
-- so that what a request runs and why is one number in its row.
CREATE TABLE rulings (
    id  INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE               -- all of its statements and policies, in order
) STRICT;
CREATE TABLE ruling_statements (
    ruling INTEGER NOT NULL, place INTEGER NOT NULL, statement INTEGER NOT NULL,
    PRIMARY KEY (ruling, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX ruling_statements_statement ON ruling_statements (statement, ruling);
CREATE TABLE ruling_policies (
    ruling INTEGER NOT NULL, policy INTEGER NOT NULL,
    PRIMARY KEY (ruling, policy)
) STRICT, WITHOUT ROWID;
CREATE INDEX ruling_policies_policy ON ruling_policies (policy, ruling);

CREATE TABLE requests (
    id          INTEGER PRIMARY KEY,       -- the position of the entry that first decided it
    at          INTEGER NOT NULL,
    session     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    subject     INTEGER,                   -- NULL if the session's opening is missing
    target      INTEGER,
    ruling      INTEGER,                   -- NULL if its decision is missing
    outcome     TEXT    NOT NULL,
    was_asked   INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    approval    INTEGER,
    behalf      INTEGER,
    shown       TEXT    NOT NULL,
    denial      TEXT,
    traceparent TEXT,
    ended_at    INTEGER,
    row_count   INTEGER,
    bytes       INTEGER,
    millis      INTEGER,
    error       TEXT,
    UNIQUE (session, number)
) STRICT;
CREATE INDEX requests_time ON requests (at);
CREATE INDEX requests_subject ON requests (subject, at);
CREATE INDEX requests_target ON requests (target, at);
CREATE INDEX requests_ruling ON requests (ruling, at);
CREATE INDEX requests_unknown ON requests (at) WHERE ended_at IS NULL AND outcome = 'allow';
CREATE INDEX requests_denied ON requests (at) WHERE outcome = 'deny';
CREATE INDEX requests_asked ON requests (at) WHERE was_asked = 1;
CREATE INDEX requests_approval ON requests (approval) WHERE approval IS NOT NULL;
CREATE INDEX requests_behalf ON requests (behalf, at) WHERE behalf IS NOT NULL;

CREATE TABLE class_disclosures (
    class INTEGER NOT NULL, subject INTEGER NOT NULL, at INTEGER NOT NULL, request INTEGER NOT NULL,
    clear INTEGER NOT NULL, masked INTEGER NOT NULL,
    PRIMARY KEY (class, subject, at, request)
) STRICT, WITHOUT ROWID;
CREATE INDEX class_disclosures_request ON class_disclosures (request);
CREATE TABLE column_disclosures (
    request INTEGER NOT NULL, column_id INTEGER NOT NULL,
    clear INTEGER NOT NULL, masked INTEGER NOT NULL,
    PRIMARY KEY (request, column_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX column_disclosures_column ON column_disclosures (column_id, request);

CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    session  INTEGER,
    subject  INTEGER,
    target   INTEGER,
    approval INTEGER,
    secret   INTEGER,
    event    TEXT NOT NULL
) STRICT;
CREATE INDEX events_time ON events (at);
CREATE INDEX events_session ON events (session) WHERE session IS NOT NULL;
CREATE INDEX events_subject ON events (subject, at) WHERE subject IS NOT NULL;
CREATE INDEX events_approval ON events (approval) WHERE approval IS NOT NULL;
CREATE INDEX events_secret ON events (secret, at) WHERE secret IS NOT NULL;

-- SQLite chooses indexes by what it knows of their contents, and without knowing it guesses alike for all. This tells it
-- what a journal of some years looks like: rows, then rows for one value of the first column, of the first two, ...
-- Searches then take the same path on every installation.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('requests', 'requests_time', '10000000 10'),
    ('requests', 'requests_subject', '10000000 100000 5'),
    ('requests', 'requests_target', '10000000 500000 8'),
    ('requests', 'requests_ruling', '10000000 10000 1'),
    ('requests', 'requests_unknown', '1000 1'),
    ('requests', 'requests_denied', '100000 2'),
    ('requests', 'requests_asked', '10000 2'),
    ('requests', 'requests_approval', '5000 1'),
    ('requests', 'requests_behalf', '1000000 10000 2'),
    ('requests', 'sqlite_autoindex_requests_1', '10000000 1000 1'),
    ('ruling_statements', 'ruling_statements_statement', '20000 2 1'),
    ('ruling_policies', 'ruling_policies_policy', '40000 1000 1'),
    ('class_disclosures', 'class_disclosures_request', '5000000 2');
