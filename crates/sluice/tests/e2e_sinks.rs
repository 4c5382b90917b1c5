//! It flows on: what the program itself sends of a real workload, over crashes and dead receivers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::canary::{Canary, assert_absent};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::wait::eventually_blocking;

use support::{LIMIT, database, postgres, rows, run, site};

/// The secret of the webhook, which no format may show.
const SECRET: &str = "the-secret-of-the-hook-9f2c";

/// A receiver that keeps what it is sent: bodies of POSTs, which it answers, or whole connections.
struct Receiver {
    listener: TcpListener,
    got: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Receiver {
    /// Accepts into its backlog, and says nothing until it is opened.
    fn bind() -> Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0")?, got: Arc::default() })
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn got(&self) -> Vec<u8> {
        self.got.lock().unwrap().concat()
    }

    /// Takes what comes from now on. The thread ends with the test's process.
    fn open(&self, read: fn(&mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>>) {
        let (listener, got) = (self.listener.try_clone().unwrap(), Arc::clone(&self.got));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                if let Ok(body) = read(&mut stream) {
                    got.lock().unwrap().push(body);
                }
            }
        });
    }
}

fn post(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
    body.push(b'\n');
    Ok(body)
}

fn connection(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    Ok(all)
}

fn webhook(receiver: &Receiver) -> String {
    let url = format!("http://{}/hook", receiver.address());
    format!(
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{url}\"\nallow_http = true\nfrom = \"start\"\n\
         secret = {{ env = \"SLUICE_HOOK_SECRET\" }}\n"
    )
}

fn file(name: &str, format: &str) -> String {
    format!(
        "[[sink]]\nname = \"{name}\"\nkind = \"file\"\npath = \"{name}.jsonl\"\nformat = \"{format}\"\nfrom = \"start\"\n"
    )
}

fn lag(site: &Site, sink: &str) -> Result<Option<u64>> {
    site.metric(&format!("sluice_sink_lag_entries{{sink=\"{sink}\"}}"))
}

fn until_caught_up(site: &Site, sinks: &[&str]) -> Result<()> {
    for sink in sinks {
        eventually_blocking(LIMIT, sink, || Ok((lag(site, sink)? == Some(0)).then_some(())))?;
    }
    Ok(())
}

/// The events in lines of JSON.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// Fails unless each position is there, and the first time that it is, in its order.
fn assert_whole(events: &[Value]) -> Result<()> {
    let mut next = 0;
    for event in events {
        let position = event["position"].as_u64().unwrap();
        ensure!(position <= next, "{position} came before {next}");
        next = next.max(position + 1);
    }
    ensure!(next > 20, "only {next} entries came");
    Ok(())
}

