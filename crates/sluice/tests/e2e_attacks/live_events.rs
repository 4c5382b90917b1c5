//! Security events that an issuer pushes (RFC 8417, RFC 8935): CAEP and RISC.

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::{Value, json};
use testkit::canary::Canary;
use testkit::demo::site::{Site, Tuning};
use testkit::scripted::query;

use crate::live::{locked, running, wait_for_running, waits};
use crate::support::admin::{call, post_as};
use crate::support::oracle::Watched;
use crate::support::raw::Raw;
use crate::support::{prepare, record, token};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

/// One whose issuer may send events.
fn listening(name: &str) -> Result<Watched<Site>> {
    let mut site = Watched::new(prepare(name, Tuning::default())?)?;
    let text = std::fs::read_to_string(site.config())?;
    std::fs::write(site.config(), text.replace("alias = \"demo\"", "alias = \"demo\"\nevents = true"))?;
    site.start()?;
    Ok(site)
}

fn now() -> Result<u64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())
}

/// An event about a subject, as the issuer signs it.
fn event(site: &Site, subject: &str, uri: &str, what: Value) -> Result<String> {
    let claims = json!({
        "iss": site.issuer().url(), "aud": "sluice", "iat": now()?, "jti": Canary::random()?.token,
        "sub_id": {"format": "iss_sub", "iss": site.issuer().url(), "sub": subject}, "events": {uri: what},
    });
    let header = json!({"typ": "secevent+jwt", "alg": "ES256", "kid": site.issuer().key_id()?});
    site.issuer().sign(&header.to_string(), &claims.to_string())
}

fn push(site: &Site, token: &str) -> Result<(u16, Value)> {
    post_as(site, "/events", "application/secevent+jwt", token)
}

fn send(site: &Site, subject: &str, uri: &str, what: Value) -> Result<u16> {
    Ok(push(site, &event(site, subject, uri, what)?)?.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_an_issuers_events_reach_live_sessions() -> Result<()> {
    let site = &listening("events")?;
    let held = locked("events").await?;
    // Its session is over: what it runs is cancelled.
    let mut runs = Raw::login(site, &token(site, "events-runs", &["cleared"])?).await?;
    runs.send(&[query(&waits("events-runs"))]).await?;
    wait_for_running("events-runs", "1")?;
    let set = event(site, "events-runs", &format!("{CAEP}session-revoked"), json!({}))?;
    assert_eq!(push(site, &set)?.0, 202);
    assert_eq!(runs.end().await?.as_deref(), Some("57P01"));
    wait_for_running("events-runs", "0")?;

    // A group is lost: what runs is judged again, and so is what comes.
    let groups = ["cleared", "payments-apps"];
    let mut loses = Raw::login(site, &token(site, "events-loses", &groups)?).await?;
    loses.send(&[query(&waits("events-loses"))]).await?;
    wait_for_running("events-loses", "1")?;
    let old = token(site, "events-loses", &groups)?;
    let change = |groups: &[&str]| json!({"claims": {"groups": groups}});
    let claims_change = format!("{CAEP}token-claims-change");
    assert_eq!(send(site, "events-loses", &claims_change, change(&["payments-apps", "dba"]))?, 202);
    let answer = loses.answer().await?;
    assert_eq!(answer.errors(), ["42501"], "{answer:?}");
    assert_eq!(running("events-loses")?, "0");
    assert_eq!(loses.simple(&waits("events-loses")).await?.errors(), ["42501"], "it may only read now");
    assert_eq!(loses.simple("SELECT count(*) FROM orders WHERE id = 1").await?.column(), ["1"]);
    // A session of an old token has no more, and nobody wins a group by it.
    let mut again = Raw::login(site, &old).await?;
    assert_eq!(again.simple(&waits("events-loses")).await?.errors(), ["42501"]);
    let refused = again.simple("DELETE FROM refunds WHERE id = 1").await?;
    assert_eq!(refused.errors(), ["42501"], "{refused:?}");
    drop(held);

    // An account is disabled until its issuer says otherwise.
    let mut disabled = Raw::login(site, &token(site, "events-account", &["cleared"])?).await?;
    let what = json!({"reason": "hijacking"});
    assert_eq!(send(site, "events-account", &format!("{RISC}account-disabled"), what)?, 202);
    assert_eq!(disabled.end().await?.as_deref(), Some("57P01"));
    assert!(Raw::login(site, &token(site, "events-account", &["cleared"])?).await.is_err());
    assert_eq!(send(site, "events-account", &format!("{RISC}account-enabled"), json!({}))?, 202);
    let back = token(site, "events-account", &["cleared"])?;
    assert_eq!(Raw::login(site, &back).await?.simple("SELECT 1").await?.column(), ["1"]);
    record::wait_for(site, "the event", |event| {
        matches!(event, Event::AdminAction { subject, action, object, .. }
            if subject.to_string() == "demo|security-events" && &**action == "event.account_disabled"
                && object.starts_with("demo|events-account"))
    })?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_an_event_counts_once_and_only_from_its_issuer() -> Result<()> {
    let site = &mut listening("sender")?;
    let enable = format!("{RISC}account-enabled");
    let disable = event(site, "sender-x", &format!("{RISC}account-disabled"), json!({}))?;
    let log_in = async || Raw::login(site, &token(site, "sender-x", &["cleared"])?).await;
    assert_eq!(push(site, &disable)?.0, 202);
    assert!(log_in().await.is_err());
    assert_eq!(send(site, "sender-x", &enable, json!({}))?, 202);
    // Sent again, it is acknowledged and does nothing; also after a restart.
    assert_eq!(push(site, &disable)?.0, 202);
    log_in().await?;

    // An administrator's word is not the issuer's to take back.
    let root = token(site, "root", &["sluice-admin"])?;
    let bar = json!({"subject": "demo|sender-x", "barred": true});
    assert_eq!(call(site, &root, "POST", "/v1/revocations", Some(&bar))?.0, 200);
    assert_eq!(send(site, "sender-x", &enable, json!({}))?, 202);
    assert!(log_in().await.is_err());

    // Whoever is not the issuer says nothing, and the answer helps nobody to forge.
    let forged = format!("{}.AAAA", disable.rsplit_once('.').context("a token")?.0);
    let (status, answer) = push(site, &forged)?;
    assert_eq!((status, &answer["err"]), (400, &json!("invalid_key")), "{answer}");
    assert_eq!(answer["description"], "the token is not accepted");
    let access = token(site, "sender-x", &[])?;
    assert_eq!(push(site, &access)?.1["err"], "invalid_request");
    assert_eq!(post_as(site, "/events", "application/json", &disable)?.0, 400);
    assert_eq!(push(site, "")?.0, 400);

    site.stop()?;
    site.start()?;
    assert_eq!(push(site, &disable)?.0, 202);
    let lift = json!({"subject": "demo|sender-x"});
    assert_eq!(call(site, &root, "POST", "/v1/revocations/lift", Some(&lift))?.0, 200);
    Raw::login(site, &token(site, "sender-x", &["cleared"])?).await?;

    // Events are taken only from issuers that are configured to send them.
    let text = std::fs::read_to_string(site.config())?;
    site.stop()?;
    std::fs::write(site.config(), text.replace("\nevents = true", ""))?;
    site.start()?;
    let (status, answer) = push(site, &event(site, "sender-x", &enable, json!({}))?)?;
    assert_eq!((status, &answer["err"]), (400, &json!("invalid_issuer")), "{answer}");
    Ok(())
}
