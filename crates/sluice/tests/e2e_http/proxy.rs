//! Sluice as a proxy that is the server of what callers ask to be connected to (`CONNECT`).

use std::process::Command;

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use testkit::api::Options;
use testkit::command::{run, workspace_root};

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::proxying::{Proxied, status};
use crate::support::record;
use crate::wire::Wire;

const CUSTOMER: &str = "https://localhost/v1/customers/7";

#[test]
fn what_is_asked_in_a_connection_is_decided_masked_and_recorded() -> Result<()> {
    let api = Options { bearer: true, ..Options::default() };
    let proxied = Proxied::tuned(Tuning { api, ..Tuning::default() })?;
    for (version, argument) in [("1.1", "--http1.1"), ("2", "--http2")] {
        let arguments =
            [argument, "-H", "Authorization: Bearer for-the-target", "-H", "Proxy-Authorization: Basic YTpi"];
        let answer = proxied.ask(CALLER, CUSTOMER, &arguments)?;
        assert_eq!((answer.status, answer.version.as_str()), (200, version), "{answer:?}");
        assert_eq!(answer.json()["card"]["number"], "************1111", "{answer:?}");
        assert!(answer.field("sluice-request").is_some(), "{answer:?}");
        let told = proxied.ask(CALLER, CUSTOMER, &[argument, "-X", "DELETE"])?.problem(403);
        assert!(told.starts_with("Customers are not deleted from here"), "{told}");
    }
    assert_eq!(proxied.ask(CLEARED, CUSTOMER, &[])?.json()["card"]["number"], "4111111111111111");
    let reached = proxied.ground.api.reached()?;
    assert_eq!(reached.len(), 3);
    for one in reached {
        assert_eq!((one.path.as_str(), one.field("authorization")), ("/v1/customers/7", Some("Bearer first-token")));
        assert_eq!(one.field("proxy-authorization"), None);
    }
    let closed =
        record::wait_for(&proxied.ground.site, "the end", |event| matches!(event, Event::SessionClosed { .. }))?;
    let Event::SessionClosed { session, .. } = closed else { panic!() };
    let arguments = ["sessions", "export", &session.to_string(), "--format", "har"];
    let har = proxied.ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?;
    assert!(
        !har.contains("4111111111111111") && !har.contains("first-token") && !har.contains("for-the-target"),
        "{har}"
    );
    let har: Value = serde_json::from_str(&har)?;
    assert_eq!(har["log"]["entries"][0]["request"]["url"], "https://localhost/v1/customers/7", "{har}");
    Ok(())
}

#[test]
fn nobody_is_connected_who_shows_nothing_that_is_good_here() -> Result<()> {
    let proxied = Proxied::new()?;
    let token = proxied.ground.token("erin", CALLER)?;
    let bearer = format!("Proxy-Authorization: Bearer {token}");
    for shown in [
        &["--proxy-user", &format!("erin:{token}")][..],
        &["--proxy-user", &format!(":{token}")],
        &["--proxy-user", &format!("{token}:")],
        &["--proxy-header", &bearer],
    ] {
        assert_eq!(proxied.connected(shown, CUSTOMER)?, "200", "{shown:?}");
    }
    let other = proxied.ground.site.issuer().issue(testkit::issuer::Grant::new("erin").audience("another"))?;
    for shown in [
        &[][..],
        &["--proxy-user", "erin:nonsense"],
        &["--proxy-user", &format!("erin:{other}")],
        &["--proxy-header", "Proxy-Authorization: Digest a"],
        // What is for the target, or for Sluice where it is asked in place of one.
        &["--proxy-header", &format!("Authorization: Bearer {token}")],
        &["--proxy-header", &bearer, "--proxy-header", &bearer],
    ] {
        assert_eq!(proxied.connected(shown, CUSTOMER)?, "407", "{shown:?}");
    }
    let (_, head) = proxied.wire_with("localhost:443", "")?;
    let head = head.to_ascii_lowercase();
    for challenge in ["bearer realm=\"sluice\"", "basic realm=\"sluice\", charset=\"utf-8\""] {
        assert!(head.contains(&format!("proxy-authenticate: {challenge}\r\n")), "{head}");
    }
    proxied.refused("neither a token nor")?;
    assert_eq!(proxied.ground.api.reached()?.len(), 4);
    Ok(())
}

