//! The class of every built-in function of a real server: no function that the server calls volatile is safe unless it was
//! reviewed, and none that is safe runs a text, reads a relation, moves a sequence or sets a setting.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use effects::postgres::{Catalog, analyse};
use model::effect::{FunctionClass, Object};
use testkit::postgres::{Options, Plain, Postgres};

/// Volatile functions that only compute, or only look at the state of the server or the session. A line here is a
/// decision; so is one in `SAFE_VOLATILE` of `functions.rs`.
const REVIEWED: &str = include_str!("fixture/safe_volatile.txt");

fn server() -> (Postgres, Plain, Catalog) {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("functions", None).unwrap();
    let mut plain = Plain::connect(&server, "functions").unwrap();
    let catalog = common::catalog_of(&mut plain);
    (server, plain, catalog)
}

/// The class that a call of the function has, whatever its arguments are.
fn class(catalog: &Catalog, name: &str, arguments: usize) -> FunctionClass {
    let nulls = vec!["NULL"; arguments].join(", ");
    let text = format!("SELECT pg_catalog.\"{name}\"({nulls})");
    let session = common::session(catalog, &effects::postgres::NoPrepared);
    let statement = analyse(&text, &session).remove(0);
    let mut classes = statement.effects.iter().filter_map(|effect| match &effect.object {
        Object::Function(found, class) if &*found.name == name => Some(*class),
        _ => None,
    });
    classes.next_back().unwrap_or(FunctionClass::Admin)
}

#[test]
fn a_volatile_function_is_safe_only_if_it_was_reviewed() {
    let (_server, mut plain, catalog) = server();
    let rows = plain
        .rows(
            "SELECT DISTINCT proname, pronargs FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile = 'v' AND prokind = 'f'",
        )
        .unwrap();
    let reviewed: BTreeSet<&str> = REVIEWED.lines().filter(|line| !line.starts_with('#')).collect();
    let mut safe = BTreeSet::new();
    for row in &rows {
        if class(&catalog, &row[0], row[1].parse().unwrap()) == FunctionClass::Safe {
            safe.insert(row[0].as_str());
        }
    }
    assert!(rows.len() > 200, "{}", rows.len());
    let new: Vec<_> = safe.difference(&reviewed).collect();
    assert!(new.is_empty(), "not reviewed: {new:?}");
}

/// What an argument of each type is given: texts are statements and names that leave a trace where they are used.
fn argument(ty: &str) -> Option<&'static str> {
    Some(match ty {
        "text" | "cstring" | "name" | "anyelement" | "\"any\"" | "unknown" | "character varying" | "anycompatible" => {
            "$probe$"
        }
        "regclass" => "'probe'::regclass",
        "oid" => "'probe'::regclass::oid",
        "integer" | "smallint" | "bigint" | "numeric" | "double precision" | "real" => "1",
        "boolean" => "true",
        "tsquery" => "'a'::tsquery",
        "tsvector" => "'a:1'::tsvector",
        "xml" => "'<a/>'::xml",
        "json" => "'{}'::json",
        "jsonb" => "'{}'::jsonb",
        "bytea" => "'a'::bytea",
        "text[]" | "anyarray" | "name[]" => "ARRAY['probe']",
        "regtype" => "'text'::regtype",
        "refcursor" => "'probe_cursor'::refcursor",
        "tid" => "'(0,1)'::tid",
        _ => return None,
    })
}

#[test]
fn a_safe_function_runs_no_text_and_reads_no_relation() {
    let (_server, mut plain, catalog) = server();
    plain
        .rows(
            "CREATE SEQUENCE traces; CREATE TABLE probe (a text); INSERT INTO probe VALUES ('canary-5d2e');
             SET statement_timeout = '5s'; SET client_min_messages = error; CREATE ROLE nobody_here;
             CREATE FUNCTION trace() RETURNS text LANGUAGE plpgsql AS 'begin perform nextval(''traces''); return ''a''; end'",
        )
        .unwrap();
    let functions = plain
        .rows(
            "SELECT proname, pronargs, array_to_string(ARRAY(SELECT format_type(t, NULL)
               FROM unnest(proargtypes) WITH ORDINALITY u(t, o) ORDER BY o), ';')
             FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND pronargs > 0
             ORDER BY oid",
        )
        .unwrap();
    let mut classes: BTreeMap<(String, usize), FunctionClass> = BTreeMap::new();
    let (mut called, mut caught) = (0, BTreeSet::new());
    for row in &functions {
        let (name, count) = (row[0].clone(), row[1].parse().unwrap());
        let class = *classes.entry((name.clone(), count)).or_insert_with(|| class(&catalog, &name, count));
        // What is known to do harm is not called; what is known to run texts shows that the probe works.
        if !matches!(class, FunctionClass::Safe | FunctionClass::DynamicSql) {
            continue;
        }
        let Some(arguments) = row[2].split(';').map(argument).collect::<Option<Vec<_>>>() else { continue };
        for probe in ["'SELECT trace()'", "'SELECT a::tsvector FROM probe'", "'probe'"] {
            let arguments = arguments.join(", ").replace("$probe$", probe);
            let before = trace(&mut plain);
            let text = format!("BEGIN; SELECT pg_catalog.\"{name}\"({arguments}); COMMIT");
            let answers = plain.run(&text).unwrap();
            plain.run("ROLLBACK").unwrap();
            called += 1;
            let rows = answers.done.iter().flat_map(|answer| &answer.rows).flatten().flatten();
            let shown = rows.into_iter().any(|cell| String::from_utf8_lossy(cell).contains("canary-5d2e"));
            if trace(&mut plain) != before || shown {
                assert_eq!(class, FunctionClass::DynamicSql, "{name}({arguments}) runs or reads what it is given");
                caught.insert(name.clone());
            }
        }
    }
    assert!(called > 2_000, "{called}");
    for known in ["query_to_xml", "table_to_xml", "ts_stat", "ts_rewrite"] {
        assert!(
            classes.iter().filter(|((name, _), _)| name == known).all(|(_, class)| *class == FunctionClass::DynamicSql)
        );
    }
    assert!(caught.contains("query_to_xml") && caught.contains("table_to_xml"), "{caught:?}");
}

fn trace(plain: &mut Plain) -> String {
    plain.rows("SELECT last_value::text || is_called::text FROM traces").unwrap()[0][0].clone()
}
