//! What goes on from a session, and what shares one: forwarding, agents, variables, ControlMaster, jumps.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use anyhow::Result;
use model::event::Event;
use testkit::process::Running;
use testkit::ssh::programs::Echo;
use testkit::ssh::{Client, Credential};
use testkit::sshd::{Forwarding, Options, Sshd};
use testkit::wait::eventually_blocking;

use crate::execution::mebibyte;
use crate::ground::{ENGINEER, FORWARDER, Ground, Tuning};
use crate::support::{LIMIT, record};

/// What comes back of a mebibyte that is sent to a server that echoes.
fn back_of_a_mebibyte(mut to: impl Write + Send, mut from: impl Read, close: impl FnOnce() + Send) -> Result<Vec<u8>> {
    let sent = mebibyte();
    thread::scope(|scope| {
        scope.spawn(move || {
            // What is not taken does not come back.
            let _ = to.write_all(&sent);
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
    back_of_a_mebibyte(&stream, &stream, || drop(stream.shutdown(Shutdown::Write)))
}

fn through_tcp(stream: &TcpStream) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(LIMIT))?;
    back_of_a_mebibyte(stream, stream, || drop(stream.shutdown(Shutdown::Write)))
}

/// Connects by way of a SOCKS server (RFC 1928), which is asked for an address.
fn by_socks(server: u16, port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", server))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&[5, 1, 0])?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen)?;
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low])?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    anyhow::ensure!((chosen, answer[1]) == ([5, 0], 0), "{answer:?}");
    Ok(stream)
}

/// A port that nobody has a moment before.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[test]
fn connections_from_here_go_on_from_there() -> Result<()> {
    let (ground, echo) = (Ground::new()?, Echo::start()?);
    let client = ground.client(FORWARDER)?;
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
    let socks = free_port()?;
    let shared = client.share(&["-L", &to_tcp, "-L", &to_unix, "-D", &format!("127.0.0.1:{socks}")])?;
    assert!(through_unix(&tcp)? == mebibyte());
    assert!(through_unix(&unix)? == mebibyte());
    assert!(through_tcp(&by_socks(socks, echo.port())?)? == mebibyte());
    let own = Forwarding::DirectTcpip("127.0.0.1".to_owned(), echo.port());
    let forwardings = [own.clone(), Forwarding::DirectStreamlocal(there.display().to_string()), own];
    assert_eq!(ground.sshd.forwardings(), forwardings);
    shared.stop()?;
    // The same without a listener here: what goes in is the connection.
    let target = format!("localhost:{}", echo.port());
    let mut command = client.command("ssh");
    command.args(["-W", &target, "target"]);
    assert!(testkit::command::run_raw(command, &mebibyte())?.stdout == mebibyte());
    Ok(())
}

#[test]
fn connections_from_there_go_on_from_here() -> Result<()> {
    let (ground, echo) = (Ground::new()?, Echo::start()?);
    let client = ground.client(FORWARDER)?;
    let shared = client.share(&[])?;
    let tcp = format!("0:127.0.0.1:{}", echo.port());
    let port: u16 = client.ssh(&["-O", "forward", "-R", &tcp, "target"], b"")?.success()?.trim().parse()?;
    for _ in 0..3 {
        assert!(through_tcp(&TcpStream::connect(("127.0.0.1", port))?)? == mebibyte());
    }
    let there = ground.sshd.home().join("socket");
    let unix = format!("{}:127.0.0.1:{}", there.display(), echo.port());
    client.ssh(&["-O", "forward", "-R", &unix, "target"], b"")?.success()?;
    assert!(through_unix(&there)? == mebibyte());
    let forwardings = [
        Forwarding::TcpipForward("localhost".to_owned(), 0),
        Forwarding::StreamlocalForward(there.display().to_string()),
    ];
    assert_eq!(ground.sshd.forwardings(), forwardings);
    let cancelled = format!("{port}:127.0.0.1:{}", echo.port());
    client.ssh(&["-O", "cancel", "-R", &cancelled, "target"], b"")?;
    shared.stop()?;
    // With the session ends what listens.
    eventually_blocking(LIMIT, "the listener to end", || {
        Ok(TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()))
    })?;
    Ok(())
}

