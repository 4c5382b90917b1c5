//! Every column of a real server's own catalogs that can hold values of tables, texts of statements or credentials carries
//! `secret`, whatever the classification says.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use effects::postgres::{labels, queries};
use model::classification::Classification;
use model::effect::{ColumnName, TableName};
use testkit::postgres::{Options, Plain, Postgres};

/// Columns that look as if they held one of these, and do not.
const HARMLESS: &[&str] = &[
    // How many values there are.
    "pg_statistic_ext_data.stxdndistinct",
    "pg_statistic_ext_data.stxddependencies",
    "pg_stats_ext.n_distinct",
    "pg_stats_ext.dependencies",
    // The server shows stars.
    "pg_roles.rolpassword",
    "pg_user.passwd",
    // Names and arguments of definitions, which are the schema's and not the data's.
    "pg_trigger.tgargs",
    "pg_class.reloptions",
    "pg_attribute.attoptions",
    "pg_tablespace.spcoptions",
    "pg_foreign_data_wrapper.fdwoptions",
    "pg_foreign_table.ftoptions",
    "pg_attribute.attfdwoptions",
    "pg_ts_dict.dictinitoption",
    "pg_settings.enumvals",
];

#[test]
fn what_the_server_keeps_of_data_is_classified() {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("catalogs", None).unwrap();
    let mut plain = Plain::connect(&server, "catalogs").unwrap();
    let catalog = common::catalog_of(&mut plain);
    let labels = labels(&catalog, "any", &Classification::default());
    let columns = plain
        .rows(
            "SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'v') AND n.nspname = 'pg_catalog' AND a.attnum > 0 AND (
               a.atttypid::regtype::text IN ('anyarray', 'pg_mcv_list', 'bytea', 'pg_ndistinct', 'pg_dependencies')
               OR a.atttypid::regtype::text NOT IN ('boolean', 'bigint', 'timestamp with time zone', 'real[]', 'int2vector')
               AND a.attname ~ '(^query|statement$|passw|conninfo|option|vals|elems|stxdexpr|^prepare|stanumbers)')",
        )
        .unwrap();
    let (mut seen, mut open) = (0, Vec::new());
    for row in &columns {
        let name = ColumnName::new(TableName::new(&*row[0], &*row[1]), &*row[2]);
        if HARMLESS.contains(&format!("{}.{}", row[1], row[2]).as_str()) {
            continue;
        }
        seen += 1;
        let secret = labels.marking(&name).classes().any(|class| class.as_str() == "secret");
        if !secret {
            open.push(name.to_string());
        }
    }
    assert!(open.is_empty(), "not classified: {open:?}");
    assert!(seen >= if catalog.version() < 140_000 { 23 } else { 25 }, "{seen}");
    // No more than that: the views that drivers and ORMs read stay readable.
    let shown: Vec<String> = labels.columns.keys().map(ToString::to_string).collect();
    let schema = shown.iter().filter(|name| name.starts_with("information_schema."));
    let schema: Vec<&String> = schema.filter(|name| !name.contains("option") && !name.contains("_pg_")).collect();
    assert!(schema.is_empty(), "{schema:?}");
    for (table, column) in [
        ("pg_stats", "most_common_vals"),
        ("pg_stats", "histogram_bounds"),
        ("pg_statistic", "stavalues1"),
        ("pg_stat_activity", "query"),
        ("pg_prepared_statements", "statement"),
        ("pg_largeobject", "data"),
        ("pg_authid", "rolpassword"),
        ("pg_shadow", "passwd"),
    ] {
        let name = ColumnName::new(TableName::new("pg_catalog", table), column);
        assert!(labels.marking(&name).classes().any(|class| class.as_str() == "secret"), "{name}");
    }
}

/// Before `pg_catalog` stand operators for all pairs of types that have one, types, functions and tables of the names that
/// the texts use, of which each says that it was used.
const BEFORE: &str = r#"
CREATE SCHEMA evil;
DO $$
DECLARE pair record;
BEGIN
    FOR pair IN SELECT oid, oprname, oprleft, oprright, oprresult FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
        AND oprname IN ('=', '<>', '<', '<=', '>', '>=', '||', '+', '-', '%', '&') AND oprleft <> 0
        AND oprleft::regtype::text !~ '^any' AND oprright::regtype::text !~ '^any'
    LOOP
        EXECUTE format('CREATE FUNCTION evil.used_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', pair.oid,
            pair.oprleft::regtype, pair.oprright::regtype, pair.oprresult::regtype, 'BEGIN RAISE ''used''; END');
        EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.used_%s)',
            pair.oprname, pair.oprleft::regtype, pair.oprright::regtype, pair.oid);
    END LOOP;
