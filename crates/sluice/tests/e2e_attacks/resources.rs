//! What costs Sluice more than it costs the attacker (RX-).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ledger::tape::{Kind, TapeEnd};
use model::event::Event;
use testkit::demo::site::{FRAUD_SERVICE, ORDER_SERVICE, Site, Tuning};
use testkit::scripted::Peer;
use testkit::scripted::{message, query, ssl_request, text};
use testkit::wait::eventually_blocking;

use crate::support::raw::{Raw, encrypted, parse, sync};
use crate::support::{CLEARED, LIMIT, memory, record, rows, shared, site, tape, token};

#[tokio::test(flavor = "multi_thread")]
async fn rx_01_slow_logins_are_over_at_the_deadline() -> Result<()> {
    let site = site("slow", Tuning { sluice_toml: "[limits]\nlogin_timeout = \"2s\"\n".into(), ..Tuning::default() })?;
    let begun = Instant::now();
    let address = site.process()?.address("postgres")?;
    // Silent; a byte now and then; inside the TLS handshake; before the password.
    let mut silent = Peer::connect(address).await?;
    let mut dribbling = Peer::connect(address).await?;
    let mut in_handshake = Peer::connect(address).await?;
    in_handshake.send(&ssl_request()).await?;
    in_handshake.read(1).await?;
    in_handshake.send(b"\x16\x03\x01").await?;
    let mut encrypted = encrypted(&site).await?;
    for byte in ssl_request() {
        if dribbling.send(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    for peer in [&mut silent, &mut dribbling, &mut in_handshake, &mut encrypted] {
        peer.read_to_close().await?;
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_02_one_address_cannot_take_every_place() -> Result<()> {
    let limits = "[limits]\nmax_logins_per_source = 5\nlogin_timeout = \"3s\"\n";
    let site = site("places", Tuning { sluice_toml: limits.into(), ..Tuning::default() })?;
    let address = site.process()?.address("postgres")?;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(Peer::connect(address).await?);
    }
    // Most are closed at once, the others at the deadline; then there is room again.
    for peer in &mut waiting {
        peer.read_to_close().await?;
    }
    assert_eq!(rows(&site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_03_a_declared_length_allocates_nothing() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let before = memory(site)?;
    let mut held = Vec::new();
    for _ in 0..20 {
        // A Bind of nearly 64 MiB, announced and never sent.
        let mut client = Raw::login(site, &token).await?;
        client.send(&[parse("", "SELECT 1"), message(b'H', b"")]).await?;
        client.peer.send(&[&b"B"[..], &(63 * 1024 * 1024_u32).to_be_bytes(), b"abc"].concat()).await?;
        held.push(client);
    }
    assert_eq!(rows(site, &token, "SELECT 1")?, "1");
    let grown = memory(site)?.saturating_sub(before);
    assert!(grown < 200 * 1024 * 1024, "20 declared lengths cost {grown} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_06_intricate_statements_are_refused_in_time() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let begun = Instant::now();
    // Noughts alone: the other tests look for their own numbers in the server's log.
    let list = vec!["0"; 50_000].join(",");
    for sql in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "-".repeat(500) + &" - ".repeat(50_000)),
        format!("SELECT id FROM orders WHERE id IN ({list})"),
        format!("SELECT {}", "SELECT ".repeat(50_000)),
        format!("SELECT '{}'", "x".repeat(2_000_000)),
    ] {
        let mut client = Raw::login(site, &token).await?;
        let what = || format!("{}… ({} bytes)", sql.get(..20).unwrap_or_default(), sql.len());
        let sent = client.send(&[query(&sql)]).await;
        // An answer or an error; the one that is too large may end before it was read. Never silence, and never the end
        // of Sluice.
        match client.peer.read_message().await {
            Ok(first) => assert!(matches!(first.tag, b'E' | b'T' | b'D'), "{}", char::from(first.tag)),
            Err(error) => assert!(sql.len() > 1024 * 1024, "{}: {sent:?} {error:#}", what()),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(rows(site, &token, "SELECT 1")?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_08_prepared_statements_are_bounded() -> Result<()> {
    let site = site("names", Tuning { sluice_toml: "[limits]\nmax_prepared = 50\n".into(), ..Tuning::default() })?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let mut refused = 0;
    for number in 0..100 {
        let answer = client.exchange(&[parse(&format!("s{number}"), "SELECT 1"), sync()]).await?;
        refused += answer.errors().iter().filter(|state| *state == "53400").count();
    }
    assert!((40..=60).contains(&refused), "{refused}");
    let freed = client.exchange(&[crate::support::raw::close(b'S', "s1"), parse("again", "SELECT 1"), sync()]).await?;
    assert!(freed.errors().is_empty(), "{:?}", text("again"));
    Ok(())
}

/// Why a login was refused.
async fn refused(site: &Site, token: &str) -> Result<String> {
    Ok(format!("{:#}", Raw::login(site, token).await.err().context("it was let in")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_11_one_subject_cannot_take_every_session() -> Result<()> {
    let limits = "[limits]\nmax_sessions_per_subject = 4\n";
    let site = site("quota", Tuning { sluice_toml: limits.into(), ..Tuning::default() })?;
    let greedy = site.token(&ORDER_SERVICE)?;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(Raw::login(&site, &greedy).await?);
    }
    // Another token is the same subject.
    for token in [&greedy, &site.token(&ORDER_SERVICE)?] {
        let told = refused(&site, token).await?;
        assert!(told.contains("53300") && told.contains("Session "), "{told}");
    }
    let why =
        |event: &Event| matches!(event, Event::SessionRefused { reason, .. } if reason.contains("has 4 sessions"));
    let entry = record::wait_for(&site, "the refusal", why)?;
    let mine = record::events(&site)?.into_iter().filter(|event| event.session() == entry.session());
    assert_eq!(mine.collect::<Vec<_>>(), [entry], "it came no further than that");

    // While all four ask as fast as they are answered, somebody else comes in and waits for nobody.
    let (stop, mut busy) = (Arc::new(AtomicBool::new(false)), tokio::task::JoinSet::new());
    for mut client in held {
        let stop = Arc::clone(&stop);
        busy.spawn(async move {
            let mut answered = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                anyhow::ensure!(client.simple("SELECT 1").await?.errors().is_empty());
                answered += 1;
            }
            anyhow::Ok((client, answered))
        });
    }
    let mut other = Raw::login(&site, &site.token(&FRAUD_SERVICE)?).await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let begun = Instant::now();
        assert_eq!(other.simple("SELECT 2").await?.column(), ["2"]);
        slowest = slowest.max(begun.elapsed());
    }
    // The deadline of the journal: nobody waited for their turn that long.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    stop.store(true, Ordering::Relaxed);
    let mut held = Vec::new();
    while let Some(ended) = busy.join_next().await {
        let (client, answered) = ended??;
        assert!(answered > 0);
        held.push(client);
    }

    // A place is free when a session ends, and not before.
    assert!(refused(&site, &greedy).await?.contains("53300"));
    drop(held.pop());
    eventually_blocking(LIMIT, "a free place", || {
        Ok(rows(&site, &greedy, "SELECT 1").ok().filter(|row| row == "1").map(drop))
    })?;
    Ok(())
}

/// One tenant's answers are more than a tape may hold; the other's tape has what it had to have.
#[tokio::test(flavor = "multi_thread")]
async fn rx_18_a_tape_at_its_cap_takes_nothing_from_anothers() -> Result<()> {
    let mut site = site("tenants", Tuning { target: "tape_cap = \"64KiB\"\n".into(), ..Tuning::default() })?;
    let (large, small) = (site.token(&CLEARED)?, token(&site, "small", CLEARED.groups)?);
    let (mut large, mut small) = (Raw::login(&site, &large).await?, Raw::login(&site, &small).await?);
    let all = "SELECT * FROM orders, generate_series(1, 5)";
    let mut asked = Vec::new();
    for number in 0..10 {
        assert!(large.simple(all).await?.errors().is_empty());
        asked.push(format!("SELECT {number}, 'of the small one'"));
        assert_eq!(small.simple(&asked[number]).await?.column(), [number.to_string()]);
    }
    drop((large, small));
    site.stop()?;

    let events = record::events(&site)?;
    let cut: Vec<_> = events.iter().filter(|event| matches!(event, Event::TapeCut { .. })).collect();
    assert_eq!(cut.len(), 1, "{cut:?}");
    let mut tapes = Vec::new();
    for path in super::tapes::tapes(&site)? {
        let (records, end) = tape::records(&path)?;
        assert_eq!(end, Some(TapeEnd::Complete));
        tapes.push(records);
    }
    assert_eq!(tapes.len(), 2);
    let of = |kind: Kind, index: usize| tapes[index].iter().filter(|record| record.kind == kind).count();
    let large = usize::from(of(Kind::Cut, 0) == 0);
    assert_eq!((of(Kind::Cut, large), of(Kind::Cut, 1 - large)), (1, 0));
    let held = |index: usize, text: &str| {
        let has = |content: &[u8]| content.windows(text.len()).any(|window| window == text.as_bytes());
        tapes[index].iter().filter(|record| record.kind == Kind::FromClient && has(&record.content)).count()
    };
    assert_eq!(held(large, "generate_series"), 10, "what was asked is recorded beyond the cap too");
    for asked in &asked {
        assert_eq!(held(1 - large, asked), 1, "{asked}");
    }
    assert!(of(Kind::ToClient, 1 - large) >= 10);
    assert!(of(Kind::ToClient, large) < 10);
    Ok(())
}
