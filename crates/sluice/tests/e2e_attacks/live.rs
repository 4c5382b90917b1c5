//! Whoever is no longer believed is out at once, whatever their sessions do (ID-14).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::decision::Outcome;
use model::event::Event;
use serde_json::{Value, json};
use testkit::demo::site::{AUDITOR, DBA, ORDER_SERVICE, Site, Tuning};
use testkit::issuer::Grant;
use testkit::scripted::{Message, message, query};
use testkit::wait::eventually_blocking;

use crate::support::admin::{call, wait_for_status};
use crate::support::raw::{Raw, V3_0, bind, execute, field, parse, started, sync};
use crate::support::{LIMIT, postgres, record, shared, site, token};

/// The promise: from the answer to whoever revoked, to the end of the session.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A lock on a row, which whoever updates it waits for.
pub(crate) async fn locked(database: &str) -> Result<tokio_postgres::Client> {
    let server = postgres()?;
    let mut config = tokio_postgres::Config::new();
    config.host_path(server.socket_directory()).port(server.port()).user("postgres").dbname(database);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT FROM orders WHERE id = 1 FOR UPDATE").await?;
    Ok(client)
}

/// A statement that waits for the lock, with a mark by which the target knows it.
pub(crate) fn waits(mark: &str) -> String {
    format!("UPDATE orders SET total = total WHERE id = 1 AND '{mark}' = '{mark}'")
}

/// How many statements with this mark run at the target.
pub(crate) fn running(mark: &str) -> Result<String> {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%''{mark}''%' \
         AND pid <> pg_backend_pid()"
    );
    postgres()?.sql("postgres", &sql)
}

pub(crate) fn wait_for_running(mark: &str, count: &str) -> Result<()> {
    eventually_blocking(LIMIT, &format!("{count} of {mark} to run"), || Ok((running(mark)? == count).then_some(())))
}

/// Whoever revokes: she may end sessions.
pub(crate) fn revoke(site: &Site, body: &Value) -> Result<()> {
    let (status, told) = call(site, &site.token(&AUDITOR)?, "POST", "/v1/revocations", Some(body))?;
    ensure!(status == 200, "{status}: {told}");
    Ok(())
}

fn root(site: &Site) -> Result<String> {
    token(site, "root", &["sluice-admin"])
}

/// The approval that a notice tells of.
fn approval_in(notice: &Message) -> Result<String> {
    let text = field(notice, b'M').filter(|_| notice.tag == b'N').with_context(|| format!("no notice: {notice:?}"))?;
    Ok(text.split(' ').find(|word| word.starts_with("apr-")).context("no approval")?.to_owned())
}

