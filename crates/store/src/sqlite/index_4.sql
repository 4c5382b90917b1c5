-- Requests that were allowed and ended, and of which nothing else has to be found one by one: many of one session, of the
-- same statements and policies, in one row. Most requests are like that, and an application repeats itself.
CREATE TABLE runs (
    id           INTEGER PRIMARY KEY,      -- the position of the entry that decided the one that ended first
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,         -- at most a minute later
    session      INTEGER NOT NULL,
    first_number INTEGER NOT NULL,
    last_number  INTEGER NOT NULL,
    subject      INTEGER,
    target       INTEGER,
    ruling       INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    behalf       INTEGER,
    count        INTEGER NOT NULL,
    row_count    INTEGER NOT NULL,         -- rows delivered by all of them
    answered     INTEGER NOT NULL,         -- how many of them delivered any
    members      BLOB    NOT NULL          -- what they do not have in common, one after the other
) STRICT;
CREATE INDEX runs_time ON runs (last_at);
CREATE INDEX runs_subject ON runs (subject, last_at);
CREATE INDEX runs_target ON runs (target, last_at);
CREATE INDEX runs_ruling ON runs (ruling, last_at);
CREATE INDEX runs_session ON runs (session, last_number);
CREATE INDEX runs_behalf ON runs (behalf, last_at) WHERE behalf IS NOT NULL;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('runs', 'runs_time', '1000000 10'),
    ('runs', 'runs_subject', '1000000 10000 5'),
    ('runs', 'runs_target', '1000000 50000 8'),
    ('runs', 'runs_ruling', '1000000 1000 1'),
    ('runs', 'runs_session', '1000000 100 1'),
    ('runs', 'runs_behalf', '100000 1000 2');
