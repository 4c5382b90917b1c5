//! Client assertions: a JWT that a client signs to prove who it is (RFC 7523, section 2.2 and 3).

use std::path::Path;
use std::time::SystemTime;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::issuer::IssuerError;
use crate::random;

/// How long an assertion lasts, in seconds: it is used at once.
const LIFETIME: u64 = 60;

/// A private key that a client is known by.
pub struct AssertionKey {
    pair: Pair,
    /// `kid`, where the issuer needs it to find the public key.
    key_id: Option<String>,
    /// `aud` where an issuer wants another one than itself.
    audience: Option<String>,
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding, &'static str),
}

impl AssertionKey {
    /// Reads a key in PKCS#8 PEM: ECDSA on P-256 or P-384, Ed25519, or RSA, which signs by PSS if `pss`, else by PKCS#1.
    ///
    /// # Errors
    /// If it is no such key.
    pub fn load(path: &Path, key_id: Option<String>, audience: Option<String>, pss: bool) -> Result<Self, IssuerError> {
        let failed = |reason: String| IssuerError::File { path: path.display().to_string(), reason };
        let key = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| failed(error.to_string()))?;
        let pair = Pair::from_pkcs8(key.secret_pkcs8_der(), pss);
        let pair = pair.ok_or_else(|| failed("is no ECDSA, Ed25519 or RSA key in PKCS#8".to_owned()))?;
        Ok(Self { pair, key_id, audience })
    }

    /// An assertion that the client is `client`, for this issuer and the next minute.
    ///
    /// # Errors
    /// If the system has no randomness, or the key does not sign.
    pub fn assertion(&self, client: &str, issuer: &str, now: SystemTime) -> Result<Secret<String>, IssuerError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({ "alg": self.pair.algorithm(), "typ": "JWT" });
        if let (Some(header), Some(key_id)) = (header.as_object_mut(), &self.key_id) {
            header.insert("kid".to_owned(), json!(key_id));
        }
        // The issuer alone, and not its endpoints: an assertion that another issuer could be made to ask for is worth
        // nothing to it (RFC 7523bis, section 4).
        let claims = json!({
            "iss": client, "sub": client, "aud": self.audience.as_deref().unwrap_or(issuer),
            "jti": random::word()?, "iat": now, "exp": now.saturating_add(LIFETIME),
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.pair.sign(signed.as_bytes()).ok_or(random::NoRandomness)?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl Pair {
    fn from_pkcs8(key: &[u8], pss: bool) -> Option<Self> {
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).ok().map(Self::P256);
        let p384 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, key).ok().map(Self::P384);
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok().map(Self::Ed25519);
        let rsa = || {
            let pair = RsaKeyPair::from_pkcs8(key).ok()?;
            Some(if pss {
                Self::Rsa(pair, &RSA_PSS_SHA256, "PS256")
            } else {
                Self::Rsa(pair, &RSA_PKCS1_SHA256, "RS256")
            })
        };
        p256().or_else(p384).or_else(ed25519).or_else(rsa)
    }

    /// Its name in RFC 7518 and RFC 8037.
    const fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_, _, name) => name,
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) | Self::P384(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair, encoding, _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

#[cfg(test)]
mod tests;
