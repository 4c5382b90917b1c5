//! The driver scripts against PostgreSQL itself: what they report without Sluice in between.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::drivers::{self, Connection};
use testkit::payments;
use testkit::postgres::{Postgres, StatementKind};

fn direct(script: &str, database: &str) -> Result<Value> {
    let postgres = Postgres::shared()?;
    let loaded = payments::load_into(postgres, database, 1_000)?;
    let ca = postgres.ca_certificate();
    let connection = Connection {
        host: postgres.host(),
        port: postgres.port(),
        user: &loaded.login.user,
        password: &loaded.login.password,
        database,
        ca: &ca,
        denied: "SELECT rolpassword FROM pg_authid",
    };
    drivers::run(script, &connection)
}

/// What each script reports of a failure inside a transaction.
#[expect(clippy::indexing_slicing, reason = "a missing member of a JSON object is null")]
fn assert_failures(results: &Value, left: &Value) {
    for (name, sqlstate) in [("error", "22012"), ("denied", "42501")] {
        assert_eq!(results[name]["sqlstate"], sqlstate);
        assert_eq!(results[format!("transaction_{name}")]["sqlstate"], sqlstate);
        assert_eq!(results[format!("transaction_{name}_then")]["sqlstate"], "25P02");
        assert_eq!(&results[format!("transaction_{name}_left")], left);
    }
    assert_eq!(results["denied_then"], json!([[1]]));
}

#[test]
fn psycopg_reports_every_scenario() -> Result<()> {
    let results = direct("psycopg_client.py", "drivers_psycopg")?;
    assert_failures(&results, &json!([[0]]));
    assert_eq!(results["types_text"], results["types_binary"]);
    assert_eq!(results["simple"][0], results["simple"][2]);
    assert_eq!(results["binary_cards"][2], results["simple"][0]);
    assert_eq!(results["pipeline_denied"]["sqlstate"], "42501");
    assert_eq!(results["pipeline_denied_left"], json!([[0]]));
    assert_eq!(results["copy_in"], json!([[3]]));
    assert_eq!(results["copy_out_text"].as_str().map(|text| text.lines().count()), Some(3));
    assert_eq!(results["savepoint_then"], json!([[1]]));

    let log = Postgres::shared()?.statement_log()?;
    let log: Vec<_> = log.into_iter().filter(|entry| entry.application == "psycopg").collect();
    let kind_of =
        |text: &'static str| log.iter().filter(move |entry| entry.text.starts_with(text)).map(|entry| &entry.kind);
    let prepared: Vec<_> = kind_of("SELECT id, email, ssn FROM customers").collect();
    let unnamed = StatementKind::Execute("<unnamed>".into());
    let named = StatementKind::Execute("_pg3_0".into());
    assert_eq!(prepared, [&unnamed, &unnamed, &unnamed, &named, &named, &named]);
    let parameters = log.iter().find_map(|entry| entry.detail.clone());
    assert_eq!(parameters.as_deref(), Some("parameters: $1 = '1'"));
    assert!(kind_of("SELECT id, number, cvv, expires").any(|kind| *kind == StatementKind::Simple));
    assert_eq!(kind_of("COPY refunds").count(), 1);
    Ok(())
}

#[test]
fn asyncpg_reports_every_scenario() -> Result<()> {
    let results = direct("asyncpg_client.py", "drivers_asyncpg")?;
    assert_failures(&results, &json!([[0]]));
    assert_eq!(results["cached"][0], results["cached"][2]);
    assert_eq!(results["types"][0][4], "12.340");
    assert_eq!((&results["copy_in"], &results["copy_in_rows"]), (&json!("COPY 3"), &json!([[3]])));
    assert_eq!((&results["executemany"], &results["executemany_left"]), (&json!("23503"), &json!([[0]])));
    assert_eq!(results["pool_reset"], json!([["0"]]));
    Ok(())
}

#[test]
fn sqlalchemy_reports_every_scenario() -> Result<()> {
    let results = direct("sqlalchemy_client.py", "drivers_sqlalchemy")?;
    assert_eq!(results["orm"].as_array().map(Vec::len), Some(3));
    assert_eq!(results["reflection"]["cards"], json!(["id", "customer_id", "number", "cvv", "expires"]));
    assert_eq!((&results["session_error"]["sqlstate"], &results["session_error_left"]), (&json!("22012"), &json!(0)));
    assert_eq!((&results["session_denied"]["sqlstate"], &results["session_denied_left"]), (&json!("42501"), &json!(0)));
    assert_eq!(results["full_row_update"], "written");
    assert_eq!(results["pool_kept"], true);
    Ok(())
}
