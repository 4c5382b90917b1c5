//! An issuer to test with, and the tests that need whole tokens.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::Digest;
use model::issuer::{Algorithm, BareGroups, ClaimPath, KindRule, Profile};
use model::subject::{Binding, Subject, SubjectKind};
use model::time::Timestamp;
use serde_json::{Value, json};

use crate::{IdentityError, Issuer, Issuers, KeyCache, KeySet, KeyTiming, Proven, SigningKey, UnknownKey};
use crate::{is_of_nobody, verify};

mod attacks;
mod claims;
mod delegation;
mod differential;
mod dpop;
mod events;
mod issued;
mod profiles;
mod properties;
mod svids;
mod vectors;

pub(crate) const NOW: u64 = 1_800_000_000;
const URL: &str = "https://id.example.com";

/// A key pair of any kind, with its public half as a JWK.
pub(crate) struct Pair {
    algorithm: &'static str,
    secret: Secret,
    jwk: Value,
}

enum Secret {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

static RSA_DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref().to_vec()
});

impl Pair {
    pub(crate) fn new(algorithm: &'static str, kid: &str) -> Self {
        match algorithm {
            "RS256" => Self::rsa(algorithm, kid, &signature::RSA_PKCS1_SHA256),
            "RS384" => Self::rsa(algorithm, kid, &signature::RSA_PKCS1_SHA384),
            "RS512" => Self::rsa(algorithm, kid, &signature::RSA_PKCS1_SHA512),
            "PS256" => Self::rsa(algorithm, kid, &signature::RSA_PSS_SHA256),
            "PS384" => Self::rsa(algorithm, kid, &signature::RSA_PSS_SHA384),
            "PS512" => Self::rsa(algorithm, kid, &signature::RSA_PSS_SHA512),
            "ES256" => Self::ec(algorithm, kid, &ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => Self::ec(algorithm, kid, &ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => Self::ec(algorithm, kid, &ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            "EdDSA" => Self::ed(kid),
            other => panic!("{other}"),
        }
    }

    fn rsa(algorithm: &'static str, kid: &str, encoding: &'static dyn RsaEncoding) -> Self {
        let key = RsaKeyPair::from_pkcs8(&RSA_DER).unwrap();
        let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
        let jwk = json!({"kty": "RSA", "n": b64(public.n), "e": b64(public.e), "alg": algorithm, "kid": kid});
        Self { algorithm, secret: Secret::Rsa(key, encoding), jwk }
    }

    fn ec(algorithm: &'static str, kid: &str, signing: &'static EcdsaSigningAlgorithm, curve: &str) -> Self {
        let key = EcdsaKeyPair::generate(signing).unwrap();
        let (x, y) = key.public_key().as_ref()[1..].split_at((key.public_key().as_ref().len() - 1) / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y), "kid": kid});
        Self { algorithm, jwk, secret: Secret::Ec(key) }
    }

    fn ed(kid: &str) -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key()), "kid": kid});
        Self { algorithm: "EdDSA", jwk, secret: Secret::Ed(key) }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Rsa(key, encoding) => {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), message, &mut out).unwrap();
                out
            }
            Secret::Ec(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Secret::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn kid(&self) -> &str {
        self.jwk["kid"].as_str().unwrap()
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid()})
    }

    /// A token of these claims with the usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn issuer() -> Issuer {
    Issuer { groups_claim: ClaimPath::new(["groups"]), ..Issuer::new("corp", URL, "sluice") }
}

fn key_set(pairs: &[&Pair]) -> KeySet {
    let jwks = json!({"keys": pairs.iter().map(|pair| pair.jwk.clone()).collect::<Vec<_>>()});
    KeySet::from_jwks(jwks.to_string().as_bytes(), &Algorithm::ALL.into()).unwrap()
}

fn trusting(issuer: Issuer, pairs: &[&Pair]) -> Issuers {
    Issuers::new().with_keys(Arc::new(issuer), Arc::new(key_set(pairs)))
}

/// Claims of a good token.
pub(crate) fn claims() -> Value {
    json!({"iss": URL, "aud": "sluice", "sub": "order-service", "iat": NOW, "exp": NOW + 300, "jti": "t-1",
           "client_id": "order-service", "groups": ["orders-reader"]})
}

/// Good claims with one changed; `null` removes it.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

/// A trusted pair, and what it makes of claims.
pub(crate) struct World {
    pub(crate) pair: Pair,
    pub(crate) issuers: Issuers,
}

impl World {
    pub(crate) fn new(issuer: Issuer) -> Self {
        let pair = Pair::new("EdDSA", "k1");
        let issuers = trusting(issuer, &[&pair]);
        Self { pair, issuers }
    }

    fn verify(&self, claims: &Value) -> Result<Subject, IdentityError> {
        self.verify_token(&self.pair.token(claims))
    }

    pub(crate) fn verify_token(&self, token: &str) -> Result<Subject, IdentityError> {
        verify(token, &self.issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW))
    }

    fn verify_header(&self, header: Value) -> Result<Subject, IdentityError> {
        self.verify_token(&self.pair.token_with(&header, &claims()))
    }
}

#[test]
fn a_good_token_names_its_subject() {
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"] {
        let pair = Pair::new(algorithm, "k1");
        let issuers = trusting(issuer(), &[&pair]);
        let subject = verify(&pair.token(&claims()), &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).unwrap();
        assert_eq!(subject.key.to_string(), "corp|order-service", "{algorithm}");
        assert_eq!(subject.kind, SubjectKind::Service);
        assert_eq!(subject.groups, ["corp|orders-reader".into()]);
        assert_eq!(subject.expires_at, Timestamp::from_seconds(NOW + 300));
        assert_eq!(subject.binding, Binding::Bearer);
        assert_eq!(subject.token_id.as_deref(), Some("t-1"));
        assert!(subject.on_behalf_of.is_empty());
    }
}

#[test]
fn the_caller_learns_nothing() {
    let world = World::new(issuer());
    let errors = [
        world.verify_token("").unwrap_err(),
        world.verify(&claims_with("aud", json!("other"))).unwrap_err(),
        world.verify(&claims_with("exp", json!(NOW))).unwrap_err(),
        world.verify_header(json!({"alg": "none"})).unwrap_err(),
    ];
    for pair in errors.windows(2) {
        assert_ne!(pair[0].to_string(), pair[1].to_string());
        assert_eq!(pair[0].client_message(), pair[1].client_message());
    }
}
