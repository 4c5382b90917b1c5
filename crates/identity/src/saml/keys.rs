//! The keys that a provider signs with, from certificates that were trusted beforehand.
//!
//! A certificate in metadata only carries a key: neither its issuer nor its dates count (SAML V2.0 Metadata
//! Interoperability Profile, section 2.6.1). The metadata says how long a key is to be believed.

use std::fmt;

use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

use super::algorithm::{KeyKind, SignatureAlgorithm};
use super::error::MetadataError;

/// The most keys of one provider: one, or two while they change.
const MAX_KEYS: usize = 16;

/// What a provider may have signed with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderKeys(Vec<Key>);

#[derive(Clone, PartialEq, Eq)]
struct Key {
    kind: KeyKind,
    /// As the certificate has it: an `RSAPublicKey` (RFC 8017, A.1.1) or a point.
    public: Vec<u8>,
}

impl ProviderKeys {
    /// Takes the keys out of certificates in DER.
    ///
    /// # Errors
    /// If one is broken, weak or of another kind: a key that is lost in silence is missed when the old one goes.
    pub fn from_certificates<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, MetadataError> {
        let mut keys: Vec<Key> = Vec::new();
        for certificate in certificates {
            let key = Key::from_certificate(certificate).map_err(MetadataError::Certificate)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        match keys.len() {
            0 => Err(MetadataError::Empty),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(MetadataError::Certificate("there are too many")),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one of them made the signature.
    pub(super) fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let fitting = self.0.iter().filter(|key| key.kind == algorithm.key());
        let mut keys = fitting.map(|key| UnparsedPublicKey::new(algorithm.verification(), &key.public));
        keys.any(|key| key.verify(message, signature).is_ok())
    }
}

impl fmt::Debug for ProviderKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|key| key.kind)).finish()
    }
}

impl Key {
    fn from_certificate(der: &[u8]) -> Result<Self, &'static str> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "it is not an X.509 certificate")?;
        if !rest.is_empty() {
            return Err("something follows it");
        }
        let info = certificate.public_key();
        let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        let (kind, algorithm) = match (&info.algorithm.algorithm, curve) {
            (algorithm, _) if *algorithm == OID_PKCS1_RSAENCRYPTION => (KeyKind::Rsa, SignatureAlgorithm::RsaSha256),
            (algorithm, Some(curve)) if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => match curve {
                curve if curve == OID_EC_P256 => (KeyKind::P256, SignatureAlgorithm::EcdsaSha256),
                curve if curve == OID_NIST_EC_P384 => (KeyKind::P384, SignatureAlgorithm::EcdsaSha384),
                curve if curve == OID_NIST_EC_P521 => (KeyKind::P521, SignatureAlgorithm::EcdsaSha512),
                _ => return Err("its curve is not P-256, P-384 or P-521"),
            },
            _ => return Err("its key is neither RSA nor ECDSA"),
        };
        let public = info.subject_public_key.data.to_vec();
        // Here and not at the first assertion, so that a key that can verify nothing is missed when it is configured.
        ParsedPublicKey::new(algorithm.verification(), &public).map_err(|_| "its key is broken")?;
        if kind == KeyKind::Rsa && !is_strong(&public) {
            return Err("its RSA key is below 2048 or above 8192 bits, or has an exponent of 1 or an even one");
        }
        Ok(Self { kind, public })
    }
}

/// NIST SP 800-131A, and an exponent with which a message is not its own signature.
fn is_strong(public: &[u8]) -> bool {
    let Ok((_, key)) = RSAPublicKey::from_der(public) else { return false };
    let is_odd = key.exponent.last().is_some_and(|last| last % 2 == 1);
    (2048..=8192).contains(&key.key_size()) && is_odd && key.try_exponent() != Ok(1)
}
