//! Shells at a terminal: sizes, keys, interrupts.

use anyhow::Result;
use testkit::ssh::terminal::Terminal;
use testkit::sshd::Request;

use crate::ground::{ENGINEER, Ground};

#[test]
fn a_shell_at_a_terminal_has_its_size_and_follows_it() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let mut terminal = client.shell(97, 31)?;
    terminal.send("stty -echo; echo rea''dy\n")?;
    terminal.wait_for("ready\r\n")?;
    terminal.send("echo \"$TERM $(stty size) fi\"\"rst\"\n")?;
    assert!(terminal.wait_for("first\r\n")?.contains("xterm 31 97 first"));
    terminal.resize(101, 41)?;
    // The change and the keys go different ways to ssh, so that the size is looked at until it is there.
    terminal.send("until [ \"$(stty size)\" = '41 101' ]; do :; done; echo sec''ond\n")?;
    terminal.wait_for("second\r\n")?;
    // An interrupt reaches what runs in the foreground, and not the shell.
    terminal.send("sh -c 'trap \"echo interr\"\"upted; exit\" INT; echo wai\"\"ting; while :; do :; done'\n")?;
    terminal.wait_for("waiting\r\n")?;
    terminal.send("\x03")?;
    terminal.wait_for("interrupted\r\n")?;
    terminal.send("exit 5\n")?;
    let ended = terminal.wait()?;
    assert_eq!(ended.status.code(), Some(5), "{}", ended.shown);
    let executed = ground.sshd.executed()?;
    assert!(executed.len() == 1 && executed[0].request == Request::Shell && executed[0].has_terminal);
    Ok(())
}

#[test]
fn a_line_can_have_a_terminal_and_a_shell_none() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let mut command = client.command("ssh");
    command.args(["-tt", "target", "test -t 1 && stty size; exit 6"]);
    let ended = Terminal::start(&command, 80, 24)?.wait()?;
    assert!(ended.status.code() == Some(6) && ended.shown.contains("24 80\r\n"), "{ended:?}");
    let output = client.ssh(&["-T", "target"], b"test -t 0 || echo none\nexit 2\n")?;
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), "none\n"));
    let executed = ground.sshd.executed()?;
    assert_eq!(executed.iter().map(|executed| executed.has_terminal).collect::<Vec<_>>(), [true, false]);
    Ok(())
}
