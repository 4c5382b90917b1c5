//! What Kubernetes streams: the real `kubectl` in front, by WebSocket and by SPDY, and a server behind that runs what it is told.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use testkit::command::{Output, development_directory, run, workspace_root};
use testkit::streams::Server;
use testkit::wait::eventually_blocking;

use crate::ground::{Ground, Tuning};
use crate::support::{LIMIT, record};
use crate::wire::Wire;

/// The groups of somebody who may use the cluster.
const OPERATOR: &[&str] = &["operators"];

const MAY: &str = r#"
@id("operators-connect")
permit (principal in Group::"operators", action == Action::"connect", resource in Target::"cluster");

@id("operators-look")
permit (
  principal in Group::"operators",
  action in [Action::"kubernetes:discover", Action::"read"],
  resource in Target::"cluster"
);

@id("operators-run")
permit (
  principal in Group::"operators",
  action in [Action::"kubernetes:exec", Action::"kubernetes:attach", Action::"kubernetes:portforward"],
  resource in Target::"cluster"
);

@id("nobody-removes")
@message("nothing is removed by hand")
forbid (principal, action == Action::"kubernetes:exec", resource is KubernetesCommand) when { resource.name == "rm" };

@id("not-everywhere")
@message("this port is closed")
forbid (principal, action == Action::"kubernetes:portforward", resource is KubernetesResource)
when { resource.port == "1" };
"#;

/// By which of both protocols `kubectl` streams.
const WAYS: [&[(&str, &str)]; 2] =
    [&[], &[("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")]];

fn ground(server: &Server, more: &str) -> Result<Ground> {
    let cluster = format!(
        "[cluster]\nprotocol = \"kubernetes\"\naddress = \"{}\"\ntls = \"off\"\npath_prefix = \"/cluster\"\n\
         credential = {{ none = true }}\n{more}\n",
        server.address()
    );
    Ground::tuned(Tuning { targets: cluster, policies: MAY.to_owned(), ..Tuning::default() })
}

/// Where the cluster is: by its path, as the name is another target's.
fn url(ground: &Ground) -> Result<String> {
    Ok(ground.url("/cluster")?.replace("localhost", "127.0.0.1"))
}

/// `kubectl`, as an operator, by one of both ways.
fn kubectl(ground: &Ground, way: &[(&str, &str)], arguments: &[&str]) -> Result<Command> {
    let (home, token) = (ground.folder.path(), ground.token("erin", OPERATOR)?);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": {
            "server": url(ground)?, "certificate-authority": ground.site.ca(),
        }}],
        "users": [{ "name": "u", "user": { "token": token } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    let file = home.join("kubeconfig");
    std::fs::write(&file, config.to_string())?;
    let mut command = Command::new(development_directory().join("kubernetes/bin/kubectl"));
    command.env("HOME", home).env("KUBECONFIG", &file).envs(way.iter().copied()).args(arguments);
    Ok(command)
}

fn told(ground: &Ground, way: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Result<Output> {
    run(kubectl(ground, way, arguments)?, input)
}

/// By which protocols the server was spoken to, so far.
fn spoken(server: &Server) -> Result<Vec<String>> {
    let all = server.reached()?;
    Ok(all.iter().filter_map(|one| one["protocol"].as_str().map(str::to_owned)).collect())
}

#[test]
fn k8_01_a_program_runs_by_each_way_with_its_output_error_and_status() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    for way in WAYS {
        let ran = told(&ground, way, &["exec", "web", "--", "echo", "hello", "4111 1111 1111 1111"], b"")?;
        assert_eq!(ran.success()?, "hello ***************1111\n");
        let script = "echo out; echo err 4111111111111111 >&2; exit 7";
        let ran = told(&ground, way, &["exec", "web", "--", "sh", "-c", script], b"")?;
        assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(7), "out\n"), "{ran:?}");
        assert!(ran.stderr.starts_with("err ************1111\n") && ran.stderr.contains("exit code 7"), "{ran:?}");
        let ran = told(&ground, way, &["exec", "-i", "web", "--", "cat"], b"what is told\nis said back\n")?;
        assert_eq!(ran.success()?, "what is told\nis said back\n");
        // Whatever the way, it is the same that is asked.
        let refused = told(&ground, way, &["exec", "web", "--", "rm", "-rf", "/srv"], b"")?;
        assert!(!refused.status.success() && refused.stderr.contains("Nothing is removed by hand"), "{refused:?}");
    }
    let mut protocols = spoken(&server)?;
    protocols.dedup();
    assert_eq!(protocols, ["v5.channel.k8s.io", "spdy v4.channel.k8s.io"]);
    assert!(server.reached()?.iter().all(|one| !one.to_string().contains("command=rm")));
    Ok(())
}

