//! Real drivers through Sluice: what they get is what the server gives, for whoever may see everything; and masked for
//! order-service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use testkit::canary::leak;
use testkit::demo::site::{ORDER_SERVICE, Site};
use testkit::drivers::{self, CHECKS, Connection, Driver, scenarios};
use testkit::marked::Marked;

use support::{CLEARED, database, postgres, psql, rows, shared};

/// Refused to everybody, by the server as by Sluice.
const DENIED: &str = "SELECT rolpassword FROM pg_authid";

fn directly(driver: Driver, name: &str) -> Result<Value> {
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
    driver.run(&connection)
}

fn through_sluice(driver: Driver, site: &Site, token: &str) -> Result<Value> {
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
    driver.run(&connection)
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

/// What the program shows has to be what it is about.
fn assert_meant(driver: Driver, results: &Value) {
    let name = driver.name;
    let member = |scenario: &str| results.get(scenario).unwrap_or(&Value::Null);
    let is_offered = |scenario: &str| member(scenario).get("unsupported").is_none();
    let repeated = member("prepared").as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(repeated.len() == 7 && repeated.iter().all(|run| *run == repeated[0]), "{name}: {repeated:?}");
    if is_offered("stream") {
        assert_eq!(member("stream"), &json!(500_000_500_000_u64), "{name}");
    }
    if is_offered("timeout") {
        assert_eq!(member("timeout")["sqlstate"], "57014", "{name}");
    }
    assert_eq!(member("transaction_error")["sqlstate"], "22012", "{name}");
    assert_eq!(member("transaction_denied")["sqlstate"], "42501", "{name}");
    for left in ["transaction_error_left", "transaction_denied_left"] {
        let digits: String = member(left).to_string().chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits, "0", "{name}: {left}");
    }
}

/// What the driver gets directly, which is also what it gets through Sluice if it may see everything.
fn assert_same(driver: Driver, database: &str) -> Result<Value> {
    // Not watched: the driver is also used directly, on the same database.
    let site = support::started(database, testkit::demo::site::Tuning::default())?;
    let (direct, proxied) = (directly(driver, database)?, through_sluice(driver, &site, &site.token(&CLEARED)?)?);
    assert_meant(driver, &direct);
    let (direct, proxied) = (comparable(&direct), comparable(&proxied));
    let (Value::Object(all), Value::Object(proxied)) = (&direct, proxied) else { panic!("no objects") };
    assert_eq!(all.keys().collect::<Vec<_>>(), proxied.keys().collect::<Vec<_>>());
    for (scenario, expected) in all {
        assert_eq!(&proxied[scenario], expected, "{}: {scenario}", driver.name);
    }
    Ok(direct)
}

/// No value of these columns, in any form, and a mask in each run of what is prepared.
fn assert_masked(driver: Driver) -> Result<Value> {
    let site = &shared()?;
    let results = through_sluice(driver, site, &site.token(&ORDER_SERVICE)?)?;
    let text = results.to_string();
    let hidden = "SELECT number FROM cards WHERE id <= 5 UNION ALL SELECT email FROM customers WHERE id <= 5 \
                  UNION ALL SELECT ssn FROM customers WHERE id <= 5";
    for value in postgres()?.sql(site.database(), hidden)?.lines() {
        let found = leak(text.as_bytes(), value);
        assert!(found.is_none(), "{}: {value} as {found:?}", driver.name);
    }
    ensure!(text.contains("************"), "{}: no card number is masked: {text}", driver.name);
    let repeated = results["prepared"].as_array().context("nothing was prepared")?;
    for run in repeated {
        assert!(run.to_string().contains("[us_ssn]"), "{}: {run}", driver.name);
    }
    assert_eq!(repeated.len(), 7);
    Ok(results)
}

/// Both, unless `./dev` said that the machine has not what the driver needs.
#[expect(clippy::print_stdout, reason = "nothing is left out silently")]
fn assert_faithful(driver: Driver, database: &str) -> Result<()> {
    if driver.toolchain.is_left_out() {
        println!("{} is left out: {} is missing", driver.name, driver.toolchain.name());
        return Ok(());
    }
    let direct = assert_same(driver, database)?;
    let masked = assert_masked(driver)?;
    assert_listed(driver, &row(&direct, &masked))
}

