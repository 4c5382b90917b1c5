//! A target that is hostile from the middle of a session on: it answers what was not asked, or without end (SM-07,
//! RX-03, RX-09, RX-17), or lies about TLS (SM-02).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::interposed::{Interposer, Lie};
use testkit::postgres::Authentication;
use testkit::scripted::{
    Message, ScriptedServer, authentication_ok, command_complete, data_row, error_response, message, parameter_status,
    query, ready_for_query, row_description,
};
use testkit::wait::eventually_blocking;

use crate::support::oracle::Watched;
use crate::support::raw::{Raw, bind, execute, last_error, parse, sync};
use crate::support::{LIMIT, binary, database, memory, postgres};

/// What no client may ever see.
const FORGED: &[u8] = b"forged-by-the-target";

fn row() -> Vec<u8> {
    data_row(&[Some(FORGED)])
}

fn described() -> Vec<u8> {
    row_description(&["x"])
}

fn done() -> Vec<u8> {
    [command_complete("SELECT 1"), ready_for_query(b'I')].concat()
}

/// A row that says that it has so many values, and has none.
fn short_row(values: u16) -> Vec<u8> {
    message(b'D', &values.to_be_bytes())
}

/// Every lie, by its number: what it is, and the bytes that are sent instead of an answer.
fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let copy_out = || message(b'H', &[0, 0, 1, 0, 0]);
    vec![
        ("rows without a description", [row(), done()].concat()),
        ("a second ReadyForQuery", [described(), done(), ready_for_query(b'I')].concat()),
        ("rows of the next answer without a description", [described(), done(), row()].concat()),
        ("AuthenticationOk in a session", [authentication_ok(), done()].concat()),
        ("a request for a password", message(b'R', &3_u32.to_be_bytes())),
        ("CopyBothResponse", [message(b'W', &[0, 0, 0]), message(b'd', FORGED)].concat()),
        ("NegotiateProtocolVersion", message(b'v', &[0, 3, 0, 0, 0, 0, 0, 0])),
        ("BackendKeyData", message(b'K', &[0; 8])),
        ("ParseComplete to a Query", message(b'1', b"")),
        ("BindComplete to a Query", message(b'2', b"")),
        ("ParameterDescription to a Query", message(b't', &[0, 0])),
        ("PortalSuspended to a Query", [described(), message(b's', b""), ready_for_query(b'I')].concat()),
        ("CopyData without a COPY", message(b'd', FORGED)),
        ("a COPY that nobody asked for", [copy_out(), message(b'd', FORGED), message(b'c', b""), done()].concat()),
        ("FunctionCallResponse", message(b'V', &[&20_u32.to_be_bytes()[..], FORGED].concat())),
        ("an unknown message", message(b'?', FORGED)),
        ("type byte zero", message(0, FORGED)),
        ("a row of another width", [described(), data_row(&[Some(FORGED), Some(FORGED)]), done()].concat()),
        ("a row without its values", [described(), short_row(1), done()].concat()),
        ("a value longer than its row", [described(), message(b'D', &[0, 1, 0, 1, 0, 0, b'x']), done()].concat()),
        ("a value of negative length", [described(), message(b'D', &[0, 1, 0xff, 0xff, 0xff, 0xfe]), done()].concat()),
        ("a description that is cut off", message(b'T', &[0xff, 0xff, b'x', 0])),
        ("bytes behind a ReadyForQuery's status", message(b'Z', b"IT")),
        ("an unknown transaction status", message(b'Z', b"X")),
        ("an error without an end", message(b'E', b"SERROR")),
        ("a length under four", [&b"D"[..], &3_u32.to_be_bytes()].concat()),
        ("two gigabytes announced", [&b"D"[..], &0x7fff_ffff_u32.to_be_bytes(), b"x"].concat()),
        ("a negative length", [&b"D"[..], &0xffff_ffff_u32.to_be_bytes(), b"x"].concat()),
        ("rows after EmptyQueryResponse", [message(b'I', b""), row(), done()].concat()),
    ]
}

