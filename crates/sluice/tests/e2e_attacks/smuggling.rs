//! Bytes that two readers could take for different messages (SM-).

use std::time::Duration;

use anyhow::Result;
use testkit::demo::site::{ORDER_SERVICE, Site};
use testkit::scripted::{Peer, message, password, query, ssl_request, startup, text};

use crate::support::raw::{Raw, V3_0, encrypted, parse, sync};
use crate::support::{postgres, rows, shared};

async fn plain(site: &Site) -> Result<Peer> {
    Peer::connect(site.process()?.address("postgres")?).await
}

/// Sluice still serves others.
fn assert_alive(site: &Site) -> Result<()> {
    assert_eq!(rows(site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_01_nothing_before_tls_counts_inside_it() -> Result<()> {
    let site = &shared()?;
    let start = startup(V3_0, &[("user", "x"), ("database", "shared")]);
    // Behind the SSLRequest, in one segment.
    let mut peer = plain(site).await?;
    peer.send(&[ssl_request(), start.clone()].concat()).await?;
    let answer = peer.read_to_close().await?;
    assert!(answer.is_empty() || answer == b"S", "{answer:?}");
    // A second SSLRequest, in clear and inside TLS.
    let mut peer = plain(site).await?;
    peer.send(&[ssl_request(), ssl_request()].concat()).await?;
    assert!(peer.read_to_close().await?.len() <= 1);
    let mut peer = encrypted(site).await?;
    peer.send(&ssl_request()).await?;
    peer.read_to_close().await?;
    // GSSENCRequest is answered N, and TLS may follow.
    let mut peer = plain(site).await?;
    let gss = [8_u32.to_be_bytes(), 80_877_104_u32.to_be_bytes()].concat();
    peer.send(&gss).await?;
    assert_eq!(peer.read(1).await?, b"N");
    peer.send(&ssl_request()).await?;
    assert_eq!(peer.read(1).await?, b"S");
    // GSSENCRequest with something behind it.
    let mut peer = plain(site).await?;
    peer.send(&[gss, start.clone()].concat()).await?;
    peer.read_to_close().await?;
    // No TLS at all.
    let mut peer = plain(site).await?;
    peer.send(&start).await?;
    assert_eq!(crate::support::raw::last_error(&peer.read_to_close().await?).as_deref(), Some("28000"));
    // Direct TLS without the application protocol.
    let peer = plain(site).await?;
    if let Ok(mut peer) = peer.into_tls_client(crate::support::tls::trusting(&site.ca())?, "localhost").await {
        peer.send(&start).await.ok();
        assert!(peer.read_to_close().await?.is_empty());
    }
    assert_alive(site)
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_03_wrong_lengths_close_that_connection_alone() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let lengths: [u32; 6] = [0, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffc];
    for length in lengths {
        // The first packet, in clear and inside TLS.
        let first = [length.to_be_bytes(), V3_0.to_be_bytes()].concat();
        let mut peer = plain(site).await?;
        peer.send(&first).await?;
        peer.read_to_close().await?;
        let mut peer = encrypted(site).await?;
        peer.send(&first).await?;
        peer.read_to_close().await?;
        // The password.
        let mut peer = crate::support::raw::started(site, V3_0, &[]).await?;
        peer.read_message().await?;
        peer.send(&[&b"p"[..], &length.to_be_bytes()].concat()).await?;
        peer.read_to_close().await?;
        // Every kind of message in a session.
        for tag in [b'Q', b'P', b'B', b'E', b'D', b'C', b'S', b'H', b'd', b'F'] {
            let mut client = Raw::login(site, &token).await?;
            client.peer.send(&[&[tag][..], &length.to_be_bytes(), b"xxxx"].concat()).await?;
            let state = client.end().await?;
            assert!(matches!(state.as_deref(), Some("08P01" | "54000")), "{tag} {length:#x}: {state:?}");
        }
    }
    // Type byte zero, unknown ones, and a password that nobody asked for.
    for bytes in [message(0, b""), message(b'?', b"x"), message(0xff, b""), password("x")] {
        let mut client = Raw::login(site, &token).await?;
        client.peer.send(&bytes).await?;
        assert_eq!(client.end().await?.as_deref(), Some("08P01"), "{bytes:?}");
    }
    // A Query with a NUL inside, without one, and with bytes behind it: refused, never cut.
    for body in [&b"SELECT 1\0; DELETE FROM orders\0"[..], b"SELECT 1", b"SELECT 1\0\0"] {
        let mut client = Raw::login(site, &token).await?;
        client.peer.send(&message(b'Q', body)).await?;
        assert_eq!(client.end().await?.as_deref(), Some("08P01"), "{body:?}");
    }
    assert_alive(site)
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_06_errors_skip_to_sync_exactly_as_the_server_does() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let denied = parse("", "DELETE FROM orders WHERE id = 1");
    let answer = client.exchange(&[denied.clone(), query("SELECT 1"), parse("", "SELECT 2"), sync()]).await?;
    assert_eq!(answer.shape(), "EZ", "{answer:?}");
    let answer = client.exchange(&[denied, sync(), query("SELECT 3")]).await?;
    assert_eq!(answer.shape(), "EZ");
    assert_eq!(client.answer().await?.column(), ["3"]);
    let broken = parse("", "SELECT nonsense FROM");
    let answer = client.exchange(&[broken, sync(), sync()]).await?;
    assert_eq!(answer.shape(), "EZ");
    assert_eq!(client.answer().await?.shape(), "Z");
    assert_eq!(client.simple("SELECT 4").await?.column(), ["4"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_08_copied_bytes_are_never_messages() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let copy = "COPY refunds (payment_id, amount, reason) FROM STDIN";
    let smuggled = [query("DELETE FROM orders WHERE id = 1"), message(b'X', b"")].concat();
    // As data: an error of COPY's own, or a row; never a statement.
    client.simple("BEGIN").await?;
    client.send(&[query(copy)]).await?;
    assert_eq!(client.peer.read_until(b'G').await?.len(), 1);
    client.send(&[message(b'd', &smuggled), message(b'c', b"")]).await?;
    let answer = client.answer().await?;
    assert_eq!(answer.errors().len(), 1, "{answer:?}");
    client.simple("ROLLBACK").await?;
    // Behind CopyDone, in one segment: a message of its own, judged by itself.
    client.simple("BEGIN").await?;
    client.send(&[query(copy)]).await?;
    client.peer.read_until(b'G').await?;
    let row = message(b'd', b"1\t2.50\tsm_08\n");
    client.send(&[row.clone(), message(b'c', b""), query("DELETE FROM orders WHERE id = 1")]).await?;
    assert_eq!(client.answer().await?.tags(), ["COPY 1"]);
    assert_eq!(client.answer().await?.errors(), ["42501"]);
    client.simple("ROLLBACK").await?;
    // CopyData behind CopyFail is dropped, as the server drops it.
    client.send(&[query(copy)]).await?;
    client.peer.read_until(b'G').await?;
    client.send(&[message(b'f', &text("no")), row, message(b'c', b"")]).await?;
    assert_eq!(client.answer().await?.errors(), ["57014"]);
    assert_eq!(client.simple("SELECT count(*) FROM refunds WHERE reason = 'sm_08'").await?.column(), ["0"]);
    assert_eq!(postgres()?.sql(site.database(), "SELECT count(*) FROM orders WHERE id = 1")?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_19_a_byte_at_a_time_is_the_same_as_all_at_once() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    let sql = "SELECT number FROM cards WHERE id <= 2 ORDER BY id";
    let at_once = client.simple(sql).await?;
    client.peer.send_slowly(&query(sql), Duration::from_millis(1)).await?;
    assert_eq!(client.answer().await?.0, at_once.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_22_other_protocols_are_turned_away() -> Result<()> {
    let site = &shared()?;
    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"]
    {
        let mut peer = plain(site).await?;
        peer.send(bytes).await?;
        let answer = peer.read_to_close().await?;
        assert!(!answer.windows(4).any(|window| bytes.windows(4).any(|sent| sent == window)), "reflected: {answer:?}");
    }
    assert_alive(site)
}
