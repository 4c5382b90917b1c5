//! Sluice's own issuer: short-lived tokens for the first administrator and for `sluice token`.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;
use model::time::Timestamp;
use serde_json::json;

/// A key cannot be read, or cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The bytes are not an Ed25519 private key in PKCS#8.
    #[error("not an Ed25519 private key in PKCS#8")]
    Key,
}

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Claims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `sub`, and `client_id` as RFC 9068 wants it.
    pub subject: &'a str,
    /// The claim `groups`.
    pub groups: &'a [Arc<str>],
    /// Seconds from now to `exp`.
    pub lifetime: u64,
    /// `jti`: drawn at random by the caller.
    pub token_id: &'a str,
}

/// An Ed25519 signing key (RFC 8037).
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl SigningKey {
    /// The key that this seed is. The caller draws it at random.
    ///
    /// # Errors
    /// If the library cannot make a key.
    pub fn from_seed(seed: &Secret<[u8; 32]>) -> Result<Self, MintError> {
        Self::new(Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| MintError::Key)?)
    }

    /// Reads the key from PKCS#8, as [`SigningKey::to_pkcs8`] and `openssl genpkey -algorithm ed25519` write it.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, MintError> {
        Self::new(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| MintError::Key)?)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, MintError> {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        // RFC 7638 and RFC 8037, appendix A.3: the required members in order, without spaces.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Ok(Self { pair, id })
    }

    /// The key for a file that only its owner can read.
    ///
    /// # Errors
    /// If the library cannot write it.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, MintError> {
        let document = self.pair.to_pkcs8v1().map_err(|_| MintError::Key)?;
        Ok(Secret::new(document.as_ref().to_vec()))
    }

    /// The key's id: its RFC 7638 thumbprint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key as a JWK set, for [`crate::KeySet::from_jwks`] and for whoever else verifies.
    pub fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.id, "alg": "EdDSA", "use": "sig"});
        json!({ "keys": [key] }).to_string()
    }

    /// Signs an RFC 9068 access token.
    pub fn sign(&self, claims: &Claims<'_>, now: Timestamp) -> Secret<String> {
        let (issued, expires) = (now.seconds(), now.seconds().saturating_add(claims.lifetime));
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.id});
        let claims = json!({
            "iss": claims.issuer, "aud": claims.audience, "sub": claims.subject, "client_id": claims.subject,
            "groups": claims.groups.iter().map(|group| &**group).collect::<Vec<_>>(),
            "iat": issued, "exp": expires, "jti": claims.token_id,
        });
        self.jws(&header, &claims)
    }

    /// Signs what is said here, in compact serialization (RFC 7515, section 3.1).
    pub(crate) fn jws(&self, header: &serde_json::Value, claims: &serde_json::Value) -> Secret<String> {
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        Secret::new(format!("{signed}.{signature}"))
    }
}

#[cfg(test)]
mod tests;
