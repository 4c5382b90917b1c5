//! One version after another on the same data (OP-04).

use anyhow::{Context, Result, ensure};
use model::event::Event;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::process::sluice;
use testkit::scripted::{Peer, query};
use testkit::wait::eventually_blocking;

use crate::support::raw::Raw;
use crate::support::{CLEARED, LIMIT, postgres, record, rows, site};

/// What runs for as long as somebody holds [`LOCK`].
const LONG: &str = "SELECT count(*) AS of_the_last FROM orders";
const LOCK: &str = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";

/// A superuser's own connection to the server.
async fn beside(database: &str) -> Result<tokio_postgres::Client> {
    let server = postgres()?;
    let mut config = tokio_postgres::Config::new();
    config.host_path(server.socket_directory()).port(server.port()).user("postgres").dbname(database);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// What another `sluice serve` on the same configuration says at its end.
fn another(site: &Site) -> Result<String> {
    let config = site.config().display().to_string();
    let ended = sluice(site.binary(), &["serve"], &[("SLUICE_CONFIG", &config)])?;
    ensure!(!ended.status.success(), "it ran");
    Ok(ended.stderr)
}

fn verified(site: &Site) -> Result<()> {
    let config = site.config().display().to_string();
    sluice(site.binary(), &["audit", "verify"], &[("SLUICE_CONFIG", &config)])?.success().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn op_04_a_stop_lets_what_runs_finish_and_the_next_process_goes_on() -> Result<()> {
    let mut site = site("replaced", Tuning::default())?;
    let (mut idle, mut busy) =
        (Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?, Raw::login(&site, &site.token(&CLEARED)?).await?);
    let told = another(&site)?;
    assert!(told.contains("another process has this journal open"), "{told}");
    assert_eq!(idle.simple("SELECT 1").await?.column(), ["1"], "the first is not disturbed");

    let address = site.process()?.address("postgres")?;
    let count = postgres()?.sql("replaced", "SELECT count(*) FROM orders")?;
    let held = beside("replaced").await?;
    held.batch_execute(LOCK).await?;
    busy.send(&[query(LONG)]).await?;
    let runs = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%of_the_last FROM orders%' \
                AND pid <> pg_backend_pid()";
    eventually_blocking(LIMIT, "the statement to run", || {
        Ok((postgres()?.sql("replaced", runs)? == "1").then_some(()))
    })?;
    site.process()?.terminate()?;
    assert_eq!(idle.end().await?.as_deref(), Some("57P01"));
    assert_eq!(postgres()?.sql("replaced", runs)?, "1", "it runs on");
    assert!(Peer::connect(address).await.is_err(), "nobody new is let in");
    let told = another(&site)?;
    assert!(told.contains("another process has this journal open"), "while it drains, too: {told}");
    held.batch_execute("ROLLBACK").await?;
    let answer = busy.answer().await?;
    assert_eq!((answer.column(), answer.errors()), (vec![count], vec![]));
    assert_eq!(busy.end().await?.as_deref(), Some("57P01"));
    site.stop()?;
    verified(&site)?;
    let before = record::events(&site)?;
    assert_eq!(before.last(), Some(&Event::Stopped));

    // The next one needs nothing from the first but the data directory.
    site.start()?;
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 2")?, "2");
    site.stop()?;
    verified(&site)?;
    let after = record::events(&site)?;
    assert_eq!(after[..before.len()], before, "one journal");
    assert!(matches!(after[before.len()], Event::Started { .. }));
    Ok(())
}

#[test]
fn op_04_state_of_a_later_version_is_refused_and_works_again_with_that_version() -> Result<()> {
    let mut site = site("later", Tuning::default())?;
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    site.stop()?;
    for file in ["state.db", "index.db"] {
        let database = rusqlite::Connection::open(site.data().join(file))?;
        database.execute("INSERT INTO migrations (number, name) VALUES (99, 'later')", [])?;
        let error = site.start().err().context("it starts")?;
        let told = format!("{error:#}");
        let wanted = format!("{file} has schema 99");
        assert!(told.contains(&wanted) && told.contains("use the version that wrote it"), "{told}");
        database.execute("DELETE FROM migrations WHERE number = 99", [])?;
        drop(database);
        verified(&site)?;
    }
    site.start()?;
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    Ok(())
}
