//! The demo issuer's signing keys.

use anyhow::{Context, Result};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use crate::random;

/// How the issuer signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    #[default]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits.
    Rs256,
}

impl Algorithm {
    /// Its name in a token's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    const fn of_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// A private key, and its public half as a member of a key set.
pub(crate) struct SigningKey {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
    public: Value,
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self> {
        let private = match algorithm {
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                EncodingKey::from_ec_der(key.to_pkcs8v1()?.as_ref())
            }
            Algorithm::Rs256 => {
                let key = KeyPair::generate(KeySize::Rsa2048)?;
                // PKCS #1, which is what jsonwebtoken calls the DER form of an RSA key.
                EncodingKey::from_rsa_der(pkcs1(key.as_der()?.as_ref())?)
            }
        };
        let id = random::word()?;
        let jwk = Jwk::from_encoding_key(&private, algorithm.of_jsonwebtoken())?;
        let mut public = serde_json::to_value(jwk)?;
        let members = public.as_object_mut().context("a key is an object")?;
        members.insert("kid".to_owned(), json!(id));
        members.insert("use".to_owned(), json!("sig"));
        members.insert("alg".to_owned(), json!(algorithm.name()));
        Ok(Self { id, algorithm, private, public })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) const fn public(&self) -> &Value {
        &self.public
    }

    /// A compact JWS (RFC 7515) of these very bytes.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> Result<String> {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, self.algorithm.of_jsonwebtoken())?;
        Ok(format!("{message}.{signature}"))
    }
}

/// The PKCS #1 key inside a PKCS #8 one of 2048 bits (RFC 5208, 5). What precedes has a fixed length there: a sequence
/// (4 bytes), the version (3), the algorithm (15) and the header of the octet string that holds the key (4).
fn pkcs1(pkcs8: &[u8]) -> Result<&[u8]> {
    pkcs8.get(26..).context("the RSA key is too short")
}