END $$;
CREATE FUNCTION evil.used() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'used'; END $$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.used());
CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (evil.used());
CREATE DOMAIN evil.oid AS pg_catalog.oid CHECK (evil.used());
CREATE DOMAIN evil."char" AS pg_catalog."char" CHECK (evil.used());
CREATE DOMAIN evil.regclass AS pg_catalog.regclass CHECK (evil.used());
CREATE VIEW evil.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE evil.used();
CREATE TEMPORARY VIEW seen AS SELECT 1 AS one;
"#;

#[test]
fn pg_12_what_sluice_asks_a_catalog_hangs_on_no_search_path() {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("paths", None).unwrap();
    let mut plain = Plain::connect(&server, "paths").unwrap();
    assert_eq!(plain.run(BEFORE).unwrap().error, None);
    let texts: Vec<String> = queries::SYSTEM.iter().chain(queries::USER).map(queries::Query::text).collect();
    // All but what reads the path itself.
    let texts: Vec<&String> = texts.iter().filter(|text| **text != queries::PATH.text()).collect();
    let version = queries::version();
    let mut ask = |path: &str| -> Vec<_> {
        plain.rows(&format!("SET search_path = {path}")).unwrap();
        let texts = texts.iter().copied().chain([&version]);
        texts.map(|text| plain.rows(text).unwrap_or_else(|error| panic!("{text}: {error:#}"))).collect()
    };
    let (usual, evil) = (ask("pg_catalog"), ask("evil, pg_catalog"));
    for ((text, usual), evil) in texts.iter().chain([&&version]).zip(&usual).zip(&evil) {
        let without_definitions = |rows: &[Vec<String>]| -> Vec<Vec<String>> {
            let are_versions = text.contains("pg_get_viewdef");
            rows.iter().map(|row| row[..if are_versions { 2 } else { row.len() }].to_vec()).collect()
        };
        assert!(without_definitions(usual) == without_definitions(evil), "other rows: {text}");
    }
    let definition = |answers: &[Vec<Vec<String>>]| {
        answers.iter().flatten().any(|row| row.contains(&" SELECT 1 AS one;".to_owned()))
    };
    assert!(
        definition(&usual) && !definition(&evil),
        "a definition is printed under a path that begins with a schema of users"
    );
    let caught = plain.rows("SELECT oid FROM pg_catalog.pg_class WHERE oid = relnamespace").unwrap_err();
    assert!(format!("{caught:#}").contains("used"), "the operators are not in the way: {caught:#}");
}

#[test]
fn a_catalogs_version_changes_with_whatever_can_run_a_function() {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("versions", None).unwrap();
    let mut plain = Plain::connect(&server, "versions").unwrap();
    plain.rows("CREATE DOMAIN small AS int; CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY").unwrap();
    let mut versions = vec![plain.rows(&queries::version()).unwrap()];
    assert_eq!(plain.rows(&queries::version()).unwrap(), versions[0]);
    for change in [
        "ALTER DOMAIN small ADD CONSTRAINT least CHECK (VALUE > 0)",
        "CREATE POLICY some_of_it ON t USING (a > 0)",
        "ALTER TABLE t ADD CHECK (a < 9)",
        "ALTER TABLE t ALTER a SET DEFAULT 1",
        "CREATE INDEX ON t ((a + 1))",
        "ALTER DOMAIN small DROP CONSTRAINT least",
    ] {
        plain.rows(change).unwrap();
        versions.push(plain.rows(&queries::version()).unwrap());
        assert_ne!(versions[versions.len() - 1], versions[versions.len() - 2], "{change}");
    }
}

