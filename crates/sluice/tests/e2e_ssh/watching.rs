//! What is recorded, and seen: live, replayed, and exported.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::Value;
use testkit::ssh::terminal::Terminal;

use crate::ground::{ENGINEER, Ground};
use crate::support::record;

/// How soon it has to be seen, or over.
const SOON: Duration = Duration::from_secs(1);

const ADMIN: &[&str] = &["sluice-admin"];

/// `sluice`, for an administrator.
fn sluice(ground: &Ground, arguments: &[&str]) -> Result<Command> {
    ground.command_as("ada", ADMIN, arguments)
}

fn is_act(event: &Event, wanted: &str, session: &str) -> bool {
    matches!(event, Event::AdminAction { action, object, .. } if &**action == wanted && &**object == session)
}

#[test]
fn a_terminal_is_watched_within_a_second_and_killed_within_one() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let mut terminal = client.shell(97, 31)?;
    terminal.send("stty -echo; echo rea''dy\n")?;
    terminal.wait_for("ready\r\n")?;
    let session = ground.sessions()?.pop().context("no session")?.to_string();
    let mut watching = Terminal::start(&sluice(&ground, &["sessions", "watch", &session])?, 97, 31)?;
    watching.wait_for("a terminal of 97 columns and 31 lines")?;
    // What passed before is seen as well: the screen is as the caller has it.
    watching.wait_for("ready")?;
    terminal.send("printf '\\033]52;c;ZQ==\\007\\033[31mred\\033[0m se''en\\n'\n")?;
    terminal.wait_for("seen\r\n")?;
    let began = Instant::now();
    let shown = watching.wait_for("seen")?;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // RC-13: colours are drawn, and the clipboard is left alone.
    assert!(shown.contains("\u{1b}[31mred\u{1b}[0m seen") && !shown.contains("]52;"), "{shown:?}");
    let began = Instant::now();
    ground.sluice_as("ada", ADMIN, &["sessions", "kill", &session])?.success()?;
    terminal.wait()?;
    assert!(began.elapsed() < 2 * SOON, "{:?}", began.elapsed());
    let ended = watching.wait()?;
    assert!(ended.status.success() && ended.shown.contains("end of the session"), "{ended:?}");
    record::wait_for(&ground.site, "who watched", |event| is_act(event, "session.watch", &session))?;
    Ok(())
}

#[test]
fn what_passed_is_replayed_and_exported() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let mut terminal = client.shell(97, 31)?;
    terminal.send("stty -echo; echo rea''dy\n")?;
    terminal.wait_for("ready\r\n")?;
    let session = ground.sessions()?.pop().context("no session")?.to_string();
    terminal.resize(101, 41)?;
    terminal.send(
        "until [ \"$(stty size)\" = '41 101' ]; do :; done; printf '\\033[31mgr\\303\\266\\303\\237e\\033[0m\\n'\n",
    )?;
    terminal.wait_for("größe")?;
    terminal.send("exit 5\n")?;
    terminal.wait()?;
    let closed = |event: &Event| matches!(event, Event::SessionClosed { session: it, .. } if it.to_string() == session);
    record::wait_for(&ground.site, "the end of the session", closed)?;
    let run = |arguments: &[&str]| -> Result<String> { ground.sluice_as("ada", ADMIN, arguments)?.success() };

    let words = run(&["sessions", "replay", &session])?;
    for wanted in
        ["  | pty xterm", "  | shell", "97 columns, 31 lines", "101 columns, 41 lines", "größe", "exit status 5"]
    {
        assert!(words.contains(wanted), "{wanted}: {words}");
    }
    assert!(!words.contains('\u{1b}'), "{words:?}");
    let mut played = Terminal::start(&sluice(&ground, &["sessions", "replay", &session, "--speed", "100"])?, 97, 31)?;
    played.wait_for("\u{1b}[31mgröße\u{1b}[0m")?;
    assert!(played.wait()?.status.success());

    let cast = run(&["sessions", "export", &session, "--format", "asciicast"])?;
    let lines: Vec<Value> = cast.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let header = &lines[0];
    assert_eq!((&header["version"], &header["width"], &header["height"]), (&2.into(), &97.into(), &31.into()));
    assert_eq!(header["env"]["TERM"], "xterm");
    assert!(lines[1..].iter().any(|line| line[1] == "r" && line[2] == "101x41"), "{cast}");
    let shown: String = lines[1..].iter().filter(|line| line[1] == "o").filter_map(|line| line[2].as_str()).collect();
    assert!(shown.contains("größe") && !lines[1..].iter().any(|line| line[1] == "i"), "{cast}");
    let page = run(&["sessions", "export", &session, "--format", "html"])?;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("größe"), "{page}");
    record::wait_for(&ground.site, "who looked", |event| is_act(event, "session.replay", &session))?;
    Ok(())
}
