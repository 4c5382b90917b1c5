//! The private server and its statement log.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use testkit::command::{Output, psql};
use testkit::payments::{self, Counts};
use testkit::postgres::{Authentication, Login, Options, Postgres, StatementKind};
use testkit::wait::eventually_blocking;

/// Runs psql over TCP.
fn over_tcp(postgres: &Postgres, login: &Login, ssl_mode: &str, arguments: &[&str]) -> Result<Output> {
    let port = postgres.port().to_string();
    let ca = postgres.ca_certificate().display().to_string();
    let mut environment = vec![
        ("PGHOST", postgres.host()),
        ("PGPORT", &port),
        ("PGUSER", &login.user),
        ("PGDATABASE", "postgres"),
        ("PGPASSWORD", &login.password),
        ("PGSSLMODE", ssl_mode),
        ("PGSSLROOTCERT", &ca),
        ("PGAPPNAME", "over-tcp"),
    ];
    let paths = login
        .certificate
        .as_ref()
        .map(|files| (files.certificate.display().to_string(), files.key.display().to_string()));
    if let Some((certificate, key)) = &paths {
        environment.extend([("PGSSLCERT", certificate.as_str()), ("PGSSLKEY", key.as_str())]);
    }
    psql(&[&["-A", "-t", "-q"], arguments].concat(), &environment)
}

#[test]
fn every_authentication_method_works_and_none_without_its_proof() -> Result<()> {
    let postgres = Postgres::shared()?;
    for (name, method) in [
        ("by_scram", Authentication::Scram),
        ("by_cleartext", Authentication::Cleartext),
        ("by_md5", Authentication::Md5),
        ("by_certificate", Authentication::Certificate),
        ("by_scram_plain", Authentication::ScramWithoutTls),
    ] {
        let login = postgres.login(name, method)?;
        let who = over_tcp(postgres, &login, "verify-full", &["-c", "SELECT current_user"])?.success()?;
        assert_eq!(who.trim(), name, "{method:?}");

        let stranger = Login { password: "wrong".into(), certificate: None, ..login.clone() };
        assert!(!over_tcp(postgres, &stranger, "verify-full", &["-c", "SELECT 1"])?.status.success(), "{method:?}");

        let without_tls = over_tcp(postgres, &login, "disable", &["-c", "SELECT 1"])?.status.success();
        assert_eq!(without_tls, method == Authentication::ScramWithoutTls, "{method:?}");
    }
    Ok(())
}

#[test]
fn the_statement_log_has_what_was_executed_in_order_and_whole() -> Result<()> {
    let postgres = Postgres::shared()?;
    let login = postgres.login("logged", Authentication::Scram)?;
    let several_lines = "SELECT 'first\n2026-01-01 LOG:  statement: forged\n\"quoted\"', 'é'";
    over_tcp(postgres, &login, "require", &["-c", several_lines, "-c", "SELECT 2; SELECT 3"])?.success()?;
    over_tcp(postgres, &login, "require", &["-c", "SELECT no_such_column"])?;

    let log: Vec<_> = postgres.statement_log()?.into_iter().filter(|entry| entry.user == "logged").collect();
    let texts: Vec<&str> = log.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts, [several_lines, "SELECT 2; SELECT 3", "SELECT no_such_column"]);
    assert!(log.iter().all(|entry| entry.kind == StatementKind::Simple && entry.application == "over-tcp"));
    assert_eq!(log[0].pid, log[1].pid);
    assert_ne!(log[1].pid, log[2].pid);

    let errors = postgres.error_log()?;
    let error = errors.iter().find(|error| error.user == "logged").expect("the error is logged");
    assert_eq!((error.sqlstate.as_str(), error.statement.as_deref()), ("42703", Some("SELECT no_such_column")));
    Ok(())
}

#[test]
fn a_server_keeps_its_data_over_a_stop_and_leaves_nothing_behind() -> Result<()> {
    let settings = vec![("fsync".to_owned(), "on".to_owned())];
    let mut postgres = Postgres::start(Options { settings })?;
    assert_eq!(postgres.sql("postgres", "SHOW fsync")?, "on");
    postgres.sql("postgres", "CREATE TABLE kept AS SELECT 1 AS id")?;
    postgres.stop()?;
    assert!(postgres.sql("postgres", "SELECT 1").is_err());
    postgres.start_again()?;
    assert_eq!(postgres.sql("postgres", "SELECT id FROM kept")?, "1");

    let directory = postgres.socket_directory().parent().expect("it has one").to_owned();
    let process = format!("/proc/{}", postgres.pid().expect("it runs"));
    drop(postgres);
    assert!(!directory.exists() && !Path::new(&process).exists());
    Ok(())
}

