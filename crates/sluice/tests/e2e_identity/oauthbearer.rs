//! `OAUTHBEARER`, by a driver that speaks it and by messages byte for byte.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::canary::leak;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::drivers::{Connection, OAUTH};
use testkit::issuer::Grant;
use testkit::scripted::{Message, Peer, message, text};

use crate::support::raw::{V3_0, field, started};
use crate::support::{self, CLEARED, shared};

/// SASLInitialResponse, unless there is no data: then one without.
fn initial(mechanism: &str, data: Option<&[u8]>) -> Vec<u8> {
    let length = data.map_or(u32::MAX, |data| u32::try_from(data.len()).unwrap_or(0));
    message(b'p', &[text(mechanism), length.to_be_bytes().to_vec(), data.unwrap_or_default().to_vec()].concat())
}

fn bearer(token: &str) -> Vec<u8> {
    initial("OAUTHBEARER", Some(format!("n,,\x01auth=Bearer {token}\x01\x01").as_bytes()))
}

async fn asked(site: &Site) -> Result<Peer> {
    let mut peer = started(site, V3_0, &[("sluice.auth", "oauthbearer")]).await?;
    let asked = peer.read_message().await?;
    ensure!(asked.body == [10_u32.to_be_bytes().as_slice(), b"OAUTHBEARER\0\0"].concat(), "{asked:?}");
    Ok(peer)
}

