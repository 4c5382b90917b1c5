//! Connections to targets in which nobody sees what passes: only where the target and policy say so.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use ledger::tape::{Kind, Lane, Track};
use model::decision::Outcome;
use model::event::Event;
use model::lineage::Output;
use serde_json::{Value, json};
use testkit::api::{Api, Options};
use testkit::command::run;
use testkit::wait::eventually_blocking;

use crate::ground::{CALLER, Tuning};
use crate::proxying::{Proxied, status};
use crate::support::{LIMIT, admin, record, tape};
use crate::wire::Wire;

const CONNECTS: &str = "@id(\"raw-connect\")\npermit (principal in Group::\"callers\", action == Action::\"connect\", \
                        resource in Target::\"raw\");\n";
const TUNNELS: &str = "@id(\"raw-tunnel\")\npermit (principal in Group::\"callers\", action == Action::\"http:connect\", \
                       resource in Target::\"raw\");\n";
const ASKED: &str = "raw.example:443";

/// A server that says back whatever it is told.
struct Echo {
    address: SocketAddr,
    /// How many have connected, and how many of them have gone.
    counts: Arc<(AtomicUsize, AtomicUsize)>,
}

impl Echo {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let counts: Arc<(AtomicUsize, AtomicUsize)> = Arc::default();
        let counting = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counting.0.fetch_add(1, Ordering::SeqCst);
                let counting = Arc::clone(&counting);
                std::thread::spawn(move || {
                    let _ = echo(stream);
                    counting.1.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { address, counts })
    }

    fn connected(&self) -> usize {
        self.counts.0.load(Ordering::SeqCst)
    }

    fn wait_for_end(&self) -> Result<()> {
        eventually_blocking(LIMIT, "the end at the target", || {
            Ok((self.counts.1.load(Ordering::SeqCst) == self.connected()).then_some(()))
        })
    }
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            read => stream.write_all(&piece[..read])?,
        }
    }
}

/// With a further target, to which connections are tunnels.
fn proxied(address: SocketAddr, policies: &str, sluice_toml: &str) -> Result<Proxied> {
    let targets = format!(
        "[raw]\nprotocol = \"http\"\naddress = \"{address}\"\ntls = \"off\"\nhosts = [\"raw.example\"]\n\
         credential = {{ none = true }}\ntunnel = true\n"
    );
    let (policies, sluice_toml) = (format!("{CONNECTS}{policies}"), sluice_toml.to_owned());
    Proxied::tuned(Tuning { targets, policies, sluice_toml, ..Tuning::default() })
}

/// A tunnel in which something was said and answered.
fn open(proxied: &Proxied) -> Result<Wire> {
    let (mut wire, head) = proxied.wire(CALLER, ASKED, "")?;
    assert_eq!(status(&head)?, 200, "{head}");
    wire.say(b"hello")?;
    assert_eq!(wire.hear_exactly(5)?, b"hello");
    Ok(wire)
}

/// The decision about a tunnel.
fn decided(proxied: &Proxied, outcome: Outcome) -> Result<String> {
    let event = record::wait_for(
        &proxied.ground.site,
        "the decision",
        |event| matches!(event, Event::Decided { outcome: decided, .. } if *decided == outcome),
    )?;
    let Event::Decided { request, .. } = event else { panic!() };
    Ok(request.to_string())
}

/// Why a tunnel ended, as the journal has it.
fn ended(proxied: &Proxied, reason: &str) -> Result<()> {
    let is_it = |event: &Event| matches!(event, Event::Completed { error: Some(error), .. } if error.contains(reason));
    record::wait_for(&proxied.ground.site, reason, is_it).map(drop)
}

