-- Who somebody was when they last opened a session. Of those who did before this table was there nothing is known until the
-- index is made anew.
CREATE TABLE seen (
    subject INTEGER PRIMARY KEY REFERENCES subjects (id),
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    groups  TEXT    NOT NULL               -- a list, as JSON
) STRICT;