#[test]
fn sh_03_what_is_not_permitted_is_not_forwarded() -> Result<()> {
    let (ground, echo) = (Ground::new()?, Echo::start()?);
    let client = ground.client(ENGINEER)?;
    let socket = ground.sshd.home().join("socket").display().to_string();
    for to in ["127.0.0.1", "localhost", "[::1]"] {
        let output = client.ssh(&["-W", &format!("{to}:{}", echo.port()), "target"], b"")?;
        assert!(output.stderr.contains("administratively prohibited"), "{}", output.stderr);
    }
    for remote in ["0:127.0.0.1:1".to_owned(), format!("{socket}:127.0.0.1:1")] {
        let remote = ["-o", "ExitOnForwardFailure=yes", "-R", &remote, "target", "true"];
        let output = client.ssh(&remote, b"")?;
        assert!(output.stderr.contains("remote port forwarding failed"), "{}", output.stderr);
    }
    let local = format!("{}:{socket}", ground.folder.path().join("local").display());
    let shared = client.share(&["-L", &local])?;
    assert!(through_unix(&ground.folder.path().join("local")).is_ok_and(|back| back.is_empty()));
    assert_eq!(client.exec("echo on")?.success()?, "on\n");
    shared.stop()?;
    assert_eq!(ground.sshd.forwardings(), []);
    let tunnel =
        client.ssh(&["-o", "Tunnel=yes", "-o", "ExitOnForwardFailure=yes", "-w", "any", "target", "echo on"], b"")?;
    assert!(!tunnel.stdout.contains("on") || !ground.sshd.log().contains("tun@openssh.com"), "{tunnel:?}");
    Ok(())
}

const AGENTS: &str = "@id(\"agents\") permit (principal in Group::\"agents\", action == Action::\"ssh:agent\", \
                      resource in Target::\"web1\");";

#[test]
fn sh_03_an_agent_goes_on_only_where_it_is_permitted() -> Result<()> {
    let ground = Ground::tuned(Tuning { policies: AGENTS.to_owned(), ..Tuning::default() })?;
    let (socket, key) = (ground.folder.path().join("agent"), ground.key("kept")?);
    let path = socket.display().to_string();
    let mut agent = std::process::Command::new("ssh-agent");
    agent.args(["-D", "-a", &path]);
    let agent = Running::start(&agent, &ground.folder.path().join("agent.log"))?;
    eventually_blocking(LIMIT, "the agent", || Ok(socket.exists().then_some(())))?;
    let mut add = std::process::Command::new("ssh-add");
    add.arg(key.private()).env("SSH_AUTH_SOCK", &socket);
    testkit::command::run(add, b"")?.success()?;
    let line = "test -z \"$SSH_AUTH_SOCK\" && echo none || ssh-add -l";
    let denied = ground.client_with(ENGINEER, &[("IdentityAgent", &path), ("ForwardAgent", "yes")])?;
    assert_eq!(denied.exec(line)?.success()?, "none\n");
    assert_eq!(ground.sshd.channel_requests().get("auth-agent-req@openssh.com"), None);
    record::wait_for(
        &ground.site,
        "the denial",
        |event| matches!(event, Event::Decided { denial: Some(denial), .. } if denial.missing.to_string().contains("ssh:agent")),
    )?;
    let allowed = ground.client_with(&["engineers", "agents"], &[("IdentityAgent", &path), ("ForwardAgent", "yes")])?;
    let shown = allowed.exec(line)?;
    assert!(shown.stdout.contains(&key.fingerprint()?), "{shown:?}");
    // A screen is never carried.
    let mut command = denied.command("ssh");
    command.env("DISPLAY", "127.0.0.1:99").args(["-Y", "target", "echo ${DISPLAY-none}"]);
    let output = testkit::command::run(command, b"")?;
    assert_eq!(output.stdout, "none\n", "{output:?}");
    agent.stop()?;
    Ok(())
}