/// How the one tunnel ended, as the tape has it.
fn end_on_tape(proxied: &Proxied) -> Result<Value> {
    eventually_blocking(LIMIT, "the end of the session", || Ok(proxied.ground.sessions()?.is_empty().then_some(())))?;
    let mut end = Vec::new();
    let mut paths = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(proxied.ground.site.data().join("tapes"))? {
        // It may just be packed.
        paths.insert(entry?.path().with_extension("tape"));
    }
    for path in paths {
        for record in tape::records(&path)?.0 {
            if matches!(record.kind, Kind::FromClientOn | Kind::ToClientOn) {
                let (track, content) = Track::split(&record.content).context("a record without a track")?;
                assert!(!content.windows(5).any(|bytes| bytes == b"hello"), "what passes is on the tape");
                if track.lane == Lane::End {
                    end.extend_from_slice(content);
                }
            }
        }
    }
    Ok(serde_json::from_slice(&end)?)
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_tunnel_is_denied_unless_policy_permits_it() -> Result<()> {
    let echo = Echo::start()?;
    let proxied = proxied(echo.address, "", "")?;
    let (_, head) = proxied.wire(CALLER, ASKED, "")?;
    assert_eq!(status(&head)?, 403, "{head}");
    let request = decided(&proxied, Outcome::Deny)?;
    assert!(head.contains(&format!("sluice-request: {request}")), "{head}");
    // Who may not use the target at all is told what everybody is told who may not.
    let (_, head) = proxied.wire(&["strangers"], ASKED, "")?;
    assert_eq!(status(&head)?, 403, "{head}");
    assert_eq!(echo.connected(), 0);
    Ok(())
}

#[test]
fn what_passes_a_tunnel_is_counted_and_its_digest_is_on_the_tape() -> Result<()> {
    let echo = Echo::start()?;
    let proxied = proxied(echo.address, TUNNELS, "")?;
    let mut wire = open(&proxied)?;
    let more: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    for piece in more.chunks(10_000) {
        wire.say(piece)?;
        assert_eq!(wire.hear_exactly(piece.len())?, piece);
    }
    drop(wire);
    echo.wait_for_end()?;
    let all = [b"hello".as_slice(), &more].concat();
    let measured = json!({ "bytes": all.len(), "sha256": sha256(&all) });
    let end = end_on_tape(&proxied)?;
    assert_eq!((&end["status"], &end["input"], &end["output"]), (&json!(200), &measured, &measured), "{end}");
    let events = record::events(&proxied.ground.site)?;
    let at = |is_it: &dyn Fn(&Event) -> bool| events.iter().position(is_it).context("it is not in the journal");
    let statement = at(&|event| {
        matches!(event, Event::Statement { text, effects, output: Output::Unknown, .. }
        if text == "CONNECT raw.example:443" && effects[0].to_string().starts_with("http:connect route CONNECT raw.example/"))
    })?;
    let allowed = at(&|event| matches!(event, Event::Decided { outcome: Outcome::Allow, .. }))?;
    let completed =
        at(&|event| matches!(event, Event::Completed { error: None, disclosure, .. } if disclosure.rows == 1))?;
    assert!(statement < allowed && allowed < completed, "{statement} {allowed} {completed}");
    Ok(())
}

#[test]
fn sm_13_what_is_said_too_early_is_said_in_the_tunnel_or_nowhere() -> Result<()> {
    let echo = Echo::start()?;
    let proxied = proxied(echo.address, TUNNELS, "")?;
    let token = proxied.ground.token("erin", CALLER)?;
    let early = "\r\nGET / HTTP/1.1\nHost: a\r\n\r\n";
    let asked = |token: &str, more: &str| {
        format!("CONNECT {ASKED} HTTP/1.1\r\nHost: {ASKED}\r\nProxy-Authorization: Bearer {token}\r\n\r\n{more}")
    };
    let mut wire = Wire::connect(&proxied.ground)?;
    wire.say(asked(&token, early).as_bytes())?;
    let heard = wire.hear_until(early)?;
    assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with(&format!("\r\n\r\n{early}")), "{heard}");
    // Where there is no tunnel, nothing behind it is a request.
    for more in ["", early, "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let said = Wire::connect(&proxied.ground)?.exchange(asked("nonsense", more).as_bytes())?;
        assert_eq!((said.status, said.text.matches("HTTP/1.1 ").count()), (407, 1), "{said:?}");
    }
    assert_eq!(echo.connected(), 1);
    Ok(())
}

#[test]
fn a_client_speaks_to_its_own_server_in_a_tunnel() -> Result<()> {
    let server = Api::start(Options { two: true, ..Options::default() })?;
    let proxied = proxied(server.address(), TUNNELS, "")?;
    let user = format!("erin:{}", proxied.ground.token("erin", CALLER)?);
    let ca = server.ca().display().to_string();
    let mut command = proxied.curl(&["-o", "-", "--proxy-user", &user, "--cacert", &ca])?;
    command
        .args(["-H", "Authorization: Bearer of-its-own"])
        .arg(format!("https://{}/v1/customers/7", server.address()));
    let said: Value = serde_json::from_str(&run(command, b"")?.success()?)?;
    assert_eq!(said["card"]["number"], "4111111111111111", "{said}");
    assert_eq!(server.reached()?[0].field("authorization"), Some("Bearer of-its-own"));
    // The other targets of this listener are none.
    assert_eq!(proxied.ask(CALLER, "https://localhost/echo", &[])?.status, 200);
    let closed = record::wait_for(&proxied.ground.site, "the end", |event| {
        matches!(event, Event::SessionClosed { tape: Some(_), .. })
    })?;
    let Event::SessionClosed { session, .. } = closed else { panic!() };
    let arguments = ["sessions", "export", &session.to_string(), "--format", "har"];
    let har: Value = serde_json::from_str(&proxied.ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?)?;
    let entry = &har["log"]["entries"][0];
    assert_eq!(entry["request"]["url"], format!("https://{}", server.address()), "{entry}");
    assert!(!entry.to_string().contains(&user[5..]), "{entry}");
    Ok(())
}

