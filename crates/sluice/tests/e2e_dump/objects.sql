CREATE SCHEMA odd;
COMMENT ON SCHEMA odd IS 'with ''quotes'' and a
second line';
CREATE TYPE odd.mood AS ENUM ('sad', 'o''k', 'happy');
CREATE TYPE odd.pair AS (first integer, "Second Part" text);
CREATE TYPE odd.span AS RANGE (subtype = float8);
CREATE DOMAIN odd.positive AS integer NOT NULL DEFAULT 1 CHECK (VALUE > 0);
CREATE SEQUENCE odd.numbers INCREMENT BY 5 MAXVALUE 1000 CYCLE;
SELECT nextval('odd.numbers');
CREATE TABLE odd."Mixed ""Case""" (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mood odd.mood,
    pair odd.pair,
    span odd.span,
    amount odd.positive,
    twice integer GENERATED ALWAYS AS (amount * 2) STORED,
    bytes bytea,
    document jsonb,
    list text[],
    day date DEFAULT CURRENT_DATE,
    exact numeric,
    approximate float8,
    id2 uuid,
    net inet,
    bits bit varying(9),
    lapse interval,
    stamp timestamptz
);
INSERT INTO odd."Mixed ""Case""" (mood, pair, span, amount, bytes, document, list, day, exact, approximate, id2, net, bits, lapse, stamp)
VALUES
    ('o''k', ROW(1, E'tab\tand \\ backslash'), '[1.5,2.25)', 3, '\x00ff0a5c', '{"a": [1, null, "ü\n"]}', ARRAY['x', NULL, '{,"}'],
     '2024-02-29', 12345678901234567890.0123456789, 0.1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.0/8', B'1010', '1 mon -3 days', '2024-01-01 00:00:00.123456+02'),
    (NULL, NULL, 'empty', 1, '', 'null', '{}', '-infinity', 'NaN', 'Infinity', NULL, '::1', B'', '0', 'infinity');
CREATE TABLE odd.measured (at date NOT NULL, value integer) PARTITION BY RANGE (at);
CREATE TABLE odd.measured_2024 PARTITION OF odd.measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE odd.measured_rest PARTITION OF odd.measured DEFAULT;
INSERT INTO odd.measured VALUES ('2024-05-01', 1), ('1999-01-01', 2);
CREATE TABLE odd.parent (a integer CHECK (a <> 13), b text COLLATE "C");
CREATE TABLE odd.child (c integer) INHERITS (odd.parent);
INSERT INTO odd.child VALUES (1, E'line\nbreak', 2);
CREATE INDEX ON odd.parent (lower(b)) WHERE a > 0;
CREATE STATISTICS odd.counted ON a, b FROM odd.parent;
CREATE FUNCTION odd.double(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT $1 * 2 $$;
CREATE FUNCTION odd.note() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN NEW.b := NEW.b || '$$'; RETURN NEW; END $body$;
CREATE PROCEDURE odd.nothing() LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE AGGREGATE odd.sum_of(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE OPERATOR odd.<+> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4pl);
CREATE TRIGGER noted BEFORE INSERT ON odd.parent FOR EACH ROW EXECUTE FUNCTION odd.note();
CREATE VIEW odd.seen AS SELECT a, odd.double(a) AS double, b FROM odd.parent WHERE a > 0 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW odd.kept AS SELECT count(*) AS rows FROM odd.parent;
CREATE RULE gone AS ON DELETE TO odd.child DO INSTEAD NOTHING;
ALTER TABLE odd.parent ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON odd.parent USING (true);
GRANT SELECT ON odd.parent TO PUBLIC;
GRANT SELECT (c) ON odd.child TO PUBLIC;
CREATE COLLATION odd.plain (LOCALE = 'C');
CREATE TEXT SEARCH CONFIGURATION odd.words (COPY = simple);
COMMENT ON COLUMN odd.parent.b IS 'the second';
