//! When, where and for whom an assertion holds.

use identity::saml::SamlError;
use model::time::Timestamp;
use serde_json::json;

use crate::support::{ASSERTION, RESPONSE, Second, judged, judged_by, provider, refused, soon_after, trusting, with};

const SIGNED: Second = Second::Accepts("it is signed so, and for others");

fn at(document: &str, provider: model::saml::SamlProvider, now: Timestamp) -> Result<Timestamp, SamlError> {
    identity::saml::verify(document.as_bytes(), &trusting(provider), now).map(|read| read.subject.expires_at)
}

#[test]
fn id_21_another_recipient_is_refused() {
    let other = SamlError::Confirmation("it is for another recipient");
    for recipient in [
        "https://sluice.example/token/",
        "https://sluice.example/tokens",
        "https://Sluice.example/token",
        "https://other.example/token",
    ] {
        refused(&with(&json!({"recipient": recipient})), &other, SIGNED);
    }
    refused(&with(&json!({"recipient": null})), &other, SIGNED);
}

#[test]
fn id_21_another_audience_or_none_is_refused() {
    for audience in ["urn:other", "urn:sluice:more", "urn:Sluice"] {
        refused(&with(&json!({"audiences": [audience]})), &SamlError::Audience, SIGNED);
    }
    refused(&with(&json!({"audiences": null})), &SamlError::Audience, SIGNED);
    assert!(judged(&with(&json!({"audiences": ["urn:other", "urn:sluice"]}))).is_ok());
}

#[test]
fn id_21_an_answer_to_a_request_that_nobody_made_is_refused() {
    let mut unsolicited = provider();
    unsolicited.solicited = false;
    let answers = SamlError::Confirmation("it answers a request, and Sluice made none");
    assert_eq!(judged_by(&RESPONSE, unsolicited.clone()).unwrap_err(), answers);
    assert_eq!(judged_by(&with(&json!({"inResponseTo": "_1"})), unsolicited.clone()).unwrap_err(), answers);
    assert!(judged_by(&ASSERTION, unsolicited).is_ok());
}

#[test]
fn id_21_it_holds_from_its_issue_to_its_end_and_not_a_moment_longer() {
    let issued = Timestamp(soon_after(&ASSERTION).0 - 1000);
    let end = issued.plus_millis(300_000);
    assert_eq!(at(&ASSERTION, provider(), issued), Ok(end));
    assert_eq!(at(&ASSERTION, provider(), Timestamp(end.0 - 1)), Ok(end));
    assert_eq!(at(&ASSERTION, provider(), end), Err(SamlError::Expired(0)));
    assert_eq!(at(&ASSERTION, provider(), end.plus_millis(60_000)), Err(SamlError::Expired(60)));
    assert_eq!(at(&ASSERTION, provider(), Timestamp(issued.0 - 1)), Err(SamlError::NotYet(1)));
    let mut late = provider();
    late.leeway = 60;
    assert_eq!(at(&ASSERTION, late.clone(), Timestamp(issued.0 - 60_000)), Ok(end));
    assert_eq!(at(&ASSERTION, late.clone(), Timestamp(issued.0 - 61_000)), Err(SamlError::NotYet(1)));
    assert_eq!(at(&ASSERTION, late, end), Err(SamlError::Expired(0)));
}

#[test]
fn an_identity_lasts_no_longer_than_is_configured() {
    let issued = Timestamp(soon_after(&ASSERTION).0 - 1000);
    let mut short = provider();
    short.max_lifetime = 60;
    assert_eq!(at(&ASSERTION, short.clone(), issued), Ok(issued.plus_millis(60_000)));
    assert_eq!(at(&ASSERTION, short, issued.plus_millis(61_000)), Err(SamlError::Expired(1)));
}

#[test]
fn an_assertion_without_an_end_is_refused() {
    let document = with(&json!({"lifetimeInSeconds": null}));
    let endless = SamlError::Confirmation("it has no NotOnOrAfter");
    refused(&document, &endless, Second::Accepts("it is signed so"));
}

#[test]
fn the_session_at_the_provider_bounds_the_identity() {
    // SimpleSAMLphp says when its session ends: in eight hours.
    assert!(RESPONSE.contains("SessionNotOnOrAfter"));
    let read = judged(&RESPONSE).unwrap();
    assert!(read.subject.expires_at <= soon_after(&RESPONSE).plus_millis(300_000));
}
