//! A driver's program against PostgreSQL itself: it uses what it says.

use anyhow::Result;
use serde_json::Value;
use testkit::drivers::{self, Connection, Driver};
use testkit::payments;
use testkit::postgres::{Postgres, StatementKind};

fn direct(driver: Driver, database: &str) -> Result<Value> {
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
    driver.run(&connection)
}

#[test]
fn psycopg_uses_all_of_the_protocol() -> Result<()> {
    direct(drivers::ALL[0], "drivers_psycopg")?;
    let log = Postgres::shared()?.statement_log()?;
    let log: Vec<_> = log.into_iter().filter(|entry| entry.application == "psycopg").collect();
    let kind_of =
        |text: &'static str| log.iter().filter(move |entry| entry.text.starts_with(text)).map(|entry| &entry.kind);
    let prepared: Vec<_> = kind_of("SELECT id, email, ssn FROM customers").collect();
    let unnamed = StatementKind::Execute("<unnamed>".into());
    let named = StatementKind::Execute("_pg3_0".into());
    assert_eq!(prepared, [[&unnamed; 3].as_slice(), &[&named; 7]].concat());
    let parameters = log.iter().find_map(|entry| entry.detail.clone());
    assert_eq!(parameters.as_deref(), Some("parameters: $1 = '1'"));
    assert!(kind_of("SELECT id, number, cvv, expires").any(|kind| *kind == StatementKind::Simple));
    assert_eq!(kind_of("COPY refunds").count(), 1);
    Ok(())
}