/// Syntax and functions by the version that brought them. Where a server does not have them, it says so or Sluice does not
/// claim to know what they are: an older one could read the text as something else.
const NEW: [(u32, &str); 16] = [
    (140_000, "SELECT extra['pan'] FROM notes"),
    (140_000, "SELECT id FROM notes GROUP BY DISTINCT ROLLUP (id), ROLLUP (id)"),
    (
        140_000,
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SEARCH DEPTH FIRST BY n SET o \
         SELECT n FROM t",
    ),
    (150_000, "MERGE INTO notes USING (VALUES (1)) v(i) ON id = i WHEN MATCHED THEN DELETE"),
    (150_000, "CREATE UNIQUE INDEX ON notes (id) NULLS NOT DISTINCT"),
    (150_000, "SELECT regexp_count(body, 'a') FROM notes"),
    (160_000, "SELECT JSON_OBJECT('a' VALUE body) FROM notes"),
    (160_000, "SELECT body IS JSON FROM notes"),
    (160_000, "SELECT any_value(id) FROM notes"),
    (160_000, "SELECT id FROM notes WHERE id = 0x1F OR id = 1_000"),
    (170_000, "SELECT JSON_VALUE(extra, '$.a') FROM notes"),
    (170_000, "SELECT t.a FROM notes, JSON_TABLE(extra, '$' COLUMNS (a int PATH '$.a')) t"),
    (
        170_000,
        "MERGE INTO notes USING (VALUES (1)) v(i) ON id = i WHEN MATCHED THEN DELETE RETURNING merge_action(), id",
    ),
    (170_000, "MERGE INTO notes USING (VALUES (1)) v(i) ON id = i WHEN NOT MATCHED BY SOURCE THEN DELETE"),
    (180_000, "UPDATE notes SET id = 2 RETURNING old.body, new.id"),
    (180_000, "CREATE TABLE folded (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)"),
];

#[test]
fn what_a_version_brings_is_known_where_the_server_has_it_and_only_there() {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("brought", None).unwrap();
    let mut plain = Plain::connect(&server, "brought").unwrap();
    plain.rows("CREATE TABLE notes (id int, body text, extra jsonb)").unwrap();
    let catalog = common::catalog_of(&mut plain);
    for (since, sql) in NEW {
        let answers = plain.run(&format!("BEGIN; {sql}; ROLLBACK")).unwrap();
        plain.run("ROLLBACK").unwrap();
        let runs = answers.error.is_none();
        let found = effects::postgres::analyse(sql, &common::session(&catalog, &effects::postgres::NoPrepared));
        let known = found.iter().all(|statement| !statement.is_opaque());
        if catalog.version() >= since {
            assert!(runs && known, "{sql}: {:?} {}", answers.error, common::show(sql, &found[0]));
        } else {
            assert!(!runs || !known, "{sql}: the server runs it, {}", common::show(sql, &found[0]));
        }
    }
}

/// What the analysis needs of keys and generated columns, which the versions keep in different places.
#[test]
fn keys_and_generated_columns_are_read() {
    let server = Postgres::start(Options::default()).unwrap();
    server.create_database("generated", None).unwrap();
    let mut plain = Plain::connect(&server, "generated").unwrap();
    plain
        .run(
            "CREATE TABLE t (a text, b text, c text GENERATED ALWAYS AS (a || coalesce(b, '')) STORED, d int DEFAULT 1,
             PRIMARY KEY (d, a));
             CREATE TABLE p (x int, y text) PARTITION BY LIST (y)",
        )
        .unwrap();
    let catalog = common::catalog_of(&mut plain);
    let show = |sql: &str| {
        let found = effects::postgres::analyse(sql, &common::session(&catalog, &effects::postgres::NoPrepared));
        common::show(sql, &found[0])
    };
    assert!(
        show("SELECT c FROM t").contains("out c: derived(public.t.a, public.t.b, public.t.c)"),
        "{}",
        show("SELECT c FROM t")
    );
    assert!(show("SELECT d FROM t").contains("out d: public.t.d"));
    let key = show("CREATE TABLE u (one int, two text, FOREIGN KEY (one, two) REFERENCES t)");
    assert!(key.contains("join column public.t.d with public.u.one"), "{key}");
    assert!(key.contains("join column public.t.a with public.u.two"), "{key}");
    let part = show("CREATE TABLE q PARTITION OF p FOR VALUES IN ('z')");
    assert!(part.contains("filter column public.p.y") && !part.contains("public.p.x"), "{part}");
}
