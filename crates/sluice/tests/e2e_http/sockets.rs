//! WebSocket: a real server behind, a real client and hostile ones in front.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use base64::Engine;
use model::event::Event;
use serde_json::{Value, json};
use testkit::api::Scripted;
use testkit::command::{run, workspace_root};
use testkit::streams::{Server, websocket_python};

use crate::ground::{CALLER, Ground, Tuning};
use crate::support::record;
use crate::wire::Wire;

const MAY: &str = r#"
@id("sockets")
permit (principal in Group::"callers", action == Action::"http:upgrade", resource in Target::"shop");
"#;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// With a server of WebSocket for a target, which callers may turn to.
fn ground(server: &Server, target: &str) -> Result<Ground> {
    Ground::tuned(Tuning {
        address: Some(server.address().to_string()),
        policies: MAY.to_owned(),
        target: target.to_owned(),
        ..Tuning::default()
    })
}

fn client(ground: &Ground, groups: &[&str], path: &str, protocols: &str, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(websocket_python());
    let url = ground.url(path)?.replace("https://", "wss://");
    command.arg(workspace_root().join("tests/websocket/client.py")).arg(url).arg(ground.site.ca());
    command.arg(ground.token("erin", groups)?).arg(protocols).args(words);
    Ok(command)
}

/// What a client is told.
fn told(ground: &Ground, groups: &[&str], path: &str, words: &[&str]) -> Result<Value> {
    let output = run(client(ground, groups, path, "", words)?, b"")?.success()?;
    serde_json::from_str(output.lines().last().context("nothing is said")?).context(output)
}

/// A client that waits for the end of its socket.
struct Waiting(std::process::Child, BufReader<std::process::ChildStdout>);

impl Waiting {
    fn new(ground: &Ground) -> Result<Self> {
        let mut child = client(ground, CALLER, "/live", "", &["hello", "@wait"])?.stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        assert!(line.contains("ready"), "{line}");
        Ok(Self(child, output))
    }

    /// The code and the reason that it was closed with.
    fn end(mut self) -> Result<(u64, String)> {
        let mut line = String::new();
        self.1.read_line(&mut line)?;
        self.0.wait()?;
        let said: Value = serde_json::from_str(&line).context(line)?;
        Ok((said["code"].as_u64().context("no code")?, said["reason"].as_str().unwrap_or_default().to_owned()))
    }
}

