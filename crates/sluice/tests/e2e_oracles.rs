//! Two oracles over a mixed workload: what the server executed is what the journal permitted (O1), and no sensitive
//! value is where it must not be (O3).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::canary::{Canary, assert_absent};
use testkit::demo::site::{AUDITOR, ORDER_SERVICE, Site, Tuning};
use testkit::normal::statements;
use testkit::scripted::query;
use testkit::wait::eventually_blocking;

use support::admin::call;
use support::raw::{Raw, bind, describe, execute, parse, sync};
use support::{LIMIT, database, postgres, site};

/// What the workload ends with.
const END: &str = "SELECT count(*) FROM refunds";

/// A mixed workload of one session: reads, writes, denials, errors, pipelines, transactions, copies.
async fn work(client: &mut Raw) -> Result<Vec<u8>> {
    let mut received = Vec::new();
    for sql in [
        "SELECT 1",
        "SELECT * FROM customers WHERE id <= 3 ORDER BY id",
        "DELETE FROM orders WHERE id = 1",
        "SELECT number FROM cards WHERE id = 1",
        "SELECT 1 / 0",
        "BEGIN",
        "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1, 'oracle')",
        "DROP TABLE orders",
        "SELECT 2",
        "ROLLBACK",
        "SELECT lower(email) FROM customers WHERE id = 1",
        "COPY (SELECT ssn FROM customers WHERE id <= 2 ORDER BY id) TO STDOUT",
        "SELECT 3; SELECT 4",
        "SELECT 5; DELETE FROM orders WHERE id = 2",
        "SELECT nonsense FROM",
        "DO $$ BEGIN END $$",
        "SET application_name = 'oracle'",
        "SELECT ssn::int FROM customers WHERE id = 1",
    ] {
        received.extend(client.simple(sql).await?.bytes());
    }
    let pipelines: [&[Vec<u8>]; 4] = [
        &[parse("", "SELECT id, email FROM customers WHERE id = $1"), bind("", "", &["1"], 0), execute("", 0), sync()],
        &[
            parse("s", "SELECT number FROM cards WHERE id = $1"),
            describe(b'S', "s"),
            bind("", "s", &["1"], 0),
            execute("", 0),
            bind("", "s", &["2"], 1),
            execute("", 0),
            sync(),
        ],
        &[
            parse("", "SELECT 6"),
            bind("", "", &[], 0),
            execute("", 0),
            parse("", "DROP TABLE cards"),
            execute("", 0),
            sync(),
        ],
        &[
            parse("", "SELECT id / (id - id) FROM orders WHERE id = $1"),
            bind("", "", &["1"], 0),
            execute("", 0),
            parse("", "SELECT 7"),
            sync(),
        ],
    ];
    for pipeline in pipelines {
        received.extend(client.exchange(pipeline).await?.bytes());
    }
    client.send(&[query("SELECT 8"), query("DELETE FROM orders WHERE id = 3"), query("SELECT 9")]).await?;
    for _ in 0..3 {
        received.extend(client.answer().await?.bytes());
    }
    Ok(received)
}

