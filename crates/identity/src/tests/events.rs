//! Security event tokens (RFC 8417), and tokens that are given up (RFC 7009).

use std::collections::BTreeSet;

use super::*;
use crate::{Change, EventError, MAX_EVENT_AGE, SecurityEvent, What, revocable, security_event};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

fn sender() -> Issuer {
    Issuer { events: true, ..issuer() }
}

fn jane() -> Value {
    json!({"format": "iss_sub", "iss": URL, "sub": "jane"})
}

fn set(uri: String, event: Value) -> Value {
    json!({"iss": URL, "aud": "sluice", "iat": NOW, "jti": "e-1", "sub_id": jane(), "events": {uri: event}})
}

fn revoked() -> Value {
    set(format!("{CAEP}session-revoked"), json!({"event_timestamp": NOW}))
}

struct Receiver(World);

impl Receiver {
    fn new(issuer: Issuer) -> Self {
        Self(World::new(issuer))
    }

    fn take(&self, claims: &Value) -> Result<SecurityEvent, EventError> {
        let header = json!({"alg": "EdDSA", "typ": "secevent+jwt", "kid": "k1"});
        security_event(&self.0.pair.token_with(&header, claims), &self.0.issuers, Timestamp::from_seconds(NOW))
    }

    fn what(&self, claims: &Value) -> Vec<What> {
        self.take(claims).unwrap().changes.into_iter().map(|Change { what, .. }| what).collect()
    }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

#[test]
fn each_event_that_is_known_says_what_it_means() {
    let receiver = Receiver::new(sender());
    let event = receiver.take(&revoked()).unwrap();
    assert_eq!((&*event.issuer, &*event.id, event.issued_at), ("corp", "e-1", Timestamp::from_seconds(NOW)));
    assert_eq!(event.changes[0].subject.to_string(), "corp|jane");
    assert_eq!(event.changes[0].what, What::SessionRevoked);
    let caep = |name: &str, event| receiver.what(&set(format!("{CAEP}{name}"), event));
    let risc = |name: &str| receiver.what(&set(format!("{RISC}{name}"), json!({})));
    for change in ["revoke", "update", "delete"] {
        assert_eq!(caep("credential-change", json!({"change_type": change})), [What::CredentialChanged]);
    }
    assert_eq!(caep("credential-change", json!({"change_type": "create"})), []);
    assert_eq!(risc("account-disabled"), [What::AccountDisabled]);
    assert_eq!(risc("account-enabled"), [What::AccountEnabled]);
    // Others are taken and change nothing.
    assert_eq!(caep("device-compliance-change", json!({})), []);
    assert_eq!(receiver.what(&set("https://example.com/other".into(), json!({}))), []);
}

#[test]
fn new_groups_are_read_as_a_token_has_them() {
    let receiver = Receiver::new(Issuer { bare_groups: BareGroups::Only(["dba".into()].into()), ..sender() });
    let changed = |claims| receiver.what(&set(format!("{CAEP}token-claims-change"), json!({ "claims": claims })));
    let groups = |names: &[&str]| What::GroupsNow(names.iter().map(|name| Arc::from(*name)).collect::<BTreeSet<_>>());
    assert_eq!(changed(json!({"groups": ["dba", "x"]})), [groups(&["dba", "corp|x"])]);
    assert_eq!(changed(json!({"groups": []})), [groups(&[])]);
    assert_eq!(changed(json!({"sub": "janet"})), [What::ClaimsChanged]);
    assert_eq!(changed(json!({"locale": "de"})), []);
    let unknown = set(format!("{CAEP}token-claims-change"), json!({"claims": {"groups": "dba"}}));
    assert!(receiver.take(&unknown).is_err(), "unknown is not none");
    // Where a path leads to them, what replaces its beginning replaces them.
    let path = ClaimPath::new(["realm_access", "roles"]);
    let receiver = Receiver::new(Issuer { groups_claim: path, ..sender() });
    let changed = |claims| receiver.what(&set(format!("{CAEP}token-claims-change"), json!({ "claims": claims })));
    assert_eq!(changed(json!({"realm_access": {"roles": ["a"]}})), [groups(&["corp|a"])]);
    assert_eq!(changed(json!({"realm_access": {}})), [groups(&[])]);
}

#[test]
fn a_subject_is_named_in_a_form_that_tokens_know() {
    let receiver = Receiver::new(sender());
    let named = |subject| receiver.take(&with(revoked(), "sub_id", subject));
    let opaque = named(json!({"format": "opaque", "id": "jane"})).unwrap();
    assert_eq!(opaque.changes[0].subject.to_string(), "corp|jane");
    for wrong in [
        Value::Null,
        json!("jane"),
        json!({"format": "email", "email": "jane@example.com"}),
        json!({"format": "iss_sub", "iss": "https://other.example.com", "sub": "jane"}),
        json!({"format": "iss_sub", "sub": "jane"}),
        json!({"format": "opaque", "id": ""}),
        json!({"format": "opaque", "id": "jane\u{202e}"}),
        json!({"format": "complex", "user": jane()}),
    ] {
        assert!(named(wrong.clone()).is_err(), "{wrong}");
    }
    // As drafts had it, inside of the event; but not two of them.
    let inside = |other: &str| {
        let event = json!({"subject": {"format": "iss_sub", "iss": URL, "sub": other}});
        set(format!("{CAEP}session-revoked"), event)
    };
    assert!(receiver.take(&with(inside("jane"), "sub_id", Value::Null)).is_ok());
    assert!(receiver.take(&inside("jane")).is_ok());
    assert!(receiver.take(&inside("ann")).is_err());
    // A `sub` names nobody where subjects go by another claim.
    let receiver = Receiver::new(Issuer { id_claim: "oid".into(), ..sender() });
    assert!(receiver.take(&revoked()).is_err());
    assert!(receiver.take(&with(revoked(), "sub_id", json!({"format": "opaque", "id": "o-1"}))).is_ok());
}

#[test]
fn what_is_not_a_fresh_event_of_a_sender_for_us_is_refused_by_its_code() {
    let receiver = Receiver::new(sender());
    let code = |claims: &Value| receiver.take(claims).unwrap_err().code();
    assert_eq!(code(&with(revoked(), "aud", json!("other"))), "invalid_audience");
    assert_eq!(code(&with(revoked(), "aud", Value::Null)), "invalid_request");
    assert_eq!(code(&with(revoked(), "iss", json!("https://other.example.com"))), "invalid_issuer");
    for (name, value) in [
        ("jti", Value::Null),
        ("iat", Value::Null),
        ("iat", json!(NOW + 1)),
        ("iat", json!(NOW - MAX_EVENT_AGE / 1000 - 1)),
        ("exp", json!(NOW)),
        ("events", Value::Null),
        ("events", json!({})),
        ("events", json!({format!("{CAEP}session-revoked"): "yes"})),
    ] {
        assert_eq!(code(&with(revoked(), name, value.clone())), "invalid_request", "{name} {value}");
    }
    assert_eq!(Receiver::new(issuer()).take(&revoked()).unwrap_err().code(), "invalid_issuer", "it may not send");
    let good = json!({"alg": "EdDSA", "typ": "secevent+jwt", "kid": "k1"});
    let stranger = Pair::new("EdDSA", "k1").token_with(&good, &revoked());
    let refused = security_event(&stranger, &receiver.0.issuers, Timestamp::from_seconds(NOW)).unwrap_err();
    assert_eq!((refused.code(), refused), ("invalid_key", EventError::Token(IdentityError::Signature)));
}

/// ID-09, both ways round.
#[test]
fn id_09_a_token_is_no_event_and_an_event_no_token() {
    let receiver = Receiver::new(sender());
    for typ in [json!("at+jwt"), json!("JWT"), Value::Null] {
        let header = with(json!({"alg": "EdDSA", "typ": typ, "kid": "k1"}), "x", Value::Null);
        let token = receiver.0.pair.token_with(&header, &revoked());
        assert!(security_event(&token, &receiver.0.issuers, Timestamp::from_seconds(NOW)).is_err(), "{header}");
    }
    let both = with(with(claims(), "events", revoked()["events"].clone()), "sub_id", jane());
    assert!(receiver.take(&both).is_ok());
    assert!(receiver.0.verify(&both).is_err());
    let header = json!({"alg": "EdDSA", "typ": "secevent+jwt", "kid": "k1"});
    assert!(receiver.0.verify_header(header).is_err());
}

#[test]
fn a_credential_knows_what_revocations_go_by() {
    let world = World::new(Issuer { leeway: 30, ..issuer() });
    let token = world.pair.token(&claims());
    let credential = world.verify_token(&token).unwrap().credential;
    assert_eq!(credential.issued_at, Timestamp::from_seconds(NOW - 30), "as if the issuer's clock were ahead");
    let revocable = revocable(&token, &world.issuers, Timestamp::from_seconds(NOW)).unwrap();
    assert_eq!(credential.digest, Some(revocable.digest));
    assert_eq!(
        (revocable.subject.to_string(), revocable.expires_at),
        ("corp|order-service".into(), Timestamp::from_seconds(NOW + 300))
    );
    // Two signatures over the same are the same token; another token has another digest.
    let pair = Pair::new("ES256", "k1");
    let issuers = trusting(issuer(), &[&pair]);
    let digest = |token: &str| {
        verify(token, &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).unwrap().credential.digest.unwrap()
    };
    let (one, two) = (pair.token(&claims()), pair.token(&claims()));
    assert_ne!(one, two, "ECDSA draws a nonce");
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(&pair.token(&claims_with("jti", json!("t-2")))));
}

#[test]
fn a_token_is_given_up_without_the_key_that_it_is_bound_to_and_by_nobody_else() {
    let world = World::new(issuer());
    let now = Timestamp::from_seconds(NOW);
    let bound = world.pair.token(&claims_with("cnf", json!({"jkt": "x"})));
    assert!(world.verify_token(&bound).is_err());
    assert!(revocable(&bound, &world.issuers, now).is_ok());
    let forged = Pair::new("EdDSA", "k1").token(&claims());
    assert!(revocable(&forged, &world.issuers, now).is_err());
    for (name, value) in [("aud", json!("other")), ("exp", json!(NOW)), ("iss", json!("https://other.example.com"))] {
        assert!(revocable(&world.pair.token(&claims_with(name, value)), &world.issuers, now).is_err(), "{name}");
    }
}
