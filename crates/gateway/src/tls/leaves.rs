//! The certificates that Sluice shows in connections that callers ask for by `CONNECT`, in place of their targets'.
//!
//! Each is for one host, has a key of its own that is in this process alone, and is good for an hour: who steals it has next to
//! nothing. It is made for a host that somebody may be connected to, by the name that was asked for, and never by the name of
//! a handshake. The CA is the operator's: whoever trusts it lets Sluice see what it asks of any host that the CA may sign for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::secret::Secret;
use model::time::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use store::config::CertificateFiles;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{ALPN_HTTP_1, ALPN_HTTP_2, TlsError, certificates, content, file, provider, resume_nothing};
use crate::clock;

/// How long one is good.
const LIFETIME: Duration = Duration::from_secs(3600);
/// For how much of that it is shown, so that it outlives a connection's handshake by far.
const USE: Duration = Duration::from_secs(1800);
/// How far a client's clock may be behind Sluice's.
const SKEW: Duration = Duration::from_secs(300);
/// How many are kept.
const MOST: usize = 1_024;
/// The longest common name (RFC 5280, appendix A.1: `ub-common-name`).
const LONGEST_NAME: usize = 64;

/// Why none is made: a defect, or a CA whose time is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeafError {
    /// The CA has ended, or has not begun.
    #[error("the CA is not valid now")]
    Over,
    /// It cannot be made.
    #[error("the certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
    /// It cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Used(#[from] rustls::Error),
}

/// Signs certificates of hosts, and keeps those that are good still.
pub(crate) struct Leaves {
    issuer: Issuer<'static, KeyPair>,
    /// The CA's own, and those above it.
    chain: Vec<CertificateDer<'static>>,
    begins_at: Timestamp,
    ends_at: Timestamp,
    made: Mutex<BTreeMap<Box<str>, Leaf>>,
}

struct Leaf {
    shown: Arc<ServerConfig>,
    until: Timestamp,
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Leaves")
    }
}

impl Leaves {
    /// Those of the CA in these files. Blocks.
    ///
    /// # Errors
    /// If it is no CA, or the key is not its own or open to others.
    pub(crate) fn open(files: &CertificateFiles) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert)?;
        let key = private_key(&files.key)?;
        let wrong = content(&files.cert);
        let own = chain.first().cloned().unwrap_or_else(|| Vec::new().into());
        let (begins_at, ends_at) = match judge(&own, &key) {
            Ok(valid) => valid,
            Err(reason) => return Err(wrong(reason)),
        };
        let issuer = Issuer::from_ca_cert_der(&own, key).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { issuer, chain, begins_at, ends_at, made: Mutex::default() })
    }

    fn made(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Leaf>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown for a host: a name, or an address without brackets.
    ///
    /// # Errors
    /// See [`LeafError`].
    pub(crate) fn of(&self, host: &str) -> Result<Arc<ServerConfig>, LeafError> {
        let now = clock::now();
        if now < self.begins_at || now >= self.ends_at {
            return Err(LeafError::Over);
        }
        let mut made = self.made();
        if let Some(known) = made.get(host).filter(|known| known.until > now) {
            return Ok(Arc::clone(&known.shown));
        }
        let shown = self.make(host, now)?;
        made.retain(|_, leaf| leaf.until > now);
        if made.len() >= MOST
            && let Some(oldest) = made.iter().min_by_key(|(_, leaf)| leaf.until).map(|(host, _)| host.clone())
        {
            made.remove(&oldest);
        }
        let until = now.plus_millis(millis(USE)).min(self.ends_at);
        made.insert(host.into(), Leaf { shown: Arc::clone(&shown), until });
        Ok(shown)
    }

    fn make(&self, host: &str, now: Timestamp) -> Result<Arc<ServerConfig>, LeafError> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        let (epoch, ends) = (date_time_ymd(1970, 1, 1), now.plus_millis(millis(LIFETIME)).min(self.ends_at));
        params.not_before = epoch + Duration::from_secs(now.seconds().saturating_sub(SKEW.as_secs()));
        params.not_after = epoch + Duration::from_secs(ends.seconds());
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, if host.len() <= LONGEST_NAME { host } else { "Sluice" });
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = std::iter::once(leaf.der().clone()).chain(self.chain.iter().cloned()).collect();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut shown = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        shown.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1.to_vec()];
        resume_nothing(&mut shown);
        Ok(Arc::new(shown))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn private_key(path: &Path) -> Result<KeyPair, TlsError> {
    if store::credential::is_open_to_others(path) {
        return Err(content(path)("others can read the key of a CA; run chmod 600 on it".to_owned()));
    }
    let text = fs::read_to_string(path).map(Secret::new).map_err(file(path))?;
    KeyPair::from_pem(text.expose()).map_err(|error| content(path)(format!("{error}; write a private key in PEM")))
}

/// From when and until when it is a CA whose key this is.
fn judge(own: &CertificateDer<'_>, key: &KeyPair) -> Result<(Timestamp, Timestamp), String> {
    let (_, read) = X509Certificate::from_der(own).map_err(|error| error.to_string())?;
    let constraints = read.basic_constraints().map_err(|error| error.to_string())?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err("it is no CA; write the certificate of one that callers trust".to_owned());
    }
    let usage = read.key_usage().map_err(|error| error.to_string())?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err("its key may not sign certificates; write a CA whose keyUsage has keyCertSign".to_owned());
    }
    if read.public_key().raw != key.subject_public_key_info() {
        return Err("the private key is another one's; write the key of this CA".to_owned());
    }
    let at = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or_default().saturating_mul(1000));
    let (begins, ends) = (at(read.validity().not_before.timestamp()), at(read.validity().not_after.timestamp()));
    if ends <= clock::now() { Err("its time is over; write one that is valid".to_owned()) } else { Ok((begins, ends)) }
}

#[cfg(test)]
mod tests;