#[test]
fn sinks_tell_who_did_what_and_no_sensitive_value() -> Result<()> {
    let canary = Canary::random()?;
    database("flows")?;
    let Canary { card, ssn, email, token } = &canary;
    let change = format!(
        "UPDATE customers SET email = '{email}', ssn = '{ssn}', phone = '{token}'; UPDATE cards SET number = '{card}'"
    );
    postgres()?.sql("flows", &change)?;
    let (hook, collector, siem) = (Receiver::bind()?, Receiver::bind()?, Receiver::bind()?);
    let otlp = format!("http://{}/v1/logs", collector.address());
    let sinks = [
        file("json", "json"),
        file("ocsf", "ocsf"),
        webhook(&hook),
        format!("[[sink]]\nname = \"otel\"\nkind = \"otlp\"\nurl = \"{otlp}\"\nallow_http = true\nfrom = \"start\"\n"),
        format!(
            "[[sink]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"{}\"\ntls = false\nfrom = \"start\"\n",
            siem.address()
        ),
        "[[sink]]\nname = \"out\"\nkind = \"stdout\"\nevents = [\"decided\"]\n".into(),
        "[log]\nlevel = \"trace\"\n".into(),
    ];
    hook.open(post);
    collector.open(post);
    siem.open(connection);
    let environment = vec![("SLUICE_HOOK_SECRET".into(), SECRET.into())];
    let mut site = site("flows", Tuning { sluice_toml: sinks.concat(), environment, ..Tuning::default() })?;
    let caller = site.token(&ORDER_SERVICE)?;
    for sql in [
        "SELECT number FROM cards WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
        &format!("SELECT id FROM customers WHERE email = '{email}'"),
        &format!("UPDATE customers SET ssn = '{ssn}' WHERE id = 1"),
        &format!("SELECT '{card}'"),
        "COPY customers TO STDOUT",
    ] {
        run(&site, &caller, sql)?;
    }
    until_caught_up(&site, &["json", "ocsf", "hook", "otel", "siem", "out"])?;
    site.stop()?;

    let read = |name: &str| std::fs::read_to_string(site.home().join(name)).unwrap();
    let (json, ocsf) = (events(&read("json.jsonl")), events(&read("ocsf.jsonl")));
    assert_whole(&json)?;
    assert_eq!(json.last().unwrap()["event"], "stopped", "the end is sent too");
    assert_eq!(json.len(), ocsf.len());
    let of = |text: &str| {
        let mine =
            |event: &&Value| event["statements"][0]["text"].as_str().is_some_and(|found| found.starts_with(text));
        json.iter().filter(mine).collect::<Vec<_>>()
    };
    let read_cards = of("SELECT number FROM cards");
    assert!(read_cards.iter().any(|event| event["event"]["decided"]["outcome"] == "allow"), "{read_cards:?}");
    let end = read_cards.iter().find(|event| event["event"]["completed"].is_object()).unwrap();
    assert_eq!(end["event"]["completed"]["disclosure"]["classes"]["card_number"]["masked"], 1, "{end}");
    for event in &read_cards {
        assert_eq!(
            (&event["subject"]["id"], &event["database"]),
            (&"order-service".into(), &"flows".into()),
            "{event}"
        );
    }
    assert!(of("DELETE").iter().any(|event| event["event"]["decided"]["denial"].is_object()));
    let out: Vec<Value> = site.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(out.iter().filter(|event| event["event"]["decided"].is_object()).count() >= 6);

    let everything = [
        read("json.jsonl").into_bytes(),
        read("ocsf.jsonl").into_bytes(),
        hook.got(),
        collector.got(),
        siem.got(),
        site.log().into_bytes(),
    ];
    for (bytes, what) in everything.iter().zip(["json", "ocsf", "hook", "otel", "siem", "log"]) {
        assert!(bytes.len() > 1000, "{what} got {} bytes", bytes.len());
        assert_absent(bytes, &canary);
        for secret in [SECRET, &caller, "/hook"] {
            assert!(testkit::canary::leak(bytes, secret).is_none(), "{secret:?} is in {what}");
        }
    }
    Ok(())
}

#[test]
fn a_dead_receiver_delays_nobody_and_gets_everything_after_a_kill() -> Result<()> {
    database("behind")?;
    let hook = Receiver::bind()?;
    let environment = vec![("SLUICE_HOOK_SECRET".into(), SECRET.into())];
    let sluice_toml = format!("{}{}", webhook(&hook), file("json", "json"));
    let mut site = site("behind", Tuning { sluice_toml, environment, ..Tuning::default() })?;
    for round in 0..3 {
        let caller = site.token(&ORDER_SERVICE)?;
        for number in 0..5 {
            assert_eq!(rows(&site, &caller, &format!("SELECT {number}"))?, number.to_string());
        }
        let (status, body) = site.process()?.get("/readyz")?;
        assert_eq!((status, body.trim()), (200, "ready"));
        assert!(lag(&site, "hook")?.is_some_and(|lag| lag > 0), "nobody has answered it");
        until_caught_up(&site, &["json"])?;
        site.kill()?;
        if round == 2 {
            hook.open(post);
        }
        site.start()?;
    }
    until_caught_up(&site, &["hook", "json"])?;
    site.stop()?;
    let json = events(&std::fs::read_to_string(site.home().join("json.jsonl"))?);
    assert_whole(&json)?;
    let posts = String::from_utf8(hook.got())?;
    let sent: Vec<Value> = posts.lines().flat_map(|body| serde_json::from_str::<Vec<Value>>(body).unwrap()).collect();
    assert_whole(&sent)?;
    let by_position = |events: Vec<Value>| {
        events.into_iter().map(|event| (event["position"].as_u64(), event["event"].clone())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(by_position(sent), by_position(json), "both tell the same");
    Ok(())
}
