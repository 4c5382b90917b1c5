//! Tokens of Sluice's own endpoint, and who tries to write them.

use model::revocation::{Extent, Revocation, Whose};
use model::subject::{Credential, SubjectKey};

use super::*;
use crate::{Confirmation, Issued, Revoked, TARGET_AUDIENCE, Told, id_digest, revocable, verify_for};

const ENDPOINT: &str = "https://sluice.example:7632";

/// The issuers `corp` and Sluice's endpoint, each with a key.
struct Both {
    corp: World,
    key: SigningKey,
    issuers: Issuers,
}

fn both() -> Both {
    let corp = World::new(issuer());
    let key = SigningKey::from_seed(&model::secret::Secret::new([9; 32])).unwrap();
    let endpoint = Issuer { max_lifetime: 600, ..Issuer::new("sluice", ENDPOINT, "urn:sluice") };
    let keys = KeySet::from_jwks(key.jwks().as_bytes(), &endpoint.algorithms).unwrap();
    let issuers = trusting(issuer(), &[&corp.pair]).with_endpoint(Arc::new(endpoint), Arc::new(keys));
    Both { corp, key, issuers }
}

/// When what was shown for it was issued.
const SHOWN_AT: Timestamp = Timestamp::from_seconds(NOW - 200);

fn key_of(alias: &str, id: &str) -> SubjectKey {
    SubjectKey { issuer: alias.into(), id: id.into() }
}

fn order_service() -> Subject {
    Subject {
        key: key_of("corp", "order-service"),
        kind: SubjectKind::Service,
        groups: vec!["corp|orders-reader".into(), "dba".into()],
        on_behalf_of: vec![key_of("corp", "shop"), key_of("sluice", "jane|the first")],
        expires_at: Timestamp::from_seconds(NOW + 300),
        binding: Binding::Bearer,
        token_id: Some("t-9".into()),
        credential: Credential {
            issued_at: SHOWN_AT,
            made_of: vec![Digest([3; 32]), Digest([4; 32]), id_digest("corp", "t-1")],
            ..Credential::default()
        },
    }
}

/// Without what differs from token to token.
fn plain(subject: Subject) -> Subject {
    assert!(subject.credential.digest.is_some());
    let credential = Credential { digest: None, ..subject.credential.clone() };
    Subject { credential, ..subject }
}

impl Both {
    fn issue(&self, subject: &Subject, target: Option<&str>, confirmation: Option<Confirmation>) -> String {
        let issued = Issued { issuer: ENDPOINT, audience: "urn:sluice", subject, target, confirmation };
        self.key.issue(&issued, Timestamp::from_seconds(NOW)).expose().clone()
    }

    fn verify(&self, token: &str) -> Result<Subject, IdentityError> {
        verify(token, &self.issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).map(plain)
    }

    fn verify_at(&self, token: &str, target: &str) -> Result<Subject, IdentityError> {
        verify_for(token, &self.issuers, &Proven::NOTHING, target, Timestamp::from_seconds(NOW)).map(plain)
    }

    /// Claims signed with the endpoint's key.
    fn signed(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.key.id()});
        self.key.jws(&header, claims).expose().clone()
    }
}

#[test]
fn what_is_issued_stands_for_the_same_subject() {
    let both = both();
    let alone = Subject { on_behalf_of: vec![], kind: SubjectKind::User, ..order_service() };
    for subject in [order_service(), alone] {
        assert_eq!(both.verify(&both.issue(&subject, None, None)).unwrap(), subject);
    }
    // Others who read it find the parties where RFC 8693 has them.
    let token = both.issue(&order_service(), None, None);
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("sluice|jane|the first"), &json!("urn:sluice")));
    assert_eq!(claims["act"]["sub"], "corp|order-service");
    assert_eq!(claims["act"]["act"], json!({"sub": "corp|shop"}));
}

#[test]
fn no_other_issuer_names_foreign_subjects() {
    let both = both();
    // The same claims, signed by `corp` as itself: an id that looks like somebody else's is only an id.
    let mut claims = claims_with("sub", json!("sluice|admin"));
    claims["kind"] = json!("user");
    claims["groups"] = json!(["sluice-admin"]);
    let subject = both.verify(&both.corp.pair.token(&claims)).unwrap();
    assert_eq!(subject.key, key_of("corp", "sluice|admin"));
    assert_eq!(subject.groups, ["corp|sluice-admin".into()]);
    // Under the endpoint's name, but with another key.
    claims["iss"] = json!(ENDPOINT);
    claims["aud"] = json!("urn:sluice");
    assert!(matches!(both.verify(&both.corp.pair.token(&claims)), Err(IdentityError::UnknownKey { .. })));
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": both.key.id()});
    let forged = both.corp.pair.token_with(&header, &claims);
    assert_eq!(both.verify(&forged), Err(IdentityError::Signature));
    // And with the endpoint's key under another issuer's name.
    claims["iss"] = json!(URL);
    assert!(matches!(both.verify(&both.signed(&claims)), Err(IdentityError::UnknownKey { .. })));
}