fn handshake(ground: &Ground, more: &str) -> Result<String> {
    let token = ground.token("erin", CALLER)?;
    Ok(format!(
        "GET /live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    ))
}

fn session(ground: &Ground) -> Result<String> {
    let closed = record::wait_for(&ground.site, "the end", |event| matches!(event, Event::SessionClosed { .. }))?;
    let Event::SessionClosed { session, .. } = closed else { panic!() };
    Ok(session.to_string())
}

#[test]
fn messages_pass_both_ways_masked_and_recorded() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "unread = \"through\"\n")?;
    let words = ["hello", "card", "text card", "pieces", "@bytes", "@ping", "ping", "pay 4111111111111111", "close"];
    let said = told(&ground, CALLER, "/live?token=hush", &words)?;
    let messages = said["messages"].as_array().context("no messages")?;
    let card = "************1111";
    assert_eq!(messages[0], "hello");
    let json: Value = serde_json::from_str(messages[1].as_str().context("no text")?)?;
    assert_eq!(json["name"], "Ada");
    assert!(json["card"].as_str().is_some_and(|shown| shown.starts_with("****") && shown.ends_with("1111")), "{json}");
    assert!(messages[2].as_str().is_some_and(|text| text.ends_with("1111, thanks") && !text.contains("4111 1111")));
    assert!(messages[3].as_str().is_some_and(|text| text.ends_with(" in pieces") && !text.contains("4111 1111")));
    assert_eq!(messages[4], json!({ "bytes": "0102" }));
    assert_eq!((&messages[5], &messages[6]), (&json!("pong"), &json!("ponged")));
    assert_eq!(messages[7], format!("pay {card}"));
    assert_eq!((&said["code"], &said["extensions"]), (&json!(4001), &json!([])));
    assert!(said["reason"].as_str().is_some_and(|reason| reason.contains("card ****")), "{said}");
    // The target got what was said, and neither the caller's credential nor an extension.
    let reached = server.reached()?;
    assert!(reached.iter().any(|one| one["message"] == "pay 4111111111111111"));
    let fields = &reached[0]["fields"];
    assert!(fields.get("authorization").is_none() && fields.get("sec-websocket-extensions").is_none(), "{fields}");
    // The record has it as the caller saw it.
    let arguments = ["sessions", "export", &session(&ground)?, "--format", "har"];
    let har = ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?;
    assert!(!har.contains("4111111111111111") && !har.contains("4111 1111") && !har.contains("hush"), "{har}");
    let har: Value = serde_json::from_str(&har)?;
    let entry = &har["log"]["entries"][0];
    assert_eq!((&entry["_resourceType"], &entry["response"]["status"]), (&json!("websocket"), &json!(101)));
    let all = entry["_webSocketMessages"].as_array().context("no messages")?;
    let is = |entry: &Value, kind: &str, data: &str| entry["type"] == kind && entry["data"] == data;
    assert!(is(&all[0], "send", "hello") && is(&all[1], "receive", "hello"), "{all:?}");
    assert!(all.iter().any(|one| one["opcode"] == 2 && is(one, "send", "AQI=")), "{all:?}");
    let completed = record::wait_for(
        &ground.site,
        "the end of the request",
        |event| matches!(event, Event::Completed { disclosure, .. } if !disclosure.classes.is_empty()),
    )?;
    let Event::Completed { disclosure, error, .. } = completed else { panic!() };
    assert!(disclosure.classes["card_number"].masked >= 5, "{disclosure:?}");
    assert_eq!(error, None);
    Ok(())
}

#[test]
fn a_socket_needs_a_permission_of_its_own_and_is_told_no_without_it() -> Result<()> {
    let server = Server::websocket()?;
    let ground = Ground::tuned(Tuning { address: Some(server.address().to_string()), ..Tuning::default() })?;
    let said = told(&ground, CALLER, "/live", &["hello"])?;
    assert_eq!(said["status"], 403, "{said}");
    assert_eq!(server.reached()?, Vec::<Value>::new());
    Ok(())
}

#[test]
fn bytes_are_refused_where_they_cannot_be_masked() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    let said = told(&ground, CALLER, "/live", &["hello", "bytes"])?;
    assert_eq!((&said["messages"], &said["code"]), (&json!(["hello"]), &json!(1008)), "{said}");
    server.wait_for("the end at the target", |one| one["closed"] == 1001)?;
    Ok(())
}

#[test]
fn fields_of_a_route_are_masked_in_messages_and_what_is_no_json_is_refused() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    let said = told(&ground, CALLER, "/v1/customers/7", &["card", "hello"])?;
    let first: Value = serde_json::from_str(said["messages"][0].as_str().context("no text")?)?;
    assert_ne!(first["name"], "Ada", "{first}");
    assert_eq!((said["messages"].as_array().map(Vec::len), &said["code"]), (Some(1), &json!(1008)), "{said}");
    Ok(())
}

#[test]
fn a_message_that_is_too_long_ends_the_socket() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "max_message = \"4KiB\"\n")?;
    let said = told(&ground, CALLER, "/live", &["hello", "long"])?;
    assert_eq!(said["code"], 1011, "{said}");
    let long = "x".repeat(5000);
    let said = told(&ground, CALLER, "/live", &["hello", &long])?;
    assert_eq!(said["code"], 1009, "{said}");
    assert!(server.reached()?.iter().all(|one| one["message"] != long.as_str()));
    Ok(())
}

