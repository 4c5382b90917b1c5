use model::issuer::ClaimPath;
use model::subject::Binding;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://id.example.com";
const TOKEN: &str = "h3xRt0kEn_of-the.issuer~+/==";

fn issuer() -> Issuer {
    Issuer { groups_claim: ClaimPath::new(["groups"]), ..Issuer::new("corp", URL, "sluice") }
}

/// A good answer, as `oidc-provider` gives it.
fn answer() -> Value {
    json!({"active": true, "iss": URL, "aud": "sluice", "sub": "order-service", "client_id": "order-service",
           "iat": NOW, "exp": NOW + 300, "token_type": "Bearer", "groups": ["orders"], "jti": TOKEN})
}

fn with(name: &str, value: Value) -> Value {
    let mut answer = answer();
    match value {
        Value::Null => answer.as_object_mut().unwrap().remove(name),
        value => answer.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    answer
}

fn verify_at(answer: &Value, now: u64) -> Result<Subject, IdentityError> {
    let asked_at = Timestamp::from_seconds(NOW);
    let read = Introspected::parse(answer.to_string().as_bytes(), asked_at)?;
    read.verify(&issuer(), TokenDigest::of(TOKEN), &Proven::NOTHING, Timestamp::from_seconds(now))
}

fn verify(answer: &Value) -> Result<Subject, IdentityError> {
    verify_at(answer, NOW)
}

#[test]
fn a_good_answer_names_its_subject_and_the_record_has_the_tokens_digest() {
    let subject = verify(&answer()).unwrap();
    assert_eq!(subject.key.to_string(), "corp|order-service");
    assert_eq!(subject.groups, ["corp|orders".into()]);
    assert_eq!(subject.expires_at, Timestamp::from_seconds(NOW + 300));
    assert_eq!(subject.binding, Binding::Bearer);
    // With some issuers `jti` is the token: it is never taken over.
    let token_id = subject.token_id.unwrap();
    assert_eq!(*token_id, *TokenDigest::of(TOKEN).token_id());
    assert!(token_id.starts_with("sha256:") && token_id.len() == 71, "{token_id}");
}

#[test]
fn a_token_that_is_not_active_is_refused() {
    assert_eq!(verify(&json!({"active": false})), Err(IdentityError::Inactive));
    for active in [json!("true"), json!(1), json!(null), json!({})] {
        assert!(matches!(verify(&json!({ "active": active })), Err(IdentityError::Malformed { part: "answer", .. })));
    }
    for bytes in ["", "[]", "{\"active\":true,\"active\":false}", "<html>"] {
        let read = Introspected::parse(bytes.as_bytes(), Timestamp::from_seconds(NOW));
        assert!(matches!(read, Err(IdentityError::Malformed { part: "answer", .. })), "{bytes}");
    }
    let large = format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(MAX_ANSWER));
    assert!(Introspected::parse(large.as_bytes(), Timestamp(0)).is_err());
}

#[test]
fn id_09_a_refresh_token_is_no_access_token() {
    for (name, value) in [
        // oidc-provider says nothing of the type of a refresh token, Hydra calls its use so, Keycloak its `typ`.
        ("token_type", Value::Null),
        ("token_type", json!("refresh_token")),
        ("token_type", json!("N_A")),
        ("token_type", json!(["Bearer"])),
        ("token_type", json!("DPoP")),
        ("token_use", json!("refresh_token")),
        ("token_use", json!(7)),
        ("typ", json!("Refresh")),
        ("typ", json!("ID")),
        ("events", json!({})),
    ] {
        assert!(matches!(verify(&with(name, value.clone())), Err(IdentityError::Kind(_))), "{name} {value}");
    }
    for (name, value) in
        [("token_type", json!("bearer")), ("token_use", json!("access_token")), ("typ", json!("Bearer"))]
    {
        assert!(verify(&with(name, value)).is_ok(), "{name}");
    }
}

#[test]
fn the_claims_of_an_answer_are_checked_as_a_tokens_are() {
    assert!(matches!(verify(&with("iss", json!("https://other.example"))), Err(IdentityError::UnknownIssuer(_))));
    assert!(matches!(verify(&with("iss", json!(7))), Err(IdentityError::Claim { claim: "iss", .. })));
    assert!(verify(&with("iss", Value::Null)).is_ok());
    assert!(matches!(verify(&with("aud", Value::Null)), Err(IdentityError::Claim { claim: "aud", .. })));
    assert_eq!(verify(&with("aud", json!("sluice/"))), Err(IdentityError::Audience));
    assert!(matches!(verify(&with("cnf", json!({"x5t#S256": "AA"}))), Err(IdentityError::Binding(_))));
    assert_eq!(verify(&with("sub", Value::Null)), Err(IdentityError::Name("subject or actor")));
    assert!(matches!(verify(&with("groups", json!("orders"))), Err(IdentityError::Groups(_))));
    assert!(matches!(verify(&with("exp", json!("1"))), Err(IdentityError::Claim { claim: "exp", .. })));
}

