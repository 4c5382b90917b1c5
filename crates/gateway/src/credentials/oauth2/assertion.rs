//! A client assertion (RFC 7523, sections 2.2 and 3): a JWT that Sluice signs to prove which client it is.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::OAuth2Error;
use crate::clock;

/// How long an assertion lasts, in seconds: it is used at once.
const LIFETIME: u64 = 60;

/// Signs one with a key in PKCS#8 PEM: ECDSA on P-256 or P-384, Ed25519, or RSA.
pub(super) fn sign(
    key: &Secret<String>,
    key_id: Option<&str>,
    client: &str,
    audience: &str,
) -> Result<Secret<String>, OAuth2Error> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.expose().as_bytes());
    let key = key.map_err(|_| OAuth2Error::Key("it is not in PKCS#8 PEM"))?;
    let id = clock::random::<16>().map_err(|_| OAuth2Error::Key("there is no randomness"))?;
    let now = clock::now().seconds();
    let claims = json!({
        "iss": client, "sub": client, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
        "iat": now, "exp": now.saturating_add(LIFETIME),
    });
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = |algorithm: &str| {
        let mut header = json!({ "alg": algorithm, "typ": "JWT" });
        if let (Some(header), Some(key_id)) = (header.as_object_mut(), key_id) {
            header.insert("kid".to_owned(), json!(key_id));
        }
        format!("{}.{}", encode(&header), encode(&claims))
    };
    let (message, signature) = by(key.secret_pkcs8_der(), &signed).ok_or(OAuth2Error::Key("it is none that signs"))?;
    Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// What is signed, which names the algorithm (RFC 7518, RFC 8037), and the signature.
fn by(key: &[u8], signed: &dyn Fn(&str) -> String) -> Option<(String, Vec<u8>)> {
    let random = SystemRandom::new();
    let curves: [(&'static EcdsaSigningAlgorithm, &str); 2] =
        [(&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"), (&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384")];
    for (curve, name) in curves {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve, key) {
            let message = signed(name);
            let signature = pair.sign(&random, message.as_bytes()).ok()?.as_ref().to_vec();
            return Some((message, signature));
        }
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key) {
        let message = signed("EdDSA");
        let signature = pair.sign(message.as_bytes()).as_ref().to_vec();
        return Some((message, signature));
    }
    let pair = RsaKeyPair::from_pkcs8(key).ok()?;
    let (message, mut signature) = (signed("RS256"), vec![0; pair.public_modulus_len()]);
    pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).ok()?;
    Some((message, signature))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_says_who_to_whom_and_is_signed_by_the_key() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let pem = Secret::new(pair.serialize_pem());
        let made = sign(&pem, Some("k1"), "sluice", "https://issuer/token").unwrap();
        let (message, signature) = made.expose().rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key_raw());
        public.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part = |at: usize| -> Value {
            let part = message.split('.').nth(at).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0), json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
        let claims = part(1);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("sluice"), &json!("sluice")));
        assert_eq!(claims["aud"], "https://issuer/token");
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), LIFETIME);
        assert!(sign(&Secret::new("no key".into()), None, "a", "b").is_err());
    }
}
