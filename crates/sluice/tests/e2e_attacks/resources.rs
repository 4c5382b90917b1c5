//! What costs Sluice more than it costs the attacker (RX-).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::scripted::Peer;
use testkit::scripted::{message, query, ssl_request, text};

use crate::support::raw::{Raw, encrypted, parse, sync};
use crate::support::{rows, shared, site};

/// Resident memory in bytes.
pub(crate) fn memory(site: &Site) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.process()?.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

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
