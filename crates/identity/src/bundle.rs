//! What a SPIFFE trust domain publishes to be believed by: authorities for X.509-SVIDs and keys for JWT-SVIDs.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::issuer::Algorithm;
use model::time::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::KeySetError;
use crate::json::{Json, Object, parse_object};
use crate::keys::{KeySet, MAX_BYTES, MAX_KEYS};

/// The trust bundle of one trust domain at one moment. An empty one trusts nothing.
#[derive(Clone, Default)]
pub struct TrustBundle {
    pub(crate) authorities: Arc<[Authority]>,
    pub(crate) keys: Arc<KeySet>,
}

/// A certificate that may sign X.509-SVIDs, or certificates that may.
pub(crate) struct Authority {
    pub(crate) anchor: TrustAnchor<'static>,
    pub(crate) begins: Timestamp,
    pub(crate) ends: Timestamp,
    /// How many certificates may stand between it and a leaf (RFC 5280, section 4.2.1.9); `None` is any number.
    pub(crate) path_length: Option<u32>,
}

/// Why a trust bundle was refused. The one in use stays in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer or with more entries than any trust domain needs.
    #[error("the bundle is larger than {MAX_BYTES} bytes or {MAX_KEYS} entries")]
    TooLarge,
    /// Neither PEM certificates nor a SPIFFE bundle document.
    #[error("the bundle is malformed: {0}")]
    Malformed(String),
    /// A certificate in it cannot be an authority: with a workload's certificate there, that workload could sign for others.
    #[error("certificate {0} of the bundle {1}")]
    Authority(usize, &'static str),
    /// The keys for JWT-SVIDs are not usable.
    #[error("the bundle's keys: {0}")]
    Keys(#[from] KeySetError),
    /// It would trust nothing.
    #[error("the bundle has neither a certificate nor a key")]
    Empty,
}

impl TrustBundle {
    /// Reads what a file holds: PEM certificates, or a SPIFFE bundle document (SPIFFE Trust Domain and Bundle, section 4).
    ///
    /// # Errors
    /// The whole bundle is refused when one entry is broken, or when it has none.
    pub fn from_file(content: &[u8]) -> Result<Self, BundleError> {
        if content.len() > MAX_BYTES {
            return Err(BundleError::TooLarge);
        }
        if content.trim_ascii_start().starts_with(b"{") {
            return Self::from_document(content);
        }
        let certificates = CertificateDer::pem_slice_iter(content).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| BundleError::Malformed(error.to_string()))?;
        let bundle = Self::default().with_authorities(certificates)?;
        if bundle.authorities.is_empty() { Err(BundleError::Empty) } else { Ok(bundle) }
    }

    /// Entries with another `use` than the two of SPIFFE, or none, are passed over, as the specification demands.
    fn from_document(json: &[u8]) -> Result<Self, BundleError> {
        let document = parse_object(json).map_err(BundleError::Malformed)?;
        let entries = document.get("keys").and_then(Json::list);
        let entries = entries.ok_or_else(|| BundleError::Malformed(String::from("`keys` is not a list")))?;
        if entries.len() > MAX_KEYS {
            return Err(BundleError::TooLarge);
        }
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        for entry in entries {
            let entry = entry.object().ok_or_else(|| BundleError::Malformed(String::from("a key is not an object")))?;
            match entry.get("use").and_then(Json::text) {
                Some("x509-svid") => certificates.push(certificate_of(entry)?),
                Some("jwt-svid") => keys.push(entry),
                _ => {}
            }
        }
        let bundle = Self::default().with_authorities(certificates)?;
        if keys.is_empty() {
            return if bundle.authorities.is_empty() { Err(BundleError::Empty) } else { Ok(bundle) };
        }
        Ok(Self { keys: Arc::new(KeySet::of_svids(&keys, &Algorithm::ALL.into())?), ..bundle })
    }

    /// The same keys, and these certificates as the only authorities; none of them trusts no certificate.
    ///
    /// # Errors
    /// If one of them cannot be an authority, or there are too many.
    pub fn with_authorities(
        &self,
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, BundleError> {
        let authorities = certificates.into_iter().enumerate().map(|(index, der)| {
            let refused = |reason| BundleError::Authority(index.saturating_add(1), reason);
            if index < MAX_KEYS { authority(&der).map_err(refused) } else { Err(BundleError::TooLarge) }
        });
        Ok(Self { authorities: authorities.collect::<Result<_, _>>()?, keys: Arc::clone(&self.keys) })
    }

    /// The same authorities, and the keys of this JWK set for JWT-SVIDs: what the Workload API gives. A set without keys
    /// trusts no token.
    ///
    /// # Errors
    /// If the set is not usable.
    pub fn with_keys(&self, jwks: &[u8]) -> Result<Self, BundleError> {
        let keys = match KeySet::from_jwks(jwks, &Algorithm::ALL.into()) {
            Ok(keys) => keys,
            Err(KeySetError::Empty) => KeySet::default(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { authorities: Arc::clone(&self.authorities), keys: Arc::new(keys) })
    }

    /// How many authorities it has.
    pub fn authorities(&self) -> usize {
        self.authorities.len()
    }

    /// The ids of the keys for JWT-SVIDs.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.ids()
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TrustBundle").field("authorities", &self.authorities.len()).field("keys", &self.keys).finish()
    }
}

/// The one certificate of an `x509-svid` entry: `x5c`, in plain base64 (RFC 7517, section 4.7).
fn certificate_of(entry: &Object) -> Result<CertificateDer<'static>, BundleError> {
    let malformed = || BundleError::Malformed(String::from("an x509-svid key has not one certificate in `x5c`"));
    let [only] = entry.get("x5c").and_then(Json::list).ok_or_else(malformed)? else { return Err(malformed()) };
    let der = only.text().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(malformed)?;
    Ok(CertificateDer::from(der))
}

fn authority(der: &CertificateDer<'_>) -> Result<Authority, &'static str> {
    let Ok(([], parsed)) = X509Certificate::from_der(der) else {
        return Err("is not a certificate");
    };
    let constraints = parsed.basic_constraints().map_err(|_| "is malformed")?.map(|found| found.value);
    let usage = parsed.key_usage().map_err(|_| "is malformed")?;
    let may_sign = usage.is_none_or(|usage| usage.value.key_cert_sign());
    let constraints = constraints.filter(|found| found.ca && may_sign).ok_or("is not a certification authority's")?;
    let anchor = webpki::anchor_from_trusted_cert(der).map_err(|_| "cannot be used as a trust anchor")?.to_owned();
    let (begins, ends) = validity(&parsed);
    Ok(Authority { anchor, begins, ends, path_length: constraints.path_len_constraint })
}

/// When a certificate begins and ends to be valid. A moment before 1970 is 1970.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let seconds = |at: x509_parser::time::ASN1Time| Timestamp::from_seconds(u64::try_from(at.timestamp()).unwrap_or(0));
    (seconds(certificate.validity().not_before), seconds(certificate.validity().not_after))
}

#[cfg(test)]
mod tests;