#[test]
fn an_unknown_host_and_a_missing_permission_look_alike_and_no_certificate_is_made() -> Result<()> {
    let proxied = Proxied::new()?;
    let mut told = Vec::new();
    for (groups, asked) in [
        (&["strangers"][..], "localhost:443"),
        (CALLER, "unknown.example:443"),
        (CALLER, "localhost:22"),
        (CALLER, "127.0.0.1:443"),
        (CALLER, "169.254.169.254:80"),
    ] {
        let (mut wire, head) = proxied.wire(groups, asked, "Connection: close\r\n")?;
        assert_eq!(status(&head)?, 403, "{asked}: {head}");
        // Whatever is said behind it is no handshake.
        let rest = format!("{}{}", head.split_once("\r\n\r\n").context("no end")?.1, wire.hear_until("\0never\0")?);
        let problem: Value = serde_json::from_str(&rest).context(rest)?;
        told.push(problem["detail"].as_str().context("no detail")?.to_owned());
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    proxied.refused("no target has this host")?;
    proxied.refused("may not connect")?;
    // It is reached by its own address too.
    let address = proxied.ground.api.address();
    assert_eq!(proxied.ask(CALLER, &format!("https://{address}/echo"), &[])?.status, 200);
    assert_eq!(proxied.ground.api.reached()?.len(), 1);
    Ok(())
}

#[test]
fn ht_02_what_is_asked_in_a_connection_is_for_what_was_asked_for() -> Result<()> {
    let proxied = Proxied::new()?;
    let user = format!("erin:{}", proxied.ground.token("erin", CALLER)?);
    let elsewhere = ["--connect-to", "other.example:443:localhost:443", "-k"];
    let asked = |arguments: &[&str], url: &str| {
        crate::ground::answer(&proxied.told(Some(&user), url, arguments)?).map(|answer| answer.status)
    };
    for version in ["--http1.1", "--http2"] {
        // The handshake, and what is asked, for another one; the one, and the other.
        let both = [&elsewhere[..], &[version]].concat();
        assert_eq!(asked(&both, "https://other.example/echo")?, 421);
        let name = [&elsewhere[..], &[version, "-H", "Host: localhost"]].concat();
        assert_eq!(asked(&name, "https://other.example/echo")?, 421);
        assert_eq!(asked(&[version, "-H", "Host: other.example"], "https://localhost/echo")?, 421);
        assert_eq!(asked(&[version, "-H", "Host: localhost:8443"], "https://localhost/echo")?, 421);
        // What is below a path elsewhere is not here.
        assert_eq!(asked(&[version], "https://localhost/shop/v1/customers/7")?, 200);
    }
    assert!(proxied.ground.api.reached()?.iter().all(|one| one.path == "/shop/v1/customers/7"));
    // The certificate is of what was asked for, whatever the handshake is for.
    let mut command = proxied.curl(&["-k", "-o", "/dev/null", "-w", "%{certs}", "--proxy-user", &user])?;
    command.args(&elsewhere[..2]).arg("https://other.example/echo");
    let shown = run(command, b"")?.success()?;
    assert!(shown.contains("DNS:localhost") && !shown.contains("other.example"), "{shown}");
    Ok(())
}

#[test]
fn a_connection_is_asked_for_in_one_way_alone() -> Result<()> {
    let proxied = Proxied::new()?;
    for (asked, lines) in [
        ("localhost", ""),
        ("localhost:443", "Content-Length: 5\r\n"),
        ("localhost:443", "Transfer-Encoding: chunked\r\n"),
        ("localhost:0x1bb", ""),
        ("erin@localhost:443", ""),
    ] {
        let (_, head) = proxied.wire(CALLER, asked, lines)?;
        assert_eq!(status(&head)?, 400, "{asked} {lines}: {head}");
    }
    let mut wire = Wire::connect(&proxied.ground)?;
    wire.say(b"CONNECT localhost:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n")?;
    assert_eq!(status(&wire.hear_until("\r\n\r\n")?)?, 400);
    // Nor is anything asked for in the way of proxies that see what they carry.
    let mut wire = Wire::connect(&proxied.ground)?;
    wire.say(b"GET http://localhost/echo HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    assert_eq!(status(&wire.hear_until("\r\n\r\n")?)?, 400);
    // And there is no connection within one.
    let mut within = proxied.within()?;
    within.say(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")?;
    assert_eq!(status(&within.hear_until("\r\n\r\n")?)?, 501);
    assert_eq!(proxied.ground.api.reached()?, []);
    Ok(())
}

#[test]
fn who_is_named_in_a_connection_asks_there_and_else_who_opened_it() -> Result<()> {
    let proxied = Proxied::new()?;
    let frank = format!("Authorization: Bearer {}", proxied.ground.token("frank", CALLER)?);
    let stranger = format!("Authorization: Bearer {}", proxied.ground.token("sam", &["strangers"])?);
    let elsewhere = proxied.ground.site.issuer().issue(testkit::issuer::Grant::new("frank").audience("another"))?;
    let elsewhere = format!("Authorization: Bearer {elsewhere}");
    let claims = elsewhere.split('.').nth(1).context("no claims")?;
    let proven = elsewhere.replace("Bearer", "DPoP");
    // Of that issuer too, and broken in its other parts: `{"alg":"HS256"}`, no JSON, no signature.
    let broken = ["eyJhbGciOiJIUzI1NiJ9.{}.c2ln", "eyJhbGciOiJFUzI1NiJ9.{}.+", "a.{}.b"]
        .map(|form| format!("Authorization: Bearer {}", form.replace("{}", claims)));
    let url = "https://localhost/echo";
    for (field, status) in [
        ("Authorization: Bearer opaque", 200),
        ("Authorization: Bearer a.b.c", 200),
        ("Authorization: DPoP opaque", 200),
        ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.c2ln", 200),
        ("Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUifQ.c2ln", 200),
        ("Authorization: Basic YTpi", 200),
        (frank.as_str(), 200),
        (stranger.as_str(), 403),
        // Of an issuer that is believed, and not good here.
        (elsewhere.as_str(), 401),
        (proven.as_str(), 401),
        (broken[0].as_str(), 401),
        (broken[1].as_str(), 401),
        (broken[2].as_str(), 401),
        // Nobody can say of which it is.
        ("Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.e30x.c2ln", 401),
    ] {
        assert_eq!(proxied.ask(CALLER, url, &["-H", field])?.status, status, "{field}");
    }
    let openers = proxied.openers()?;
    let of = |who: &str| openers.iter().filter(|opener| *opener == who).count();
    assert_eq!((of("erin"), of("frank"), of("sam")), (14, 1, 0), "{openers:?}");
    assert!(proxied.ground.api.reached()?.iter().all(|one| one.field("authorization").is_none()));
    Ok(())
}

#[test]
fn pythons_client_is_served_through_its_proxy() -> Result<()> {
    let proxied = Proxied::new()?;
    let mut command = Command::new("python3");
    command.arg(workspace_root().join("tests/python/proxied_client.py"));
    command.arg(proxied.ground.site.process()?.address("http")?.port().to_string());
    command.args([&proxied.ground.site.ca(), &proxied.ca]).arg(proxied.ground.token("erin", CALLER)?);
    let said: Value = serde_json::from_str(&run(command, b"")?.success()?)?;
    let statuses: Vec<_> =
        said["seen"].as_array().context("nothing")?.iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, [200, 200, 403, 200], "{said}");
    assert_eq!(said["seen"][0]["body"]["card"]["number"], "************1111", "{said}");
    assert_eq!((&said["seen"][1]["length"], &said["refused"]), (&json!(3_000_000), &json!(407)), "{said}");
    Ok(())
}

#[test]
fn http_2_and_a_listener_that_is_no_proxy_have_no_connect() -> Result<()> {
    let proxied = Proxied::new()?;
    let script = "const [port, ca, token] = process.argv.slice(1);\n\
                  const session = require('http2').connect(`https://localhost:${port}`, { ca: require('fs').readFileSync(ca) });\n\
                  const asked = session.request({ ':method': 'CONNECT', ':authority': 'localhost:443', \
                  'proxy-authorization': `Bearer ${token}` });\n\
                  asked.on('response', (fields) => { console.log(fields[':status']); session.destroy(); });\n";
    let mut command = Command::new("node");
    command.args(["-e", script]).arg(proxied.ground.site.process()?.address("http")?.port().to_string());
    command.arg(proxied.ground.site.ca()).arg(proxied.ground.token("erin", CALLER)?);
    assert_eq!(run(command, b"")?.success()?.trim(), "501");
    let ground = Ground::new()?;
    let token = ground.token("erin", CALLER)?;
    let mut wire = Wire::connect(&ground)?;
    let head =
        format!("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\nProxy-Authorization: Bearer {token}\r\n\r\n");
    wire.say(head.as_bytes())?;
    assert_eq!(status(&wire.hear_until("\r\n\r\n")?)?, 501);
    Ok(())
}

#[test]
fn an_end_of_who_opened_a_connection_is_the_end_of_all_in_it() -> Result<()> {
    let proxied = Proxied::new()?;
    let mut within = proxied.within()?;
    within.say(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    assert!(within.hear_until("}\n\n")?.starts_with("HTTP/1.1 200"));
    let sessions = proxied.ground.sessions()?;
    let [session] = sessions.as_slice() else { panic!("{sessions:?}") };
    proxied.ground.sluice_as("ada", &["sluice-admin"], &["sessions", "kill", session])?.success()?;
    let rest = within.hear_until("\r\n0\r\n\r\n").unwrap_or_default();
    assert!(!rest.contains("0\r\n\r\n"), "{rest}");
    record::wait_for(
        &proxied.ground.site,
        "the end",
        |event| matches!(event, Event::SessionClosed { reason, .. } if reason.contains("by an administrator")),
    )?;
    // One that rests ends as well.
    let mut within = proxied.within()?;
    within.say(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    within.hear_answer()?;
    let sessions = proxied.ground.sessions()?;
    proxied.ground.sluice_as("ada", &["sluice-admin"], &["sessions", "kill", &sessions[0]])?.success()?;
    assert_eq!(within.hear_until("\0never\0")?, "");
    Ok(())
}

#[test]
fn a_connection_leads_nowhere_once_its_host_does() -> Result<()> {
    let proxied = Proxied::new()?;
    let mut within = proxied.within()?;
    let ask = |within: &mut Wire| -> Result<u16> {
        within.say(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        status(&within.hear_answer()?)
    };
    assert_eq!(ask(&mut within)?, 200);
    let site = &proxied.ground.site;
    let file = site.revision_file("targets.toml");
    let text = std::fs::read_to_string(&file)?;
    site.revise(|| Ok(std::fs::write(&file, text.replace("\"localhost\"", "\"elsewhere.example\""))?))?;
    assert_eq!(ask(&mut within)?, 421);
    site.revise(|| Ok(std::fs::write(&file, &text)?))?;
    assert_eq!(ask(&mut within)?, 200);
    Ok(())
}