#[test]
fn a_subprotocol_is_carried_through_and_a_bearer_in_it_is_not() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    let secret = "base64url.bearer.authorization.k8s.io.c2VjcmV0";
    let protocols = format!("chat.v1,{secret}");
    let output = run(client(&ground, CALLER, "/live", &protocols, &["hello"])?, b"")?.success()?;
    let said: Value = serde_json::from_str(&output)?;
    assert_eq!(said["protocol"], "chat.v1");
    assert_eq!(server.reached()?[0]["fields"]["sec-websocket-protocol"], "chat.v1");
    // Nor does it prove anything.
    let mut wire = Wire::connect(&ground)?;
    wire.say(
        format!(
            "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: chat.v1, {}\r\n\r\n",
            format_args!(
                "base64url.bearer.authorization.k8s.io.{}",
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ground.token("erin", CALLER)?)
            )
        )
        .as_bytes(),
    )?;
    let head = wire.hear_until("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    Ok(())
}

#[test]
fn a_page_of_another_origin_may_not_ask_unless_it_is_named() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "origins = [\"https://app.example\"]\n")?;
    let port = ground.site.process()?.address("http")?.port();
    for (origin, status) in [
        ("https://evil.example", "403"),
        ("null", "403"),
        ("https://localhost.evil", "403"),
        ("https://localhost", "101"),
        ("https://app.example", "101"),
    ] {
        let mut wire = Wire::connect(&ground)?;
        wire.say(handshake(&ground, &format!("Origin: {origin}\r\n"))?.as_bytes())?;
        let head = wire.hear_until("\r\n\r\n")?;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{origin}, {port}: {head}");
    }
    let origins: Vec<Value> =
        server.reached()?.iter().filter_map(|one| one.pointer("/fields/origin").cloned()).collect();
    assert_eq!(origins, [json!(format!("http://{}", server.address())), json!("https://app.example")]);
    Ok(())
}

#[test]
fn k8_09_an_answer_that_does_not_turn_leaves_no_tunnel() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    let mut wire = Wire::connect(&ground)?;
    // What is said behind the request would reach the target if something of a tunnel were left.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    wire.say(format!("{}{smuggled}", handshake(&ground, "")?.replace("/live", "/refuses")).as_bytes())?;
    let both = wire.hear_until("HTTP/1.1 401")?;
    assert!(both.starts_with("HTTP/1.1 403") && both.contains("no") && both.contains("HTTP/1.1 401"), "{both}");
    let paths: Vec<Value> = server.reached()?.iter().filter_map(|one| one.get("path").cloned()).collect();
    assert_eq!(paths, ["/refuses"]);
    Ok(())
}

#[test]
fn k8_09_a_target_that_turns_to_something_else_is_not_believed() -> Result<()> {
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    for wrong in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n".to_owned(),
        format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{accept}\r\n"),
        format!("Connection: close\r\nUpgrade: websocket\r\n{accept}\r\n"),
        format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{accept}Sec-WebSocket-Protocol: unasked\r\n\r\n"),
        format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\n{accept}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        ),
    ] {
        let scripted = Scripted::start(vec![format!("HTTP/1.1 101 Switching Protocols\r\n{wrong}").into_bytes()])?;
        let tuning =
            Tuning { address: Some(scripted.address().to_string()), policies: MAY.to_owned(), ..Tuning::default() };
        let ground = Ground::tuned(tuning)?;
        let mut wire = Wire::connect(&ground)?;
        wire.say(handshake(&ground, "")?.as_bytes())?;
        let head = wire.hear_until("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 502"), "{wrong}: {head}");
    }
    Ok(())
}

