//! What callers see of values that are not for them, and that the tape holds just that.

use anyhow::{Context, Result};
use ledger::tape::{Kind, Lane, Track};
use testkit::canary::{Canary, leak};
use testkit::ssh::terminal::Terminal;

use crate::ground::{CLEARED, ENGINEER, Ground};
use crate::support::{LIMIT, tape};
use testkit::wait::eventually_blocking;

/// What all tapes hold of one lane.
fn taped(ground: &Ground, lane: Lane) -> Result<Vec<u8>> {
    eventually_blocking(LIMIT, "the ends of the sessions", || Ok(ground.sessions()?.is_empty().then_some(())))?;
    let mut all = Vec::new();
    for path in ground.tapes()? {
        for record in tape::records(&path)?.0 {
            if matches!(record.kind, Kind::FromClientOn | Kind::ToClientOn) {
                let (track, content) = Track::split(&record.content).context("a record without a track")?;
                if track.lane == lane {
                    all.extend_from_slice(content);
                }
            }
        }
    }
    Ok(all)
}

#[track_caller]
fn is_masked(shown: &str, canary: &Canary) {
    assert!(leak(shown.as_bytes(), &canary.card).is_none(), "{shown:?}");
    assert!(shown.contains(&format!("*{}", &canary.card[12..])) || shown.contains("****"), "{shown:?}");
}

/// A line that writes a text in pieces of so many bytes, each by a write of its own.
fn in_pieces(text: &str, size: usize) -> String {
    let pieces = text.as_bytes().chunks(size).map(|piece| format!("printf %s '{}'", String::from_utf8_lossy(piece)));
    pieces.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_card_number_is_masked_however_it_is_cut_and_the_tape_has_what_was_seen() -> Result<()> {
    let (ground, canary) = (Ground::new()?, Canary::random()?);
    let client = ground.client(ENGINEER)?;
    let script = ground.sshd.home().join("script");
    let mut seen = Vec::new();
    for size in [1, 3, 4, 5, 7, 16] {
        std::fs::write(&script, in_pieces(&format!("card {} of", canary.card), size))?;
        let output = client.exec_with(&[], "sh ./script", b"")?;
        is_masked(&String::from_utf8_lossy(&output.stdout), &canary);
        seen.extend(output.stdout);
        std::fs::write(&script, format!("exec >&2; {}", in_pieces(&canary.card, size)))?;
        let output = client.exec_with(&[], "sh ./script", b"")?;
        is_masked(&String::from_utf8_lossy(&output.stderr), &canary);
    }
    // Both outputs of a session are told apart, and sessions are in no order.
    let (mut taped, mut seen) = (taped(&ground, Lane::Output)?, seen);
    taped.sort_unstable();
    seen.sort_unstable();
    assert_eq!(String::from_utf8_lossy(&taped), String::from_utf8_lossy(&seen));
    let cleared = ground.client(CLEARED)?;
    std::fs::write(&script, in_pieces(&canary.card, 5))?;
    assert_eq!(cleared.exec("sh ./script")?.success()?, canary.card);
    Ok(())
}

#[test]
fn a_card_number_with_colours_in_it_is_masked_on_a_terminal() -> Result<()> {
    let (ground, canary) = (Ground::new()?, Canary::random()?);
    let client = ground.client(ENGINEER)?;
    let (one, other) = canary.card.split_at(9);
    std::fs::write(ground.sshd.home().join("script"), format!("printf '{one}\\033[31m{other}\\033[0m\\n'; stty size"))?;
    let mut command = client.command("ssh");
    command.args(["-tt", "target", "sh ./script"]);
    let ended = Terminal::start(&command, 80, 24)?.wait()?;
    assert!(ended.shown.contains("24 80"), "{ended:?}");
    let visible = ended.shown.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
    is_masked(&visible, &canary);
    let taped = String::from_utf8_lossy(&taped(&ground, Lane::Output)?).into_owned();
    assert!(ended.shown.contains(&taped) || taped.contains(ended.shown.trim_end()), "{taped:?} {:?}", ended.shown);
    is_masked(&taped.replace("\u{1b}[31m", "").replace("\u{1b}[0m", ""), &canary);
    Ok(())
}

#[test]
fn a_card_number_in_a_file_is_masked_when_it_is_read() -> Result<()> {
    let (ground, canary) = (Ground::new()?, Canary::random()?);
    // Over the end of a block that sftp asks for.
    let text = format!("{}{}\n{}", "line of text\n".repeat(2520), canary.card, "more\n".repeat(100));
    std::fs::write(ground.sshd.home().join("cards.txt"), &text)?;
    let fetched = ground.folder.path().join("fetched");
    let batch = format!("get cards.txt {}\n", fetched.display());
    ground.client(ENGINEER)?.sftp(&batch)?.success()?;
    let masked = std::fs::read_to_string(&fetched)?;
    assert_eq!(masked.len(), text.len());
    is_masked(&masked, &canary);
    let size = ["-B", "1000"];
    let client = ground.client(ENGINEER)?;
    let mut command = client.command("sftp");
    command.args(["-o", "BatchMode=no"]).args(size).args(["-b", "-", "target"]);
    testkit::command::run(command, batch.as_bytes())?.success()?;
    assert_eq!(std::fs::read_to_string(&fetched)?, masked);
    ground.client(CLEARED)?.sftp(&batch)?.success()?;
    assert_eq!(std::fs::read_to_string(&fetched)?, text);
    Ok(())
}

#[test]
fn the_tape_has_every_lane() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let output = client.exec_with(&[], "cat; echo oops >&2; exit 3", b"given\n")?;
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"given\n"[..], &b"oops\n"[..]));
    let text = |lane| Ok::<_, anyhow::Error>(String::from_utf8_lossy(&taped(&ground, lane)?).into_owned());
    assert_eq!(
        (text(Lane::Input)?, text(Lane::Output)?, text(Lane::Error)?),
        ("given\n".into(), "given\n".into(), "oops\n".into())
    );
    assert!(text(Lane::Requests)?.contains("cat; echo oops >&2; exit 3"), "{}", text(Lane::Requests)?);
    assert!(text(Lane::End)?.contains("\"exit_status\":3"), "{}", text(Lane::End)?);
    Ok(())
}
