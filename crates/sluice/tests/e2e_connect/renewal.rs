//! Sessions that outlive their tokens.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::command::{client, psql};
use testkit::demo::site::{DBA, ORDER_SERVICE, Tuning};
use testkit::scripted::password;

use crate::support::door::Caller;
use crate::support::raw::{Raw, V3_0, started};
use crate::support::{rows, shared, site};

const ORDERS: &[&str] = &["payments-apps", "sleepers"];

const SLEEPERS: &str = r#"
@id("sleepers")
permit (principal in Group::"sleepers", action == Action::"execute", resource in FunctionClass::"sleep");
"#;

fn tuning() -> Tuning {
    Tuning { policies: vec![("50-sleepers.cedar".into(), SLEEPERS.into())], ..Tuning::default() }
}

/// Whole seconds are what tokens count in, and a busy machine needs some of them.
const LIFETIME: Duration = Duration::from_secs(9);

/// A psycopg pool, a statement that runs longer than a token, a failed transaction and pgbench, all at once, for more than
/// two lifetimes: none of them notices.
#[test]
fn a_pool_never_notices_that_its_tokens_are_short() -> Result<()> {
    let site = &site("connect_renewal", tuning())?;
    let caller = Caller::register(site, "order-service", ORDERS, LIFETIME)?;
    let open = caller.open(site, &["--no-password"])?;
    let (host, port) = (open.address()?.ip().to_string(), open.address()?.port().to_string());
    let environment = [("PGHOST", host.as_str()), ("PGPORT", &port), ("PGUSER", "me"), ("PGDATABASE", site.database())];
    std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            let sql = "SELECT count(*) FROM orders WHERE pg_sleep(20) IS NOT NULL AND id = 1";
            psql(&["-At", "-c", sql], &environment)?.success()
        });
        let bench = scope.spawn(|| {
            let script = caller.home.path().join("one.sql");
            std::fs::write(&script, "SELECT count(*) FROM orders WHERE id <= 3;\n\\sleep 200 ms\n")?;
            let script = script.display().to_string();
            client("pgbench", &["-n", "-M", "prepared", "-c", "3", "-T", "21", "-f", &script], &environment, b"")
        });
        let pool = scope.spawn(|| {
            let python = testkit::command::development_directory().join("venv/bin/python");
            let mut command = std::process::Command::new(python);
            command.arg(testkit::command::workspace_root().join("tests/python/pool_through_connect.py"));
            command.args([&host, &port, site.database(), "21"]);
            testkit::command::run(command, b"")
        });
        open.renewed(3)?;
        let pool = pool.join().expect("the pool").context("the pool")?.success()?;
        // The same backends at the end as at the beginning.
        let told: serde_json::Value = serde_json::from_str(&pool)?;
        assert_eq!(told["first"], told["last"], "{told}");
        assert!(told["queries"].as_u64() > Some(20), "{told}");
        assert_eq!(long.join().expect("the long statement")?.trim(), "1");
        let bench = bench.join().expect("pgbench")?;
        assert!(bench.status.success() && bench.stdout.contains("failed transactions: 0"), "{bench:?}");
        Ok(())
    })
}

/// When no token comes any more, the session ends as any does, and pools evict it; when there is one again, so are sessions.
#[test]
fn without_an_issuer_a_session_ends_with_its_token_and_comes_back_with_it() -> Result<()> {
    let site = site("connect_outage", tuning())?;
    let caller = Caller::register(&site, "order-service", ORDERS, LIFETIME)?;
    let open = caller.open(&site, &["--no-password"])?;
    let (host, port) = (open.address()?.ip().to_string(), open.address()?.port().to_string());
    let environment = [("PGHOST", host.as_str()), ("PGPORT", &port), ("PGUSER", "me"), ("PGDATABASE", site.database())];
    site.issuer().fail(testkit::issuer::Fault::Down);
    let sql = "SELECT count(*) FROM orders WHERE pg_sleep(60) IS NOT NULL AND id = 1";
    let ended = psql(&["-At", "-v", "VERBOSITY=verbose", "-c", sql], &environment)?;
    assert!(ended.stderr.contains("57P01"), "{}", ended.stderr);
    open.running.wait_for("no new token", 1)?;
    site.issuer().fail(testkit::issuer::Fault::None);
    testkit::wait::eventually_blocking(crate::support::LIMIT, "a session again", || {
        Ok(psql(&["-At", "-c", "SELECT 1"], &environment)?.status.success().then_some(()))
    })
}

/// What a renewal says to Sluice, and what it is told.
async fn renewal(site: &testkit::demo::site::Site, token: &str, sessions: &str) -> Result<String> {
    let mut peer = started(site, V3_0, &[("_pq_.sluice_renew", sessions)]).await?;
    let first = peer.read_message().await?;
    if first.tag == b'E' {
        return Ok(String::from_utf8_lossy(&first.body).into_owned());
    }
    ensure!(first.tag == b'R', "no password was asked for: {first:?}");
    peer.send(&password(token)).await?;
    let answer = peer.read_message().await?;
    if answer.tag == b'E' {
        return Ok(String::from_utf8_lossy(&answer.body).into_owned());
    }
    let renewed = peer.read_message().await?;
    ensure!(renewed.tag == b'S', "{renewed:?}");
    let text = String::from_utf8_lossy(&renewed.body).into_owned();
    let renewed = text.strip_prefix("sluice.renewed\0").context(text.clone())?;
    Ok(renewed.trim_end_matches('\0').to_owned())
}

/// The id of a session, as Sluice tells whoever asks.
fn id(session: &Raw) -> Option<String> {
    let told = session.greeting.iter().filter(|message| message.tag == b'S');
    let texts = told.map(|message| String::from_utf8_lossy(&message.body).into_owned());
    texts.into_iter().find_map(|text| Some(text.strip_prefix("sluice.session\0")?.trim_end_matches('\0').to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_caller_itself_renews_a_session_and_nothing_else_changes() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    // Whoever does not ask is not told.
    assert_eq!(id(&Raw::login(site, &token).await?), None);
    let mut session = Raw::login_with(site, &token, V3_0, &[("_pq_.sluice_session", "1")]).await?;
    let own = id(&session).context("no id")?;
    assert_eq!(renewal(site, &site.token(&ORDER_SERVICE)?, &own).await?, own);
    let both = format!("{own},0000000000001");
    assert_eq!(renewal(site, &site.token(&ORDER_SERVICE)?, &both).await?, own);
    // Somebody else's looks like none.
    assert_eq!(renewal(site, &site.token(&DBA)?, &own).await?, "");
    let on_behalf = testkit::issuer::Grant::new("somebody").groups(["payments-apps"]).actors(["order-service"]);
    assert_eq!(renewal(site, &site.issuer().issue(on_behalf)?, &own).await?, "");
    for (wrong, refused) in [("", "28000"), ("a.b.c", "28000"), (&token[..token.len() - 2], "28000")] {
        let said = renewal(site, wrong, &own).await?;
        assert!(said.contains(refused) && !said.contains(&own), "{said}");
    }
    // Without any, it only asks whether one is known.
    assert_eq!(renewal(site, &token, "").await?, "");
    assert!(renewal(site, "a.b.c", "").await?.contains("28000"));
    for malformed in ["nobody", ",", "0000000000001;"] {
        let said = renewal(site, &token, malformed).await?;
        assert!(said.contains("08P01"), "{malformed}: {said}");
    }
    assert_eq!(session.simple("SELECT 1").await?.column(), ["1"]);
    assert_eq!(rows(site, &token, "SELECT 1")?, "1");
    Ok(())
}
