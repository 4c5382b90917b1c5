//! What runs only while somebody observes it.

use std::process::Stdio;

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use testkit::command::run;
use testkit::ssh::terminal::Terminal;
use testkit::wait::eventually_blocking;

use crate::ground::{Ground, Tuning};
use crate::support::{LIMIT, record};

const APPRENTICE: &[&str] = &["engineers", "apprentices"];

const GUIDE: &[&str] = &["guides"];

const POLICIES: &str = r#"
@id("apprentices-are-observed")
@require_observer("guides")
forbid (
  principal in Group::"apprentices",
  action in [Action::"ssh:shell", Action::"ssh:exec"],
  resource
) unless { context has observers && context.observers.contains("guides") };

@id("guides-watch")
permit (
  principal in Group::"guides",
  action in [Action::"admin:read", Action::"admin:replay"],
  resource == Control::"sluice"
);
"#;

fn ground(hold_max: &str) -> Result<Ground> {
    let sluice_toml = format!("\n[approvals]\nhold_max = \"{hold_max}\"\n");
    Ground::tuned(Tuning { policies: POLICIES.to_owned(), sluice_toml, ..Tuning::default() })
}

/// The session that lives.
fn session(ground: &Ground) -> Result<String> {
    eventually_blocking(LIMIT, "a session", || Ok(ground.sessions()?.pop().map(|id| id.to_string())))
}

/// Somebody who moderates it.
fn moderate(ground: &Ground, subject: &str, groups: &[&str], session: &str) -> Result<Terminal> {
    let command = ground.command_as(subject, groups, &["sessions", "watch", session, "--moderate"])?;
    let mut watching = Terminal::start(&command, 80, 24)?;
    watching.wait_for("You observe this session")?;
    Ok(watching)
}

/// Waits until the journal says that somebody began or ended to moderate.
fn noted(ground: &Ground, who: &str, wanted: &str) -> Result<()> {
    record::wait_for(
        &ground.site,
        wanted,
        |event| matches!(event, Event::AdminAction { subject, action, .. } if *subject.id == *who && &**action == wanted),
    )?;
    Ok(())
}

#[test]
fn a_shell_goes_on_only_while_somebody_observes_it() -> Result<()> {
    let ground = ground("2m")?;
    let home = ground.sshd.home();
    let client = ground.client(APPRENTICE)?;
    let mut terminal = client.shell(80, 24)?;
    let told = terminal.wait_for("--moderate")?;
    let session = session(&ground)?;
    let advice = format!("waiting for an observer of guides, who runs: sluice sessions watch {session} --moderate");
    assert!(told.replace("\r\n", "").contains(&advice), "{told:?}");
    let list = ground.sluice_as("ada", &["sluice-admin"], &["sessions", "list", "--json"])?.success()?;
    let list: Value = serde_json::from_str(&list)?;
    assert_eq!(list[0]["awaits_observer"], json!(["guides"]));

    // Whoever watches without a word, or is in no group that counts, is no observer.
    let ada = moderate(&ground, "ada", &["sluice-admin"], &session)?;
    noted(&ground, "ada", "session.moderate")?;
    assert_eq!(ground.sshd.executed()?, []);

    let mut guide = moderate(&ground, "gwen", GUIDE, &session)?;
    terminal.send("stty -echo; echo rea''dy\n")?;
    terminal.wait_for("ready\r\n")?;
    guide.wait_for("ready")?;
    drop(guide);
    terminal.wait_for("paused: it waits for an observer of guides")?;
    noted(&ground, "gwen", "session.moderate.end")?;
    // What is typed meanwhile waits too.
    terminal.send("touch marker; echo ma''de\n")?;
    let list = ground.sluice_as("ada", &["sluice-admin"], &["sessions", "list"])?.success()?;
    assert!(list.contains("guides"), "{list}");
    assert!(!home.join("marker").exists());

    let mut guide = moderate(&ground, "gwen", GUIDE, &session)?;
    terminal.wait_for("made\r\n")?;
    // Where both came together, ssh writes what is no error first.
    let told = || Ok(terminal.shown().contains("sluice: it goes on.").then_some(()));
    eventually_blocking(LIMIT, "the word that it goes on", told)?;
    assert!(home.join("marker").exists());
    guide.wait_for("made")?;
    terminal.send("exit 3\n")?;
    assert_eq!(terminal.wait()?.status.code(), Some(3));
    assert_eq!(ground.sshd.executed()?.len(), 1);
    drop((ada, guide));
    Ok(())
}

/// A command that would go on by itself is shown to nobody while nobody observes, and is ended when that lasts.
#[test]
fn a_command_that_nobody_observes_for_long_is_ended() -> Result<()> {
    let ground = ground("1s")?;
    let client = ground.client(APPRENTICE)?;
    let shared = client.share(&[])?;
    let session = session(&ground)?;
    let refused = client.exec("echo in")?;
    assert_eq!(refused.status.code(), Some(126), "{refused:?}");
    let why = "it runs only while somebody of guides observes it (policy apprentices-are-observed)";
    assert!(refused.stderr.contains(why), "{refused:?}");
    assert_eq!(ground.sshd.executed()?, []);

    let guide = moderate(&ground, "gwen", GUIDE, &session)?;
    assert_eq!(client.exec("echo in")?.success()?, "in\n");
    let mut command = client.command("ssh");
    command.args(["target", "echo begun; cat; echo over > over"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut first = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().context("no output")?, &mut first)?;
    assert_eq!(&first, b"begun\n");
    drop(guide);
    let input = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(input);
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("sluice: nobody of guides observes this. Request "), "{told}");
    shared.stop()?;
    Ok(())
}

#[test]
fn nobody_observes_their_own_session() -> Result<()> {
    let ground = ground("2m")?;
    let both: Vec<&str> = APPRENTICE.iter().chain(GUIDE).copied().collect();
    let client = ground.client(&both)?;
    let mut terminal = client.shell(80, 24)?;
    terminal.wait_for("waiting for an observer")?;
    let session = session(&ground)?;
    let refused = run(ground.command_as("erin", &both, &["sessions", "watch", &session, "--moderate"])?, b"")?;
    assert!(
        !refused.status.success() && refused.stderr.contains("nobody moderates a session of their own"),
        "{refused:?}"
    );
    // To watch it is another thing.
    let mut watching = Terminal::start(&ground.command_as("erin", &both, &["sessions", "watch", &session])?, 80, 24)?;
    watching.wait_for("waiting for an observer")?;
    assert_eq!(ground.sshd.executed()?, []);
    Ok(())
}

/// The right to watch is looked at again while it is used: whoever loses it observes no more.
#[test]
fn an_observer_that_is_believed_no_more_is_gone() -> Result<()> {
    let ground = ground("2m")?;
    let client = ground.client(APPRENTICE)?;
    let mut terminal = client.shell(80, 24)?;
    terminal.wait_for("waiting for an observer")?;
    let session = session(&ground)?;
    let guide = moderate(&ground, "gwen", GUIDE, &session)?;
    terminal.send("stty -echo; echo rea''dy\n")?;
    terminal.wait_for("ready\r\n")?;
    let revoke = ["subjects", "revoke", "demo|gwen", "--reason", "she left"];
    ground.sluice_as("ada", &["sluice-admin"], &revoke)?.success()?;
    terminal.wait_for("paused: it waits for an observer of guides")?;
    assert!(!guide.wait()?.status.success());
    Ok(())
}
