//! Every column of a real server's own catalogs that can hold values of tables, texts of statements or credentials carries
//! `secret`, whatever the classification says.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use effects::postgres::labels;
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
    assert!(seen >= 25, "{seen}");
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