#[test]
fn rc_12_a_terminal_is_recorded_apart_and_exported_as_a_cast() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    for way in WAYS {
        // `script` gives kubectl a terminal of its own.
        let inner = kubectl(
            &ground,
            way,
            &["exec", "-it", "web", "--", "sh", "-c", "echo paid 4111111111111111; read line; echo got $line"],
        )?;
        let words: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("stty rows 31 cols 97; {}", words.join(" ")), "/dev/null"]);
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = run(command, b"typed\n")?;
        assert!(ran.stdout.contains("paid ****") && !ran.stdout.contains("4111111111111111\r"), "{ran:?}");
        assert!(ran.stdout.contains("got typed"), "{ran:?}");
    }
    server.wait_for("the size", |one| one["size"].as_str().is_some_and(|size| size.contains("97")))?;
    // A stream has a connection of its own, and so a session.
    let opened = record::events(&ground.site)?;
    let sessions = opened.iter().filter_map(|event| match event {
        Event::SessionOpened { session, .. } => Some(session.to_string()),
        _ => None,
    });
    let mut terminals = 0;
    for session in sessions {
        record::wait_for(
            &ground.site,
            "its end",
            |event| matches!(event, Event::SessionClosed { session: closed, .. } if closed.to_string() == session),
        )?;
        let all = ground.sluice_as("ada", &["sluice-admin"], &["sessions", "export", &session])?.success()?;
        let lines: Vec<Value> = all.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
        let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
        let holds =
            |kind: &str, text: &str| of(kind).iter().any(|line| line["data"].as_str().unwrap_or("").contains(text));
        let Some(size) = of("size").first().copied() else { continue };
        terminals += 1;
        assert_eq!((&size["columns"], &size["rows"]), (&json!(97), &json!(31)), "{all}");
        assert!(holds("input", "typed") && holds("output", "paid ****") && holds("output", "got typed"), "{all}");
        assert!(of("exit").iter().any(|line| line["exit_status"] == 0) && !all.contains("4111111111111111"), "{all}");
        let channel = size["channel"].to_string();
        let arguments = ["sessions", "export", &session, "--format", "asciicast", "--channel", &channel];
        let cast = ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?;
        assert!(cast.lines().next().is_some_and(|head| head.contains("97")) && cast.contains("paid ****"), "{cast}");
    }
    assert_eq!(terminals, WAYS.len());
    Ok(())
}

#[test]
fn files_are_copied_both_ways_as_they_are() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    let content: Vec<u8> = (0..300_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    for (at, way) in WAYS.into_iter().enumerate() {
        let folder = ground.folder.path();
        let (here, there, back) =
            (folder.join(format!("here{at}")), folder.join(format!("there{at}")), folder.join(format!("back{at}")));
        std::fs::write(&here, &content)?;
        let pod = |path: &std::path::Path| format!("default/web:{}", path.display());
        told(&ground, way, &["cp", &here.display().to_string(), &pod(&there)], b"")?.success()?;
        assert!(std::fs::read(&there)? == content);
        told(&ground, way, &["cp", &pod(&there), &back.display().to_string()], b"")?.success()?;
        assert!(std::fs::read(&back)? == content);
    }
    Ok(())
}

#[test]
fn logs_are_followed_and_masked_and_a_program_is_attached_to() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    let logs = told(&ground, &[], &["logs", "-f", "web"], b"")?.success()?;
    assert_eq!(logs, "paid with ***************1111\nline 1\nline 2\nline 3\n");
    for way in WAYS {
        let ran = told(&ground, way, &["attach", "-i", "web"], b"and on\n")?;
        assert!(ran.stdout.contains("attached\n") && ran.stdout.contains("and on\n"), "{ran:?}");
    }
    Ok(())
}

/// Something that says back what it is told, at a port.
fn echo() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone()?, stream);
                std::io::copy(&mut from, &mut to)
            });
        }
    });
    Ok(port)
}