#[test]
fn an_answer_without_times_is_bounded() {
    let ends = |answer: &Value| verify(answer).map(|subject| subject.expires_at.seconds() - NOW);
    assert_eq!(ends(&with("exp", Value::Null)), Ok(3600));
    let mut nothing = with("exp", Value::Null);
    nothing.as_object_mut().unwrap().remove("iat");
    assert_eq!(ends(&nothing), Ok(3600));
    assert_eq!(ends(&with("iat", Value::Null)), Ok(300));
    assert_eq!(ends(&with("exp", json!(NOW + 3601))), Err(IdentityError::Lifetime(3601)));
    assert_eq!(ends(&with("exp", json!(NOW))), Err(IdentityError::Expired(0)));
    assert_eq!(ends(&with("nbf", json!(NOW + 9))), Err(IdentityError::NotYet(9)));
    // Counted from when it was asked, not from now: looking again does not prolong it.
    assert_eq!(verify_at(&nothing, NOW + 3599).unwrap().expires_at, Timestamp::from_seconds(NOW + 3600));
    assert!(verify_at(&nothing, NOW + 3600).is_err());
    assert_eq!(verify_at(&answer(), NOW + 301), Err(IdentityError::Expired(1)));
}

#[test]
fn every_check_is_told_in_order() {
    let inspect = |answer: &Value| {
        let read = Introspected::parse(answer.to_string().as_bytes(), Timestamp::from_seconds(NOW)).unwrap();
        read.inspect(&issuer(), TokenDigest::of(TOKEN), &Proven::NOTHING, Timestamp::from_seconds(NOW))
    };
    let passed = |found: &Inspection| found.checks.iter().filter(|(_, how)| *how == crate::Outcome::Passed).count();
    let good = inspect(&answer());
    assert_eq!((passed(&good), good.result.is_ok()), (Check::OF_OPAQUE.len(), true));
    let cases = [
        ("iss", json!("x"), Check::Issuer),
        ("token_type", json!("x"), Check::Kind),
        ("aud", json!("x"), Check::Audience),
        ("exp", json!(1), Check::Times),
        ("cnf", json!({}), Check::Binding),
        ("sub", json!(""), Check::Names),
        ("groups", json!(1), Check::Groups),
    ];
    for (name, value, check) in cases {
        let found = inspect(&with(name, value));
        assert_eq!(found.checks.iter().find(|(_, how)| *how == crate::Outcome::Failed).unwrap().0, check, "{name}");
        assert!(found.result.is_err());
    }
}

#[test]
fn no_jwt_is_taken_for_an_opaque_token() {
    for token in ["abc", TOKEN, "ya29.a0ARrdaM", "gho_16C7e42F292c6912E7"] {
        assert!(is_opaque(token, None), "{token}");
    }
    let long = "a".repeat(4097);
    for token in ["", "=", "a.b.c", "a.b.c.d.e", "eyJhbGciOiJub25lIn0", "pass word", "pässword", "a\n", "a=b", &long] {
        assert!(!is_opaque(token, None), "{token}");
    }
    assert!(is_opaque("gho_a.b.c", Some("gho_")));
    assert!(!is_opaque("ghp_abc", Some("gho_")));
    assert!(!is_opaque("gho_ü", Some("gho_")));
}

/// Whoever has one may give it up, without the key that it may be bound to.
#[test]
fn an_opaque_token_is_given_up_by_what_revocations_know_it_by() {
    let revocable = |answer: &Value| {
        let read = Introspected::parse(answer.to_string().as_bytes(), Timestamp::from_seconds(NOW))?;
        read.revocable(&issuer(), TokenDigest::of(TOKEN), Timestamp::from_seconds(NOW))
    };
    let given_up = revocable(&answer()).unwrap();
    assert_eq!(verify(&answer()).unwrap().credential.digest, Some(given_up.digest));
    assert_eq!(given_up.subject.to_string(), "corp|order-service");
    let bound = with("cnf", json!({"x5t#S256": "x"}));
    assert!(verify(&bound).is_err() && revocable(&bound).is_ok());
    for (name, value) in [("active", json!(false)), ("aud", json!("other")), ("exp", json!(NOW))] {
        assert!(revocable(&with(name, value.clone())).is_err(), "{name} {value}");
    }
}
