//! What policy denies, and what a human has to agree to.

use std::process::{Child, Stdio};

use anyhow::{Context, Result};
use model::decision::Outcome;
use model::event::Event;
use testkit::command::Output;
use testkit::ssh::Client;
use testkit::sshd::Request;

use crate::ground::{ENGINEER, Ground, Tuning};
use crate::support::record;

/// The line on standard error by which Sluice says something of its own.
#[track_caller]
fn told(output: &Output) -> &str {
    output.stderr.lines().find(|line| line.starts_with("sluice: ")).unwrap_or_else(|| panic!("{output:?}"))
}

/// A request that is named at the end of a line.
fn request(line: &str) -> Option<&str> {
    line.rsplit_once("Request ")?.1.strip_suffix('.')
}

#[test]
fn a_line_that_is_denied_is_not_run_and_the_connection_lives_on() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let shared = client.share(&[])?;
    for line in ["halt", "true && /sbin/halt -p", "sudo halt", "sh -c 'halt'"] {
        let output = client.exec(line)?;
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        let told = told(&output);
        assert!(told.contains("hosts are not halted from here (policy nobody-halts)"), "{told}");
        let named = request(told).context("no request")?.to_owned();
        record::wait_for(
            &ground.site,
            "the denial",
            |event| matches!(event, Event::Decided { request, outcome: Outcome::Deny, .. } if request.to_string() == named),
        )?;
    }
    assert_eq!(client.exec("echo on")?.success()?, "on\n");
    assert_eq!(ground.sshd.executed()?.len(), 1);
    shared.stop()?;
    Ok(())
}

/// An `ssh` that may have to wait.
struct Waits(Child);

impl Waits {
    fn start(client: &Client, options: &[&str], line: &str) -> Result<Self> {
        let mut command = client.command("ssh");
        command.args(options).args(["target", line]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    fn end(self) -> Result<Output> {
        let output = self.0.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
    }
}

#[test]
fn a_risky_line_waits_for_an_approver_and_runs_once() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let victim = ground.sshd.home().join("victim");
    std::fs::create_dir(&victim)?;
    let waits = Waits::start(&client, &[], "rm -rf victim && echo gone")?;
    let approval = ground.pending()?;
    assert!(victim.exists());
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    let output = waits.end()?;
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), "gone\n"), "{output:?}");
    assert!(told(&output).contains(&format!("waiting for approval {approval} by ops")), "{output:?}");
    assert!(!victim.exists());
    // It was for once, and for that line alone.
    for line in ["rm -rf victim && echo gone", "rm -rf victims"] {
        let waits = Waits::start(&client, &[], line)?;
        let approval = ground.pending()?;
        ground.sluice_as("olga", &["ops"], &["approvals", "deny", &approval])?.success()?;
        let output = waits.end()?;
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        assert!(output.stderr.contains(&format!("approval {approval} was denied")), "{output:?}");
    }
    assert_eq!(ground.sshd.executed()?.len(), 1);
    Ok(())
}

#[test]
fn nobody_answers_their_own_question() -> Result<()> {
    let ground = Ground::new()?;
    let both = &["engineers", "ops"];
    let client = ground.client(both)?;
    let waits = Waits::start(&client, &[], "rm -rf victim")?;
    let approval = ground.pending()?;
    assert!(!ground.sluice_as("erin", both, &["approvals", "approve", &approval])?.status.success());
    ground.sluice_as("olga", &["ops"], &["approvals", "deny", &approval])?.success()?;
    assert_eq!(waits.end()?.status.code(), Some(126));
    Ok(())
}