#[test]
fn sh_04_only_harmless_variables_go_on() -> Result<()> {
    let settings = vec![("AcceptEnv".to_owned(), "*".to_owned())];
    let ground = Ground::tuned(Tuning { host: Options { settings, ..Options::default() }, ..Tuning::default() })?;
    let sent = "LANG=de_DE.UTF-8 LC_TIME=C TZ=UTC LD_PRELOAD=/nonexistent.so BASH_ENV=/tmp/x GIT_SSH=/tmp/y \
                PATH=/tmp/z SLUICE_REASON=INC-42";
    let client = ground.client_with(ENGINEER, &[("SetEnv", sent)])?;
    let shown = client.exec("env | grep -E '^(LANG|LC_TIME|TZ|LD_PRELOAD|BASH_ENV|GIT_SSH|SLUICE_REASON)=' | sort")?;
    assert_eq!(shown.stdout, "LANG=de_DE.UTF-8\nLC_TIME=C\nTZ=UTC\n", "{shown:?}");
    assert!(!client.exec("echo $PATH")?.stdout.contains("/tmp/z"));
    assert_eq!(ground.sshd.channel_requests().get("env"), Some(&6));
    Ok(())
}

#[test]
fn sixty_four_channels_share_one_connection_at_the_same_time() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let shared = client.share(&[])?;
    let (gate, here) = (ground.folder.path().join("gate"), ground.folder.path().join("here"));
    std::fs::create_dir(&here)?;
    // None goes on before all are there.
    let closed = File::create(&gate)?;
    closed.lock()?;
    let (at, there) = (gate.display(), here.display());
    let line = |number: usize| format!("cat; : >{there}/{number}; flock -s {at} true; echo {number}; exit {number}");
    let outputs = thread::scope(|scope| {
        let run = |number: usize| client.exec_with(&[], line(number), b"in ");
        let started: Vec<_> = (0..64).map(|number| scope.spawn(move || run(number))).collect();
        let all_are_here = || Ok((std::fs::read_dir(&here)?.count() == 64).then_some(()));
        let waited = eventually_blocking(LIMIT * 2, "64 channels", all_are_here);
        closed.unlock()?;
        let outputs = started.into_iter().map(|one| one.join().expect("it does not panic"));
        waited.and_then(|()| outputs.collect::<Result<Vec<_>>>())
    })?;
    for (number, output) in outputs.iter().enumerate() {
        assert_eq!(output.status.code(), i32::try_from(number).ok());
        assert_eq!(output.stdout, format!("in {number}\n").as_bytes());
    }
    assert_eq!(ground.sessions()?.len(), 1);
    assert_eq!(ground.sshd.executed()?.len(), 64);
    shared.stop()?;
    Ok(())
}

#[test]
fn a_jump_leads_through_sluice_to_a_host_behind() -> Result<()> {
    let ground = Ground::new()?;
    let key = ground.key("inner")?;
    let behind = Sshd::start(&Options { authorized_keys: vec![key.public_line()?], ..Options::default() })?;
    let client = ground.client(FORWARDER)?;
    let known = behind.endpoint("root", Credential::Key(key.private()))?.known_hosts;
    std::fs::write(ground.folder.path().join("known"), known + "\n")?;
    client.configure(&format!(
        "Host inner\n    HostName 127.0.0.1\n    Port {}\n    User root\n    IdentityFile {}\n    IdentitiesOnly yes\n    \
         UserKnownHostsFile {}\n    ProxyJump target\n",
        behind.port(),
        key.private().display(),
        ground.folder.path().join("known").display()
    ))?;
    let output = client.ssh(&["inner", "echo $USER; exit 9"], b"")?;
    assert_eq!((output.status.code(), &*output.stdout), (Some(9), "root\n"), "{output:?}");
    assert_eq!(ground.sshd.forwardings(), [Forwarding::DirectTcpip("127.0.0.1".to_owned(), behind.port())]);
    assert_eq!(ground.sshd.executed()?, []);
    Ok(())
}

#[test]
fn a_second_client_has_a_session_of_its_own() -> Result<()> {
    let ground = Ground::new()?;
    let (one, two): (Client, Client) = (ground.client(ENGINEER)?, ground.client(ENGINEER)?);
    let shared = [one.share(&[])?, two.share(&[])?];
    assert_eq!(ground.sessions()?.len(), 2);
    for running in shared {
        running.stop()?;
    }
    Ok(())
}
