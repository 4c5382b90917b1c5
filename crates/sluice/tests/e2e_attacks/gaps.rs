//! Cases that were defended and not shown: encodings, what subjects could tell each other, what a session leaves behind,
//! TLS without a question before it, what is answered before a login.

use std::sync::Arc;

use anyhow::{Context, Result};
use testkit::canary::{Canary, assert_absent};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::scripted::{Peer, message, password, query, ssl_request, startup};

use crate::support::raw::{Raw, V3_0, bind, close, describe, execute, last_error, parse, sync};
use crate::support::{postgres, rows, shared, site, tls, token};

#[tokio::test(flavor = "multi_thread")]
async fn pg_04_the_encoding_stays_utf8() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    for sql in [
        "SET client_encoding = 'SJIS'",
        "SET client_encoding TO BIG5",
        "SET NAMES 'GBK'",
        "SET LOCAL client_encoding = 'LATIN1'",
        "SELECT set_config('client_encoding', 'SJIS', false)",
        "SET client_encoding = 'SQL_ASCII'",
    ] {
        client.simple(sql).await?;
        let shown = client.simple("SHOW client_encoding").await?.column();
        assert_eq!(shown, ["UTF8"], "{sql}");
    }
    // To what it is, it may be set, as drivers do.
    assert!(client.simple("SET client_encoding = 'UTF8'").await?.errors().is_empty());
    for encoding in ["SJIS", "BIG5", "GBK", "SQL_ASCII", "EUC_TW"] {
        let refused = Raw::login_with(site, &site.token(&ORDER_SERVICE)?, V3_0, &[("client_encoding", encoding)]).await;
        assert!(refused.is_err(), "{encoding}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_04_text_that_is_not_utf8_is_refused_wherever_it_is() -> Result<()> {
    let site = &shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    // A trail byte 0x5C behind a lead byte, overlong forms, a surrogate, beyond the last code point, cut off.
    let invalid: [&[u8]; 6] =
        [b"\x95\\", b"\xc0\xa7", b"\xe0\x80\xa7", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"];
    for bytes in invalid {
        let mut client = Raw::login(site, &token).await?;
        let text = [b"SELECT '", bytes, b"'\0"].concat();
        let answer = client.exchange(&[message(b'Q', &text)]).await?;
        assert_eq!(answer.errors(), ["22021"], "{bytes:?}");
        let unnamed = [&b"\0"[..], &text, &[0, 0]].concat();
        assert_eq!(client.exchange(&[message(b'P', &unnamed), sync()]).await?.errors(), ["22021"], "{bytes:?}");
        let named = [bytes, b"\0SELECT 1\0", &[0, 0]].concat();
        assert_eq!(client.exchange(&[message(b'P', &named), sync()]).await?.errors(), ["22021"], "{bytes:?}");
        let bound = [bytes, b"\0\0", &[0; 6]].concat();
        assert_eq!(client.exchange(&[message(b'B', &bound), sync()]).await?.errors(), ["22021"], "{bytes:?}");
        for (tag, kind) in [(b'D', b'S'), (b'C', b'P')] {
            let object = [&[kind][..], bytes, b"\0"].concat();
            assert_eq!(client.exchange(&[message(tag, &object), sync()]).await?.errors(), ["22021"], "{bytes:?}");
        }
        assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    }
    // NUL inside a text, in each message that has one: never cut short.
    for (tag, body) in [
        (b'P', &b"\0SELECT 1\0; DROP TABLE orders\0\0\0"[..]),
        (b'D', b"Sa\0b\0"),
        (b'C', b"Sa\0b\0"),
        (b'E', b"a\0b\0\0\0\0\0"),
    ] {
        let mut client = Raw::login(site, &token).await?;
        client.send(&[message(tag, body), sync()]).await?;
        assert_eq!(client.end().await?.as_deref(), Some("08P01"), "{}", char::from(tag));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_18_channels_and_locks_are_policy() -> Result<()> {
    let site = &shared()?;
    let mut client = Raw::login(site, &site.token(&ORDER_SERVICE)?).await?;
    for sql in [
        "LISTEN covert",
        "NOTIFY covert, 'x'",
        "SELECT pg_notify('covert', 'x')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1)",
        "SELECT pg_advisory_xact_lock(1)",
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "PREPARE TRANSACTION 'covert'",
        "COMMIT PREPARED 'of-somebody-else'",
        "ROLLBACK PREPARED 'of-somebody-else'",
    ] {
        let answer = client.simple(sql).await?;
        let errors = answer.errors();
        assert!(errors == ["42501"], "{sql}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_22_nothing_of_one_session_is_seen_by_the_next() -> Result<()> {
    let site = &shared()?;
    let mine = token(site, "first-one", &["payments-apps"])?;
    let theirs = token(site, "second-one", &["payments-apps"])?;
    let mut first = Raw::login(site, &mine).await?;
    for sql in ["SET application_name = 'of the first'", "PREPARE first_ones AS SELECT 1", "SET sluice.reason = 'mine'"]
    {
        assert!(first.simple(sql).await?.errors().is_empty(), "{sql}");
    }
    first.exchange(&[parse("kept", "SELECT 2"), sync()]).await?;
    first.simple("DECLARE held CURSOR WITH HOLD FOR SELECT 3").await?;
    let pid = |answer: crate::support::raw::Answer| answer.column();
    let before = pid(first.simple("SELECT pg_backend_pid()").await?);
    drop(first);
    for _ in 0..5 {
        let mut second = Raw::login(site, &theirs).await?;
        assert_ne!(pid(second.simple("SELECT pg_backend_pid()").await?), before);
        assert_ne!(second.simple("SHOW application_name").await?.column(), ["of the first"]);
        assert!(!second.simple("EXECUTE first_ones").await?.errors().is_empty());
        assert_eq!(second.exchange(&[bind("", "kept", &[], 0), execute("", 0), sync()]).await?.errors(), ["26000"]);
        assert_eq!(second.exchange(&[describe(b'S', "first_ones"), sync()]).await?.errors(), ["26000"]);
        assert!(!second.simple("FETCH 1 FROM held").await?.errors().is_empty());
        second.exchange(&[close(b'S', "kept"), sync()]).await?;
    }
    Ok(())
}

/// What the command line plays of a session.
fn replay(site: &Site, session: &str) -> Result<String> {
    let config = site.config().display().to_string();
    let arguments = ["sessions", "replay", session];
    testkit::process::sluice(site.binary(), &arguments, &[("SLUICE_CONFIG", config.as_str())])?.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn mk_27_a_masked_callers_tape_holds_what_was_delivered() -> Result<()> {
    let canary = Canary::random()?;
    crate::support::database("taped")?;
    let Canary { card, ssn, email, .. } = &canary;
    let update = format!("UPDATE customers SET email = '{email}', ssn = '{ssn}'; UPDATE cards SET number = '{card}'");
    postgres()?.sql("taped", &update)?;
    let site = site("taped", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    for sql in [
        "SELECT ssn, email FROM customers WHERE id = 1",
        "SELECT lower(email) FROM customers WHERE id = 1",
        "COPY (SELECT ssn, email FROM customers WHERE id = 1) TO STDOUT",
        "SELECT number FROM cards WHERE id = 1",
        "SELECT ssn::int FROM customers WHERE id = 1",
    ] {
        client.simple(sql).await?;
    }
    let auditor = site.token(&testkit::demo::site::AUDITOR)?;
    let (_, listed) = crate::support::admin::call(&site, &auditor, "GET", "/v1/sessions", None)?;
    let sessions = listed.as_array().cloned().or_else(|| listed["sessions"].as_array().cloned());
    let sessions = sessions.with_context(|| format!("a list: {listed}"))?;
    let id = sessions[0]["session"].as_str().with_context(|| format!("an id: {listed}"))?.to_owned();
    let played = replay(&site, &id)?;
    assert!(played.contains("[us_ssn]"), "{played}");
    assert_absent(played.as_bytes(), &canary);
    Ok(())
}

/// A configuration that speaks PostgreSQL's application protocol, as direct TLS has to.
fn direct(site: &Site) -> Result<Arc<rustls::ClientConfig>> {
    let mut config = (*tls::trusting(&site.ca())?).clone();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_21_direct_tls_is_a_session_and_is_never_resumed() -> Result<()> {
    let site = &shared()?;
    let config = direct(site)?;
    for _ in 0..3 {
        let stream = tokio::net::TcpStream::connect(site.process()?.address("postgres")?).await?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
        let stream = connector.connect(rustls::pki_types::ServerName::try_from("localhost")?, stream).await?;
        let state = stream.get_ref().1;
        assert_eq!(state.alpn_protocol(), Some(&b"postgresql"[..]));
        // A ticket of the connection before would make it a resumption.
        assert_eq!(state.handshake_kind(), Some(rustls::HandshakeKind::Full));
        let version = state.protocol_version();
        assert!(
            matches!(version, Some(rustls::ProtocolVersion::TLSv1_2 | rustls::ProtocolVersion::TLSv1_3)),
            "{version:?}"
        );
    }
    let peer = Peer::connect(site.process()?.address("postgres")?).await?;
    let mut peer = peer.into_tls_client(config, "localhost").await?;
    peer.send(&startup(V3_0, &[("user", "anybody"), ("database", site.database())])).await?;
    peer.read_until(b'R').await?;
    peer.send(&password(&site.token(&ORDER_SERVICE)?)).await?;
    peer.read_until(b'Z').await?;
    peer.send(&query("SELECT ssn FROM customers WHERE id = 1")).await?;
    let answer = peer.read_until(b'Z').await?;
    let row = answer.iter().find(|message| message.tag == b'D').context("a row")?;
    assert!(row.body.ends_with(b"[us_ssn]"), "{row:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sm_21_other_application_protocols_are_no_way_in() -> Result<()> {
    let site = &shared()?;
    for name in [&b"http/1.1"[..], b"h2", b"postgresql2", b"POSTGRESQL"] {
        let mut config = (*tls::trusting(&site.ca())?).clone();
        config.alpn_protocols = vec![name.to_vec()];
        let peer = Peer::connect(site.process()?.address("postgres")?).await?;
        if let Ok(mut peer) = peer.into_tls_client(Arc::new(config), "localhost").await {
            peer.send(&startup(V3_0, &[("user", "x"), ("database", site.database())])).await.ok();
            assert!(peer.read_to_close().await?.is_empty(), "{name:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_16_little_is_answered_before_a_login() -> Result<()> {
    let site = &shared()?;
    let address = site.process()?.address("postgres")?;
    for sent in [
        ssl_request(),
        startup(V3_0, &[("user", "x"), ("database", site.database())]),
        startup(V3_0 + 99, &[("user", "x")]),
        startup(0x0002_0000, &[("user", "x")]),
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".to_vec(),
        [16_u32.to_be_bytes(), 80_877_102_u32.to_be_bytes(), [0; 4], [0; 4]].concat(),
    ] {
        let mut peer = Peer::connect(address).await?;
        peer.send(&sent).await?;
        peer.send(b"\0\0\0\0").await.ok();
        let answer = peer.read_to_close().await?;
        assert!(
            answer.len() <= 10 * sent.len(),
            "{} bytes for {}: {:?}",
            answer.len(),
            sent.len(),
            last_error(&answer)
        );
    }
    assert_eq!(rows(site, &site.token(&ORDER_SERVICE)?, "SELECT 1")?, "1");
    Ok(())
}
