//! What shares a connection, or goes on from it: forwarding, ControlMaster, jumps.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use testkit::ssh::programs::Echo;
use testkit::sshd::{Forwarding, Options};
use testkit::wait::eventually_blocking;

use crate::support::{ground, ground_with, mebibyte};

const LIMIT: Duration = Duration::from_secs(60);

/// What comes back of a mebibyte that is sent to a server that echoes.
fn back_of_a_mebibyte(mut to: impl Write + Send, mut from: impl Read, close: impl FnOnce() + Send) -> Result<Vec<u8>> {
    let sent = mebibyte();
    thread::scope(|scope| {
        scope.spawn(move || {
            to.write_all(&sent).expect("it takes all");
            close();
        });
        let mut back = Vec::new();
        from.read_to_end(&mut back)?;
        Ok(back)
    })
}

fn through_unix(path: &Path) -> Result<Vec<u8>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    back_of_a_mebibyte(&stream, &stream, || stream.shutdown(Shutdown::Write).expect("it is open"))
}

fn through_tcp(port: u16) -> Result<Vec<u8>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    back_of_a_mebibyte(&stream, &stream, || stream.shutdown(Shutdown::Write).expect("it is open"))
}

#[test]
fn connections_from_here_go_on_from_there() -> Result<()> {
    let (ground, echo) = (ground()?, Echo::start()?);
    let (tcp, unix, there) =
        (ground.folder.path().join("tcp"), ground.folder.path().join("unix"), ground.sshd.home().join("socket"));
    let listener = UnixListener::bind(&there)?;
    thread::spawn(move || {
        let (connection, _) = listener.accept().expect("somebody connects");
        std::io::copy(&mut &connection, &mut &connection).expect("it goes back");
        connection.shutdown(Shutdown::Write).expect("it is open");
    });
    let to_tcp = format!("{}:127.0.0.1:{}", tcp.display(), echo.port());
    let to_unix = format!("{}:{}", unix.display(), there.display());
    let shared = ground.client.share(&["-L", &to_tcp, "-L", &to_unix])?;
    assert!(through_unix(&tcp)? == mebibyte());
    assert!(through_unix(&unix)? == mebibyte());
    let forwardings = [
        Forwarding::DirectTcpip("127.0.0.1".to_owned(), echo.port()),
        Forwarding::DirectStreamlocal(there.display().to_string()),
    ];
    assert_eq!(ground.sshd.forwardings(), forwardings);
    shared.stop()?;
    // The same without a listener here: what goes in is the connection.
    let target = format!("127.0.0.1:{}", echo.port());
    let mut command = ground.client.command("ssh");
    command.args(["-W", &target, "target"]);
    assert!(testkit::command::run_raw(command, &mebibyte())?.stdout == mebibyte());
    Ok(())
}

#[test]
fn connections_from_there_go_on_from_here() -> Result<()> {
    let (ground, echo) = (ground()?, Echo::start()?);
    let shared = ground.client.share(&[])?;
    let tcp = format!("0:127.0.0.1:{}", echo.port());
    let port: u16 = ground.client.ssh(&["-O", "forward", "-R", &tcp, "target"], b"")?.success()?.trim().parse()?;
    assert!(through_tcp(port)? == mebibyte());
    let there = ground.sshd.home().join("socket");
    let unix = format!("{}:127.0.0.1:{}", there.display(), echo.port());
    ground.client.ssh(&["-O", "forward", "-R", &unix, "target"], b"")?.success()?;
    assert!(through_unix(&there)? == mebibyte());
    let forwardings = [
        Forwarding::TcpipForward("localhost".to_owned(), 0),
        Forwarding::StreamlocalForward(there.display().to_string()),
    ];
    assert_eq!(ground.sshd.forwardings(), forwardings);
    shared.stop()?;
    Ok(())
}

#[test]
fn forwarding_that_is_not_allowed_is_refused_and_known() -> Result<()> {
    let settings = ["AllowTcpForwarding", "AllowStreamLocalForwarding"].map(|name| (name.to_owned(), "no".to_owned()));
    let ground = ground_with(Options { settings: settings.into(), ..Options::default() })?;
    let output = ground.client.ssh(&["-W", "127.0.0.1:1", "target"], b"")?;
    assert!(output.stderr.contains("administratively prohibited"), "{}", output.stderr);
    let remote = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "target", "true"];
    let output = ground.client.ssh(&remote, b"")?;
    assert!(output.stderr.contains("remote port forwarding failed"), "{}", output.stderr);
    assert_eq!(ground.sshd.forwardings().len(), 2);
    assert_eq!(ground.sshd.executed()?, []);
    Ok(())
}

#[test]
fn sixty_four_channels_share_one_connection_at_the_same_time() -> Result<()> {
    let ground = ground()?;
    let shared = ground.client.share(&[])?;
    let (gate, here) = (ground.folder.path().join("gate"), ground.folder.path().join("here"));
    std::fs::create_dir(&here)?;
    // None goes on before all are there.
    let closed = File::create(&gate)?;
    closed.lock()?;
    let (at, there) = (gate.display(), here.display());
    let line = |number: usize| format!("cat; : >{there}/{number}; flock -s {at} true; echo {number}; exit {number}");
    let outputs = thread::scope(|scope| {
        let run = |number: usize| ground.client.exec_with(&[], line(number), b"in ");
        let started: Vec<_> = (0..64).map(|number| scope.spawn(move || run(number))).collect();
        let all_are_here = || Ok((std::fs::read_dir(&here)?.count() == 64).then_some(()));
        let waited = eventually_blocking(LIMIT, "64 channels", all_are_here);
        closed.unlock()?;
        let outputs = started.into_iter().map(|one| one.join().expect("it does not panic"));
        waited.and_then(|()| outputs.collect::<Result<Vec<_>>>())
    })?;
    for (number, output) in outputs.iter().enumerate() {
        assert_eq!(output.status.code(), i32::try_from(number).ok());
        assert_eq!(output.stdout, format!("in {number}\n").as_bytes());
    }
    let executed = ground.sshd.executed()?;
    assert_eq!(executed.len(), 64);
    assert!(executed.iter().all(|one| one.client_port == executed[0].client_port));
    assert_eq!(ground.sshd.accepted().len(), 1);
    shared.stop()?;
    Ok(())
}

#[test]
fn a_jump_leads_through_the_server_to_the_server() -> Result<()> {
    let ground = ground()?;
    let output = ground.client.ssh(&["-J", "target", "target-2", "echo $USER; exit 9"], b"")?;
    assert_eq!((output.status.code(), &*output.stdout), (Some(9), "root\n"), "{output:?}");
    let own = Forwarding::DirectTcpip("127.0.0.1".to_owned(), ground.sshd.port());
    assert_eq!(ground.sshd.forwardings(), [own]);
    assert_eq!(ground.sshd.accepted().len(), 2);
    Ok(())
}
