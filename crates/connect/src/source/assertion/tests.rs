use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Writes the key, signs with it, and has the assertion verified; returns header and claims.
fn signed(der: &[u8], public: &[u8], by: &'static dyn VerificationAlgorithm, pss: bool) -> (Value, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.pem");
    std::fs::write(&path, pem(der)).unwrap();
    let key = AssertionKey::load(&path, Some("k1".into()), None, pss).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let assertion = key.assertion("etl", "https://issuer.example", now).unwrap();
    let (content, signature) = assertion.expose().rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(by, public).verify(content.as_bytes(), &signature).unwrap();
    let part = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (header, claims) = content.split_once('.').unwrap();
    (part(header), part(claims))
}

#[test]
fn every_kind_of_key_signs_what_its_algorithm_verifies() {
    let random = SystemRandom::new();
    let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref()).unwrap();
    let (header, claims) = signed(p256.as_ref(), pair.public_key().as_ref(), &ECDSA_P256_SHA256_FIXED, false);
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("etl"), &json!("etl")));
    assert_eq!((&claims["aud"], &claims["exp"]), (&json!("https://issuer.example"), &json!(1060)));

    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, p384.as_ref()).unwrap();
    let (header, other) = signed(p384.as_ref(), pair.public_key().as_ref(), &ECDSA_P384_SHA384_FIXED, false);
    assert_eq!(header["alg"], "ES384");
    assert_ne!(claims["jti"], other["jti"], "an assertion is used once");

    let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap();
    assert_eq!(signed(ed25519.as_ref(), pair.public_key().as_ref(), &ED25519, false).0["alg"], "EdDSA");

    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let (der, public) = (rsa.as_der().unwrap(), rsa.public_key().as_ref().to_vec());
    assert_eq!(signed(der.as_ref(), &public, &RSA_PKCS1_2048_8192_SHA256, false).0["alg"], "RS256");
    assert_eq!(signed(der.as_ref(), &public, &RSA_PSS_2048_8192_SHA256, true).0["alg"], "PS256");
}

#[test]
fn what_is_no_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.pem");
    for content in [String::new(), pem(b"nonsense")] {
        std::fs::write(&path, content).unwrap();
        let error = AssertionKey::load(&path, None, None, false).err().unwrap();
        assert!(error.to_string().contains("client.pem"), "{error}");
    }
}
