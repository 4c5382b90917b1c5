//! Certificates of callers: signed by an authority that only Sluice believes, for a token that the caller showed.
//!
//! What one stands for is not in it but kept by its digest, beside short-lived passwords ([`crate::issued`]): so it ends,
//! is revoked, and is good at one target just as they are. What is in it keeps it harmless elsewhere: its only principal is
//! no user that a host could have.

use std::net::IpAddr;

use model::id::Digest;
use model::time::Timestamp;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::public::KeyData;
use ssh_key::{Certificate, HashAlg, PrivateKey, PublicKey};

use super::authority::{SKEW, SignError, plain};
use super::keys;
use crate::clock;
use crate::issued::{StandsFor, sha256};
use crate::node::{Layout, StartError};

/// The only principal of a caller's certificate. A colon can be in no name of a user (passwd(5)), so that a host which
/// trusts this authority by mistake still lets nobody in.
const PRINCIPAL: &str = "sluice:caller";
/// The one critical option that is understood (PROTOCOL.certkeys, section "Critical options").
const SOURCE_ADDRESS: &str = "source-address";

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefusal {
    /// The key that signed it is another one, or a certificate itself (CVE-2025-49825).
    #[error("it is signed by another authority")]
    Authority,
    /// The signature does not hold, or the time is not its own.
    #[error("its signature is wrong, or it is not valid at this time")]
    Invalid,
    /// It is one of a host.
    #[error("it is no certificate of a user")]
    Kind,
    /// It names somebody else than a caller of Sluice.
    #[error("it is for other principals")]
    Principals,
    /// It demands what Sluice does not understand.
    #[error("it has the critical option {0:?}, which is not understood")]
    Option(String),
    /// It was shown from elsewhere.
    #[error("it is not good from {0}")]
    Source(IpAddr),
    /// It cannot be written down again.
    #[error("it is malformed")]
    Malformed,
}

/// Signs certificates of callers, and tells them from all others.
pub struct CallerCertificates(PrivateKey);

impl std::fmt::Debug for CallerCertificates {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("CallerCertificates")
    }
}

/// A public key that a certificate can be had for, as a caller sends it; or what is wrong with it.
///
/// # Errors
/// It is none, or too weak.
pub fn caller_key(text: &str) -> Result<PublicKey, String> {
    store::config::caller_key(text)
}

impl CallerCertificates {
    /// With the key of the data directory.
    pub(crate) fn open(layout: &Layout) -> Result<Self, StartError> {
        keys::own(&layout.key("ssh_caller_ca")).map(Self)
    }

    /// Signs a certificate of a caller's key, for as long as what it stands for lives. It is believed once it is kept
    /// ([`crate::issued::IssuedCredentials::keep`]) under the digest that comes with it.
    ///
    /// # Errors
    /// If it stands for nothing that can be certified, or the key cannot sign.
    pub fn sign(
        &self,
        key: &PublicKey,
        stands_for: &StandsFor,
        now: Timestamp,
    ) -> Result<(Certificate, Digest), SignError> {
        let subject = &stands_for.subject;
        let from = now.seconds().saturating_sub(SKEW.as_secs());
        let until = subject.expires_at.seconds();
        let mut builder = Builder::new(clock::random::<32>()?, key.key_data().clone(), from, until)?;
        builder.serial(clock::random_bits()?)?.cert_type(CertType::User)?.valid_principal(PRINCIPAL)?;
        let id = subject.token_id.as_deref().unwrap_or_default();
        builder.key_id(format!("{} {id}", plain(&subject.key.to_string())))?;
        builder.comment("sluice")?;
        let certificate = builder.sign(&self.0)?;
        let digest = sha256(&certificate.to_bytes()?);
        Ok((certificate, digest))
    }

    /// The digest of a certificate that this authority signed, if it may be used from `source` now. Whether it still stands
    /// for somebody is another question.
    ///
    /// # Errors
    /// See [`CertificateRefusal`].
    pub(crate) fn verify(
        &self,
        certificate: &Certificate,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Digest, CertificateRefusal> {
        let own = self.0.public_key();
        // A plain key that is equal to our own: never what another key vouches for.
        let is_own = matches!(certificate.signature_key(), KeyData::Ed25519(_));
        if !is_own || certificate.signature_key() != own.key_data() {
            return Err(CertificateRefusal::Authority);
        }
        let valid = certificate.validate_at(now.seconds(), &[own.fingerprint(HashAlg::Sha256)]);
        valid.map_err(|_| CertificateRefusal::Invalid)?;
        if certificate.cert_type() != CertType::User {
            return Err(CertificateRefusal::Kind);
        }
        if certificate.valid_principals() != [PRINCIPAL] {
            return Err(CertificateRefusal::Principals);
        }
        for (option, value) in certificate.critical_options().iter() {
            match option.as_str() {
                SOURCE_ADDRESS if value.split(',').any(|range| covers(range, source)) => {}
                SOURCE_ADDRESS => return Err(CertificateRefusal::Source(source)),
                other => return Err(CertificateRefusal::Option(plain(other))),
            }
        }
        let bytes = certificate.to_bytes().map_err(|_| CertificateRefusal::Malformed)?;
        Ok(sha256(&bytes))
    }
}

/// Whether an address, or a range such as `10.0.0.0/8`, covers this one.
fn covers(range: &str, source: IpAddr) -> bool {
    let (address, length) = range.split_once('/').map_or((range, None), |(address, length)| (address, Some(length)));
    let (Ok(address), source) = (address.parse::<IpAddr>(), source.to_canonical()) else { return false };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((wanted, width), (here, here_width)) = (bits(address), bits(source));
    let length = length.map_or(Some(width), |length| length.parse().ok());
    let Some(length) = length.filter(|length| *length <= width && width == here_width) else { return false };
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
    wanted & mask == here & mask
}

#[cfg(test)]
mod tests;
