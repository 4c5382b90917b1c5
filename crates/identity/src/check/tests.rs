use serde_json::json;

use super::*;
use crate::tests::{NOW, Pair, World, claims, claims_with, issuer};

/// Tokens that each fail one check, and all that come before it are passed.
#[test]
fn the_check_that_fails_is_the_one_that_is_told() {
    let world = World::new(issuer());
    let stranger = Pair::new("EdDSA", "k1");
    let (kid, typ) = (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k2"}), json!({"alg": "EdDSA", "typ": "JWT"}));
    let changed = |name, value| world.pair.token(&claims_with(name, value));
    let cases = [
        (Check::Form, "a.b".to_owned()),
        (Check::Issuer, changed("iss", json!("https://other.example"))),
        (Check::Key, world.pair.token_with(&kid, &claims())),
        (Check::Signature, stranger.token(&claims())),
        (Check::Kind, world.pair.token_with(&typ, &claims())),
        (Check::Audience, changed("aud", json!("other"))),
        (Check::Times, changed("exp", json!(NOW))),
        (Check::Binding, changed("cnf", json!({}))),
        (Check::Names, changed("sub", json!(""))),
        (Check::Groups, changed("groups", json!("dba"))),
    ];
    for ((check, token), number) in cases.iter().zip(0..) {
        let found = inspect(token, &world.issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW));
        assert_eq!(Check::OF_SIGNED[number], *check);
        assert_eq!(found.result, world.verify_token(token), "{check:?}");
        let expected = Check::OF_SIGNED.iter().zip(0..).map(|(check, at)| match at {
            at if at < number => (*check, Outcome::Passed),
            at if at == number => (*check, Outcome::Failed),
            _ => (*check, Outcome::NotReached),
        });
        assert!(expected.eq(found.checks.iter().copied()), "{check:?}: {:?}", found.checks);
        assert_eq!(found.claims.is_some(), *check != Check::Form);
    }
}

#[test]
fn a_good_token_passes_every_check_and_is_shown_without_its_signature() {
    let world = World::new(issuer());
    let token = world.pair.token(&claims());
    let found = inspect(&token, &world.issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW));
    assert!(found.checks.iter().all(|(_, outcome)| *outcome == Outcome::Passed));
    assert_eq!(found.result, world.verify_token(&token));
    assert_eq!(found.claims, Some(claims()));
    assert_eq!(found.header, Some(world.pair.header()));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!format!("{found:?}").contains(signature));
}

#[test]
fn every_check_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> =
        Check::OF_SIGNED.iter().chain(&Check::OF_OPAQUE).map(|check| check.name()).collect();
    assert_eq!(names.len(), 11);
}