/// The table of drivers in the documentation.
const TABLE: Marked = Marked { page: "docs/protocols/postgres.md", writer: "./dev conformance drivers" };

fn heading() -> String {
    let checks: Vec<&str> = CHECKS.iter().map(|(_, what)| *what).collect();
    format!("| driver | pool | {} |\n|{}\n", checks.join(" | "), "---|".repeat(CHECKS.len() + 2))
}

/// What the documentation says of a driver.
fn row(direct: &Value, masked: &Value) -> String {
    let about = |what: &str| direct["about"][what].as_str().unwrap_or_default().to_owned();
    let cell = |check: &str| {
        let results: Vec<String> = scenarios(masked, check).map(|(_, result)| result.to_string()).collect();
        let has_masks = results.iter().any(|text| text.contains("[us_ssn]") || text.contains("************"));
        match scenarios(direct, check).all(|(_, result)| result.get("unsupported").is_some()) {
            true => "not offered",
            false if has_masks => "same, masked",
            false => "same",
        }
    };
    let cells: Vec<&str> = CHECKS.iter().map(|(check, _)| cell(check)).collect();
    format!("| {} | {} | {} |", about("driver"), about("pool"), cells.join(" | "))
}

/// The driver's line in the table is this one. `SLUICE_GOLDEN=1` writes it, so that each test writes its own.
fn assert_listed(driver: Driver, row: &str) -> Result<()> {
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().map_err(|_| anyhow!("another test panicked while it wrote"))?;
    let begins = row.split_inclusive(' ').take(2).collect::<String>();
    let mut lines: Vec<String> =
        TABLE.read()?.lines().skip(3).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if std::env::var_os("SLUICE_GOLDEN").is_some() {
        lines.retain(|line| !line.starts_with(&begins));
        lines.push(row.to_owned());
        lines.sort_by_key(|line| line.to_lowercase());
        TABLE.write(&format!("\n{}{}\n\n", heading(), lines.join("\n")))?;
    }
    assert!(
        lines.iter().any(|line| line == row),
        "{}: `./dev conformance drivers` writes:\n{row}\nnot:\n{lines:?}",
        driver.name
    );
    Ok(())
}

/// A test for each driver, by its place in the list.
macro_rules! faithful {
    ($($name:ident $place:literal),+) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                assert_faithful(drivers::ALL[$place], stringify!($name))
            }
        )+

        #[test]
        fn every_driver_has_its_test_and_its_line() {
            let lines = TABLE.read().unwrap();
            assert!(lines.starts_with(&format!("\n{}", heading())), "{lines}");
            assert_eq!(lines.trim().lines().count(), drivers::ALL.len() + 2, "{lines}");
            assert_eq!([$($place),+], std::array::from_fn::<usize, { drivers::ALL.len() }, _>(|place| place));
        }
    };
}

faithful! {
    psycopg_gets_what_the_server_gives 0,
    sqlalchemy_gets_what_the_server_gives 1,
    asyncpg_gets_what_the_server_gives 2,
    pg8000_gets_what_the_server_gives 3,
    node_postgres_gets_what_the_server_gives 4,
    drizzle_gets_what_the_server_gives 5,
    pgjdbc_gets_what_the_server_gives 6,
    pgx_gets_what_the_server_gives 7,
    database_sql_gets_what_the_server_gives 8,
    tokio_postgres_gets_what_the_server_gives 9,
    sqlx_gets_what_the_server_gives 10
}

#[test]
fn sqlalchemy_never_writes_masks_back() -> Result<()> {
    let site = &shared()?;
    let before = postgres()?.sql(site.database(), "SELECT email, ssn, phone FROM customers WHERE id = 1")?;
    let results = through_sluice(drivers::ALL[1], site, &site.token(&ORDER_SERVICE)?)?;
    assert_eq!(results["full_row_update"]["sqlstate"], json!("42501"), "{}", results["full_row_update"]);
    assert_eq!(postgres()?.sql(site.database(), "SELECT email, ssn, phone FROM customers WHERE id = 1")?, before);
    Ok(())
}

#[test]
fn psql_gets_what_the_server_gives() -> Result<()> {
    let site = &shared()?;
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
async fn messages_larger_than_a_buffer_pass_whole() -> Result<()> {
    let site = &shared()?;
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
