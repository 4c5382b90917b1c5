//! Whatever arrives: no panic, and nothing unsigned is believed.

use proptest::prelude::*;

use super::*;

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(URL)),
        Just(json!("sluice")),
        Just(json!(NOW)),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let name = prop_oneof![
            ".{0,6}",
            prop::sample::select(vec!["sub", "act", "iss", "groups", "x5t#S256"]).prop_map(String::from)
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn random_text_never_panics_and_is_refused(text in ".{0,300}") {
        prop_assert!(World::new(issuer()).verify_token(&text).is_err());
    }

    #[test]
    fn random_parts_never_panic_and_are_refused(header: Vec<u8>, claims: Vec<u8>, signature: Vec<u8>) {
        let token = format!("{}.{}.{}", b64(header), b64(claims), b64(signature));
        prop_assert!(World::new(issuer()).verify_token(&token).is_err());
    }

    #[test]
    fn random_key_sets_never_panic(bytes: Vec<u8>, jwk in json_value()) {
        let allowed = Algorithm::ALL.into();
        prop_assert!(KeySet::from_jwks(&bytes, &allowed).is_err());
        let _ = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes(), &allowed);
    }

    #[test]
    fn random_events_never_panic_and_are_about_subjects_of_their_issuer(
        name in prop::sample::select(vec!["sub_id", "events", "iat", "exp", "jti", "aud", "iss"]),
        kind in prop::sample::select(vec!["session-revoked", "token-claims-change", "credential-change"]),
        value in json_value(),
    ) {
        let world = World::new(Issuer { events: true, ..issuer() });
        let uri = format!("https://schemas.openid.net/secevent/caep/event-type/{kind}");
        let mut claims = json!({"iss": URL, "aud": "sluice", "iat": NOW, "jti": "e-1", "events": {uri: value.clone()},
            "sub_id": {"format": "opaque", "id": "jane"}});
        let header = json!({"alg": "EdDSA", "typ": "secevent+jwt", "kid": "k1"});
        for changed in [false, true] {
            if changed {
                claims[name] = value.clone();
            }
            let token = world.pair.token_with(&header, &claims);
            if let Ok(event) = crate::security_event(&token, &world.issuers, Timestamp::from_seconds(NOW)) {
                prop_assert!(event.changes.iter().all(|change| &*change.subject.issuer == "corp"));
            }
        }
    }

    #[test]
    fn a_random_claim_never_panics_and_names_stay_clean(
        name in prop::sample::select(vec!["sub", "act", "aud", "exp", "iat", "nbf", "jti", "groups", "cnf", "typ", "iss"]),
        value in json_value(),
    ) {
        let mut claims = claims();
        claims[name] = value;
        if let Ok(subject) = World::new(issuer()).verify(&claims) {
            prop_assert!(subject.identities().all(|key| key.id.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
            prop_assert!(subject.groups.iter().all(|group| group.starts_with("corp|")));
            prop_assert!(subject.expires_at > Timestamp::from_seconds(NOW));
        }
    }

    #[test]
    fn a_token_of_an_untrusted_key_is_refused_whatever_it_says(value in json_value()) {
        let stranger = Pair::new("EdDSA", "k1");
        prop_assert!(World::new(issuer()).verify_token(&stranger.token(&value)).is_err());
        prop_assert_eq!(World::new(issuer()).verify_token(&stranger.token(&claims())), Err(IdentityError::Signature));
    }
}
