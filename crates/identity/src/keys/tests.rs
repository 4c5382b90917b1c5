use serde_json::{Value, json};

use super::*;

fn read(keys: Value) -> Result<KeySet, KeySetError> {
    read_allowing(keys, &Algorithm::ALL)
}

fn read_allowing(keys: Value, allowed: &[Algorithm]) -> Result<KeySet, KeySetError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), &allowed.iter().copied().collect())
}

/// RFC 7515, A.3, and RFC 8037, A.2.
fn ec(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
           "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": kid})
}

fn ed(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": kid})
}

fn rsa(bytes: usize, first: u8) -> Value {
    let mut modulus = vec![0xa5; bytes];
    modulus[0] = first;
    json!({"kty": "RSA", "n": base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, modulus),
           "e": "AQAB", "kid": "r"})
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

#[test]
fn each_key_has_one_algorithm() {
    let set = read(json!([ec("a"), ed("b"), with(rsa(256, 0xa5), "alg", json!("PS384"))])).unwrap();
    let algorithm = |id| set.find(Some(id)).unwrap().algorithm();
    assert_eq!(
        (algorithm("a"), algorithm("b"), algorithm("r")),
        (Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps384)
    );
    assert_eq!(set.ids().collect::<Vec<_>>(), ["a", "b", "r"]);
    assert!(set.find(None).is_none());
    let pinned = |allowed: &[Algorithm]| {
        read_allowing(json!([rsa(256, 0xa5)]), allowed).unwrap().find(None).unwrap().algorithm()
    };
    assert_eq!(pinned(&Algorithm::ALL), Algorithm::Rs256);
    assert_eq!(pinned(&[Algorithm::Ps256, Algorithm::Es256]), Algorithm::Ps256);
    let unclear = read_allowing(json!([rsa(256, 0xa5)]), &[Algorithm::Ps256, Algorithm::Rs512]);
    assert!(matches!(unclear, Err(KeySetError::BadKey { .. })));
}

#[test]
fn secrets_are_refused_wherever_they_stand() {
    let symmetric = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"});
    assert!(matches!(read(json!([ed("a"), symmetric])), Err(KeySetError::Secret(_))));
    for member in SECRET_MEMBERS {
        assert!(matches!(read(json!([with(ed("a"), member, json!("AA"))])), Err(KeySetError::Secret(_))), "{member}");
    }
    // Even in a key that would be passed over.
    let private = with(with(ed("a"), "use", json!("enc")), "d", json!("AA"));
    assert!(matches!(read(json!([ec("b"), private])), Err(KeySetError::Secret(_))));
}

#[test]
fn an_id_names_one_key() {
    assert!(matches!(read(json!([ec("a"), ed("a")])), Err(KeySetError::Ambiguous(_))));
    let nameless = |mut key: Value| {
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    assert!(read(json!([nameless(ed(""))])).unwrap().find(None).is_some());
    assert!(matches!(read(json!([nameless(ed("")), ec("b")])), Err(KeySetError::Ambiguous(_))));
    assert!(matches!(read(json!([nameless(ed("")), nameless(ec(""))])), Err(KeySetError::Ambiguous(_))));
    assert!(matches!(read(json!([with(ed("a"), "kid", json!(7))])), Err(KeySetError::Malformed(_))));
    assert!(matches!(read(json!([ed("")])), Err(KeySetError::Malformed(_))));
}

#[test]
fn keys_for_other_uses_are_passed_over() {
    for key in [
        with(ec("x"), "use", json!("enc")),
        with(ec("x"), "key_ops", json!(["deriveKey"])),
        with(ec("x"), "crv", json!("secp256k1")),
        with(ed("x"), "crv", json!("X25519")),
        with(ed("x"), "kty", json!("AKP")),
        with(rsa(256, 0xa5), "alg", json!("RSA-OAEP")),
        json!({"kty": "future"}),
    ] {
        assert!(matches!(read(json!([key])), Err(KeySetError::Empty)), "{key}");
        assert_eq!(read(json!([key, ed("good")])).unwrap().ids().count(), 1);
    }
    assert!(matches!(read_allowing(json!([ed("a")]), &[Algorithm::Es256]), Err(KeySetError::Empty)));
    assert!(read(json!([with(with(ec("x"), "use", json!("sig")), "key_ops", json!(["verify"]))])).is_ok());
}

#[test]
fn broken_and_weak_keys_are_refused() {
    for key in [
        rsa(255, 0xa5),
        rsa(256, 0x7f),
        rsa(128, 0xa5),
        rsa(1025, 0xa5),
        rsa(257, 0),
        with(rsa(256, 0xa5), "e", json!("")),
        with(rsa(256, 0xa5), "e", json!("AQ")),
        with(rsa(256, 0xa5), "e", json!("AAAB")),
        with(rsa(256, 0xa5), "e", json!("AQAC")),
        with(rsa(256, 0xa5), "n", json!("****")),
        with(rsa(256, 0xa5), "alg", json!("ES256")),
        with(ec("x"), "y", json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")),
        with(ec("x"), "x", json!("AA")),
        with(ec("x"), "crv", json!("P-384")),
        with(ec("x"), "alg", json!("ES384")),
        with(ec("x"), "y", json!(7)),
        with(ed("x"), "x", json!("AA")),
    ] {
        assert!(matches!(read(json!([key])), Err(KeySetError::BadKey { .. })), "{key}");
    }
}

#[test]
fn id_11_ed25519_points_of_small_order_are_no_keys() {
    let encode = |point: [u8; 32]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, point);
    for hex in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ] {
        let point = hex.parse::<model::id::Digest>().unwrap().0;
        let key = with(ed("a"), "x", json!(encode(point)));
        assert!(matches!(read(json!([key])), Err(KeySetError::BadKey { .. })), "{hex}");
    }
}

#[test]
fn a_set_is_bounded_and_well_formed() {
    assert!(matches!(read(json!([])), Err(KeySetError::Empty)));
    let keys: Vec<Value> = (0..101).map(|number| ed(&number.to_string())).collect();
    assert!(read(json!(keys[..100])).is_ok());
    assert!(matches!(read(json!(keys)), Err(KeySetError::TooLarge)));
    assert!(matches!(read(json!([with(ed("a"), "pad", json!("x".repeat(MAX_BYTES)))])), Err(KeySetError::TooLarge)));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[7]}"#, r#"{"keys":[],"keys":[]}"#] {
        let result = KeySet::from_jwks(text.as_bytes(), &Algorithm::ALL.into());
        assert!(matches!(result, Err(KeySetError::Malformed(_))), "{text}");
    }
}
