//! The key by which clients know Sluice, and the line of known_hosts that says so.

use std::path::Path;

use ssh_key::certificate::CertType;
use ssh_key::{Certificate, PrivateKey, PublicKey};
use store::config::SshListen;

use super::keys;
use crate::clock;
use crate::node::{Layout, StartError};

/// Sluice's own host key, and its certificate, if there is one.
pub struct HostKey {
    key: PrivateKey,
    certificate: Option<Certificate>,
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("HostKey").field("certificate", &self.certificate.is_some()).finish_non_exhaustive()
    }
}

impl HostKey {
    /// The key that the configuration names, or Sluice's own, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made or read, others can read it, or the certificate is not one of it.
    pub fn open(listen: &SshListen, layout: &Layout) -> Result<Self, StartError> {
        let key = match &listen.host_key {
            Some(path) => keys::read(path)?,
            None => keys::own(&layout.key("ssh_host"))?,
        };
        let certificate = listen.host_certificate.as_deref().map(|path| certificate(path, &key)).transpose()?;
        Ok(Self { key, certificate })
    }

    /// The private key.
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Its certificate.
    pub const fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The lines of known_hosts by which a client knows Sluice at this host and port: the key's, and that of the authority
    /// whose certificate Sluice shows. Each ends with a newline.
    pub fn known_hosts(&self, host: &str, port: u16) -> String {
        let host = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        let line = |marker: &str, key: PublicKey| {
            let key = key.to_openssh().unwrap_or_default();
            format!("{marker}{host} {key}\n")
        };
        let bare = PublicKey::from(self.key.public_key().key_data().clone());
        let authority =
            self.certificate.as_ref().map(|certificate| PublicKey::from(certificate.signature_key().clone()));
        let authority = authority.map(|key| line("@cert-authority ", key)).unwrap_or_default();
        line("", bare) + &authority
    }
}

fn certificate(path: &Path, key: &PrivateKey) -> Result<Certificate, StartError> {
    let wrong = |problem: &str| StartError::KeySource(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|source| StartError::File { path: path.to_owned(), source })?;
    let certificate = Certificate::from_openssh(&text).map_err(|_| wrong("it is no certificate of OpenSSH's form"))?;
    if certificate.cert_type() != CertType::Host {
        return Err(wrong("it is no certificate of a host; sign it with `ssh-keygen -h`"));
    }
    if certificate.public_key() != key.public_key().key_data() {
        return Err(wrong("it is the certificate of another key than host_key"));
    }
    if certificate.valid_before() <= clock::now().seconds() {
        // Clients fall back to the key itself, so that this is no reason not to start.
        tracing::warn!(path = %path.display(), "the certificate of the host key has ended");
    }
    Ok(certificate)
}

#[cfg(test)]
mod tests;
