//! Ways in which somebody is believed no more: a token is given up, an issuer goes, what is kept cannot be read (ID-14).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::decision::Outcome;
use model::event::Event;
use serde_json::{Value, json};
use testkit::demo::site::{AUDITOR, ORDER_SERVICE, Site, Tuning};
use testkit::issuer::Fault;
use testkit::process::sluice;
use testkit::scripted::query;
use testkit::wait::eventually_blocking;

use crate::live::{locked, revoke, running, somebody, wait_for_running, waits};
use crate::support::admin::{call, post_as};
use crate::support::raw::{Raw, V3_0, last_error, started};
use crate::support::{LIMIT, postgres, prepare, record, shared, site, token};

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

/// Whoever may do what `cleared` may, by Sluice's own tokens.
const OWN: &str = r#"
@id("own-connect")
permit (principal in Group::"sluice|cleared", action == Action::"connect", resource in Target::"payments");
@id("own-read-and-write")
permit (principal in Group::"sluice|cleared", action in [Action::"read", Action::"write"], resource in Target::"payments");
"#;

/// A session verifies a user's token itself. While an issuer takes its time with the keys for that, what the session has
/// sent to the target runs on; so it must not be deaf.
#[tokio::test(flavor = "multi_thread")]
async fn id_14_a_session_hears_of_it_while_keys_are_fetched() -> Result<()> {
    let policies = vec![("50-own.cedar".into(), OWN.into())];
    let mut site = prepare("deafness", Tuning { policies, ..Tuning::default() })?;
    site.issuer().fail(Fault::Slow(Duration::from_secs(20)));
    let whole = std::fs::read_to_string(site.config())?;
    std::fs::write(site.config(), whole.split("[[issuer]]").next().context("it has an issuer")?)?;
    site.start()?;
    let held = locked("deafness").await?;
    let own = command(&site, &["token", "--subject", "live-deaf", "--group", "cleared"])?.success()?;
    let mut client = Raw::login(&site, own.trim()).await?;
    client.send(&[query(&waits("live-deaf"))]).await?;
    wait_for_running("live-deaf", "1")?;
    // One whose keys nobody has asked for: whoever needs them waits for ten seconds.
    std::fs::write(site.config(), &whole)?;
    record::wait_for(
        &site,
        "the issuer",
        |event| matches!(event, Event::AdminAction { object, .. } if &**object == "added demo"),
    )?;
    client.send(&[query(&format!("SELECT 1 /*user_token='{}'*/", token(&site, "live-slow", &[])?))]).await?;
    command(&site, &["subjects", "revoke", "sluice|live-deaf"])?.success()?;
    let revoked = Instant::now();
    assert_eq!(client.end().await?.as_deref(), Some("57P01"));
    wait_for_running("live-deaf", "0")?;
    // Half of what it would wait for the keys.
    assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    drop(held);
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
    // The other one is not renewed by it, in either way.
    let renewed = |token: &str| format!("SET sluice.token = '{token}'");
    assert_eq!(second.simple(&renewed(&given_up)).await?.errors(), ["28000"]);
    assert_eq!(second.simple(&renewed(&kept)).await?.tags(), ["SET"]);
    let sessions = call(site, &site.token(&AUDITOR)?, "GET", "/v1/sessions", None)?.1;
    let live = sessions.as_array().and_then(|all| all.iter().find(|one| one["subject"]["id"] == "live-gives"));
    let path = format!("/v1/sessions/{}/token", live.and_then(|one| one["session"].as_str()).context("it lives")?);
    assert_eq!(call(site, &given_up, "POST", &path, None)?.0, 401);
    assert_eq!(call(site, &kept, "POST", &path, None)?.0, 200);

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