#[test]
fn a_token_for_one_target_counts_there_alone() {
    let both = both();
    let token = both.issue(&order_service(), Some("payments"), None);
    assert_eq!(both.verify_at(&token, "payments").unwrap(), order_service());
    for elsewhere in ["orders", "Payments", "payment", "payments ", "payments/x", ""] {
        assert_eq!(both.verify_at(&token, elsewhere), Err(IdentityError::Audience), "{elsewhere}");
    }
    assert_eq!(both.verify(&token), Err(IdentityError::Audience));
    // One that is good everywhere is good there too; and a target has to have a name.
    assert!(both.verify_at(&both.issue(&order_service(), None, None), "payments").is_ok());
    let nameless = both.issue(&order_service(), Some(""), None);
    assert_eq!(both.verify(&nameless), Err(IdentityError::Audience));
    // An issuer of others' tokens cannot narrow them so, nor widen them.
    let at = format!("{TARGET_AUDIENCE}payments");
    let foreign = both.corp.pair.token(&claims_with("aud", json!(at)));
    assert_eq!(both.verify_at(&foreign, "payments"), Err(IdentityError::Audience));
}

#[test]
fn what_is_issued_for_a_bound_credential_is_bound() {
    let both = both();
    let (certificate, proof_key) = (Digest([1; 32]), Digest([2; 32]));
    for confirmation in [Confirmation::Certificate(certificate), Confirmation::ProofKey(proof_key)] {
        let token = both.issue(&order_service(), None, Some(confirmation));
        assert!(matches!(both.verify(&token), Err(IdentityError::Binding(_))));
        let proven = Proven { certificate: Some(certificate), proof_key: Some(proof_key) };
        let subject = verify(&token, &both.issuers, &proven, Timestamp::from_seconds(NOW)).unwrap();
        assert_eq!(plain(subject.clone()), Subject { binding: confirmation.binding(), ..order_service() });
        assert_eq!(proven.confirmation(subject.binding), Some(confirmation));
        let other = Proven { certificate: Some(proof_key), proof_key: Some(certificate) };
        assert!(verify(&token, &both.issuers, &other, Timestamp::from_seconds(NOW)).is_err());
    }
}

#[test]
fn subjects_of_an_issuer_that_is_gone_are_not_believed() {
    let both = both();
    let gone = Subject { key: key_of("gone", "app"), ..order_service() };
    assert!(matches!(both.verify(&both.issue(&gone, None, None)), Err(IdentityError::UnknownIssuer(_))));
    let for_gone = Subject { on_behalf_of: vec![key_of("gone", "jane")], ..order_service() };
    assert!(matches!(both.verify(&both.issue(&for_gone, None, None)), Err(IdentityError::UnknownIssuer(_))));
    // One whose credentials are no JWTs is known by its alias.
    let token = both.issue(&gone, None, None);
    let issuers = both.issuers.with_alias("gone".into());
    assert!(verify(&token, &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).is_ok());
}

#[test]
fn what_was_issued_for_a_token_that_is_revoked_is_revoked_too() {
    let both = both();
    let token = both.issue(&order_service(), Some("payments"), None);
    let now = Timestamp::from_seconds(NOW);
    let verified = verify_for(&token, &both.issuers, &Proven::NOTHING, "payments", now).unwrap();
    let given_up = revocable(&token, &both.issuers, now).unwrap();
    assert_eq!(Some(given_up.digest), verified.credential.digest);
    for of in [given_up.digest, Digest([3; 32]), Digest([4; 32]), Digest([5; 32])] {
        let by = key_of("corp", "op");
        let whose = Whose::Token(of);
        let mut revoked = Revoked::default();
        revoked.insert(Revocation { whose, extent: Extent::All, at: now, until: None, by, reason: None });
        assert_eq!(revoked.apply(verified.clone(), now).is_ok(), of == Digest([5; 32]), "{of}");
    }
}

#[test]
fn what_was_issued_for_a_token_that_is_revoked_by_its_id_is_revoked_too() {
    let both = both();
    let now = Timestamp::from_seconds(NOW);
    let verified = both.verify(&both.issue(&order_service(), None, None)).unwrap();
    let by_id = |issuer: &str, id: &str| Revocation {
        whose: Whose::TokenId { issuer: issuer.into(), id: id.into() },
        extent: Extent::All,
        at: now,
        until: None,
        by: key_of("corp", "op"),
        reason: None,
    };
    for (issuer, id, is_believed) in [("corp", "t-1", false), ("corp", "t-2", true), ("sluice", "t-1", true)] {
        let mut revoked = Revoked::default();
        let revocation = revoked.insert(by_id(issuer, id));
        assert_eq!(revoked.apply(verified.clone(), now).is_ok(), is_believed, "{issuer}|{id}");
        revoked.lift(&revocation.whose, None);
        assert!(revoked.apply(verified.clone(), now).is_ok());
    }
}

