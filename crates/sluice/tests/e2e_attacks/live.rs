//! Whoever is no longer believed is out at once, whatever their sessions do (ID-14).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::decision::Outcome;
use model::event::Event;
use serde_json::{Value, json};
use testkit::demo::site::{AUDITOR, ORDER_SERVICE, Site, Tuning};
use testkit::issuer::Grant;
use testkit::process::sluice;
use testkit::scripted::{message, query};
use testkit::wait::eventually_blocking;

use crate::support::admin::{call, post_as};
use crate::support::raw::{Raw, V3_0, bind, execute, field, last_error, parse, started, sync};
use crate::support::{LIMIT, postgres, prepare, record, shared, site, token};

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

/// Somebody who may do everything that tests do.
async fn somebody(site: &Site, name: &str) -> Result<Raw> {
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
    let notice = asks.peer.read_message().await?;
    assert_eq!(notice.tag, b'N', "{notice:?}");
    let approval =
        field(&notice, b'M').and_then(|text| text.split(' ').find(|word| word.starts_with("apr-")).map(str::to_owned));
    let approval = approval.context("it is asked for")?;

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
    let dba = site.token(&testkit::demo::site::DBA)?;
    crate::support::admin::wait_for_status(site, &dba, &approval, "withdrawn")?;
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
    // As a password, for the admin API, and to renew somebody's session.
    for token in [&one, &other] {
        assert!(Raw::login(site, token).await.is_err());
        assert_eq!(call(site, token, "GET", "/v1/whoami", None)?.0, 401);
    }
    let mut stranger = somebody(site, "live-stranger").await?;
    let refused = stranger.simple(&format!("SET sluice.token = '{one}'")).await?;
    assert_eq!(refused.errors(), ["28000"]);
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

/// A relay in front of the server that lets nothing through until it is told; says when somebody came.
async fn gate() -> Result<(std::net::SocketAddr, tokio::sync::watch::Sender<bool>, tokio::sync::mpsc::Receiver<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = format!("{}:{}", postgres()?.host(), postgres()?.port());
    let (open, is_open) = tokio::sync::watch::channel(false);
    let (came, coming) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut is_open, server, came) = (is_open.clone(), server.clone(), came.clone());
            tokio::spawn(async move {
                let _ = came.try_send(());
                is_open.wait_for(|open| *open).await.ok()?;
                let mut server = tokio::net::TcpStream::connect(server).await.ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    Ok((address, open, coming))
}

/// Between the check of its token and its first statement, a login takes a while; and no session is told of a revocation
/// before there is one.
#[tokio::test(flavor = "multi_thread")]
async fn id_14_a_login_that_was_verified_in_time_does_not_get_in() -> Result<()> {
    let (address, open, mut coming) = gate().await?;
    let ca = postgres()?.ca_certificate();
    let tuning = Tuning {
        target_address: Some(address.to_string()),
        target: format!("tls = \"verify-full\"\nca_file = \"{}\"\n", ca.display()),
        ..Tuning::default()
    };
    let site = site("late", tuning)?;
    let mut late = started(&site, V3_0, &[]).await?;
    late.read_until(b'R').await?;
    late.send(&testkit::scripted::password(&token(&site, "live-late", &["cleared"])?)).await?;
    // It is believed, and on its way to the target.
    coming.recv().await.context("nobody came")?;
    revoke(&site, &json!({ "subject": "demo|live-late" }))?;
    late.send(&query("INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1, 'live-late')")).await?;
    open.send(true)?;
    assert_eq!(last_error(&late.read_to_close().await?).as_deref(), Some("57P01"));
    let inserted = "SELECT count(*) FROM refunds WHERE reason = 'live-late'";
    assert_eq!(postgres()?.sql("late", inserted)?, "0");
    // Others get through there.
    assert_eq!(somebody(&site, "live-early").await?.simple("SELECT 1").await?.column(), ["1"]);
    Ok(())
}

/// RFC 7009.
#[tokio::test(flavor = "multi_thread")]
async fn id_14_whoever_has_a_token_can_give_it_up() -> Result<()> {
    let site = &shared()?;
    let form = "application/x-www-form-urlencoded";
    let (given_up, kept) = (token(site, "live-gives", &["cleared"])?, token(site, "live-gives", &["cleared"])?);
    let (mut first, mut second) = (Raw::login(site, &given_up).await?, Raw::login(site, &kept).await?);
    let revoke = |token: &str| post_as(site, "/revoke", form, &format!("token={token}&token_type_hint=access_token"));
    assert_eq!(revoke(&given_up)?.0, 200);
    assert_eq!(first.end().await?.as_deref(), Some("57P01"));
    assert!(Raw::login(site, &given_up).await.is_err());
    assert_eq!(second.simple("SELECT 1").await?.column(), ["1"], "the other one was not meant");

    // What is not believed anyway gets the same answer (section 2.2), and does nothing.
    let listed = || {
        let (_, listed) = call(site, &site.token(&AUDITOR)?, "GET", "/v1/revocations", None)?;
        let of_theirs = |revocation: &&Value| revocation["by"]["id"] == "live-gives";
        anyhow::Ok(listed.as_array().context("a list")?.iter().filter(of_theirs).count())
    };
    assert_eq!(listed()?, 1);
    let cut = kept.rsplit_once('.').context("a token")?.0;
    for token in [given_up.as_str(), "garbage", &format!("{cut}.AAAA"), ""] {
        assert_eq!(revoke(token)?.0, 200, "{token}");
    }
    assert_eq!(listed()?, 1);
    assert_eq!(second.simple("SELECT 1").await?.column(), ["1"]);
    for (content_type, body) in [(form, "tok=x"), (form, "token=a&token=b"), ("application/json", "{\"token\":\"x\"}")]
    {
        let (status, answer) = post_as(site, "/revoke", content_type, body)?;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{body}");
    }
    // Neither the record nor the log has the token.
    assert!(testkit::canary::leak(site.log().as_bytes(), &given_up).is_none());
    Ok(())
}

fn command(site: &Site, arguments: &[&str]) -> Result<testkit::command::Output> {
    let config = site.config().display().to_string();
    sluice(site.binary(), arguments, &[("SLUICE_CONFIG", config.as_str())])
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_an_issuer_that_is_gone_takes_its_sessions_with_it() -> Result<()> {
    let mut site = site("issuers", Tuning::default())?;
    let name = "live-issuer";
    let held = locked("issuers").await?;
    let mut client = somebody(&site, name).await?;
    client.send(&[query(&waits(name))]).await?;
    wait_for_running(name, "1")?;
    let whole = std::fs::read_to_string(site.config())?;
    let (without, table) = whole.split_once("[[issuer]]").context("it has an issuer")?;

    // A file with a mistake is refused whole, and the journal says so.
    std::fs::write(site.config(), format!("{without}[[issuers]]{table}"))?;
    record::wait_for(&site, "the refusal", |event| {
        matches!(event, Event::AdminAction { action, object, outcome: Outcome::Deny, .. }
            if &**action == "issuers.change" && object.contains("sluice.toml"))
    })?;
    assert_eq!(running(name)?, "1");

    std::fs::write(site.config(), without)?;
    assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    wait_for_running(name, "0")?;
    drop(held);
    assert!(somebody(&site, name).await.is_err());
    record::wait_for(&site, "the change", |event| {
        matches!(event, Event::AdminAction { action, object, outcome: Outcome::Allow, .. }
            if &**action == "issuers.change" && &**object == "removed demo")
    })?;
    std::fs::write(site.config(), &whole)?;
    eventually_blocking(LIMIT, "the issuer to be believed again", || {
        Ok((call(&site, &site.token(&ORDER_SERVICE)?, "GET", "/v1/whoami", None)?.0 == 200).then_some(()))
    })?;

    // By command, until it is restored, and across a restart.
    let mut client = somebody(&site, name).await?;
    let told = command(&site, &["issuers", "revoke", "demo", "--reason", "its key has leaked"])?.success()?;
    assert!(told.contains("issuer demo is believed no more until it is restored"), "{told}");
    assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    site.wait_for_metric("sluice_revocations", 1)?;
    site.stop()?;
    site.start()?;
    assert!(somebody(&site, name).await.is_err());
    let listed = command(&site, &["subjects", "list"])?.success()?;
    assert!(listed.contains("issuer demo") && listed.contains("its key has leaked"), "{listed}");
    command(&site, &["issuers", "restore", "demo"])?.success()?;
    somebody(&site, name).await?;
    // Its own issuer is how the first administrator gets in.
    assert!(command(&site, &["issuers", "revoke", "sluice"])?.success().is_err());

    let told = command(&site, &["subjects", "revoke", "demo|live-issuer", "--barred"])?.success()?;
    assert!(told.contains("demo|live-issuer is believed no more until it is restored"), "{told}");
    assert!(somebody(&site, name).await.is_err());
    let audited = command(&site, &["audit", "events", "--json"])?.success()?;
    assert!(audited.contains("issuer.revoke") && audited.contains("issuer demo: its key has leaked"), "{audited}");
    Ok(())
}

#[test]
fn id_14_revocations_that_cannot_be_read_let_nobody_in() -> Result<()> {
    let mut site = prepare("unreadable", Tuning::default())?;
    site.start()?;
    revoke(&site, &json!({ "subject": "demo|live-lost", "barred": true }))?;
    site.stop()?;
    let database = site.data().join("state.db");
    let mut bytes = std::fs::read(&database)?;
    let name = b"\"id\":\"live-lost\"";
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    ensure!(!places.is_empty(), "it is not in the file");
    places.into_iter().for_each(|at| bytes[at] = b'!');
    std::fs::write(&database, bytes)?;
    assert!(site.start().is_err());
    assert!(site.log().contains("a revocation"), "{}", site.log());
    Ok(())
}
