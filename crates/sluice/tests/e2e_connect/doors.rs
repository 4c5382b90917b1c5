//! Who comes through a door, and what becomes of a command.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use testkit::command::{Output, psql, run};
use testkit::process::{Running, http_get};
use tokio_postgres::NoTls;

use crate::support::door::{Caller, Open};
use crate::support::{LIMIT, postgres, shared};

const ORDERS: &[&str] = &["payments-apps"];
const HOUR: Duration = Duration::from_secs(3600);

/// psql at a door, with this password.
fn at(open: &Open, database: &str, password: &str, sql: &str) -> Result<Output> {
    let address = open.address()?;
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let environment = [
        ("PGHOST", host.as_str()),
        ("PGPORT", &port),
        ("PGUSER", "me"),
        ("PGDATABASE", database),
        ("PGPASSWORD", password),
    ];
    psql(&["-At", "-v", "VERBOSITY=verbose", "-c", sql], &environment)
}

#[test]
fn a_command_has_its_way_to_the_target_and_its_own_status() -> Result<()> {
    let site = &shared()?;
    let caller = Caller::register(site, "one-command", ORDERS, HOUR)?;
    let counted = caller.run(site, &["psql", "-X", "-At", "-c", "SELECT count(*) FROM orders"])?;
    assert_eq!(counted.success()?.trim(), "300");
    // It is order-service, whoever it says it is, and sees what order-service may see.
    let masked =
        caller.run(site, &["psql", "-X", "-At", "-U", "postgres", "-c", "SELECT number FROM cards LIMIT 1"])?;
    assert!(masked.stdout.starts_with("************"), "{masked:?}");
    let statuses: [(&[&str], i32); 4] = [
        (&["psql", "-X", "-c", "SELECT nonsense"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["/nowhere/psql"], 127),
        (&["/"], 126),
    ];
    for (command, status) in statuses {
        assert_eq!(caller.run(site, command)?.status.code(), Some(status), "{command:?}");
    }
    // Nothing of the identity is in the command's environment.
    let environment = caller.run(site, &["env"])?.success()?;
    assert!(environment.contains("PGPASSWORD=") && !environment.contains(&caller.client.secret), "{environment}");
    Ok(())
}

#[test]
fn it_ends_with_a_code_that_says_why() -> Result<()> {
    let site = &shared()?;
    let caller = Caller::register(site, "exit-codes", ORDERS, HOUR)?;
    let run_with = |change: &dyn Fn(&mut std::process::Command), command: &[&str]| -> Result<(Option<i32>, String)> {
        let arguments = [&[site.database(), "--no-password"], command].concat();
        let mut connect = caller.connect(site, &arguments)?;
        change(&mut connect);
        let output = run(connect, b"")?;
        Ok((output.status.code(), output.stderr))
    };
    // The secret is wrong: nobody could do better by trying again.
    let (code, said) = run_with(
        &|connect| {
            connect.env("SLUICE_CLIENT_SECRET", "wrong");
        },
        &[],
    )?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("invalid_client"), "{said}");
    let (code, _) = run_with(
        &|connect| {
            connect.env("SLUICE_CLIENT_SECRET", "wrong");
        },
        &["--", "psql"],
    )?;
    assert_eq!(code, Some(125));
    // Nobody is there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let (code, said) = run_with(
        &|connect| {
            connect.env("SLUICE_GATEWAY", &gone);
        },
        &[],
    )?;
    assert_eq!(code, Some(3), "{said}");
    // Somebody is there who cannot prove that it is Sluice.
    let other = postgres()?.ca_certificate();
    let (code, said) = run_with(
        &|connect| {
            connect.env("SLUICE_CA_FILE", &other);
        },
        &[],
    )?;
    assert!(code != Some(0) && said.contains("certificate"), "{code:?} {said}");
    // What makes no sense.
    for nonsense in
        [&["--listen", "0.0.0.0:0"][..], &["--gateway", "sluice"], &["--password-file", "x"], &["--port", "1"]]
    {
        let (code, said) = run_with(&|_| {}, nonsense)?;
        assert_eq!(code, Some(2), "{nonsense:?}: {said}");
    }
    let (code, said) = run_with(&|_| {}, &["other", "--", "psql"])?;
    assert!(code == Some(125) && said.contains("one target"), "{code:?} {said}");
    let nobody = run(caller.anybody(site, &[site.database(), "--no-password"])?, b"")?;
    assert_eq!(nobody.status.code(), Some(2), "{}", nobody.stderr);
    // A port without a password is nothing that happens by itself.
    let open = run(caller.connect(site, &[site.database()])?, b"")?;
    assert!(open.status.code() == Some(2) && open.stderr.contains("--password-file"), "{}", open.stderr);
    Ok(())
}

#[test]
fn a_port_asks_for_its_password_and_a_socket_is_its_users_alone() -> Result<()> {
    let site = &shared()?;
    let caller = Caller::register(site, "ports", ORDERS, HOUR)?;
    let open = caller.open(site, &["--password-file", "password"])?;
    let password = std::fs::read_to_string(caller.home.path().join("password"))?;
    for wrong in ["", "wrong", &caller.client.secret] {
        let refused = at(&open, site.database(), wrong, "SELECT 1")?;
        assert!(!refused.status.success(), "{refused:?}");
        assert!(wrong.is_empty() || refused.stderr.contains("local password"), "{}", refused.stderr);
    }
    assert_eq!(at(&open, site.database(), password.trim(), "SELECT 1")?.success()?.trim(), "1");
    // A program that names no database means the door's.
    assert_eq!(at(&open, "me", password.trim(), "SELECT 1")?.success()?.trim(), "1");
    assert_eq!(open.running.stop()?, 0);

    let sockets = caller.home.path().join("sockets");
    let open = caller.open(site, &["--socket", "sockets"])?;
    assert_eq!(open.place, "sockets/.s.PGSQL.5432");
    let host = sockets.display().to_string();
    let environment = [("PGHOST", host.as_str()), ("PGUSER", "me"), ("PGDATABASE", site.database())];
    assert_eq!(psql(&["-At", "-c", "SELECT 1"], &environment)?.success()?.trim(), "1");
    assert_eq!(open.running.stop()?, 0);
    assert!(!sockets.join(".s.PGSQL.5432").exists(), "the socket is left behind");
    Ok(())
}

