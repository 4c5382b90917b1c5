//! What users make runs where nobody names it: casts, checks of domains, functions and operators that look like the
//! server's own. Each is `execute` where it may run, asked of a real server's catalog.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use effects::postgres::Catalog;
use model::effect::{Object, Verb};
use testkit::postgres::{Options, Plain, Postgres};

const MADE: &str = "
CREATE TABLE cards (id bigint PRIMARY KEY, number text, cvv text);
CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12,2), note text);
CREATE TYPE pay_status AS ENUM ('new', 'paid');
CREATE TABLE payments (id bigint, status pay_status);
CREATE DOMAIN few AS text[] CHECK (cardinality(VALUE) < 3);
CREATE TYPE tag AS (t text);
CREATE FUNCTION to_status(bytea) RETURNS pay_status LANGUAGE plpgsql IMMUTABLE AS 'begin return ''new''; end';
CREATE CAST (bytea AS pay_status) WITH FUNCTION to_status(bytea);
CREATE FUNCTION int_status(int) RETURNS pay_status LANGUAGE plpgsql IMMUTABLE AS 'begin return ''new''; end';
CREATE CAST (int AS pay_status) WITH FUNCTION int_status(int) AS ASSIGNMENT;
CREATE TYPE wrap AS (s pay_status);
CREATE FUNCTION text_of(tag) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'begin return ''x''; end';
CREATE CAST (tag AS text) WITH FUNCTION text_of(tag) AS IMPLICIT;
CREATE FUNCTION status_json(pay_status) RETURNS json LANGUAGE plpgsql IMMUTABLE AS 'begin return ''1''; end';
CREATE CAST (pay_status AS json) WITH FUNCTION status_json(pay_status);
CREATE FUNCTION repeat(n int, s text) RETURNS text LANGUAGE plpgsql AS 'begin return s; end';
CREATE TABLE tagged (id int, t tag, c text COLLATE \"C\", p text COLLATE \"POSIX\", b bytea, bs bytea[]);
CREATE VIEW ratios AS SELECT id, 1 / (total - 5) AS ratio, total FROM orders;
CREATE FUNCTION bad(text, int) RETURNS text LANGUAGE plpgsql STABLE AS 'begin return 1; end';
CREATE OPERATOR || (leftarg = text, rightarg = int, function = bad);
";

/// A statement, and the function that it may run.
const RUN: &[(&str, &str)] = &[
    ("SELECT bs::pay_status[] FROM tagged", "to_status"),
    ("SELECT ARRAY[b]::pay_status[] FROM tagged", "to_status"),
    ("SELECT ROW(b)::wrap FROM tagged", "to_status"),
    ("SELECT b::pay_status FROM tagged", "to_status"),
    ("SELECT lower(t) FROM tagged", "text_of"),
    ("SELECT t = c FROM tagged", "text_of"),
    ("SELECT id FROM tagged WHERE t = c", "text_of"),
    ("SELECT coalesce(t, c) FROM tagged", "text_of"),
    ("SELECT t || c FROM tagged", "text_of"),
    ("UPDATE payments SET status = id::int", "int_status"),
    ("INSERT INTO payments SELECT 1, id::int FROM orders", "int_status"),
    ("INSERT INTO payments VALUES (1, 1::int + 0)", "int_status"),
    ("SELECT to_json(status) FROM payments", "status_json"),
    ("SELECT json_build_object('a', p) FROM payments p", "status_json"),
    ("SELECT json_agg(p.status) FROM payments p", "status_json"),
    ("SELECT row_to_json(p) FROM payments p", "status_json"),
    ("SELECT json_agg(ARRAY[p.status]) FROM payments p", "status_json"),
    ("SELECT repeat(s => 'a'::text, n => 3)", "repeat"),
    ("SELECT 'a'::text || 1", "bad"),
];

/// Whether it fails, or what else it does, would tell of a card's number.
const TELL: &[&str] = &[
    "SELECT CASE WHEN number LIKE '4%' THEN r.ratio END FROM cards, ratios r",
    "SELECT CASE WHEN number LIKE '4%' THEN t.c > t.p END FROM cards, tagged t",
    "SELECT CASE WHEN number LIKE '4%' THEN max(t.p || t.c) > 'a' END FROM cards, tagged t GROUP BY number",
    "SELECT CASE WHEN number LIKE '4%' THEN '{a,b,c}'::few END FROM cards",
    "SELECT CASE WHEN number LIKE '4%' THEN 'a'::text || 1 END FROM cards",
    "SELECT CASE WHEN number LIKE '4%' THEN lower(t.t) END FROM cards, tagged t",
];

const QUIET: &[&str] = &[
    "SELECT CASE WHEN number LIKE '4%' THEN r.total END FROM cards, ratios r",
    "SELECT CASE WHEN number LIKE '4%' THEN lower(o.note) END FROM cards, orders o",
];

fn catalog() -> Catalog {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("users", None).unwrap();
    let mut plain = Plain::connect(&server, "users").unwrap();
    let made = plain.run(MADE).unwrap();
    assert_eq!(made.error, None);
    common::catalog_of(&mut plain)
}

#[test]
fn what_users_made_is_named_where_it_may_run_and_tells_nothing() {
    let catalog: &'static Catalog = Box::leak(Box::new(catalog()));
    for (text, function) in RUN {
        let statement = common::run_in(text, catalog).remove(0);
        let runs = statement.effects.iter().any(|effect| match &effect.object {
            Object::Function(name, _) => {
                effect.verb == Verb::Execute && &*name.name == *function && &*name.schema == "public"
            }
            _ => false,
        });
        assert!(runs, "{text}: {:?}", statement.effects);
    }
    let filters = |text: &str| {
        common::run_in(text, catalog).remove(0).effects.iter().any(|effect| match &effect.object {
            Object::Column(column, _) => effect.verb == Verb::Filter && column.to_string() == "public.cards.number",
            _ => false,
        })
    };
    for text in TELL {
        assert!(filters(text), "{text}");
    }
    for text in QUIET {
        assert!(!filters(text), "{text}");
    }
}
