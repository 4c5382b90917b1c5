//! What the end-to-end tests share: one PostgreSQL server for each test program, real `sluice serve` processes in front
//! of it, and clients of every kind.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test program uses a part of it")]

pub mod admin;
pub mod certificates;
pub mod door;
pub mod faulty_disk;
pub mod oracle;
pub mod raw;
pub mod record;
pub mod tape;
pub mod tls;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use testkit::command::{Output, psql_with_input};
use testkit::demo::site::{Person, Site, Tuning};
use testkit::issuer::Grant;
use testkit::payments::{self, Payments};
use testkit::postgres::Postgres;

use self::oracle::Watched;

/// How long a test waits for a state; far more than it takes.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How many rows the databases have.
const ROWS: usize = 1_000;

/// Somebody who may read and write everything, and see all of it in clear.
pub const CLEARED: Person = Person { name: "cleared", groups: &["cleared"], is_human: false };

const CLEARED_POLICIES: &str = r#"
@id("cleared-connect")
permit (principal in Group::"cleared", action == Action::"connect", resource in Target::"payments");

@id("cleared-read-and-write")
permit (
  principal in Group::"cleared",
  action in [Action::"read", Action::"write"],
  resource in Database::"payments/@DATABASE@"
);

@id("cleared-channel")
permit (
  principal in Group::"cleared",
  action in [Action::"listen", Action::"notify"],
  resource == Channel::"payments/@DATABASE@/driver_tests"
);

@id("cleared-large-objects")
permit (
  principal in Group::"cleared",
  action == Action::"execute",
  resource in FunctionClass::"large_object"
);

@id("cleared-see")
permit (principal in Group::"cleared", action == Action::"reveal", resource);
"#;

/// The `sluice` program: `SLUICE_BIN`, or what cargo built for these tests.
pub fn binary() -> PathBuf {
    std::env::var_os("SLUICE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_sluice").into(), PathBuf::from)
}

/// The server that all tests of this program share.
pub fn postgres() -> Result<&'static Postgres> {
    Postgres::shared()
}

/// A payments database of this name, made once.
pub fn database(name: &str) -> Result<Payments> {
    static LOADED: Mutex<Vec<Payments>> = Mutex::new(Vec::new());
    let mut loaded = LOADED.lock().map_err(|_| anyhow!("another test panicked while it loaded a database"))?;
    if let Some(payments) = loaded.iter().find(|payments| payments.database == name) {
        return Ok(payments.clone());
    }
    let payments = payments::load_into(postgres()?, name, ROWS)?;
    loaded.push(payments.clone());
    Ok(payments)
}

/// The Sluice and the database that all tests of this program share, unless they change what others rely on.
pub fn shared() -> Result<Watched<&'static Site>> {
    static SHARED: OnceLock<Result<Site, String>> = OnceLock::new();
    let started = SHARED.get_or_init(|| started("shared", Tuning::default()).map_err(|error| format!("{error:#}")));
    Watched::new(started.as_ref().map_err(|error| anyhow!("the shared Sluice did not start: {error}"))?)
}

/// A Sluice of one's own, in front of a database of one's own.
pub fn site(database_name: &str, tuning: Tuning) -> Result<Watched<Site>> {
    let mut site = Watched::new(prepare(database_name, tuning)?)?;
    site.start()?;
    Ok(site)
}

/// One for several tests, each of which watches it.
pub fn started(database_name: &str, tuning: Tuning) -> Result<Site> {
    let mut site = prepare(database_name, tuning)?;
    site.start()?;
    Ok(site)
}

/// [`site`], not started yet.
pub fn prepare(database_name: &str, mut tuning: Tuning) -> Result<Site> {
    tuning.policies.push(("40-cleared.cedar".into(), CLEARED_POLICIES.into()));
    Site::prepare(postgres()?, &database(database_name)?, binary(), &tuning)
}

/// A token for somebody in these groups.
pub fn token(site: &Site, subject: &str, groups: &[&str]) -> Result<String> {
    site.issuer().issue(Grant::new(subject).groups(groups.iter().copied()))
}

/// Runs psql through Sluice: unaligned, rows only, errors with their SQLSTATE.
pub fn psql(site: &Site, token: &str, arguments: &[&str], input: &str) -> Result<Output> {
    let address = site.process()?.address("postgres")?;
    let (host, port, ca) = (address.ip().to_string(), address.port().to_string(), site.ca().display().to_string());
    let environment = [
        ("PGHOST", host.as_str()),
        ("PGPORT", &port),
        ("PGUSER", "anybody"),
        ("PGDATABASE", site.database()),
        ("PGPASSWORD", token),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", &ca),
        ("PGAPPNAME", "psql"),
    ];
    let common = ["-A", "-t", "-q", "-v", "VERBOSITY=verbose"];
    psql_with_input(&[&common, arguments].concat(), &environment, input.as_bytes())
}

/// Runs one statement (or several, in one Query message).
pub fn run(site: &Site, token: &str, sql: &str) -> Result<Output> {
    psql(site, token, &["-c", sql], "")
}

/// The rows of a statement, one a line.
pub fn rows(site: &Site, token: &str, sql: &str) -> Result<String> {
    Ok(run(site, token, sql)?.success()?.trim_end().to_owned())
}

/// Resident memory in bytes.
pub fn memory(site: &Site) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.process()?.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

/// The SQLSTATEs of the errors that psql showed, in order.
pub fn sqlstates(output: &Output) -> Vec<String> {
    let lines = output.stderr.lines().filter_map(|line| {
        let (_, rest) = ["ERROR:  ", "FATAL:  "].iter().find_map(|severity| line.split_once(severity))?;
        rest.get(..5).map(str::to_owned)
    });
    lines.collect()
}

/// Fails unless the statement is refused with this SQLSTATE, and the refusal names a request.
#[track_caller]
pub fn assert_refused(site: &Site, token: &str, sql: &str, sqlstate: &str) {
    let output = run(site, token, sql).expect("psql runs");
    assert_eq!(sqlstates(&output), [sqlstate], "{sql}: {}{}", output.stderr, output.stdout);
    assert!(output.stderr.contains("Request "), "{sql}: {}", output.stderr);
}
