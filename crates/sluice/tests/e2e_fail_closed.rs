//! The register of faults, row by row: whatever breaks, nothing gets through, the caller is told in its own protocol, and
//! Sluice goes on by itself when the fault is over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use testkit::command::run as run_command;
use testkit::demo::site::{DBA, ORDER_SERVICE, Site, Tuning};
use testkit::issuer::{Fault, Grant};
use testkit::postgres::{Options, Postgres};
use testkit::scripted::{
    Peer, ScriptedServer, authentication_ok, data_row, message, parameter_status, query, ready_for_query,
};
use testkit::wait::eventually_blocking;

use support::oracle::Watched;
use support::raw::Raw;
use support::{LIMIT, assert_refused, binary, database, postgres, prepare, psql, rows, run, shared, site, sqlstates};

/// The SQLSTATE with which a login fails; psql shows only the message.
fn login_error(site: &Site, token: &str) -> Result<String> {
    let output = run(site, token, "SELECT 1")?;
    assert!(!output.status.success());
    Ok(output.stderr)
}

#[test]
fn tokens_that_are_not_good_open_nothing() -> Result<()> {
    let site = &shared()?;
    let grant = || ORDER_SERVICE.grant();
    let issuer = site.issuer();
    let good = issuer.issue(grant())?;
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other_issuer = testkit::issuer::Issuer::start()?;
    for (what, token) in [
        ("nothing", String::new()),
        ("no token", "hunter2".into()),
        ("expired", issuer.issue(grant().lifetime(Duration::ZERO))?),
        ("for somebody else", issuer.issue(grant().audience("elsewhere"))?),
        ("for nobody", issuer.issue(grant().claim("aud", serde_json::Value::Null))?),
        ("without an end", issuer.issue(grant().claim("exp", serde_json::Value::Null))?),
        ("living too long", issuer.issue(grant().lifetime(Duration::from_secs(30 * 86_400)))?),
        ("of another issuer", other_issuer.issue(grant())?),
        ("in another's name", other_issuer.issue(grant().claim("iss", issuer.url()))?),
        ("without its signature", format!("{head}.")),
        ("with another's signature", format!("{head}.{}", other_issuer.issue(grant())?.rsplit_once('.').unwrap().1)),
        ("cut", signature.to_owned()),
        ("in no group", issuer.issue(Grant::new("order-service"))?),
    ] {
        let told = login_error(site, &token)?;
        assert!(told.contains("the connection is not allowed") || told.contains("no password"), "{what}: {told}");
    }
    assert_eq!(rows(site, &good, "SELECT 1")?, "1");
    Ok(())
}

#[test]
fn an_issuer_that_fails_at_the_start_lets_nobody_in() -> Result<()> {
    let mut site = prepare("issuer", Tuning::default())?;
    for fault in [Fault::ServerError, Fault::Garbage, Fault::Oversized] {
        site.issuer().fail(fault);
        site.start()?;
        assert!(
            login_error(&site, &site.token(&ORDER_SERVICE)?)?.contains("the connection is not allowed"),
            "{fault:?}"
        );
        site.stop()?;
    }
    Ok(())
}

#[test]
fn an_issuer_that_is_down_is_asked_again_and_then_believed_for_a_while() -> Result<()> {
    let mut site = prepare("issuer_back", Tuning::default())?;
    site.issuer().fail(Fault::Down);
    site.start()?;
    let token = site.token(&ORDER_SERVICE)?;
    assert!(login_error(&site, &token)?.contains("the connection is not allowed"));
    site.issuer().fail(Fault::None);
    // It is asked once a minute at most, whatever callers send.
    eventually_blocking(Duration::from_secs(100), "the issuer's keys", || {
        Ok(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1").ok().filter(|row| row == "1").map(drop))
    })?;
    site.issuer().fail(Fault::Down);
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    assert!(site.issuer().requests().jwks <= 2, "{:?}", site.issuer().requests());
    Ok(())
}

#[test]
fn what_cannot_be_understood_is_refused() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    for sql in ["SELECT nonsense FROM", "FROBNICATE", "SELECT 'open", "SELECT 1; FROBNICATE"] {
        let states = sqlstates(&run(site, &token, sql)?);
        assert!(states == ["42501"] || states == ["42601"], "{sql}: {states:?}");
    }
    assert_refused(site, &token, "DO $$ BEGIN END $$", "42501");
    let log = postgres()?.statement_log()?;
    assert!(!log.iter().any(|entry| entry.text.contains("FROBNICATE")), "it reached the server");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_54000_and_what_is_unknown_is_08p01() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut client = Raw::login(site, &token).await?;
    client.send(&[query(&format!("SELECT '{}'", "x".repeat(1024 * 1024)))]).await?;
    let first = client.peer.read_message().await?;
    assert_eq!(support::raw::field(&first, b'C').as_deref(), Some("54000"));
    for bytes in [message(b'Y', b""), message(b'*', b"x")] {
        let mut client = Raw::login(site, &token).await?;
        client.peer.send(&bytes).await?;
        assert_eq!(client.end().await?.as_deref(), Some("08P01"));
    }
    Ok(())
}

