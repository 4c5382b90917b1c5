//! The same tokens through an independent implementation: what Sluice accepts, it must accept too.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;

use super::*;

const BOTH: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// Whether the other implementation accepts the token, times aside: it only knows its own clock.
fn other_accepts(pair: &Pair, token: &str) -> bool {
    let jwk: Jwk = serde_json::from_value(pair.jwk.clone()).unwrap();
    let mut validation = Validation::new(pair.algorithm.parse().unwrap());
    validation.set_audience(&["sluice"]);
    validation.set_issuer(&[URL]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).is_ok()
}

#[test]
fn both_accept_what_is_good() {
    for algorithm in BOTH {
        let pair = Pair::new(algorithm, "k1");
        let token = pair.token(&claims());
        assert!(other_accepts(&pair, &token), "{algorithm}");
        let issuers = trusting(issuer(), &[&pair]);
        assert!(verify(&token, &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).is_ok(), "{algorithm}");
    }
}

#[test]
fn a_minted_token_is_good_for_both() {
    let key = SigningKey::from_seed(&model::secret::Secret::new([7; 32])).unwrap();
    let minted = crate::Claims {
        issuer: URL,
        audience: "sluice",
        subject: "admin",
        groups: &["admins".into()],
        lifetime: 300,
        token_id: "t",
    };
    let token = key.sign(&minted, Timestamp::from_seconds(NOW));
    let jwks: Value = serde_json::from_str(&key.jwks()).unwrap();
    let pair = Pair { jwk: jwks["keys"][0].clone(), ..Pair::new("EdDSA", "k1") };
    assert!(other_accepts(&pair, token.expose()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_accepted_after_a_change_is_accepted_by_both(
        which in 0..BOTH.len(),
        at: prop::sample::Index,
        byte in prop::sample::select(b"ABab01-_.=\0{".to_vec()),
    ) {
        let pair = Pair::new(BOTH[which], "k1");
        let mut bytes = pair.token(&claims()).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let token = String::from_utf8(bytes).unwrap();
        let issuers = trusting(issuer(), &[&pair]);
        if verify(&token, &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).is_ok() {
            prop_assert!(other_accepts(&pair, &token), "{token}");
        }
    }
}
