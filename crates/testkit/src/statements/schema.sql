CREATE TYPE pair AS (num int, word text);
CREATE TABLE depts (id int PRIMARY KEY, title text, floor int, pin int);
CREATE TABLE staff (id int PRIMARY KEY, name text, dept int, ssn text, salary int, pay numeric, vitals jsonb,
  codes text[], born date, badge pair, vetted boolean, tags text[], info jsonb, active boolean, score numeric);
CREATE TABLE orders (id int PRIMARY KEY, staff int, amount numeric, note text, day date, lines int[], doc jsonb);
CREATE TABLE notes (id int PRIMARY KEY, body text, n int, extra jsonb, tags text[], mark pair);
CREATE TABLE vault (id int PRIMARY KEY, secret text, owner int);
CREATE TABLE base (id int, key text, label text);
CREATE TABLE child (extra int) INHERITS (base);
CREATE TABLE logs (id int, day date, key text) PARTITION BY RANGE (day);
CREATE TABLE logs_25 PARTITION OF logs FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE logs_26 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW staff_v AS SELECT id, name, upper(ssn) AS code, salary, dept FROM staff;
CREATE VIEW nested_v AS SELECT v.id, v.code || '!' AS shout, d.title, v.salary > 50 AS rich
  FROM staff_v v JOIN depts d ON d.id = v.dept;
CREATE VIEW plain_v AS SELECT id, name, tags FROM staff WHERE active;
CREATE VIEW dept_v AS SELECT dept, count(*) AS n, max(salary) AS top, string_agg(ssn, ',' ORDER BY id) AS all_ssn
  FROM staff GROUP BY dept;