/// The challenge that follows a token that is not taken.
async fn challenge(peer: &mut Peer) -> Result<Value> {
    let Message { tag, body } = peer.read_message().await?;
    ensure!(tag == b'R' && body.starts_with(&11_u32.to_be_bytes()), "no challenge: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body[4..])?)
}

async fn refused(peer: &mut Peer) -> Result<(String, String)> {
    let error = peer.read_message().await?;
    ensure!(error.tag == b'E', "not refused: {error:?}");
    let fields = (field(&error, b'C').unwrap_or_default(), field(&error, b'M').unwrap_or_default());
    ensure!(peer.read_to_close().await?.is_empty(), "it goes on after {fields:?}");
    Ok(fields)
}

fn with_pgx(site: &Site, token: &str) -> Result<Value> {
    let ca = site.ca();
    OAUTH.results(&Connection {
        host: "127.0.0.1",
        port: site.process()?.address("postgres")?.port(),
        user: "anybody",
        password: token,
        database: site.database(),
        ca: &ca,
        denied: "",
    })
}

#[test]
fn a_driver_that_speaks_it_gets_in_with_its_token() -> Result<()> {
    if OAUTH.toolchain.is_left_out() {
        return Ok(());
    }
    let site = &shared()?;
    let read = with_pgx(site, &site.token(&CLEARED)?)?;
    assert!(read["read"].as_str().is_some_and(|email| email.contains('@')), "{read}");
    let masked = with_pgx(site, &site.token(&ORDER_SERVICE)?)?;
    assert!(masked["read"].as_str().is_some_and(|email| !email.contains("example")), "{masked}");
    Ok(())
}

#[tokio::test]
async fn a_client_without_a_token_is_told_where_to_get_one() -> Result<()> {
    let site = &shared()?;
    let mut peer = asked(site).await?;
    peer.send(&initial("OAUTHBEARER", Some(b"n,,\x01auth=\x01\x01"))).await?;
    let discovery = format!("{}/.well-known/openid-configuration", site.issuer().url());
    assert_eq!(challenge(&mut peer).await?, json!({"status": "invalid_token", "openid-configuration": discovery}));
    peer.send(&message(b'p', b"\x01")).await?;
    let (sqlstate, message) = refused(&mut peer).await?;
    assert_eq!((&*sqlstate, &*message), ("28000", "the connection is not allowed"));
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_not_taken_gets_the_same_answer_as_none() -> Result<()> {
    let site = &shared()?;
    let strange = site.issuer().issue(Grant::new("stranger").audience("another"))?;
    let over = site.issuer().issue(Grant::new("late").claim("exp", 1).claim("iat", 0))?;
    for token in [&*strange, &over, "a.b.c", "="] {
        let mut peer = asked(site).await?;
        peer.send(&bearer(token)).await?;
        assert_eq!(challenge(&mut peer).await?["status"], "invalid_token");
        peer.send(&message(b'p', b"\x01")).await?;
        assert_eq!(refused(&mut peer).await?.0, "28000", "{token}");
    }
    for token in [strange, over] {
        assert!(leak(site.log().as_bytes(), &token).is_none(), "the token is in the log");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_goes_on_after_the_challenge_is_refused_all_the_same() -> Result<()> {
    let site = &shared()?;
    let good = site.token(&CLEARED)?;
    let mut peer = asked(site).await?;
    peer.send(&bearer("a.b.c")).await?;
    challenge(&mut peer).await?;
    // A second token in the place of the end.
    peer.send(&bearer(&good)).await?;
    assert_eq!(refused(&mut peer).await?.0, "28000");
    Ok(())
}

#[tokio::test]
async fn what_is_none_of_the_mechanism_is_an_error_of_the_protocol() -> Result<()> {
    let site = &shared()?;
    let good = site.token(&CLEARED)?;
    let pairs = |text: &str| text.replace('|', "\x01").replace("TOKEN", &good);
    for (mechanism, data) in [
        ("SCRAM-SHA-256", Some("n,,|auth=Bearer TOKEN||")),
        ("", Some("n,,|auth=Bearer TOKEN||")),
        ("OAUTHBEARER", None),
        ("OAUTHBEARER", Some("")),
        ("OAUTHBEARER", Some("n,a=admin,|auth=Bearer TOKEN||")),
        ("OAUTHBEARER", Some("p=tls-exporter,,|auth=Bearer TOKEN||")),
        ("OAUTHBEARER", Some("n,,|auth=Bearer TOKEN|auth=Bearer TOKEN||")),
        ("OAUTHBEARER", Some("n,,|auth=Basic TOKEN||")),
        ("OAUTHBEARER", Some("n,,|auth=Bearer TOKEN|")),
    ] {
        let mut peer = asked(site).await?;
        let data = data.map(pairs);
        peer.send(&initial(mechanism, data.as_deref().map(str::as_bytes))).await?;
        assert_eq!(refused(&mut peer).await?.0, "08P01", "{mechanism} {data:?}");
    }
    // A password in its place is not taken either: what was offered holds.
    let mut peer = asked(site).await?;
    peer.send(&message(b'p', &text(&good))).await?;
    assert_eq!(refused(&mut peer).await?.0, "08P01");
    Ok(())
}

#[tokio::test]
async fn the_configuration_chooses_for_clients_that_do_not() -> Result<()> {
    let mut site = support::prepare("oauthbearer", Tuning::default())?;
    let configured =
        "[listen.postgres]\nauth = \"oauthbearer\"\noauth = { issuer = \"demo\", scope = \"openid sluice\" }\n";
    let configuration = std::fs::read_to_string(site.config())?.replace("[listen.postgres]\n", configured);
    std::fs::write(site.config(), configuration)?;
    site.start()?;
    let mut peer = started(&site, V3_0, &[]).await?;
    assert!(peer.read_message().await?.body.starts_with(&10_u32.to_be_bytes()));
    peer.send(&initial("OAUTHBEARER", Some(b"n,,\x01auth=\x01\x01"))).await?;
    assert_eq!(challenge(&mut peer).await?["scope"], "openid sluice");
    let mut peer = started(&site, V3_0, &[("options", "-c sluice.auth=password")]).await?;
    assert_eq!(peer.read_message().await?.body, 3_u32.to_be_bytes());
    let mut peer = started(&site, V3_0, &[("sluice.auth", "trust")]).await?;
    assert_eq!(refused(&mut peer).await?.0, "22023");
    Ok(())
}
