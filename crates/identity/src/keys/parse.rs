//! One JWK to one verification key (RFC 7518, section 6; RFC 8037, section 2).

use std::collections::BTreeSet;

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::issuer::Algorithm;

use super::Key;
use crate::json::{Json, Object};

/// NIST SP 800-131A: 2,048 bits at least. The upper bound is what the library verifies.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Encodings of the points whose order divides 8, with the sign bit cleared: a signature by such a "key" verifies
/// without any secret. Non-canonical ones included. Little-endian y, as RFC 8032 writes it.
const SMALL_ORDER: [[u8; 32]; 7] = [
    little(0x00, 0x00, 0x00),
    little(0x01, 0x00, 0x00),
    little(0xec, 0xff, 0x7f),
    little(0xed, 0xff, 0x7f),
    little(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// The key, or `None` if it is not for verifying signatures that this issuer may make.
pub(super) fn public_key(
    jwk: &Object,
    usage: &str,
    allowed: &BTreeSet<Algorithm>,
) -> Result<Option<Key>, &'static str> {
    if !is_for_signatures(jwk, usage) {
        return Ok(None);
    }
    let Some(algorithm) = algorithm(jwk, allowed)? else {
        return Ok(None);
    };
    let public = match algorithm {
        Algorithm::Rs256 => rsa(jwk, &signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => rsa(jwk, &signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => rsa(jwk, &signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => rsa(jwk, &signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => rsa(jwk, &signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => rsa(jwk, &signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 => ec(jwk, &ECDSA_P256_SHA256_FIXED, 32),
        Algorithm::Es384 => ec(jwk, &ECDSA_P384_SHA384_FIXED, 48),
        Algorithm::Es512 => ec(jwk, &ECDSA_P521_SHA512_FIXED, 66),
        Algorithm::EdDsa => ed25519(jwk),
    }?;
    Ok(Some(Key { algorithm, public }))
}

/// `use` and `key_ops` (RFC 7517, 4.2 and 4.3), where present, must say so.
fn is_for_signatures(jwk: &Object, usage: &str) -> bool {
    let used = jwk.get("use").is_none_or(|value| value.text() == Some(usage));
    let verifies = |value: &Json| value.list().is_some_and(|list| list.iter().any(|op| op.text() == Some("verify")));
    used && jwk.get("key_ops").is_none_or(verifies)
}

/// The one algorithm of a key: what it says, if that fits its type; otherwise what its type implies.
fn algorithm(jwk: &Object, allowed: &BTreeSet<Algorithm>) -> Result<Option<Algorithm>, &'static str> {
    let named = match jwk.get("alg") {
        None => None,
        Some(value) => match value.text().ok_or("`alg` is not a text")?.parse::<Algorithm>() {
            Ok(algorithm) => Some(algorithm),
            Err(_) => return Ok(None),
        },
    };
    let text = |name| jwk.get(name).and_then(Json::text);
    let possible: &[Algorithm] = match (text("kty"), text("crv")) {
        (Some("RSA"), None) => &Algorithm::ALL[..6],
        (Some("EC"), Some("P-256")) => &[Algorithm::Es256],
        (Some("EC"), Some("P-384")) => &[Algorithm::Es384],
        (Some("EC"), Some("P-521")) => &[Algorithm::Es512],
        (Some("OKP"), Some("Ed25519")) => &[Algorithm::EdDsa],
        _ => return Ok(None),
    };
    if named.is_some_and(|named| !possible.contains(&named)) {
        return Err("`alg` does not fit the key's type");
    }
    let fits = |algorithm: &&Algorithm| allowed.contains(algorithm) && named.is_none_or(|named| named == **algorithm);
    let mut fitting = possible.iter().filter(fits).copied();
    let first = fitting.next();
    // Several are left only for RSA, where RS256 comes first: what such a key is for by convention.
    let is_clear = first == Some(Algorithm::Rs256) || fitting.next().is_none();
    if is_clear { Ok(first) } else { Err("it has no `alg`, and several RSA algorithms are allowed") }
}

fn rsa(jwk: &Object, parameters: &'static RsaParameters) -> Result<ParsedPublicKey, &'static str> {
    let (n, e) = (member(jwk, "n")?, member(jwk, "e")?);
    let is_short = n.len() == *RSA_BYTES.start() && n.first().is_none_or(|byte| *byte < 0x80);
    if is_short || !RSA_BYTES.contains(&n.len()) {
        return Err("the RSA modulus is below 2048 or above 8192 bits");
    }
    // With an exponent of 1, every message is its own signature; an even one is no exponent at all.
    if e == [1] || e.last().is_none_or(|byte| byte % 2 == 0) {
        return Err("the RSA exponent is 1 or even");
    }
    let components = RsaPublicKeyComponents { n: &n, e: &e };
    components.to_parsed_public_key(parameters).map_err(|_| "the RSA key is not valid")
}

/// Coordinates have the full length of the field (RFC 7518, 6.2.1.2); the library checks that the point is on the curve.
fn ec(
    jwk: &Object,
    algorithm: &'static dyn VerificationAlgorithm,
    length: usize,
) -> Result<ParsedPublicKey, &'static str> {
    let (x, y) = (member(jwk, "x")?, member(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err("a coordinate has the wrong length");
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    ParsedPublicKey::new(algorithm, point).map_err(|_| "the point is not on the curve")
}

fn ed25519(jwk: &Object) -> Result<ParsedPublicKey, &'static str> {
    let x = member(jwk, "x")?;
    let point: [u8; 32] = x.try_into().map_err(|_| "the Ed25519 key is not 32 bytes long")?;
    let [rest @ .., last] = point;
    let mut unsigned = [0; 32];
    for (to, from) in unsigned.iter_mut().zip(rest.iter().chain(&[last & 0x7f])) {
        *to = *from;
    }
    if SMALL_ORDER.contains(&unsigned) {
        return Err("the Ed25519 key is a point of small order");
    }
    ParsedPublicKey::new(&ED25519, point).map_err(|_| "the Ed25519 key is not valid")
}

fn member(jwk: &Object, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = jwk.get(name).and_then(Json::text).ok_or("a member of the key is absent")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member of the key is not canonical base64url")
}

/// A 32-byte number by its first, its middle and its last byte.
const fn little(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    let [head, .., tail] = &mut bytes;
    *head = first;
    *tail = last;
    bytes
}
