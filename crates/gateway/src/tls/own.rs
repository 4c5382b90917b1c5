//! The certificate that Sluice shows to a target.

use std::path::{Path, PathBuf};

use model::id::Digest;
use model::secret::Secret;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::config::{CredentialSource, PemSource, TargetCertificate};

use super::{TlsError, content, file};
use crate::issued::sha256;

/// A chain and its key, as they were when they were read.
pub(crate) struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    place: PathBuf,
    digest: Digest,
}

impl OwnCertificate {
    /// Reads them from where they are; `secret` has what is kept where secrets are. Blocks.
    ///
    /// # Errors
    /// If one of them is not there, or is none.
    pub(crate) fn read(
        from: &TargetCertificate,
        secret: &dyn Fn(&CredentialSource) -> Result<Secret<String>, String>,
    ) -> Result<Self, TlsError> {
        let (place, key_place) = (PathBuf::from(from.cert.to_string()), PathBuf::from(from.key.to_string()));
        let (cert, key) = (pem(&from.cert, secret)?, pem(&from.key, secret)?);
        let chain = CertificateDer::pem_slice_iter(cert.expose().as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| content(&place)(error.to_string()))?;
        if chain.is_empty() {
            return Err(content(&place)("holds no certificate".into()));
        }
        let private = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
        let private = private.map_err(|error| content(&key_place)(error.to_string()))?;
        let both = Secret::new(format!("{}\0{}", cert.expose(), key.expose()));
        Ok(Self { chain, key: private, place, digest: sha256(both.expose().as_bytes()) })
    }

    /// What tells it from another one.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }
}

fn pem(
    from: &PemSource,
    secret: &dyn Fn(&CredentialSource) -> Result<Secret<String>, String>,
) -> Result<Secret<String>, TlsError> {
    match from {
        PemSource::File(path) => std::fs::read_to_string(path).map(Secret::new).map_err(file(path)),
        PemSource::Secret(source) => secret(source).map_err(content(Path::new(&source.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_from_files_and_from_secrets_and_tells_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = crate::tls::development(dir.path()).unwrap();
        let none = |_: &CredentialSource| Err("there are no secrets".to_owned());
        let files = TargetCertificate { cert: PemSource::File(cert), key: PemSource::File(key.clone()) };
        let read = OwnCertificate::read(&files, &none).unwrap();
        crate::tls::client(crate::tls::Verify::Nothing, None, Some(&read), &[]).unwrap();
        let text = std::fs::read_to_string(&key).unwrap();
        let vault = PemSource::Secret(CredentialSource::Vault("key".into()));
        let secret = |_: &CredentialSource| Ok(Secret::new(text.clone()));
        let again = TargetCertificate { key: vault, ..files.clone() };
        assert_eq!(OwnCertificate::read(&again, &secret).unwrap().digest(), read.digest());
        assert!(OwnCertificate::read(&again, &none).is_err_and(|error| error.to_string().contains("vault:key")));
        std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let other = OwnCertificate::read(&files, &none).unwrap();
        assert_ne!(other.digest(), read.digest());
        let mixed = crate::tls::client(crate::tls::Verify::Nothing, None, Some(&other), &[]);
        assert!(mixed.is_err(), "the key is not the certificate's");
    }
}