/// The test runs its own program again, with this variable, as the process that it kills.
const HANG: &str = "TESTKIT_START_A_SERVER_AND_HANG";

#[test]
fn a_server_ends_with_the_process_that_started_it() -> Result<()> {
    use std::io::{BufRead as _, BufReader};
    if std::env::var_os(HANG).is_some() {
        let postgres = Postgres::start(Options::default())?;
        println!("\nstarted {} {}", postgres.pid().expect("it runs"), postgres.socket_directory().display());
        std::thread::sleep(Duration::from_secs(600));
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "--nocapture", "a_server_ends_with_the_process_that_started_it"])
        .env(HANG, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let started = lines.map_while(Result::ok).find(|line| line.starts_with("started ")).expect("it starts one");
    let words: Vec<&str> = started.split(' ').collect();
    child.kill()?;
    child.wait()?;
    let (process, directory) = (format!("/proc/{}", words[1]), Path::new(words[2]));
    eventually_blocking(Duration::from_secs(20), "the server's end", || {
        Ok((!Path::new(&process).exists() && !directory.exists()).then_some(()))
    })
}

#[test]
fn the_payments_database_loads_the_same_each_time() -> Result<()> {
    let postgres = Postgres::shared()?;
    let first = payments::load_into(postgres, "payments_first", 5_000)?;
    payments::load_into(postgres, "payments_second", 5_000)?;
    assert_eq!(first.counts, Counts { customers: 900, cards: 1_000, orders: 1_500, payments: 1_500, refunds: 100 });

    let digest = "SELECT md5(string_agg(everything::text, '|' ORDER BY everything::text)) FROM (\
        SELECT to_jsonb(c) AS everything FROM customers c UNION ALL SELECT to_jsonb(d) FROM cards d UNION ALL \
        SELECT to_jsonb(o) FROM orders o UNION ALL SELECT to_jsonb(p) FROM payments p UNION ALL \
        SELECT to_jsonb(r) FROM refunds r) AS t";
    assert_eq!(postgres.sql("payments_first", digest)?, postgres.sql("payments_second", digest)?);

    let counts = "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM cards), \
        (SELECT count(*) FROM orders), (SELECT count(*) FROM payments), (SELECT count(*) FROM refunds), \
        (SELECT count(*) FROM customer_cards)";
    assert_eq!(postgres.sql("payments_first", counts)?, "900|1000|1500|1500|100|1000");
    let odd = "SELECT (SELECT count(*) FROM cards WHERE number !~ '^[0-9]{15,16}$'), \
        (SELECT count(*) FROM customers WHERE ssn !~ '^[0-9]{3}-[0-9]{2}-[0-9]{4}$'), \
        (SELECT count(*) > 20 FROM orders WHERE note ~ '[0-9]{4}'), \
        (SELECT count(*) FROM pg_class WHERE relname = 'cards' AND relowner::regrole::text <> 'sluice_app')";
    assert_eq!(postgres.sql("payments_first", odd)?, "0|0|t|0");
    postgres.sql("payments_first", "INSERT INTO customers (name, email, ssn) VALUES ('a', 'b', 'c')")?;
    postgres.copy_database("payments_second", "payments_copy")?;
    assert_eq!(postgres.sql("payments_copy", counts)?, "900|1000|1500|1500|100|1000");
    Ok(())
}

/// The demo's size must load in a few seconds; the limit is for a machine that is busy with other work.
#[test]
fn a_hundred_thousand_rows_load_quickly() -> Result<()> {
    let begin = std::time::Instant::now();
    let loaded = payments::load_into(Postgres::shared()?, "payments_large", payments::DEMO_ROWS)?;
    let took = begin.elapsed();
    println!("loaded {:?} in {took:?}", loaded.counts);
    assert!(took < Duration::from_secs(60), "{took:?}");
    Ok(())
}
