//! TLS as a client: whom is believed, and what proves who connects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or does not hold what it should.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The operating system has no trust anchors.
    #[error("the system has no trust anchors; name a CA file")]
    NoAnchors,
    /// The library refuses.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Whom to believe, and what to show. Files are read anew for each use, so that certificates may be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Trust anchors in place of the operating system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate.
    pub certificate: Option<CertificateFiles>,
}

/// A certificate chain and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the client's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Trust {
    /// The configuration for a connection that speaks one of these protocols inside TLS. The peer's chain and name are
    /// always verified.
    ///
    /// # Errors
    /// If a file cannot be used, or there is nobody to believe.
    pub fn client(&self, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.anchors()?);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| file(&files.key, error))?;
                builder.with_client_auth_cert(certificates(&files.certificate)?, key)?
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn anchors(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca_file {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| file(path, error))?;
                }
            }
            None => {
                let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if added == 0 {
                    return Err(TlsError::NoAnchors);
                }
            }
        }
        Ok(roots)
    }
}

fn file(path: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: reason.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file(path, error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| file(path, error))?;
    if chain.is_empty() {
        return Err(file(path, "holds no certificate"));
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_or_holds_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let trust = Trust { ca_file: Some(path.clone()), certificate: None };
        assert!(trust.client(&[]).unwrap_err().to_string().contains("ca.pem"));
        std::fs::write(&path, "nothing").unwrap();
        assert!(trust.client(&[]).unwrap_err().to_string().contains("ca.pem"));
    }
}