#[test]
fn a_ticket_is_for_the_same_line_later() -> Result<()> {
    let sluice_toml = "\n[approvals]\nhold_max = \"0s\"\n".to_owned();
    let ground = Ground::tuned(Tuning { sluice_toml, ..Tuning::default() })?;
    let client = ground.client(ENGINEER)?;
    let output = client.exec("rm -rf victim; echo gone")?;
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    let approval = ground.pending()?;
    assert!(told(&output).contains(&format!("approval {approval} was asked for, of ops")), "{output:?}");
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    // Another line is another question, and so is another environment.
    assert_eq!(client.exec("rm -rf victim;  echo gone")?.status.code(), Some(126));
    let other = ground.client_with(ENGINEER, &[("SetEnv", "LANG=C")])?;
    assert_eq!(other.exec("rm -rf victim; echo gone")?.status.code(), Some(126));
    assert_eq!(client.exec("rm -rf victim; echo gone")?.success()?, "gone\n");
    assert_eq!(client.exec("rm -rf victim; echo gone")?.status.code(), Some(126));
    assert_eq!(ground.sshd.executed()?.len(), 1);
    Ok(())
}

#[test]
fn a_caller_that_goes_away_takes_its_question_back() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let mut waits = Waits::start(&client, &[], "rm -rf victim")?;
    let approval = ground.pending()?;
    waits.0.kill()?;
    waits.0.wait()?;
    let token = ground.token("olga", &["ops"])?;
    crate::support::admin::wait_for_status(&ground.site, &token, &approval, "withdrawn")?;
    assert_eq!(ground.sshd.executed()?, []);
    Ok(())
}

#[test]
fn a_shell_can_need_an_approval() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(&["engineers", "juniors"])?;
    let mut terminal = client.shell(80, 24)?;
    terminal.wait_for("sluice: waiting for approval ")?;
    let approval = ground.pending()?;
    assert_eq!(ground.sshd.executed()?, []);
    // What is typed meanwhile is for the shell.
    terminal.send("echo on$((40+2))\n")?;
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    terminal.wait_for("on42")?;
    terminal.send("exit 3\n")?;
    assert_eq!(terminal.wait()?.status.code(), Some(3));
    assert_eq!(ground.sshd.executed()?.len(), 1);
    // Lines need none.
    assert_eq!(client.exec("echo in")?.success()?, "in\n");
    Ok(())
}

#[test]
fn sh_01_a_second_channel_is_a_new_decision() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(&["engineers", "juniors"])?;
    let shared = client.share(&[])?;
    let waits = Waits::start(&client, &[], "rm -rf victim")?;
    let approval = ground.pending()?;
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    assert_eq!(waits.end()?.status.code(), Some(0));
    // On the connection where that was approved.
    let again = Waits::start(&client, &[], "rm -rf victim")?;
    let approval = ground.pending()?;
    ground.sluice_as("olga", &["ops"], &["approvals", "deny", &approval])?.success()?;
    assert_eq!(again.end()?.status.code(), Some(126));
    let mut terminal = client.shell(80, 24)?;
    terminal.wait_for("sluice: waiting for approval ")?;
    drop(terminal);
    assert_eq!(client.exec("halt")?.status.code(), Some(126));
    assert_eq!(ground.sshd.executed()?.len(), 1);
    shared.stop()?;
    Ok(())
}

const ONLY_FILES: &str = r#"
@id("movers-connect")
permit (principal in Group::"movers", action == Action::"connect", resource in Target::"web1");
@id("movers-move")
permit (principal in Group::"movers", action in [Action::"read", Action::"write"], resource in Target::"web1");
"#;