/// Waits until the target runs a statement.
async fn runs(sql: &str) -> Result<()> {
    let active = format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{sql}'");
    testkit::wait::eventually(LIMIT, "the statement to run", async || {
        let found = postgres().ok()?.sql("postgres", &active).ok()?;
        (found.trim() == "1").then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_statement_that_it_is_meant_for() -> Result<()> {
    let site = &shared()?;
    let caller = Caller::register(site, "cancels", ORDERS, HOUR)?;
    let open = caller.open(site, &["--no-password"])?;
    let address = open.address()?;
    let url = format!("host={} port={} user=me dbname={}", address.ip(), address.port(), site.database());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let driven = tokio::spawn(connection);
    let cancel = client.cancel_token();
    let endless = "SELECT count(*) FROM generate_series(1, 10000000001)";
    let (ended, cancelled) = tokio::join!(client.simple_query(endless), async {
        runs(endless).await?;
        cancel.cancel_query(NoTls).await.context("the cancel")
    });
    cancelled?;
    assert_eq!(ended.unwrap_err().code().map(|code| code.code()), Some("57014"));
    assert!(client.simple_query("SELECT 1").await.is_ok(), "the session is still there");
    drop(client);
    driven.await??;
    Ok(())
}

#[test]
fn several_targets_health_and_an_issuer_that_goes_and_comes() -> Result<()> {
    let site = &shared()?;
    let caller = Caller::register(site, "files", ORDERS, HOUR)?;
    let file = format!(
        "health = \"127.0.0.1:0\"\n[identity]\ntoken_file = \"token\"\n[targets.{0}]\nno_password = true\n\
         [targets.other]\nsocket = \"sockets\"\ndatabase = \"{0}\"\n",
        site.database()
    );
    std::fs::write(caller.home.path().join("connect.toml"), file)?;
    let token = || site.token(&testkit::demo::site::ORDER_SERVICE);
    std::fs::write(caller.home.path().join("token"), token()?)?;
    let running = Running::start(&caller.anybody(site, &["--config", "connect.toml"])?, &caller.log())?;
    running.wait_for("listening on ", 2)?;
    let health = running.wait_for("health at http://", 1)?;
    let health = health.trim_start_matches("health at http://").trim_end_matches("/healthz").parse()?;
    let (status, said) = http_get(health, "/healthz")?;
    assert!(status == 200 && said.contains("\"ok\":true"), "{status} {said}");
    assert_eq!(http_get(health, "/other")?.0, 404);
    let sockets = caller.home.path().join("sockets").display().to_string();
    let environment = [("PGHOST", sockets.as_str()), ("PGUSER", "me")];
    assert_eq!(psql(&["-At", "-c", "SELECT 1"], &environment)?.success()?.trim(), "1");
    // A token that is over: health says so, and whoever comes is told; with a new one it goes on.
    site.hand_out("expired", testkit::issuer::Grant::new("order-service").lifetime(Duration::ZERO))?;
    std::fs::copy(site.token_file("expired"), caller.home.path().join("token"))?;
    testkit::wait::eventually_blocking(LIMIT, "health to say no", || {
        Ok((http_get(health, "/healthz")?.0 == 503).then_some(()))
    })?;
    let refused = psql(&["-At", "-v", "VERBOSITY=verbose", "-c", "SELECT 1"], &environment)?;
    assert!(refused.stderr.contains("no token that lasts"), "{}", refused.stderr);
    std::fs::write(caller.home.path().join("token"), token()?)?;
    testkit::wait::eventually_blocking(LIMIT, "health to say yes", || {
        Ok((http_get(health, "/healthz")?.0 == 200).then_some(()))
    })?;
    assert_eq!(psql(&["-At", "-c", "SELECT 1"], &environment)?.success()?.trim(), "1");
    assert_eq!(running.stop()?, 0);
    Ok(())
}

#[test]
fn what_sluice_refuses_is_told_in_its_own_words_and_nothing_secret_is_logged() -> Result<()> {
    let site = &shared()?;
    // In no group: it may not connect.
    let caller = Caller::register(site, "stranger", &[], HOUR)?;
    let open = caller.open(site, &["--no-password", "--log", "debug"])?;
    let refused = at(&open, site.database(), "", "SELECT 1")?;
    assert!(refused.stderr.contains("the connection is not allowed"), "{}", refused.stderr);
    let log = open.running.log();
    assert!(log.contains("Sluice refuses"), "{log}");
    assert!(!log.contains("eyJ") && !log.contains(&caller.client.secret), "{log}");
    // A signal to it reaches a command that it runs.
    let caller = Caller::register(site, "signals", ORDERS, HOUR)?;
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let running = Running::start(&caller.connect(site, &[site.database(), "--", "sh", "-c", script])?, &caller.log())?;
    running.wait_for("ready", 1)?;
    running.signal(Signal::TERM)?;
    assert_eq!(running.wait()?, 9);
    Ok(())
}
