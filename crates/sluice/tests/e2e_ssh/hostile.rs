//! Clients that do what none may (SM-17, SH-09, ID-23, ID-24), with a library of its own to do it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use model::event::Event;
use serde_json::{Value, json};
use testkit::command::{development_directory, run, workspace_root};
use testkit::ssh::keys::Key;
use testkit::sshd::Request;

use crate::execution::registered;
use crate::ground::{ENGINEER, Ground, Tuning};
use crate::support::record;

/// A ground on which two keys are registered, `own` and `victim`.
struct Stage {
    ground: Ground,
    own: Key,
    victim: Key,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (own, victim) = (Key::generate(folder.path(), "own")?, Key::generate(folder.path(), "victim")?);
        let ssh_keys = registered(&own, ENGINEER)? + &registered(&victim, ENGINEER)?;
        // Where something is not taken and does not end the connection at once, the deadline of the login does.
        let sluice_toml = "\n[limits]\nlogin_timeout = \"5s\"\n".to_owned();
        let ground = Ground::tuned(Tuning { ssh_keys, sluice_toml, ..Tuning::default() })?;
        Ok(Self { ground, own, victim, _folder: folder })
    }

    /// What comes of a scenario of `tests/ssh/hostile_client.py`.
    fn plays(&self, scenario: &str) -> Result<Value> {
        let python = development_directory().join("ssh/bin/python");
        ensure!(python.exists(), "{} is missing: run ./dev setup", python.display());
        let address = self.ground.site.process()?.address("ssh")?;
        let mut command = Command::new(python);
        command.arg(workspace_root().join("tests/ssh/hostile_client.py")).arg(scenario);
        command.env("SLUICE_HOST", address.ip().to_string()).env("SLUICE_PORT", address.port().to_string());
        command.env("SLUICE_USER", "web1").env("SLUICE_TOKEN", self.ground.token("erin", ENGINEER)?);
        command.env("SLUICE_KEY", self.own.private()).env("SLUICE_VICTIM", self.victim.public());
        let output = run(command, b"")?.success()?;
        let results: Value = serde_json::from_str(&output).with_context(|| output.clone())?;
        Ok(results.get(scenario).context("there is no such scenario")?.clone())
    }

    fn lines(&self) -> Result<Vec<String>> {
        let executed = self.ground.sshd.executed()?;
        let lines = executed.into_iter().filter_map(|one| match one.request {
            Request::Exec(line) => Some(String::from_utf8_lossy(&line).into_owned()),
            Request::Shell | Request::Subsystem(_) => None,
        });
        Ok(lines.collect())
    }

    /// Who began sessions, in order.
    fn subjects(&self) -> Result<Vec<String>> {
        let events = record::events(&self.ground.site)?.into_iter();
        Ok(events
            .filter_map(|event| match event {
                Event::SessionOpened { subject, .. } => Some(subject.key.to_string()),
                _ => None,
            })
            .collect())
    }
}

#[test]
fn sh_09_nothing_of_a_session_is_taken_before_a_login() -> Result<()> {
    let stage = Stage::new()?;
    let scenarios = [
        "success_from_the_client",
        "channel_before_a_login",
        "channel_before_a_login_after_the_service",
        "request_before_a_login",
        "global_request_before_a_login",
        "connection_service_before_a_login",
    ];
    std::thread::scope(|scope| {
        let stage = &stage;
        let played = scenarios.map(|scenario| (scenario, scope.spawn(move || stage.plays(scenario))));
        for (scenario, played) in played {
            assert_eq!(played.join().expect("it does not panic")?, json!("closed"), "{scenario}");
        }
        anyhow::Ok(())
    })?;
    for (number, outcome) in stage.plays("answers_of_a_server")?.as_object().context("no object")? {
        assert_eq!(outcome, &json!("closed"), "{number}");
    }
    assert_eq!((stage.subjects()?, stage.lines()?), (vec![], vec![]));
    assert_eq!(stage.ground.sshd.accepted().len(), 0);
    Ok(())
}

#[test]
fn id_23_who_signs_is_who_it_is() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.plays("offered_and_another_signed")?, json!(["on\n", 0]));
    assert_eq!(stage.subjects()?, ["demo|own"]);
    assert_eq!(stage.plays("signed_by_another")?, json!("closed"));
    assert_eq!((stage.subjects()?.len(), stage.lines()?), (1, vec!["echo on".to_owned()]));
    Ok(())
}

#[test]
fn id_24_there_is_one_login_and_no_second() -> Result<()> {
    let stage = Stage::new()?;
    let again = stage.plays("login_again")?;
    assert!(again == json!("closed") || again == json!(["root\n", 0]), "{again}");
    assert_eq!(stage.plays("many_names")?, json!([["out", "out", "out", "in"], ["root\n", 0]]));
    assert_eq!(stage.subjects()?, ["demo|erin", "demo|erin"]);
    Ok(())
}

#[test]
fn sm_17_a_client_that_ignores_windows_is_cut_off_and_costs_little() -> Result<()> {
    let stage = Stage::new()?;
    stage.ground.client(ENGINEER)?.exec("true")?;
    let before = stage.ground.peak()?;
    assert_eq!(stage.plays("window_overflow")?, json!("closed"));
    let grown = stage.ground.peak()? - before;
    assert!(grown < 32 << 20, "{grown} bytes more");
    let beyond = stage.plays("window_beyond_all")?;
    assert!(beyond == json!("closed") || beyond == json!(["on\n", 0]), "{beyond}");
    assert_eq!(stage.ground.client(ENGINEER)?.exec("echo on")?.success()?, "on\n");
    Ok(())
}

#[test]
fn sm_17_channels_are_not_confused() -> Result<()> {
    let stage = Stage::new()?;
    let nobody = stage.plays("channels_of_nobody")?;
    assert!(nobody == json!("closed") || nobody == json!(["on\n", 0]), "{nobody}");
    let after = stage.plays("after_the_end")?;
    assert!(after == json!("closed") || after == json!(["on\n", 0]), "{after}");
    let written = std::fs::read_to_string(stage.ground.sshd.home().join("after-the-end")).unwrap_or_default();
    assert!(!written.contains("behind"), "{written:?}");
    assert_eq!(stage.plays("two_lines_on_a_channel")?, json!("one\n"));
    assert!(!stage.lines()?.iter().any(|line| line.contains("two") || line.contains("hostile")));
    Ok(())
}

#[test]
fn sm_17_floods_of_requests_and_channels_are_answered_or_refused() -> Result<()> {
    let stage = Stage::new()?;
    stage.ground.client(ENGINEER)?.exec("true")?;
    let before = stage.ground.peak()?;
    let flood = stage.plays("requests_without_end")?;
    assert!(flood == json!("closed") || flood == json!(["on\n", 0]), "{flood}");
    assert_eq!(stage.plays("channels_without_end")?, json!({ "refused": true, "unknown": 5, "after": ["on\n", 0] }));
    let grown = stage.ground.peak()? - before;
    assert!(grown < 64 << 20, "{grown} bytes more");
    Ok(())
}

#[test]
fn rx_03_ssh_a_length_that_lies_ends_the_connection() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.plays("lengths_that_lie")?, json!(["closed", "closed", "closed"]));
    assert_eq!(stage.lines()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn sh_06_a_handle_is_good_on_its_own_channel_alone() -> Result<()> {
    let stage = Stage::new()?;
    let mut expected = vec!["content"];
    expected.extend(["refused"; 10]);
    expected.push("content");
    assert_eq!(stage.plays("foreign_handle")?, json!(expected));
    Ok(())
}