#[test]
fn sh_02_what_moves_files_by_a_line_needs_what_lines_need() -> Result<()> {
    let ground = Ground::tuned(Tuning { policies: ONLY_FILES.to_owned(), ..Tuning::default() })?;
    let client = ground.client(&["movers"])?;
    let file = ground.folder.path().join("file");
    std::fs::write(&file, "content\n")?;
    let file = file.to_str().context("it is not UTF-8")?;
    client.scp(&["-s", file, "target:by-sftp"])?.success()?;
    assert_eq!(std::fs::read_to_string(ground.sshd.home().join("by-sftp"))?, "content\n");
    for refused in [client.scp(&["-O", file, "target:by-scp"])?, client.rsync(&[file, "target:by-rsync"])?] {
        assert!(!refused.status.success() && refused.stderr.contains("sluice: "), "{refused:?}");
    }
    assert_eq!(client.exec("echo in")?.status.code(), Some(126));
    assert_eq!(client.ssh(&["-T", "target"], b"echo in\n")?.status.code(), Some(126));
    assert_eq!(client.ssh(&["-s", "target", "netconf"], b"")?.status.code(), Some(126));
    let requests: Vec<_> = ground.sshd.executed()?.into_iter().map(|one| one.request).collect();
    assert_eq!(requests, [Request::Subsystem("sftp".to_owned())]);
    Ok(())
}

#[test]
fn sh_06_every_way_to_a_file_is_decided_on_where_it_leads() -> Result<()> {
    let ground = Ground::new()?;
    let (client, home) = (ground.client(ENGINEER)?, ground.sshd.home());
    for name in ["open", "a.sealed"] {
        std::fs::write(home.join(name), name)?;
    }
    std::os::unix::fs::symlink("a.sealed", home.join("way-round"))?;
    let at = ground.folder.path().display();
    let batch = format!(
        "-get a.sealed {at}/one\n-get way-round {at}/two\n-get ./x/../a.sealed {at}/three\n-rm a.sealed\n\
         -rename a.sealed b\n-rename open c.sealed\n-ln a.sealed hard\n-ln -s a.sealed soft\n-chmod 777 a.sealed\n\
         -put {at}/four a.sealed\nget open {at}/five\n"
    );
    std::fs::write(ground.folder.path().join("four"), "four")?;
    let output = client.sftp(&batch)?;
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.to_lowercase().matches("permission denied").count() >= 8, "{output:?}");
    for name in ["one", "two", "three"] {
        assert!(!ground.folder.path().join(name).exists(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(ground.folder.path().join("five"))?, "open");
    let mut left: Vec<_> =
        std::fs::read_dir(&home)?.map(|entry| Ok(entry?.file_name().into_string().unwrap())).collect::<Result<_>>()?;
    left.sort();
    assert_eq!(left, ["a.sealed", "open", "way-round"]);
    assert!(!ground.sshd.sftp_operations().iter().any(|line| line.starts_with("open") && line.contains("sealed")));
    Ok(())
}

const LINES: &str = r#"
@id("liners-connect")
permit (principal in Group::"liners", action == Action::"connect", resource in Target::"web1");
@id("liners-run")
permit (principal in Group::"liners", action in [Action::"ssh:exec", Action::"read"], resource in Target::"web1");
"#;

#[test]
fn sh_08_a_line_that_hides_what_it_does_needs_a_permission_of_its_own() -> Result<()> {
    let ground = Ground::tuned(Tuning { policies: LINES.to_owned(), ..Tuning::default() })?;
    let client = ground.client(&["liners"])?;
    let shared = client.share(&[])?;
    std::fs::write(ground.sshd.home().join("script"), "halt\n")?;
    for line in [
        "echo aGFsdAo= | base64 -d | sh",
        "program=halt; $program",
        "$(echo halt)",
        "eval 'ha''lt'",
        "sh script",
        ". ./script",
        "python3 -c 'import os; os.system(\"halt\")'",
        "LD_PRELOAD=./library.so true",
        "alias program=halt; program",
        "ha\\lt",
        "'ha'lt",
        "echo one; if",
    ] {
        let output = client.exec(line)?;
        assert_eq!(output.status.code(), Some(126), "{line}: {output:?}");
    }
    assert_eq!(client.exec("cat script | wc -l")?.success()?.trim(), "1");
    assert_eq!(ground.sshd.executed()?.len(), 1);
    shared.stop()?;
    Ok(())
}