#[test]
fn an_administrator_a_policy_a_revocation_or_the_target_ends_a_tunnel() -> Result<()> {
    let echo = Echo::start()?;
    let proxied = proxied(echo.address, TUNNELS, "")?;
    let (ground, site) = (&proxied.ground, &proxied.ground.site);
    let is_cut = |mut wire: Wire| assert_eq!(wire.hear_until("\0never\0").unwrap_or_default(), "");
    let wire = open(&proxied)?;
    ground.sluice_as("ada", &["sluice-admin"], &["sessions", "kill", &ground.sessions()?[0]])?.success()?;
    is_cut(wire);
    ended(&proxied, "by an administrator")?;
    let wire = open(&proxied)?;
    let denies = "@id(\"no-raw\") forbid(principal, action == Action::\"http:connect\", resource);";
    site.write_policy("30-other.cedar", Some(denies))?;
    is_cut(wire);
    ended(&proxied, "a new policy no longer allows it")?;
    site.write_policy("30-other.cedar", None)?;
    let wire = open(&proxied)?;
    let file = site.revision_file("targets.toml");
    let text = std::fs::read_to_string(&file)?;
    site.revise(|| Ok(std::fs::write(&file, text.replace("tunnel = true\n", ""))?))?;
    is_cut(wire);
    site.revise(|| Ok(std::fs::write(&file, &text)?))?;
    let wire = open(&proxied)?;
    let revoked = json!({ "subject": "demo|erin", "reason": "a test" });
    let administrator = ground.token("ada", &["sluice-admin"])?;
    let (status, answer) = admin::call(site, &administrator, "POST", "/v1/revocations", Some(&revoked))?;
    assert!((200..300).contains(&status), "{answer}");
    is_cut(wire);
    ended(&proxied, "revoked")?;
    echo.wait_for_end()?;
    assert_eq!(echo.connected(), 4);
    Ok(())
}

#[test]
fn nobody_saying_anything_ends_a_tunnel_and_so_does_the_end_of_sluice() -> Result<()> {
    let echo = Echo::start()?;
    let proxied = proxied(echo.address, TUNNELS, "idle_timeout = \"1s\"\n")?;
    assert_eq!(open(&proxied)?.hear_until("\0never\0")?, "");
    ended(&proxied, "nothing was said for too long")?;
    let mut stopping = self::proxied(echo.address, TUNNELS, "[sessions]\ndrain = \"1s\"\n")?;
    let mut wire = open(&stopping)?;
    assert_eq!(stopping.ground.site.stop()?, 0);
    assert_eq!(wire.hear_until("\0never\0")?, "");
    ended(&stopping, "Sluice is stopping")?;
    echo.wait_for_end()
}

#[test]
fn a_tunnel_waits_for_an_approver_before_the_target_hears_of_it() -> Result<()> {
    let echo = Echo::start()?;
    let asks = "@id(\"raw-asks\") @require_approval(\"ops\")\n\
                forbid (principal, action == Action::\"http:connect\", resource)\n\
                unless { context has approval && context.approval.groups.contains(\"ops\") };\n";
    let proxied = proxied(echo.address, &format!("{TUNNELS}{asks}"), "")?;
    let (_, head) = proxied.wire(CALLER, ASKED, "")?;
    assert_eq!(status(&head)?, 403, "{head}");
    assert!(head.contains("retry-after: "), "{head}");
    let approval = proxied.ground.pending()?;
    assert_eq!(echo.connected(), 0);
    proxied.ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    drop(open(&proxied)?);
    // It was for once; the next one waits.
    let waiting = std::thread::scope(|scope| {
        let asking = scope.spawn(|| proxied.wire(CALLER, ASKED, "Prefer: wait=50\r\n"));
        let approval = proxied.ground.pending()?;
        let shown = proxied.ground.sluice_as("olga", &["ops"], &["approvals", "show", &approval])?.success()?;
        assert!(shown.contains("CONNECT raw.example:443"), "{shown}");
        assert_eq!(echo.connected(), 1);
        proxied.ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
        asking.join().expect("a thread")
    });
    assert_eq!(status(&waiting?.1)?, 200);
    Ok(())
}

#[test]
fn a_target_that_is_not_there_is_told_of_before_anything_is_connected() -> Result<()> {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let proxied = proxied(gone, TUNNELS, "")?;
    let (_, head) = proxied.wire(CALLER, ASKED, "")?;
    assert_eq!(status(&head)?, 502, "{head}");
    ended(&proxied, "502")
}
