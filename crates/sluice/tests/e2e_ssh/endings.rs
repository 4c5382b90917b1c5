//! How sessions end, and what runs in them is cut.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::event::Event;
use serde_json::json;
use testkit::command::Output;
use testkit::issuer::Grant;
use testkit::ssh::keys::Key;
use testkit::ssh::{Client, Credential};
use testkit::wait::eventually_blocking;

use crate::execution::registered;
use crate::ground::{ENGINEER, Ground, Tuning};
use crate::support::{LIMIT, admin, record};

/// How soon it has to be over.
const SOON: Duration = Duration::from_secs(1);

/// An `ssh` that runs until something ends it.
struct Runs(Child);

impl Runs {
    /// Runs a line that shows that it runs, and waits for that.
    fn start(ground: &Ground, client: &Client) -> Result<Self> {
        let flag = ground.sshd.home().join("runs");
        let _ = std::fs::remove_file(&flag);
        let mut command = client.command("ssh");
        command.args(["target", "touch runs; exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Self(command.spawn()?);
        eventually_blocking(LIMIT, "the line to run", || Ok(flag.exists().then_some(())))?;
        Ok(started)
    }

    /// Does something that ends it; how it ended, and how long that took.
    fn end(mut self, act: impl FnOnce() -> Result<()>) -> Result<(Output, Duration)> {
        let input = self.0.stdin.take();
        act()?;
        let began = Instant::now();
        let status = eventually_blocking(LIMIT, "the end of ssh", || Ok(self.0.try_wait()?))?;
        let took = began.elapsed();
        drop(input);
        let output = self.0.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((Output { status, stdout: text(output.stdout), stderr: text(output.stderr) }, took))
    }
}

fn closed_because(ground: &Ground, why: &str) -> Result<()> {
    let is_it = |event: &Event| matches!(event, Event::SessionClosed { reason, .. } if reason.contains(why));
    record::wait_for(&ground.site, why, is_it).map(drop)
}

fn no_process_is_left(ground: &Ground) -> Result<()> {
    let home = ground.sshd.home();
    eventually_blocking(LIMIT, "the end of what ran", || {
        let runs = std::fs::read_dir("/proc")?.filter_map(Result::ok).any(|process| {
            let here = std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == home);
            here && std::fs::read(process.path().join("cmdline")).is_ok_and(|line| line.starts_with(b"cat\0"))
        });
        Ok((!runs).then_some(()))
    })
}

#[test]
fn a_session_is_killed_within_a_second() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let runs = Runs::start(&ground, &client)?;
    let session = ground.sessions()?.pop().context("no session")?;
    let token = ground.token("ada", &["sluice-admin"])?;
    let path = format!("/v1/sessions/{session}/kill");
    let (output, took) = runs.end(|| {
        let (status, told) = admin::call(&ground.site, &token, "POST", &path, Some(&json!({})))?;
        ensure!(status == 200, "{status}: {told}");
        Ok(())
    })?;
    assert!(took < SOON, "{took:?}");
    assert_eq!(output.status.code(), Some(255));
    assert!(output.stderr.contains("ended by an administrator"), "{output:?}");
    closed_because(&ground, "ended by an administrator")?;
    no_process_is_left(&ground)
}

#[test]
fn whoever_is_revoked_is_cut_off_within_a_second() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let runs = Runs::start(&ground, &client)?;
    let token = ground.token("ada", &["sluice-admin"])?;
    let (output, took) = runs.end(|| {
        let body = json!({ "subject": "demo|erin" });
        let (status, told) = admin::call(&ground.site, &token, "POST", "/v1/revocations", Some(&body))?;
        ensure!(status == 200, "{status}: {told}");
        Ok(())
    })?;
    assert!(took < SOON, "{took:?}");
    assert_eq!(output.status.code(), Some(255));
    assert!(output.stderr.contains("no longer accepted"), "{output:?}");
    closed_because(&ground, "revoked")?;
    assert!(client.exec("echo in")?.stderr.contains("Permission denied"));
    no_process_is_left(&ground)
}

const CUT: &str = "@id(\"nothing-runs\") forbid (principal, action == Action::\"ssh:exec\", resource);";

#[test]
fn a_revision_that_denies_it_cuts_what_runs() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let shared = client.share(&[])?;
    let runs = Runs::start(&ground, &client)?;
    // Another revision, which lets it go on, does not touch it.
    ground.site.write_policy("30-more.cedar", Some("// nothing"))?;
    let (output, _) = runs.end(|| ground.site.write_policy("30-more.cedar", Some(CUT)).map(drop))?;
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    assert!(output.stderr.contains("sluice: a new policy no longer allows this. Request "), "{output:?}");
    assert_eq!(client.exec("echo in")?.status.code(), Some(126));
    ground.site.write_policy("30-more.cedar", None)?;
    assert_eq!(client.exec("echo in")?.success()?, "in\n");
    shared.stop()?;
    no_process_is_left(&ground)
}

#[test]
fn a_session_ends_with_its_token() -> Result<()> {
    let ground = Ground::new()?;
    let grant = Grant::new("erin").groups(ENGINEER.iter().copied()).lifetime(Duration::from_secs(8));
    let token = ground.site.issuer().issue(grant)?;
    let client = Client::new(&ground.endpoint("web1", Credential::Password(token))?)?;
    let (output, _) = Runs::start(&ground, &client)?.end(|| Ok(()))?;
    assert_eq!(output.status.code(), Some(255));
    assert!(output.stderr.contains("the credential has expired"), "{output:?}");
    closed_because(&ground, "the credential expired")?;
    assert!(client.exec("echo in")?.stderr.contains("Permission denied"));
    Ok(())
}

#[test]
fn a_key_that_is_taken_away_ends_its_sessions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = Key::generate(folder.path(), "keyed")?;
    let ground = Ground::tuned(Tuning { ssh_keys: registered(&key, ENGINEER)?, ..Tuning::default() })?;
    let client = Client::new(&ground.endpoint("web1", Credential::Key(key.private()))?)?;
    let runs = Runs::start(&ground, &client)?;
    let (output, _) = runs
        .end(|| ground.site.revise(|| Ok(std::fs::write(ground.site.revision_file("ssh_keys.toml"), "")?)).map(drop))?;
    assert_eq!(output.status.code(), Some(255));
    assert!(client.exec("echo in")?.stderr.contains("Permission denied"));
    Ok(())
}

#[test]
fn sluice_that_stops_tells_its_callers() -> Result<()> {
    let sluice_toml = "\n[sessions]\ndrain = \"1s\"\n".to_owned();
    let mut ground = Ground::tuned(Tuning { sluice_toml, ..Tuning::default() })?;
    let client = ground.client(ENGINEER)?;
    let runs = Runs::start(&ground, &client)?;
    ground.site.process()?.terminate()?;
    let (output, _) = runs.end(|| Ok(()))?;
    assert!(output.stderr.contains("Sluice is stopping"), "{output:?}");
    assert_eq!(ground.site.stop()?, 0);
    Ok(())
}