#[test]
fn sm_18_a_caller_that_breaks_the_protocol_is_told_and_cut() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    for (name, bytes, code) in [
        ("a reserved bit", b"\xc1\x80\0\0\0\0".as_slice(), 1002),
        ("an unknown opcode", b"\x83\x80\0\0\0\0", 1002),
        ("no mask", b"\x81\x02hi", 1002),
        ("a ping in pieces", b"\x09\x80\0\0\0\0", 1002),
        ("a ping too long", b"\x89\xfe\0\x7e\0\0\0\0", 1002),
        ("a piece of nothing", b"\x80\x80\0\0\0\0", 1002),
        ("a message in another", b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
        ("no text", b"\x81\x82\0\0\0\0\xc3\x28", 1007),
        ("a huge message", b"\x82\xff\0\0\0\x10\0\0\0\0\0\0\0\0", 1009),
        ("a close of one byte", b"\x88\x81\0\0\0\0\x03", 1002),
    ] {
        let mut wire = Wire::connect(&ground)?;
        wire.say(handshake(&ground, "")?.as_bytes())?;
        wire.hear_until("\r\n\r\n")?;
        wire.say(bytes)?;
        let rest = wire.hear_bytes()?;
        let heard = rest.windows(2).any(|two| two == u16::to_be_bytes(code));
        assert!(rest.first() == Some(&0x88) && heard, "{name}: {rest:x?}");
    }
    assert!(server.reached()?.iter().all(|one| one.get("message").is_none()), "{:?}", server.reached()?);
    Ok(())
}

#[test]
fn an_administrator_a_policy_or_the_end_of_a_credential_closes_a_socket() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    let waiting = Waiting::new(&ground)?;
    let sessions = ground.sessions()?;
    ground.sluice_as("ada", &["sluice-admin"], &["sessions", "kill", &sessions[0]])?.success()?;
    let (code, reason) = waiting.end()?;
    assert!(code == 1008 && reason.contains("the session was ended"), "{code} {reason}");
    let waiting = Waiting::new(&ground)?;
    let denies =
        "@id(\"no-live\") forbid(principal, action, resource is HttpRoute) when { resource.path == \"/live\" };";
    ground.site.write_policy("30-other.cedar", Some(denies))?;
    let (code, reason) = waiting.end()?;
    assert!(code == 1008 && reason.contains("a new policy no longer allows it"), "{code} {reason}");
    server.wait_for("the end at the target", |one| one["closed"] == 1001)?;
    Ok(())
}

#[test]
fn a_socket_is_watched_while_it_lives_and_sluice_closes_it_as_it_stops() -> Result<()> {
    let server = Server::websocket()?;
    let mut ground = Ground::tuned(Tuning {
        address: Some(server.address().to_string()),
        policies: MAY.to_owned(),
        sluice_toml: "\n[sessions]\ndrain = \"1s\"\n".to_owned(),
        ..Tuning::default()
    })?;
    let waiting = Waiting::new(&ground)?;
    assert_eq!(ground.site.stop()?, 0);
    assert_eq!(waiting.end()?.0, 1001);
    Ok(())
}

#[test]
fn nobody_saying_anything_ends_a_socket() -> Result<()> {
    let server = Server::websocket()?;
    let ground = Ground::tuned(Tuning {
        address: Some(server.address().to_string()),
        policies: MAY.to_owned(),
        sluice_toml: "idle_timeout = \"1s\"\n".to_owned(),
        ..Tuning::default()
    })?;
    let (code, reason) = Waiting::new(&ground)?.end()?;
    assert!(code == 1001 && reason.contains("nothing was said"), "{code} {reason}");
    Ok(())
}

#[test]
fn the_client_of_node_is_told_the_same() -> Result<()> {
    let server = Server::websocket()?;
    let ground = ground(&server, "")?;
    let mut command = Command::new("node");
    let url = ground.url("/live")?.replace("https://", "wss://");
    command.arg(workspace_root().join("tests/node/websocket.mjs")).arg(url).arg(ground.site.ca());
    command.arg(ground.token("erin", CALLER)?).args(["hello", "text card", "pieces"]);
    let said: Value = serde_json::from_str(&run(command, b"")?.success()?)?;
    assert_eq!((&said["code"], &said["extensions"]), (&json!(1000), &json!("")), "{said}");
    let messages: Vec<&str> =
        said["messages"].as_array().context("no messages")?.iter().filter_map(Value::as_str).collect();
    assert!(messages[0] == "hello" && messages[1..].iter().all(|text| text.contains("1111") && !text.contains("4111")));
    server.wait_for("the end at the target", |one| one["closed"] == 1000 && one["reason"] == "done")?;
    Ok(())
}
