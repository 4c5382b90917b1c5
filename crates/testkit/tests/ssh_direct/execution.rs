//! `exec` and shells: status, signals, streams, terminals.

use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use testkit::ssh::Client;
use testkit::ssh::terminal::Terminal;
use testkit::sshd::{Options, Request};

use crate::support::{ground, ground_with, mebibyte};

#[test]
fn a_line_has_its_status_and_both_outputs_and_is_logged_byte_for_byte() -> Result<()> {
    let ground = ground()?;
    let line = std::ffi::OsStr::from_bytes(b"printf 'out\\n'; printf 'err\\n' >&2; # \xff\n\texit 3; \xc3");
    let output = ground.client.exec(line)?;
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(3), "out\n", "err\n"));
    assert_eq!(ground.client.exec("exit 7")?.status.code(), Some(7));
    assert_eq!(ground.requests()?, [Request::exec(line.as_bytes()), Request::exec("exit 7")]);
    let executed = ground.sshd.executed()?;
    assert!(executed.iter().all(|executed| executed.login == "root" && !executed.has_terminal));
    assert_ne!(executed[0].client_port, executed[1].client_port);
    Ok(())
}

#[test]
fn a_signal_that_ends_it_is_told() -> Result<()> {
    let ground = ground()?;
    let output = ground.client.ssh(&["-v", "target", "kill -TERM $$"], b"")?;
    assert_eq!(output.status.code(), Some(255));
    assert!(output.stderr.contains("client_input_channel_req: channel 0 rtype exit-signal"), "{}", output.stderr);
    Ok(())
}

#[test]
fn a_mebibyte_goes_in_and_comes_out_on_either_stream() -> Result<()> {
    let ground = ground()?;
    let sent = mebibyte();
    let output = ground.client.exec_with(&[], "cat", &sent)?;
    assert!(output.status.success() && output.stdout == sent && output.stderr.is_empty());
    let output = ground.client.exec_with(&[], "cat >&2", &sent)?;
    assert!(output.status.success() && output.stderr == sent && output.stdout.is_empty());
    Ok(())
}

#[test]
fn what_ends_early_and_what_reads_to_the_end_both_end() -> Result<()> {
    let ground = ground()?;
    // The input is not read: the client has to end without having sent it.
    let output = ground.client.exec_with(&[], "exit 4", &mebibyte())?;
    assert_eq!(output.status.code(), Some(4));
    // The end of the input, and nothing else, ends it.
    let output = ground.client.exec_with(&[], "cat >/dev/null; echo over", b"x")?;
    assert_eq!(output.stdout, b"over\n");
    Ok(())
}

#[test]
fn only_the_variables_that_it_takes_arrive() -> Result<()> {
    let settings = vec![("AcceptEnv".to_owned(), "PROBE_TAKEN".to_owned())];
    let ground = ground_with(Options { settings, ..Options::default() })?;
    let sent = [("SetEnv", "PROBE_TAKEN=yes PROBE_OTHER=yes")];
    let client = Client::with_settings(&ground.endpoint, &sent)?;
    let output = client.exec("echo ${PROBE_TAKEN-unset} ${PROBE_OTHER-unset} $SHELL")?.success()?;
    assert_eq!(output, "yes unset /bin/sh\n");
    assert_eq!(ground.sshd.channel_requests().get("env"), Some(&2));
    Ok(())
}

#[test]
fn a_shell_at_a_terminal_has_its_size_and_follows_it() -> Result<()> {
    let ground = ground()?;
    let mut terminal = ground.client.shell(97, 31)?;
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
    let requests = ground.sshd.channel_requests();
    assert_eq!((requests.get("pty-req"), requests.get("shell")), (Some(&1), Some(&1)));
    assert!(requests.get("window-change").is_some_and(|count| *count >= 1));
    Ok(())
}

#[test]
fn a_line_can_have_a_terminal_and_a_shell_none() -> Result<()> {
    let ground = ground()?;
    let mut command = ground.client.command("ssh");
    command.args(["-tt", "target", "test -t 1 && stty size; exit 6"]);
    let ended = Terminal::start(&command, 80, 24)?.wait()?;
    assert!(ended.status.code() == Some(6) && ended.shown.contains("24 80\r\n"), "{ended:?}");
    let output = ground.client.ssh(&["-T", "target"], b"test -t 0 || echo none\nexit 2\n")?;
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), "none\n"));
    let executed = ground.sshd.executed()?;
    assert_eq!(executed.iter().map(|executed| executed.has_terminal).collect::<Vec<_>>(), [true, false]);
    Ok(())
}