#[test]
fn k8_12_ports_are_forwarded_each_by_a_decision_of_its_own() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    let port = echo()?;
    for way in WAYS {
        let ports = [format!(":{port}"), ":1".to_owned()];
        let mut child = kubectl(&ground, way, &["port-forward", "pod/web", &ports[0], &ports[1]])?;
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut output = child.stdout.take().context("no output")?;
        let (mut said, mut piece) = (String::new(), [0; 1024]);
        let local = |said: &str, remote: &str| {
            let line =
                said.lines().find(|line| line.contains("127.0.0.1:") && line.ends_with(&format!("-> {remote}")))?;
            line.split("127.0.0.1:").nth(1)?.split(' ').next()?.parse::<u16>().ok()
        };
        while local(&said, "1").is_none() {
            let read = output.read(&mut piece)?;
            assert!(read > 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        let own = local(&said, &port.to_string()).context(said.clone())?;
        for _ in 0..2 {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, own))?;
            stream.write_all(b"4111 1111 1111 1111 as it is")?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut back = String::new();
            stream.read_to_string(&mut back)?;
            assert_eq!(back, "4111 1111 1111 1111 as it is");
        }
        let mut refused = TcpStream::connect((Ipv4Addr::LOCALHOST, local(&said, "1").context("no port")?))?;
        let mut nothing = Vec::new();
        let _ = refused.read_to_end(&mut nothing);
        assert_eq!(nothing, b"");
        child.kill()?;
        child.wait()?;
    }
    let ports: Vec<Value> = server.reached()?.iter().filter_map(|one| one.get("port").cloned()).collect();
    assert_eq!(ports, vec![json!(port.to_string()); 4], "what was refused does not reach the target");
    assert_eq!(spoken(&server)?, ["SPDY/3.1+portforward.k8s.io", "spdy portforward.k8s.io"]);
    record::wait_for(
        &ground.site,
        "the refusal",
        |event| matches!(event, Event::Decided { denial: Some(denial), .. } if denial.message.contains("this port is closed")),
    )?;
    eventually_blocking(LIMIT, "four connections in the journal", || {
        let events = record::events(&ground.site)?;
        let carried = |event: &&Event| matches!(event, Event::Completed { disclosure, error: None, .. } if disclosure.bytes == 28);
        Ok((events.iter().filter(carried).count() == 4).then_some(()))
    })
}

#[test]
fn k8_09_an_answer_that_does_not_turn_is_an_answer() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    for way in WAYS {
        let ran = told(&ground, way, &["exec", "refuses", "--", "echo", "hello"], b"")?;
        assert!(!ran.status.success() && ran.stderr.contains("the kubelet does not let you"), "{ran:?}");
    }
    Ok(())
}

fn handshake(ground: &Ground, path: &str, protocols: &str) -> Result<String> {
    let token = ground.token("erin", OPERATOR)?;
    Ok(format!(
        "GET /cluster/api/v1/namespaces/default/pods/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Authorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocols}\r\n\r\n"
    ))
}

#[test]
fn k8_12_channels_are_used_as_they_are_meant_or_the_stream_ends() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    let path = "web/exec?command=cat&stdin=true&stdout=true&stderr=true";
    let frame = |content: &[u8]| {
        let mut out = vec![0x82, 0x80 | u8::try_from(content.len()).unwrap(), 0, 0, 0, 0];
        out.extend_from_slice(content);
        out
    };
    for (name, messages) in [
        ("standard output of the caller's", vec![b"\x01out".as_slice()]),
        ("a status of the caller's", vec![b"\x03{}"]),
        ("a channel that there is not", vec![b"\x05x"]),
        ("no channel", vec![b""]),
        ("input behind its end", vec![b"\xff\x00", b"\x00more"]),
        ("the end of another channel", vec![b"\xff\x01"]),
        ("a size that is none", vec![b"\x04{\"Width\":-1,\"Height\":1}"]),
    ] {
        let mut wire = Wire::connect_by(&ground, "127.0.0.1", &[b"http/1.1"])?;
        wire.say(handshake(&ground, path, "v5.channel.k8s.io")?.as_bytes())?;
        let head = wire.hear_until("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        // Together, so that nothing has ended in between.
        wire.say(&messages.iter().flat_map(|message| frame(message)).collect::<Vec<_>>())?;
        let rest = wire.hear_bytes()?;
        let text = String::from_utf8_lossy(&rest);
        assert!(text.contains("the stream is not understood") && text.contains("Failure"), "{name}: {text}");
    }
    assert!(server.reached()?.iter().all(|one| one.get("unexpected").is_none()), "{:?}", server.reached()?);
    Ok(())
}