/// Somebody who may do everything that tests do.
pub(crate) async fn somebody(site: &Site, name: &str) -> Result<Raw> {
    Raw::login(site, &token(site, name, &["cleared"])?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_a_revocation_reaches_a_session_whatever_it_does() -> Result<()> {
    let site = &site("live", Tuning::default())?;
    let held = locked("live").await?;
    let mut runs = somebody(site, "live-runs").await?;
    runs.send(&[query(&waits("live-runs"))]).await?;
    wait_for_running("live-runs", "1")?;

    let mut open = somebody(site, "live-open").await?;
    open.simple("BEGIN").await?;
    let inserted = open.simple("INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1, 'live-open')").await?;
    assert!(inserted.errors().is_empty(), "{inserted:?}");

    let mut copies = somebody(site, "live-copies").await?;
    copies.send(&[query("COPY refunds (payment_id, amount, reason) FROM STDIN")]).await?;
    let asked = copies.peer.read_message().await?;
    assert_eq!(asked.tag, b'G', "{asked:?}");
    copies.send(&[message(b'd', b"1\t1\tlive-copies\n")]).await?;

    let mut prepared = somebody(site, "live-prepared").await?;
    prepared.exchange(&[parse("s", "SELECT 1"), sync()]).await?;

    let mut asks = Raw::login(site, &token(site, "order-service", &["payments-apps"])?).await?;
    let acting = site.issuer().issue(Grant::new("live-user").actors(["live-acts"]).groups(["x"]))?;
    let mut bystander = somebody(site, "live-bystander").await?;
    asks.send(&[query("DELETE FROM payments WHERE id = 999999")]).await?;
    let approval = approval_in(&asks.peer.read_message().await?)?;

    for name in ["runs", "open", "copies", "prepared"] {
        revoke(site, &json!({ "subject": format!("demo|live-{name}"), "reason": format!("test of {name}") }))?;
    }
    revoke(site, &json!({ "subject": "demo|order-service", "seconds": 1 }))?;
    for client in [&mut runs, &mut open, &mut copies, &mut prepared, &mut asks] {
        assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    }
    // Cancelled, rolled back, not copied, withdrawn; and nobody else was touched.
    wait_for_running("live-runs", "0")?;
    let left = "SELECT count(*) FROM refunds WHERE reason IN ('live-open', 'live-copies')";
    assert_eq!(postgres()?.sql(site.database(), left)?, "0");
    wait_for_status(site, &site.token(&DBA)?, &approval, "withdrawn")?;
    assert_eq!(bystander.simple("SELECT 1").await?.column(), ["1"]);
    drop(held);

    // Whoever acts for somebody, too; and no new session, whose token is as old.
    let (status, _) = call(site, &acting, "GET", "/v1/whoami", None)?;
    assert_eq!(status, 200);
    revoke(site, &json!({ "subject": "demo|live-user" }))?;
    assert_eq!(call(site, &acting, "GET", "/v1/whoami", None)?.0, 401);

    // The record has who did it and why; the caller is told neither.
    record::wait_for(site, "the revocation", |event| {
        matches!(event, Event::AdminAction { subject, action, object, outcome: Outcome::Allow }
            if &*subject.id == "vera" && &**action == "subject.revoke"
                && object.starts_with("demo|live-open") && object.ends_with("test of open"))
    })?;
    record::wait_for(
        site,
        "the end of the session",
        |event| matches!(event, Event::SessionClosed { reason, .. } if &**reason == "revoked: demo|live-open"),
    )?;
    Ok(())
}

/// By outcome; the time is the promise, and half of the sessions keep it on however busy a machine.
#[tokio::test(flavor = "multi_thread")]
async fn id_14_a_statement_is_cancelled_at_the_target_in_less_than_a_second() -> Result<()> {
    let site = &shared()?;
    let held = locked(site.database()).await?;
    let mut took = Vec::new();
    for number in 0..5 {
        let name = format!("live-quick-{number}");
        let mut client = somebody(site, &name).await?;
        client.send(&[query(&waits(&name))]).await?;
        wait_for_running(&name, "1")?;
        revoke(site, &json!({ "subject": format!("demo|{name}") }))?;
        let revoked = Instant::now();
        assert_eq!(client.end().await?.as_deref(), Some("57P01"));
        wait_for_running(&name, "0")?;
        took.push(revoked.elapsed());
    }
    drop(held);
    took.sort();
    assert!(took[2] < AT_ONCE, "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_no_way_back_in_with_what_was_issued_before() -> Result<()> {
    let site = &shared()?;
    let (one, other) = (token(site, "live-back", &["cleared"])?, token(site, "live-back", &["cleared"])?);
    let mut client = Raw::login(site, &one).await?;
    // The login under way: its password is asked for before, and comes after.
    let mut late = started(site, V3_0, &[]).await?;
    late.read_until(b'R').await?;
    revoke(site, &json!({ "subject": "demo|live-back", "barred": true }))?;
    late.send(&testkit::scripted::password(&other)).await?;
    assert_eq!(late.read_message().await?.tag, b'E');
    assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    // As a password, for the admin API, and as the user of a statement.
    for token in [&one, &other] {
        assert!(Raw::login(site, token).await.is_err());
        assert_eq!(call(site, token, "GET", "/v1/whoami", None)?.0, 401);
    }
    let mut stranger = somebody(site, "live-stranger").await?;
    let refused = stranger.simple(&format!("SET sluice.user_token = '{one}'")).await?;
    assert_eq!(refused.errors(), ["28000"]);
    let refused = stranger.simple(&format!("SELECT 1 /*user_token='{one}'*/")).await?;
    assert_eq!(refused.errors(), ["28000"]);

    // Who may revoke may not restore.
    let lift = json!({ "subject": "demo|live-back" });
    assert_eq!(call(site, &site.token(&AUDITOR)?, "POST", "/v1/revocations/lift", Some(&lift))?.0, 403);
    assert_eq!(call(site, &root(site)?, "POST", "/v1/revocations/lift", Some(&lift))?.0, 200);
    assert_eq!(call(site, &root(site)?, "POST", "/v1/revocations/lift", Some(&lift))?.0, 404);
    assert_eq!(Raw::login(site, &one).await?.simple("SELECT 1").await?.column(), ["1"]);
    // A name with a mistake in it is told so.
    let crop = json!({ "subject": "dmeo|live-back" });
    assert_eq!(call(site, &root(site)?, "POST", "/v1/revocations", Some(&crop))?.0, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_a_users_token_counts_no_longer_than_it_is_believed() -> Result<()> {
    let site = &shared()?;
    let user = |name: &str| token(site, name, &[]);
    let mut client = somebody(site, "live-serves").await?;
    let set = client.simple(&format!("SET sluice.user_token = '{}'", user("live-set")?)).await?;
    assert_eq!(set.tags(), ["SET"], "{set:?}");
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    let told = format!("SELECT 2 /*user_token='{}'*/", user("live-told")?);
    client.exchange(&[parse("told", &told), sync()]).await?;
    let run_told = [bind("", "told", &[], 0), execute("", 0), sync()];
    assert!(client.exchange(&run_told).await?.errors().is_empty());
    client.simple("BEGIN").await?;

    revoke(site, &json!({ "subject": "demo|live-set" }))?;
    // The session is its own caller's, and goes on; it runs nothing for that user, and nothing in place of that.
    assert_eq!(client.simple("SELECT 1").await?.errors(), ["28000"]);
    assert_eq!(client.simple("ROLLBACK").await?.tags(), ["ROLLBACK"]);
    assert!(client.exchange(&run_told).await?.errors().is_empty(), "that one names its own user");
    assert_eq!(client.simple("RESET sluice.user_token").await?.tags(), ["RESET"]);
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);

    revoke(site, &json!({ "subject": "demo|live-told" }))?;
    assert_eq!(client.exchange(&run_told).await?.errors(), ["28000"]);
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);

    // What is held on behalf of somebody is held no longer.
    let mut asks = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let held = format!("DELETE FROM payments WHERE id = 888888 /*user_token='{}'*/", user("live-asks")?);
    asks.send(&[query(&held)]).await?;
    let approval = approval_in(&asks.peer.read_message().await?)?;
    revoke(site, &json!({ "subject": "demo|live-asks" }))?;
    assert_eq!(asks.answer().await?.errors(), ["28000"]);
    wait_for_status(site, &site.token(&DBA)?, &approval, "withdrawn")?;
    assert_eq!(asks.simple("SELECT 1").await?.column(), ["1"]);

    // One that has ended is no better.
    let brief = site.issuer().issue(Grant::new("live-brief").lifetime(Duration::from_secs(2)))?;
    let set = client.simple(&format!("SET sluice.user_token = '{brief}'")).await?;
    assert_eq!(set.tags(), ["SET"], "{set:?}");
    let ended = Instant::now();
    loop {
        let answer = client.simple("SELECT 1").await?;
        if answer.errors() == ["28000"] {
            break;
        }
        ensure!(answer.column() == ["1"] && ended.elapsed() < LIMIT, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