/// Sluice in front of a server that lies whenever a message holds one of the words.
pub(super) async fn in_front_of(
    name: &str,
    lie: impl Fn(&Message) -> Lie + Send + Sync + 'static,
) -> Result<(Watched<Site>, Interposer)> {
    let server = postgres()?;
    let interposer = Interposer::start(format!("{}:{}", server.host(), server.port()).parse()?, lie).await?;
    let login = server.login("hostile_app", Authentication::ScramWithoutTls)?;
    let payments = database(name)?;
    server.sql(name, "GRANT sluice_app TO hostile_app")?;
    let tuning = Tuning {
        target_address: Some(interposer.address().to_string()),
        target: "tls = \"off\"\n".into(),
        ..Tuning::default()
    };
    let payments = testkit::payments::Payments { login, ..payments };
    let mut site = Watched::new(Site::prepare(server, &payments, binary(), &tuning)?)?;
    site.start()?;
    Ok((site, interposer))
}

pub(super) fn holds(message: &Message, word: &str) -> bool {
    message.body.windows(word.len()).any(|window| window == word.as_bytes())
}

fn forged(bytes: &[u8]) -> bool {
    bytes.windows(FORGED.len()).any(|window| window == FORGED)
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_07_a_lie_in_mid_session_ends_that_session_alone() -> Result<()> {
    let all = lies();
    let word = |number: usize| format!("lie-{number}-");
    let answers: Vec<(String, Vec<u8>)> =
        all.iter().enumerate().map(|(at, (_, lie))| (word(at), lie.clone())).collect();
    let lie = move |message: &Message| {
        let found = answers.iter().find(|(word, _)| message.tag == b'Q' && holds(message, word));
        found.map_or(Lie::None, |(_, bytes)| Lie::Once(bytes.clone()))
    };
    let (site, _interposer) = in_front_of("hostile", lie).await?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut bystander = Raw::login(&site, &token).await?;
    for (at, (what, _)) in all.iter().enumerate() {
        let mut client = Raw::login(&site, &token).await?;
        assert_eq!(client.simple("SELECT 1").await?.column(), ["1"], "{what}");
        // With something behind it, which is never run.
        client.send(&[query(&format!("SELECT '{}'", word(at))), query("SELECT 'behind'")]).await?;
        let seen = client.peer.read_to_close().await.with_context(|| format!("after {what}"))?;
        assert!(matches!(last_error(&seen).as_deref(), Some("08006" | "58030")), "{what}: {:?}", last_error(&seen));
        assert!(!forged(&seen), "{what} was believed");
        assert_eq!(bystander.simple("SELECT 2").await?.column(), ["2"], "{what}");
    }
    Ok(())
}

/// The end of its connection tells a client that its cancel was passed on: what it runs next must not be cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn pg_14_a_cancel_is_passed_on_before_its_connection_ends() -> Result<()> {
    let (site, interposer) = in_front_of("slow_cancels", |_| Lie::None).await?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    interposer.hold_cancels(true);
    client.send(&[query("SELECT count(*) FROM generate_series(1, 10000000)")]).await?;
    let mut cancel = super::statements::asked_to_cancel(&site, &client.cancel_key()?).await?;
    assert!(cancel.is_silent_for(Duration::from_millis(300)).await, "it ended before it was passed on");
    interposer.hold_cancels(false);
    assert!(cancel.read_to_close().await?.is_empty());
    assert!(client.answer().await?.errors().is_empty(), "the interposer passes no cancel on");
    // Nothing runs: it ends at once.
    interposer.hold_cancels(true);
    let mut cancel = super::statements::asked_to_cancel(&site, &client.cancel_key()?).await?;
    assert!(cancel.read_to_close().await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_07_a_lie_in_a_pipeline_ends_the_session() -> Result<()> {
    let answers: Vec<(&str, Vec<u8>)> = vec![
        ("rows before Bind", [message(b'1', b""), row()].concat()),
        ("rows in place of ParseComplete", row()),
        ("a description in place of ParseComplete", described()),
        ("CommandComplete in place of ParseComplete", command_complete("SELECT 1")),
        ("ReadyForQuery in place of ParseComplete", ready_for_query(b'I')),
        ("two ParseCompletes", [message(b'1', b""), message(b'1', b"")].concat()),
        ("CloseComplete", message(b'3', b"")),
        ("CopyInResponse to a Parse", message(b'G', &[0, 0, 0])),
    ];
    let words: Vec<(String, Vec<u8>)> =
        answers.iter().enumerate().map(|(at, (_, lie))| (format!("pipe-{at}-"), lie.clone())).collect();
    let lie = move |message: &Message| {
        let found = words.iter().find(|(word, _)| message.tag == b'P' && holds(message, word));
        found.map_or(Lie::None, |(_, bytes)| Lie::Once(bytes.clone()))
    };
    let (site, _interposer) = in_front_of("hostile_pipe", lie).await?;
    let token = site.token(&ORDER_SERVICE)?;
    for (at, (what, _)) in answers.iter().enumerate() {
        let mut client = Raw::login(&site, &token).await?;
        let sql = format!("SELECT 'pipe-{at}-'");
        client.send(&[parse("", &sql), bind("", "", &[], 0), execute("", 0), sync()]).await?;
        let seen = client.peer.read_to_close().await.with_context(|| format!("after {what}"))?;
        assert_eq!(last_error(&seen).as_deref(), Some("08006"), "{what}");
        assert!(!forged(&seen), "{what} was believed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_17_what_a_target_sends_without_end_costs_bounded_memory() -> Result<()> {
    let notice = [&b"SNOTICE\0VNOTICE\0C00000\0M"[..], &[b'x'; 8000], b"\0\0"].concat();
    let large = vec![b'y'; 1024 * 1024];
    let floods: Vec<(&str, Lie)> = vec![
        ("flood-notice", Lie::Endless(message(b'N', &notice))),
        ("flood-notify", Lie::Endless(message(b'A', &[&[0; 4][..], b"c\0", &large[..4000], b"\0"].concat()))),
        ("flood-status", Lie::Endless(message(b'S', &[&b"application_name\0"[..], &large[..4000], b"\0"].concat()))),
        ("flood-error", Lie::Once(error_response("ERROR", "42601", &"z".repeat(20 * 1024 * 1024)))),
        ("flood-columns", Lie::Once(row_description(&vec!["c"; 60_000]))),
        ("flood-announced", Lie::Endless([&b"D"[..], &(60 * 1024 * 1024_u32).to_be_bytes(), b"x"].concat())),
    ];
    let known = floods.clone();
    let lie = move |message: &Message| {
        let found = known.iter().find(|(word, _)| message.tag == b'Q' && holds(message, word));
        found.map_or(Lie::None, |(_, lie)| lie.clone())
    };
    let (site, _interposer) = in_front_of("floods", lie).await?;
    let token = site.token(&ORDER_SERVICE)?;
    assert_eq!(Raw::login(&site, &token).await?.simple("SELECT 1").await?.column(), ["1"]);
    let before = memory(&site)?;
    for (word, _) in &floods {
        let mut client = Raw::login(&site, &token).await?;
        client.send(&[query(&format!("SELECT '{word}'"))]).await?;
        // Some of it is read, so that it flows; then nobody does.
        let _ = client.peer.read(2000).await;
        assert_eq!(Raw::login(&site, &token).await?.simple("SELECT 2").await?.column(), ["2"], "{word}");
        let grown = memory(&site)?.saturating_sub(before);
        assert!(grown < 256 * 1024 * 1024, "{word} cost {grown} bytes");
    }
    Ok(())
}

/// Every session of these waits for a message that never comes.
#[tokio::test(flavor = "multi_thread")]
async fn rx_03_a_length_that_a_target_declares_allocates_nothing() -> Result<()> {
    let announced = [&b"D"[..], &(63 * 1024 * 1024_u32).to_be_bytes(), b"x"].concat();
    let lie = move |message: &Message| match holds(message, "announce") {
        true => Lie::Once([described(), announced.clone()].concat()),
        false => Lie::None,
    };
    let (site, _interposer) = in_front_of("announced", lie).await?;
    let token = site.token(&ORDER_SERVICE)?;
    let before = memory(&site)?;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut client = Raw::login(&site, &token).await?;
        client.send(&[query("SELECT 'announce'")]).await?;
        assert_eq!(client.peer.read_message().await?.tag, b'T');
        held.push(client);
    }
    assert_eq!(Raw::login(&site, &token).await?.simple("SELECT 1").await?.column(), ["1"]);
    let grown = memory(&site)?.saturating_sub(before);
    assert!(grown < 200 * 1024 * 1024, "20 declared lengths cost {grown} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_01_a_slow_target_is_left_at_the_deadline() -> Result<()> {
    // Silent; a byte now and then; a login that goes on without an end.
    let scripts: [fn() -> Vec<Vec<u8>>; 3] = [
        || Vec::new(),
        || authentication_ok().into_iter().map(|byte| vec![byte]).collect(),
        || [vec![authentication_ok()], vec![parameter_status("a", "b"); 1000]].concat(),
    ];
    for script in scripts {
        let server = ScriptedServer::start(move |mut peer, _| async move {
            peer.read_startup().await?;
            for part in script() {
                peer.send_slowly(&part, Duration::from_millis(100)).await?;
            }
            peer.read_to_close().await.map(|_| ())
        })
        .await?;
        let tuning = Tuning {
            target_address: Some(server.address().to_string()),
            target: "tls = \"off\"\n".into(),
            sluice_toml: "[limits]\nconnect_timeout = \"2s\"\n".into(),
            ..Tuning::default()
        };
        let mut site = Site::prepare(postgres()?, &database("certificate")?, binary(), &tuning)?;
        site.start()?;
        let begun = Instant::now();
        let refused = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await.err().context("it let somebody in")?;
        assert!(format!("{refused:#}").contains("08006"), "{refused:#}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_09_a_result_that_nobody_reads_costs_bounded_memory() -> Result<()> {
    let site = &crate::support::shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let before = memory(site)?;
    let mut idle = Vec::new();
    for sql in [
        "SELECT repeat('x', 5000) FROM generate_series(1, 300000)",
        "COPY (SELECT repeat('x', 5000) FROM generate_series(1, 300000)) TO STDOUT",
        "SELECT note, repeat('x', 5000) FROM orders, generate_series(1, 10000)",
    ] {
        let mut client = Raw::login(site, &token).await?;
        client.send(&[query(sql)]).await?;
        client.peer.read(20_000).await?;
        idle.push(client);
    }
    // Everybody else goes on, and what waits stays within the buffers.
    for _ in 0..20 {
        assert_eq!(Raw::login(site, &token).await?.simple("SELECT 1").await?.column(), ["1"]);
    }
    let grown = memory(site)?.saturating_sub(before);
    assert!(grown < 128 * 1024 * 1024, "three results that nobody reads cost {grown} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_28_a_target_that_ignores_the_cancel_of_a_cut_stream_is_left() -> Result<()> {
    const NOTE: &str = "zanzibar-note";
    let (site, _interposer) = in_front_of("deaf", |_| Lie::None).await?;
    postgres()?.sql("deaf", &format!("UPDATE orders SET note = '{NOTE}'"))?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let sql = "SELECT note, repeat('-', 1000) FROM orders, generate_series(1, 200)";
    client.send(&[query(sql)]).await?;
    let first = client.peer.read(200).await?;
    assert!(first.windows(NOTE.len()).any(|window| window == NOTE.as_bytes()));
    let path = site.revision_file("classification.toml");
    let rule = "\n[[column]]\nmatch = \"public.orders.note\"\nclasses = [\"secret\"]\n";
    let text = std::fs::read_to_string(&path)? + rule;
    site.revise(|| Ok(std::fs::write(&path, text)?))?;
    let rest = client.peer.read_to_close().await?;
    let shown = rest.windows(NOTE.len()).filter(|window| *window == NOTE.as_bytes()).count();
    // What was on its way when the revision came, of 60,000 rows.
    assert!(shown < 30_000, "{shown} rows were delivered");
    assert_eq!(last_error(tail(&rest)).as_deref(), Some("58030"));
    Ok(())
}

/// The last message of a stream that began in the middle of one.
fn tail(bytes: &[u8]) -> &[u8] {
    let at = bytes.windows(7).rposition(|window| window.starts_with(b"E\0\0") && window.ends_with(b"SF"));
    at.and_then(|at| bytes.get(at..)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_02_a_target_that_answers_the_request_for_tls_with_anything_else_gets_nothing() -> Result<()> {
    let error = error_response("FATAL", "28000", "no");
    let answers: [(&str, Vec<u8>); 6] = [
        ("n", b"N".to_vec()),
        ("x", b"X".to_vec()),
        ("e", error),
        ("plain", [b"S".to_vec(), authentication_ok(), ready_for_query(b'I')].concat()),
        ("more", b"SS".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (name, answer) in answers {
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let server = ScriptedServer::start(move |mut peer, _| {
            let (answer, told) = (answer.clone(), told.clone());
            async move {
                peer.read_startup().await?;
                peer.send(&answer).await?;
                if !answer.is_empty() {
                    let _ = told.send(peer.read_to_close().await?);
                }
                Ok(())
            }
        })
        .await?;
        let ca = postgres()?.ca_certificate().display().to_string();
        let tuning = Tuning {
            target_address: Some(server.address().to_string()),
            target: format!("tls = \"verify-full\"\nca_file = \"{ca}\"\n"),
            sluice_toml: "[limits]\nconnect_timeout = \"3s\"\n".into(),
            ..Tuning::default()
        };
        let payments = database("certificate")?;
        let mut site = Site::prepare(postgres()?, &payments, binary(), &tuning)?;
        site.start()?;
        let refused = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await.err().context("it was believed")?;
        assert!(format!("{refused:#}").contains("08006"), "{name}: {refused:#}");
        while let Ok(bytes) = heard.try_recv() {
            // At most a TLS record: never a user's name or a password.
            assert!(bytes.is_empty() || bytes[0] == 0x16 || bytes[0] == 0x15, "{name}: {bytes:?}");
            let named = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!named("sluice_app") && !named(&payments.login.password), "{name}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_16_a_connection_to_the_target_is_nobodys_after_its_session() -> Result<()> {
    let site = &crate::support::shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut first = Raw::login(site, &token).await?;
    first.simple("CREATE TEMP TABLE mine (x int)").await?;
    first.send(&[query("SELECT pg_catalog.count(*), 'sm-16' FROM generate_series(1, 100000000)")]).await?;
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%''sm-16''%' \
                   AND pid <> pg_backend_pid()";
    let count = |expected: &str| {
        eventually_blocking(LIMIT, "the backend", || {
            Ok((postgres()?.sql("postgres", running)? == expected).then_some(()))
        })
    };
    count("1")?;
    // Gone in mid-answer: what it ran is cancelled, its connection closed, and the next one's answer is its own.
    drop(first);
    let mut second = Raw::login(site, &token).await?;
    assert_eq!(second.simple("SELECT 'mine alone'").await?.column(), ["mine alone"]);
    count("0")?;
    Ok(())
}