#[test]
fn no_exchange_makes_a_credential_younger_than_what_takes_it_away() {
    let both = both();
    let verified = both.verify(&both.issue(&order_service(), None, None)).unwrap();
    assert_eq!(verified.credential.issued_at, SHOWN_AT);
    let issued_until = |at| Revocation {
        whose: Whose::Subject(key_of("corp", "order-service")),
        extent: Extent::Issued,
        at,
        until: None,
        by: key_of("corp", "op"),
        reason: None,
    };
    for (at, is_believed) in [(SHOWN_AT, false), (Timestamp(SHOWN_AT.0 - 1), true)] {
        let mut revoked = Revoked::default();
        revoked.insert(issued_until(at));
        assert_eq!(revoked.apply(verified.clone(), Timestamp::from_seconds(NOW)).is_ok(), is_believed);
    }
    // A claim that says later than the token itself does not count.
    let later = Subject {
        credential: Credential { issued_at: Timestamp::from_seconds(NOW + 50), ..order_service().credential },
        ..order_service()
    };
    let verified = both.verify(&both.issue(&later, None, None)).unwrap();
    assert_eq!(verified.credential.issued_at, Timestamp::from_seconds(NOW));
}

#[test]
fn what_is_left_out_of_a_token_is_never_supplied() {
    let both = both();
    let good = json!({"iss": ENDPOINT, "aud": "urn:sluice", "sub": "corp|app", "kind": "service", "groups": [],
                      "iat": NOW, "exp": NOW + 60, "jti": "t", "first_iat": NOW, "made_of": []});
    assert!(both.verify(&both.signed(&good)).is_ok());
    for name in ["aud", "sub", "kind", "groups", "iat", "exp", "jti", "first_iat", "made_of"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert!(both.verify(&both.signed(&claims)).is_err(), "{name}");
    }
    for (name, wrong) in [
        ("sub", json!("app")),
        ("sub", json!("|app")),
        ("sub", json!("corp|")),
        ("sub", json!("corp|\u{202e}app")),
        ("kind", json!("root")),
        ("groups", json!("dba")),
        ("groups", json!(["a\u{202e}b"])),
        ("aud", json!(["urn:sluice"])),
        ("exp", json!(NOW + 601)),
        ("act", json!({"sub": "corp|b"})),
        ("act", json!("corp|b")),
        ("first_iat", json!("now")),
        ("made_of", json!(["AA"])),
    ] {
        let mut claims = good.clone();
        claims[name] = wrong.clone();
        assert!(both.verify(&both.signed(&claims)).is_err(), "{name}: {wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn every_subject_survives_its_token(
        id in "[!-~]([ -~]{0,20}[!-~])?",
        groups in proptest::collection::btree_set("[a-z|]{1,8}", 0..4),
        chain in proptest::collection::vec("[!-~]{1,9}", 0..8),
    ) {
        let both = both();
        let subject = Subject {
            key: key_of("corp", &id),
            groups: groups.iter().map(|group| Arc::from(group.as_str())).collect(),
            on_behalf_of: chain.iter().map(|id| key_of("corp", id)).collect(),
            ..order_service()
        };
        proptest::prop_assert_eq!(both.verify(&both.issue(&subject, None, None)), Ok(subject));
    }
}

#[test]
fn what_a_target_is_told_is_no_token() {
    let (both, now) = (both(), Timestamp::from_seconds(NOW));
    let subject = order_service();
    for audience in ["billing", "urn:sluice", "urn:sluice:target:billing"] {
        let line = ("GET", "/v1/invoices/7");
        let told = Told {
            issuer: ENDPOINT,
            audience,
            subject: &subject,
            request: "r-1",
            target: "billing",
            line,
            lifetime: 60,
        };
        let told = both.key.tell(&told, now).expose().clone();
        let claims = told.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(
            (&claims["sub"], &claims["aud"], &claims["jti"]),
            (&json!("sluice|jane|the first"), &json!(audience), &json!("r-1"))
        );
        assert_eq!(claims.pointer("/act/act/sub"), Some(&json!("corp|shop")));
        assert_eq!(claims.pointer("/act/sub"), Some(&json!("corp|order-service")));
        assert_eq!(claims["exp"].as_u64().unwrap(), NOW + 60);
        assert_eq!((&claims["method"], &claims["path"]), (&json!("GET"), &json!("/v1/invoices/7")));
        both.verify(&told).unwrap_err();
        both.verify_at(&told, "billing").unwrap_err();
    }
}
