//! Real drivers through Sluice: what they get is what the server gives, for whoever may see everything; and masked for
//! order-service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::canary::leak;
use testkit::demo::site::{ORDER_SERVICE, Site};
use testkit::drivers::{self, Connection};

use support::tls::{MakeRustls, trusting};
use support::{CLEARED, database, postgres, psql, rows, shared};

/// Refused to everybody, by the server as by Sluice.
const DENIED: &str = "SELECT rolpassword FROM pg_authid";

fn directly(script: &str, name: &str) -> Result<Value> {
    let (server, payments) = (postgres()?, database(name)?);
    let ca = server.ca_certificate();
    let connection = Connection {
        host: server.host(),
        port: server.port(),
        user: &payments.login.user,
        password: &payments.login.password,
        database: name,
        ca: &ca,
        denied: DENIED,
    };
    drivers::run(script, &connection)
}

fn through_sluice(script: &str, site: &Site, token: &str) -> Result<Value> {
    let ca = site.ca();
    let connection = Connection {
        host: "127.0.0.1",
        port: site.process()?.address("postgres")?.port(),
        user: "anybody",
        password: token,
        database: site.database(),
        ca: &ca,
        denied: DENIED,
    };
    drivers::run(script, &connection)
}

/// Without what is told in other words: messages of errors, and ids that sequences gave.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "message")
            .map(|(name, value)| (name.clone(), comparable(value)))
            .collect(),
        Value::Array(items) => items.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

fn assert_same(script: &str, database: &str) -> Result<()> {
    let site = support::site(database, testkit::demo::site::Tuning::default())?;
    let (direct, proxied) = (directly(script, database)?, through_sluice(script, &site, &site.token(&CLEARED)?)?);
    let (direct, proxied) = (comparable(&direct), comparable(&proxied));
    let (Value::Object(direct), Value::Object(proxied)) = (direct, proxied) else { panic!("no objects") };
    assert_eq!(direct.keys().collect::<Vec<_>>(), proxied.keys().collect::<Vec<_>>());
    for (scenario, expected) in direct {
        assert_eq!(proxied[&scenario], expected, "{script}: {scenario}");
    }
    Ok(())
}

/// No value of these columns, in any form.
fn assert_masked(script: &str) -> Result<()> {
    let site = shared()?;
    let results = through_sluice(script, site, &site.token(&ORDER_SERVICE)?)?.to_string();
    let hidden = "SELECT number FROM cards WHERE id <= 5 UNION ALL SELECT email FROM customers WHERE id <= 5 \
                  UNION ALL SELECT ssn FROM customers WHERE id <= 5";
    for value in postgres()?.sql(site.database(), hidden)?.lines() {
        let found = leak(results.as_bytes(), value);
        assert!(found.is_none(), "{script}: {value} as {found:?}");
    }
    ensure!(results.contains("************") && results.contains("[us_ssn]"), "nothing was masked: {results}");
    Ok(())
}

#[test]
fn psycopg_gets_what_the_server_gives() -> Result<()> {
    assert_same("psycopg_client.py", "psycopg")
}

#[test]
fn asyncpg_gets_what_the_server_gives() -> Result<()> {
    assert_same("asyncpg_client.py", "asyncpg")
}

#[test]
fn sqlalchemy_gets_what_the_server_gives() -> Result<()> {
    assert_same("sqlalchemy_client.py", "sqlalchemy")
}

#[test]
fn psycopg_is_shown_masks() -> Result<()> {
    assert_masked("psycopg_client.py")
}

#[test]
fn asyncpg_is_shown_masks() -> Result<()> {
    assert_masked("asyncpg_client.py")
}

#[test]
fn sqlalchemy_is_shown_masks_and_never_writes_them_back() -> Result<()> {
    assert_masked("sqlalchemy_client.py")?;
    let site = shared()?;
    let before = postgres()?.sql(site.database(), "SELECT email, ssn, phone FROM customers WHERE id = 1")?;
    let results = through_sluice("sqlalchemy_client.py", site, &site.token(&ORDER_SERVICE)?)?;
    assert_eq!(results["full_row_update"]["sqlstate"], json!("42501"), "{}", results["full_row_update"]);
    assert_eq!(postgres()?.sql(site.database(), "SELECT email, ssn, phone FROM customers WHERE id = 1")?, before);
    Ok(())
}

#[test]
fn psql_gets_what_the_server_gives() -> Result<()> {
    let site = shared()?;
    let token = site.token(&CLEARED)?;
    for sql in [
        "SELECT * FROM customers ORDER BY id",
        "SELECT * FROM customer_cards ORDER BY customer_id, card",
        "SELECT count(*), sum(amount), max(created_at) FROM payments",
        "COPY cards TO STDOUT (FORMAT csv, HEADER)",
        "SELECT 1; SELECT 2",
        "",
    ] {
        assert_eq!(rows(site, &token, sql)?, postgres()?.sql(site.database(), sql)?.trim_end(), "{sql}");
    }
    for describe in ["\\dt", "\\d customers", "\\dn", "\\df", "\\dv+", "\\l"] {
        let described = psql(site, &token, &["-c", describe], "")?;
        assert!(described.status.success() && described.stderr.is_empty(), "{describe}: {}", described.stderr);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_postgres_gets_binary_values_masked_in_their_type() -> Result<()> {
    let site = shared()?;
    let address = site.process()?.address("postgres")?;
    for (person, sees) in [(CLEARED, true), (ORDER_SERVICE, false)] {
        let mut config = tokio_postgres::Config::new();
        config.host("localhost").port(address.port()).user("anybody").dbname(site.database());
        config.password(site.token(&person)?).ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) = config.connect(MakeRustls(trusting(&site.ca())?)).await?;
        let task = tokio::spawn(connection);
        let number = postgres()?.sql(site.database(), "SELECT number FROM cards WHERE id = 1")?;
        let statement = client.prepare("SELECT id, number, expires::text, cvv FROM cards WHERE id = $1").await?;
        for _ in 0..3 {
            let row = client.query_one(&statement, &[&1_i64]).await?;
            assert_eq!(row.get::<_, i64>(0), 1);
            assert_eq!(row.get::<_, String>(1) == number, sees);
            assert_eq!(row.get::<_, Option<String>>(3).is_some(), sees);
        }
        let denied = client.execute(DENIED, &[]).await.err().context("it was not denied")?;
        assert_eq!(denied.code().map(tokio_postgres::error::SqlState::code), Some("42501"));
        assert_eq!(client.query_one("SELECT count(*) FROM orders", &[]).await?.get::<_, i64>(0), 300);
        drop(client);
        task.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_larger_than_a_buffer_pass_whole() -> Result<()> {
    let site = shared()?;
    let mut client = support::raw::Raw::login(site, &site.token(&CLEARED)?).await?;
    let text = "x".repeat(900_000);
    assert_eq!(client.simple(&format!("SELECT length('{text}')")).await?.column(), ["900000"]);
    let value = "y".repeat(4_000_000);
    let messages = [
        support::raw::parse("", "SELECT $1::text"),
        support::raw::bind("", "", &[&value], 0),
        support::raw::execute("", 0),
        support::raw::sync(),
    ];
    assert_eq!(client.exchange(&messages).await?.column(), [value]);
    Ok(())
}