#[test]
fn a_policy_that_fails_while_it_is_evaluated_denies() -> Result<()> {
    // An overflow: valid when it is loaded, an error for every request.
    let broken = r#"
@id("overflows")
permit (principal, action == Action::"delete", resource)
when { context.session.ageSeconds + 9223372036854775807 + 9223372036854775807 > 0 };
"#;
    let tuning = Tuning { policies: vec![("70-broken.cedar".into(), broken.into())], ..Tuning::default() };
    let site = site("evaluation", tuning)?;
    assert_refused(&site, &site.token(&ORDER_SERVICE)?, "DELETE FROM refunds WHERE id = 1", "42501");
    Ok(())
}

#[test]
fn without_policies_nobody_gets_in() -> Result<()> {
    let mut site = prepare("nothing", Tuning::default())?;
    for file in fs::read_dir(site.revision_file("policies"))? {
        fs::remove_file(file?.path())?;
    }
    // Whether it starts or refuses to, nobody gets in.
    if site.start().is_ok() {
        assert!(login_error(&site, &site.token(&ORDER_SERVICE)?)?.contains("not allowed"));
    }
    Ok(())
}

#[test]
fn a_revision_that_is_invalid_is_refused_whole() -> Result<()> {
    let site = site("revisions", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let before = site.revision()?;
    for (number, (name, text)) in (1..).zip([
        ("policies/60-x.cedar", "permit (principal, action, resource) when { x };"),
        ("classification.toml", "[[column]]\nmatch = \"public.cards.number\"\nclasses = [\"no_such_class\"]\n"),
        ("targets.toml", "[payments]\nprotocol = \"postgres\"\n"),
    ]) {
        let path = site.revision_file(name);
        let old = fs::read(&path).ok();
        fs::write(&path, text)?;
        site.wait_for_metric("sluice_revisions_refused_total", number)?;
        assert_eq!(site.revision()?, before, "{name}");
        let number = rows(&site, &token, "SELECT number FROM cards WHERE id = 1")?;
        assert!(number.starts_with("****"), "{name}: {number}");
        match old {
            Some(old) => fs::write(&path, old)?,
            None => fs::remove_file(&path)?,
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_does_not_outlive_the_policy_that_asked() -> Result<()> {
    let site = site("between", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let sql = "DELETE FROM payments WHERE id = 1";
    client.simple("BEGIN").await?;
    let refused = client.simple(sql).await?;
    client.simple("ROLLBACK").await?;
    let told: String = refused.0.iter().filter_map(|message| support::raw::field(message, b'D')).collect();
    let approval = told.split_whitespace().find(|word| word.starts_with("apr-")).unwrap().to_owned();
    assert_eq!(support::admin::answer(&site, &site.token(&DBA)?, &approval, true)?, 200);
    let path = site.revision_file("policies/20-approvals.cedar");
    let text = fs::read_to_string(&path)?.replace("needs the approval of a dba", "needs a dba");
    site.write_policy("20-approvals.cedar", Some(&text))?;
    client.simple("BEGIN").await?;
    assert_eq!(client.simple(sql).await?.errors(), ["42501"], "another policy asks now");
    Ok(())
}

/// Sluice with a journal on a disk of its own, small enough to fill.
struct SmallDisk {
    site: Option<Site>,
    mount: std::path::PathBuf,
}

impl SmallDisk {
    fn start(name: &str) -> Result<Self> {
        let tuning = Tuning { sluice_toml: "[journal]\nwait_deadline = \"1s\"\n".into(), ..Tuning::default() };
        let mut site = prepare(name, tuning)?;
        let mount = site.data();
        fs::create_dir_all(&mount)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs"]).arg(&mount);
        run_command(command, b"")?.success()?;
        let started = site.start();
        let disk = Self { site: Some(site), mount };
        started.map(|()| disk)
    }

    fn fill(&self) -> Result<()> {
        let block = vec![0_u8; 64 * 1024];
        let mut file = fs::File::create(self.mount.join("filler"))?;
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        // To the last byte.
        while std::io::Write::write_all(&mut file, &[0]).is_ok() {}
        Ok(())
    }

    fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.mount.join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The process first: it uses the disk.
        if let Some(mut site) = self.site.take() {
            let _ = site.kill();
            let mut command = Command::new("umount");
            command.arg(&self.mount);
            let _ = run_command(command, b"");
        }
    }
}

#[test]
fn a_journal_that_cannot_be_written_stops_everything_until_it_can() -> Result<()> {
    let can_mount = run_command(Command::new("id"), b"")?.stdout.contains("uid=0");
    assert!(can_mount, "this test mounts a small disk: run it as root");
    let disk = SmallDisk::start("disk")?;
    let site = disk.site.as_ref().unwrap();
    let token = site.token(&ORDER_SERVICE)?;
    assert_eq!(rows(site, &token, "SELECT 1")?, "1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut client = runtime.block_on(Raw::login(site, &token))?;
    disk.fill()?;
    // The journal may have room in what its file has already: until it has not.
    let refused = eventually_blocking(LIMIT, "58030", || {
        let answer = runtime.block_on(client.simple("SELECT count(*) FROM orders"));
        let answer = match answer {
            Ok(answer) => answer,
            // The tape is on the same disk: what cannot be taped is not delivered, and the session ends.
            Err(_) => return Ok(Some(())),
        };
        Ok(answer.errors().contains(&"58030".to_owned()).then_some(()))
    });
    refused?;
    eventually_blocking(LIMIT, "/readyz to be red", || {
        let (status, _) = site.process()?.get("/readyz")?;
        let _ = run(site, &token, "SELECT 1");
        Ok((status == 503).then_some(()))
    })?;
    let executed = postgres()?.statement_log()?.len();
    assert!(run(site, &token, "DELETE FROM payments WHERE id = 1").is_ok_and(|output| !output.status.success()));
    let own = |text: &str| text.contains("pg_catalog") || text.contains("sluice");
    let after = postgres()?.statement_log()?;
    assert!(!after[executed.min(after.len())..].iter().any(|entry| entry.database == "disk" && !own(&entry.text)));
    disk.empty()?;
    eventually_blocking(LIMIT, "Sluice to go on by itself", || {
        let (status, _) = site.process()?.get("/readyz")?;
        Ok((status == 200 && rows(site, &token, "SELECT 1").is_ok_and(|row| row == "1")).then_some(()))
    })
}

#[test]
fn a_target_that_is_down_is_08006_and_its_return_needs_no_restart() -> Result<()> {
    let mut server = Postgres::start(Options::default())?;
    let payments = testkit::payments::load_into(&server, "down", 100)?;
    let mut site = Site::prepare(&server, &payments, binary(), &Tuning::default())?;
    site.start()?;
    let token = site.token(&ORDER_SERVICE)?;
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut client = runtime.block_on(Raw::login(&site, &token))?;
    server.stop()?;
    let ended = runtime.block_on(client.end())?;
    assert!(matches!(ended.as_deref(), Some("08006" | "57P01" | "57P02")), "{ended:?}");
    let refused = runtime.block_on(Raw::login(&site, &token)).err().unwrap().to_string();
    assert!(refused.contains("08006"), "{refused}");
    server.start_again()?;
    eventually_blocking(LIMIT, "the target's return", || {
        Ok(rows(&site, &token, "SELECT 1").ok().filter(|row| row == "1").map(drop))
    })
}

/// What a server says to the connection of this number.
type Lie = fn(usize) -> Vec<u8>;

/// Sluice in front of a server that does what the script says.
async fn in_front_of(name: &str, answer: Lie) -> Result<(Watched<Site>, ScriptedServer)> {
    let server = ScriptedServer::start(move |mut peer: Peer, number| async move {
        peer.read_startup().await?;
        peer.send(&answer(number)).await?;
        // Whatever comes is answered with the same lie.
        while peer.read_message().await.is_ok() {
            peer.send(&answer(number)).await?;
        }
        Ok(())
    })
    .await?;
    let tuning = Tuning {
        target_address: Some(server.address().to_string()),
        target: "tls = \"off\"\n".into(),
        sluice_toml: "[limits]\nconnect_timeout = \"2s\"\n".into(),
        ..Tuning::default()
    };
    Ok((site(name, tuning)?, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_07_a_target_that_lies_about_its_protocol_is_left() -> Result<()> {
    let lies: [(&str, Lie); 7] = [
        ("lie1", |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("lie2", |_| [authentication_ok(), data_row(&[Some(b"x")]), ready_for_query(b'I')].concat()),
        ("lie3", |_| [authentication_ok(), ready_for_query(b'I'), ready_for_query(b'I')].concat()),
        ("lie4", |_| message(b'R', &[0, 0, 0, 99])),
        ("lie5", |_| [authentication_ok(), parameter_status("server_version", "15.0"), message(0, b"x")].concat()),
        ("lie6", |_| [&b"R"[..], &0x7fff_ffff_u32.to_be_bytes()].concat()),
        ("lie7", |_| {
            [authentication_ok(), parameter_status("standard_conforming_strings", "off"), ready_for_query(b'X')]
                .concat()
        }),
    ];
    for (name, lie) in lies {
        let (site, _server) = in_front_of(name, lie).await?;
        let error = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await.err();
        let told = format!("{:#}", error.unwrap_or_else(|| panic!("{name}: it was believed")));
        assert!(told.contains("08006"), "{name}: {told}");
        assert!(site.process()?.is_running());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_never_answers_costs_its_own_connection_alone() -> Result<()> {
    let (site, _server) = in_front_of("silent", |_| Vec::new()).await?;
    let begun = std::time::Instant::now();
    let told = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await.err().map(|error| format!("{error:#}"));
    assert!(told.is_some() && begun.elapsed() < Duration::from_secs(20), "{told:?} after {:?}", begun.elapsed());
    Ok(())
}

#[test]
fn a_target_without_the_right_certificate_is_not_believed() -> Result<()> {
    let stranger = Postgres::start(Options::default())?;
    let address = format!("{}:{}", stranger.host(), stranger.port());
    let payments = database("certificate")?;
    let ca = postgres()?.ca_certificate().display().to_string();
    let tuning = Tuning {
        target_address: Some(address),
        target: format!("tls = \"verify-full\"\nca_file = \"{ca}\"\n"),
        ..Tuning::default()
    };
    let mut site = Site::prepare(postgres()?, &payments, binary(), &tuning)?;
    site.start()?;
    let output = psql(&site, &site.token(&ORDER_SERVICE)?, &["-c", "SELECT 1"], "")?;
    assert!(output.stderr.contains("the target cannot be reached"), "{}", output.stderr);
    let log = stranger.raw_log()?;
    assert!(testkit::canary::leak(&log, &payments.login.password).is_none());
    Ok(())
}

/// Nothing of Sluice runs for a while, its recorder neither.
#[tokio::test(flavor = "multi_thread")]
async fn rc_07_a_process_that_is_stopped_forwards_nothing_and_goes_on_when_it_may() -> Result<()> {
    let site = site("stopped", Tuning::default())?;
    let pid = site.process()?.pid().to_string();
    let signal = |name: &str| run_command(signalled(name, &pid), b"")?.success();
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    signal("-STOP")?;
    let stat = format!("/proc/{pid}/stat");
    eventually_blocking(LIMIT, "it to be stopped", || {
        let stat = fs::read_to_string(&stat)?;
        Ok(stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')).then_some(()))
    })?;
    client.send(&[query("SELECT 4711 AS while_it_was_stopped")]).await?;
    assert!(client.peer.is_silent_for(Duration::from_millis(300)).await);
    let executed = || {
        let log = postgres()?.statement_log()?;
        anyhow::Ok(log.iter().any(|statement| statement.text.contains("while_it_was_stopped")))
    };
    assert!(!executed()?, "it was forwarded");
    signal("-CONT")?;
    assert_eq!(client.answer().await?.column(), ["4711"]);
    assert!(executed()?);
    Ok(())
}

fn signalled(name: &str, pid: &str) -> Command {
    let mut command = Command::new("kill");
    command.args([name, pid]);
    command
}