#[test]
fn sm_18_another_version_of_a_protocol_is_not_spoken() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    let command = "web/exec?command=cat&stdin=true&stdout=true";
    for (path, protocols) in [
        (command, "v4.base64.channel.k8s.io, base64.channel.k8s.io"),
        (command, "channel.k8s.io"),
        (command, "v6.channel.k8s.io"),
        (command, "SPDY/3.1+portforward.k8s.io"),
        ("web/portforward?ports=80", "v4.channel.k8s.io"),
    ] {
        let mut wire = Wire::connect_by(&ground, "127.0.0.1", &[b"http/1.1"])?;
        wire.say(handshake(&ground, path, protocols)?.as_bytes())?;
        let head = wire.hear_until("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 400"), "{path} {protocols}: {head}");
    }
    assert_eq!(spoken(&server)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn the_client_of_python_runs_a_program_by_v5_and_by_v4() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    for pod in ["web", "old"] {
        let mut command = Command::new(development_directory().join("kubernetes/bin/python"));
        command.arg(workspace_root().join("tests/kubernetes/exec.py")).arg(url(&ground)?).arg(ground.site.ca());
        command.arg(ground.token("erin", OPERATOR)?).arg(pod);
        let said: Value = serde_json::from_str(&run(command, b"")?.success()?)?;
        assert_eq!(said, json!({ "stdout": "paid ************1111\ngot a line\n", "stderr": "failed\n", "status": 3 }));
    }
    assert_eq!(spoken(&server)?, ["v5.channel.k8s.io", "v4.channel.k8s.io"]);
    Ok(())
}

#[test]
fn a_policy_and_an_administrator_end_what_runs_and_say_why() -> Result<()> {
    let server = Server::kubernetes()?;
    let ground = ground(&server, "")?;
    for (at, way) in WAYS.into_iter().enumerate() {
        let mut child = kubectl(&ground, way, &["exec", "-i", "web", "--", "cat"])?;
        let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        input.write_all(b"it runs\n")?;
        let mut line = [0; 8];
        child.stdout.as_mut().context("no output")?.read_exact(&mut line)?;
        assert_eq!(&line, b"it runs\n");
        if at == 0 {
            let denies = "@id(\"no-cat\") @message(\"no more\") forbid(principal, action == Action::\"kubernetes:exec\", \
                          resource is KubernetesCommand) when { resource.name == \"cat\" };";
            ground.site.write_policy("30-other.cedar", Some(denies))?;
        } else {
            let sessions = ground.sessions()?;
            sessions.iter().try_for_each(|session| {
                ground.sluice_as("ada", &["sluice-admin"], &["sessions", "kill", session])?.success().map(drop)
            })?;
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let why = ["a new policy no longer allows it", "the session was ended"][at];
        assert!(!output.status.success() && said.contains(why), "{said}");
        if at == 0 {
            ground.site.write_policy("30-other.cedar", None)?;
        }
    }
    Ok(())
}

#[test]
fn an_approval_is_waited_for_before_a_program_runs() -> Result<()> {
    let server = Server::kubernetes()?;
    let cluster = format!(
        "[cluster]\nprotocol = \"kubernetes\"\naddress = \"{}\"\ntls = \"off\"\npath_prefix = \"/cluster\"\n\
         credential = {{ none = true }}\nhold = \"60s\"\n",
        server.address()
    );
    let asks = "\n@id(\"dates-need-ops\") @require_approval(\"ops\")\nforbid (principal, action == \
                Action::\"kubernetes:exec\", resource is KubernetesCommand) when { resource.name == \"date\" } unless { \
                context has approval && context.approval.groups.contains(\"ops\") };";
    let ground = Ground::tuned(Tuning { targets: cluster, policies: format!("{MAY}{asks}"), ..Tuning::default() })?;
    let mut child = kubectl(&ground, &[], &["exec", "web", "--", "date", "+asked"])?;
    let child = child.stdout(Stdio::piped()).spawn()?;
    let approval = ground.pending()?;
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    let output = child.wait_with_output()?;
    assert!(output.status.success() && output.stdout == b"asked\n", "{output:?}");
    Ok(())
}