/// The requests of a session that the record says were allowed, oldest first: their statements' texts.
fn permitted(site: &Site, session: Option<&str>) -> Result<Vec<(String, String)>> {
    let token = site.token(&AUDITOR)?;
    let path = format!(
        "/v1/audit/search?outcome=allow&limit=10000{}",
        session.map(|id| format!("&session={id}")).unwrap_or_default()
    );
    let (status, found) = call(site, &token, "GET", &path, None)?;
    assert_eq!(status, 200, "{found}");
    let found = found.as_array().cloned().or_else(|| found["requests"].as_array().cloned()).context("no list")?;
    let text = |request: &Value| {
        let texts = request["statements"].as_array().into_iter().flatten();
        texts.map(|statement| statement["text"].as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>().join("; ")
    };
    Ok(found
        .iter()
        .rev()
        .map(|request| (request["request"].as_str().unwrap_or_default().to_owned(), text(request)))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn o1_the_server_executed_what_the_journal_permitted_and_in_that_order() -> Result<()> {
    let site = site("oracle", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut client = Raw::login(&site, &token).await?;
    work(&mut client).await?;
    client.simple(END).await?;
    drop(client);

    // The record: complete once the last statement is in it.
    let permitted = eventually_blocking(LIMIT, "the whole record", || {
        let found = permitted(&site, None)?;
        Ok(found.last().is_some_and(|(_, text)| text == END).then_some(found))
    })?;
    // The server: what this session's backend executed, without Sluice's own statements and what stands in for refusals.
    let log = postgres()?.statement_log()?;
    let mut sessions: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for entry in log.into_iter().filter(|entry| entry.database == "oracle") {
        sessions.entry(entry.pid).or_default().push(entry.text);
    }
    let is_own = |text: &str| text.contains("sluice") || text.contains("pg_catalog") || text.is_empty();
    let executed = sessions.into_values().find(|texts| texts.iter().any(|text| text == END));
    let executed: Vec<String> = executed.context("no session")?.into_iter().filter(|text| !is_own(text)).collect();

    let executed: Vec<Vec<String>> = executed.iter().map(|text| statements(text)).collect();
    let permitted: Vec<Vec<String>> = permitted.iter().map(|(_, text)| statements(text)).collect();
    assert_eq!(executed, permitted, "executed on the left, permitted on the right");
    for denied in ["DELETE", "DROP", "DO "] {
        assert!(!executed.iter().flatten().any(|text| text.starts_with(denied)), "{denied} was executed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn o3_no_sensitive_value_is_where_it_must_not_be() -> Result<()> {
    let canary = Canary::random()?;
    database("canaries")?;
    let Canary { card, ssn, email, token: secret } = &canary;
    postgres()?.sql(
        "canaries",
        &format!(
            "UPDATE customers SET email = '{email}', ssn = '{ssn}', phone = '{secret}';
             UPDATE cards SET number = '{card}';
             UPDATE orders SET note = 'card {card}, mail {email}, social security number {ssn}'"
        ),
    )?;
    let tuning = Tuning { sluice_toml: "[log]\nlevel = \"trace\"\n".into(), ..Tuning::default() };
    let site = site("canaries", tuning)?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let mut received = work(&mut client).await?;
    for sql in [
        "SELECT note FROM orders WHERE id <= 3",
        "SELECT * FROM customer_cards WHERE customer_id = 1",
        "COPY customers TO STDOUT",
        "COPY (SELECT note FROM orders WHERE id <= 3) TO STDOUT (FORMAT csv)",
        "SELECT row_to_json(orders) FROM orders WHERE id = 1",
        "SELECT upper(note) FROM orders WHERE id = 1",
        &format!("SELECT id FROM customers WHERE email = '{email}'"),
        &format!("SELECT id FROM customers WHERE ssn = '{ssn}'"),
        &format!("UPDATE customers SET ssn = '{ssn}', email = '{email}' WHERE id = 1"),
        &format!("INSERT INTO cards (customer_id, number, cvv, expires) VALUES (1, '{card}', '123', '2030-01-01')"),
    ] {
        received.extend(client.simple(sql).await?.bytes());
    }
    let lookup = parse("", "SELECT id FROM customers WHERE email = $1");
    received.extend(client.exchange(&[lookup, bind("", "", &[email], 0), execute("", 0), sync()]).await?.bytes());
    drop(client);
    assert_absent(&received, &canary);
    let (_, metrics) = site.process()?.get("/metrics")?;
    assert_absent(metrics.as_bytes(), &canary);
    let home = site.home().to_owned();
    let mut site = site;
    site.stop()?;
    assert_absent(site.log().as_bytes(), &canary);
    let mut looked_at = 0;
    for part in ["data/journal", "data/tapes", "data"] {
        looked_at += assert_files_clean(&home.join(part), &canary)?;
    }
    assert!(looked_at > 5, "only {looked_at} files were looked at");
    let tapes = std::fs::read_dir(home.join("data/tapes"))?.count();
    assert!(tapes > 0, "there is no tape");
    Ok(())
}

/// Looks into every file under a directory, and into what is in the tapes, which are compressed.
fn assert_files_clean(directory: &Path, canary: &Canary) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            count += assert_files_clean(&path, canary)?;
            continue;
        }
        assert_absent(&std::fs::read(&path)?, canary);
        if path.extension().is_some_and(|extension| extension == "tapez" || extension == "tape") {
            assert_absent(&recorded(&path)?, canary);
        }
        count += 1;
    }
    Ok(count)
}

/// All that a tape holds. The answers to [`work`] are among it, so that an empty one shows a fault.
fn recorded(path: &Path) -> Result<Vec<u8>> {
    let content: Vec<u8> = support::tape::records(path)?.0.into_iter().flat_map(|record| record.content).collect();
    ensure!(content.len() > 1000, "{} holds {} bytes", path.display(), content.len());
    Ok(content)
}
