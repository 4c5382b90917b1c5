//! What attackers try: on the paths, the fields and the frames of requests, and as targets.

use anyhow::Result;
use testkit::api::Scripted;

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::wire::Wire;

/// The head of a request of a caller, with these lines in it.
fn head(ground: &Ground, line: &str, lines: &str) -> Result<String> {
    let token = ground.token("erin", CALLER)?;
    Ok(format!("{line}\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{lines}"))
}

#[test]
fn ht_02_whoever_is_asked_is_named_once() -> Result<()> {
    let ground = Ground::new()?;
    let token = ground.token("erin", CALLER)?;
    for (line, hosts, status) in [
        ("GET /echo HTTP/1.1", "", 400),
        ("GET /echo HTTP/1.1", "Host: localhost\r\nHost: localhost\r\n", 400),
        ("GET /echo HTTP/1.1", "Host: other\r\n", 421),
        ("GET https://other/echo HTTP/1.1", "Host: localhost\r\n", 400),
        ("GET https://other/echo HTTP/1.1", "Host: other\r\n", 421),
        ("GET http://localhost/echo HTTP/1.1", "Host: localhost\r\n", 400),
        ("GET https://x@localhost/echo HTTP/1.1", "Host: localhost\r\n", 400),
        ("GET https://localhost/echo HTTP/1.1", "Host: localhost\r\n", 200),
    ] {
        let wire = Wire::connect(&ground)?;
        let said = wire.exchange(
            format!("{line}\r\n{hosts}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        assert_eq!(said.status, status, "{line} {hosts}: {said:?}");
    }
    assert_eq!(ground.api.reached()?.len(), 1);
    Ok(())
}

#[test]
fn ht_03_a_path_has_one_form_that_is_decided_on_and_sent() -> Result<()> {
    let ground = Ground::new()?;
    for path in [
        "/hidden",
        "/x/../hidden",
        "/./hidden",
        "//hidden",
        "/%68idden",
        "/%2e/hidden",
        "/x/%2E%2e/hidden",
        "/hidden/",
        "/x//..//hidden/a",
    ] {
        let told = ground.ask(CALLER, path, &[])?.problem(403);
        assert!(told.starts_with("This is not for callers"), "{path}: {told}");
    }
    for path in [
        "/%2fhidden",
        "/x/..%2fhidden",
        "/%252e%252e/hidden",
        "/x/..;/hidden",
        "/hidden;a=b",
        "/x\\..\\hidden",
        "/hidden%00",
        "/%5chidden",
        "/../hidden",
        "/%zz",
    ] {
        let answer = ground.ask(CALLER, path, &[])?;
        assert!(answer.status == 400, "{path}: {answer:?}");
    }
    assert_eq!(ground.api.reached()?, []);
    for path in ["/a/./b/../%63?x=%41+b&y", "/%C3%A4/%7e"] {
        assert_eq!(ground.ask(CALLER, path, &[])?.status, 200);
    }
    let paths: Vec<_> = ground.api.reached()?.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["/a/c?x=A%20b&y", "/%C3%A4/~"]);
    Ok(())
}

#[test]
fn ht_04_a_method_is_what_it_says() -> Result<()> {
    let ground = Ground::new()?;
    for arguments in [
        &["-X", "POST", "-H", "X-HTTP-Method-Override: DELETE"][..],
        &["-X", "POST", "-H", "X-Method-Override: DELETE"],
    ] {
        assert_eq!(ground.ask(CALLER, "/v1/customers/1", arguments)?.status, 200);
    }
    // What the query asks for counts as what some servers would do.
    ground.ask(CALLER, "/v1/customers/1?_method=DELETE", &["-X", "POST"])?.problem(403);
    ground.ask(CALLER, "/echo", &["-X", "TRACE"])?.problem(501);
    let said = Wire::connect(&ground)?
        .exchange(head(&ground, "CONNECT localhost:22 HTTP/1.1", "Connection: close\r\n\r\n")?.as_bytes())?;
    assert!(said.status == 501 || said.status == 400, "{said:?}");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    let mut wire = Wire::connect(&ground)?;
    wire.say(head(&ground, "GET /echo HTTP/1.1", upgrade)?.as_bytes())?;
    let text = wire.hear_until("\r\n\r\n")?;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    let other = "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let mut wire = Wire::connect(&ground)?;
    wire.say(head(&ground, "GET /echo HTTP/1.1", other)?.as_bytes())?;
    let text = wire.hear_until("\r\n\r\n")?;
    assert!(text.starts_with("HTTP/1.1 501"), "{text}");
    let reached = ground.api.reached()?;
    assert!(reached.iter().all(|one| one.method == "POST" && one.field("upgrade").is_none()), "{reached:?}");
    assert_eq!(reached.len(), 2);
    Ok(())
}

#[test]
fn ht_06_fields_behind_a_body_pass_if_they_mean_nothing_in_front_of_it() -> Result<()> {
    let ground = Ground::new()?;
    let body = "Transfer-Encoding: chunked\r\nTrailer: X-Checked, Authorization\r\nConnection: close\r\n\r\n\
                3\r\nabc\r\n0\r\nX-Checked: yes\r\nAuthorization: Bearer forged\r\nX-Forwarded-User: root\r\n\
                Content-Length: 9\r\nHost: other\r\n\r\n";
    let said = Wire::connect(&ground)?.exchange(head(&ground, "POST /echo HTTP/1.1", body)?.as_bytes())?;
    assert_eq!(said.status, 200, "{said:?}");
    let reached = ground.api.reached()?;
    assert_eq!(reached[0].body, "abc");
    assert!(!said.text.contains("forged") && !said.text.contains("root"), "{said:?}");
    // And of an answer.
    let said = Wire::connect(&ground)?
        .exchange(head(&ground, "GET /trailers HTTP/1.1", "TE: trailers\r\nConnection: close\r\n\r\n")?.as_bytes())?;
    assert!(said.text.contains("body") && !said.text.to_lowercase().contains("set-cookie"), "{said:?}");
    Ok(())
}

#[test]
fn sm_13_a_request_that_could_end_at_two_places_is_not_taken() -> Result<()> {
    let ground = Ground::new()?;
    let smuggled = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nX: ";
    for (name, framing) in [
        ("chunked twice", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("another coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("two codings", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a space", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
        ("a list of lengths", "Content-Length: 4, 4\r\n\r\nabcd"),
        ("a sign", "Content-Length: +4\r\n\r\nabcd"),
        ("hexadecimal", "Content-Length: 0x4\r\n\r\nabcd"),
        ("a folded line", "X: a\r\n Content-Length: 4\r\n\r\nabcd"),
        ("a nul", "X: a\0b\r\n\r\n"),
        ("a carriage return", "X: a\rb\r\n\r\n"),
        ("a chunk's length", "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"),
        ("a chunk's extension", "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\na\r\n0\r\n\r\n"),
    ] {
        let bytes = head(&ground, "POST /echo HTTP/1.1", &format!("{framing}{smuggled}"))?;
        let said = Wire::connect(&ground)?.exchange(bytes.as_bytes())?;
        assert!(said.status == 400 || said.status == 0, "{name}: {said:?}");
        assert_eq!(said.text.matches("HTTP/1.1 ").count(), usize::from(said.status == 400), "{name}: {said:?}");
    }
    let reached = ground.api.reached()?;
    assert_eq!(reached, [], "{reached:?}");
    Ok(())
}

#[test]
fn a_head_that_is_too_long_or_never_comes_ends() -> Result<()> {
    let sluice_toml = "idle_timeout = \"1s\"\nmax_header = \"8KiB\"\n\n[limits]\nlogin_timeout = \"1s\"\n".to_owned();
    let ground = Ground::tuned(Tuning { sluice_toml, ..Tuning::default() })?;
    let long = format!("X: {}\r\n\r\n", "a".repeat(16 * 1024));
    let said = Wire::connect(&ground)?.exchange(head(&ground, "GET /echo HTTP/1.1", &long)?.as_bytes())?;
    assert_eq!(said.status, 431, "{said:?}");
    // Nobody is known yet.
    let mut wire = Wire::connect(&ground)?;
    wire.say(b"GET /echo HTTP/1.1\r\nHost: local")?;
    assert_eq!(wire.hear_until("never")?, "");
    // And somebody is.
    let mut wire = Wire::connect(&ground)?;
    wire.say(head(&ground, "GET /echo HTTP/1.1", "\r\n")?.as_bytes())?;
    assert!(wire.hear_until("\"method\"")?.starts_with("HTTP/1.1 200"));
    wire.say(b"GET /echo HTTP/1.1\r\nHost: local")?;
    wire.hear_until("never")?;
    assert_eq!(ground.api.reached()?.len(), 1);
    Ok(())
}

#[test]
fn a_body_is_bounded_in_size_and_in_silence() -> Result<()> {
    let ground = Ground::tuned(Tuning {
        sluice_toml: "body_timeout = \"1s\"\n".to_owned(),
        target: "max_body = \"64KiB\"\n".to_owned(),
        ..Tuning::default()
    })?;
    let said = Wire::connect(&ground)?.exchange(
        head(&ground, "POST /echo HTTP/1.1", "Content-Length: 70000\r\nConnection: close\r\n\r\n")?.as_bytes(),
    )?;
    assert_eq!(said.status, 413, "{said:?}");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let body = format!("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let said = Wire::connect(&ground)?.exchange(head(&ground, "POST /echo HTTP/1.1", &body)?.as_bytes())?;
    assert_eq!(said.status, 413, "{said:?}");
    let silent = "Content-Length: 10\r\n\r\nabc";
    let said = Wire::connect(&ground)?.exchange(head(&ground, "POST /echo HTTP/1.1", silent)?.as_bytes())?;
    assert_eq!(said.status, 408, "{said:?}");
    assert_eq!(ground.api.reached()?, [], "none of them was whole");
    Ok(())
}

/// A ground whose target says these things.
fn scripted(answers: &[&str]) -> Result<(Ground, Scripted)> {
    let scripted = Scripted::start(answers.iter().map(|answer| answer.as_bytes().to_vec()).collect())?;
    let address = Some(scripted.address().to_string());
    Ok((
        Ground::tuned(Tuning { address, target: "answer_timeout = \"5s\"\n".to_owned(), ..Tuning::default() })?,
        scripted,
    ))
}

#[test]
fn sm_16_what_a_target_says_too_much_of_is_an_answer_to_nobody() -> Result<()> {
    let good = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    let poisoned = format!("{good}HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nforged");
    let (ground, target) = scripted(&[&poisoned, good, good])?;
    for subject in ["erin", "frank", "erin"] {
        let bearer = format!("Authorization: Bearer {}", ground.token(subject, CLEARED)?);
        let answer = ground.ask_as(Some(&bearer), "/x", &[])?;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{subject}");
    }
    assert!(target.heard().len() >= 2);
    Ok(())
}

#[test]
fn a_target_that_breaks_the_protocol_is_a_bad_gateway() -> Result<()> {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: content-type\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let (ground, _target) = scripted(&[answer])?;
        ground.ask(CALLER, "/x", &[])?.problem(502);
    }
    Ok(())
}

#[test]
fn an_answer_that_breaks_off_is_never_one_that_ended() -> Result<()> {
    let begun = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n";
    for version in ["--http1.1", "--http2"] {
        let (ground, _target) = scripted(&[begun])?;
        let bearer = format!("Authorization: Bearer {}", ground.token("erin", CLEARED)?);
        let mut command = ground.curl(&["-H", &bearer, version])?;
        command.arg(ground.url("/x")?);
        let output = testkit::command::run(command, b"")?;
        assert!(!output.status.success(), "{version}: {output:?}");
        assert!(output.stdout.starts_with("begun") || output.stdout.is_empty(), "{output:?}");
    }
    Ok(())
}

#[test]
fn a_target_that_is_silent_or_away_is_told_apart() -> Result<()> {
    let ground = Ground::tuned(Tuning { target: "answer_timeout = \"1s\"\n".to_owned(), ..Tuning::default() })?;
    let told = ground.ask(CALLER, "/hold", &[])?.problem(504);
    assert!(told.contains("is not known"), "{told}");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = Some(nowhere.local_addr()?.to_string());
    drop(nowhere);
    let ground = Ground::tuned(Tuning { address, ..Tuning::default() })?;
    ground.ask(CALLER, "/x", &[])?.problem(502);
    Ok(())
}
