//! Certificates for tests: a certification authority of one's own, and what it signs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

/// A certification authority that lives as long as this value.
pub struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate and its private key, both PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

/// A certificate and its key as files.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM, readable by its owner alone.
    pub key: PathBuf,
}

impl Authority {
    /// Generates one (ECDSA P-256).
    pub fn generate(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: rcgen::Issuer::new(params, key), certificate_pem })
    }

    /// Its own certificate, PEM: what a peer has to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Writes `NAME.crt` and `NAME.key` (mode 0600) into `directory`, for whoever signs with it elsewhere.
    pub fn write(&self, directory: &Path, name: &str) -> Result<CertificateFiles> {
        let own =
            Certificate { certificate_pem: self.certificate_pem.clone(), key_pem: self.issuer.key().serialize_pem() };
        own.write(directory, name)
    }

    /// A server certificate for these DNS names and IP addresses.
    pub fn server(&self, names: &[&str]) -> Result<Certificate> {
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        self.sign(params, names.first().copied().unwrap_or("server"), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate with this common name: for PostgreSQL's `cert` authentication, the role's name.
    pub fn client(&self, common_name: &str) -> Result<Certificate> {
        self.sign(CertificateParams::new(Vec::new())?, common_name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client certificate that names a user and a group as Kubernetes reads it: common name and organisation.
    pub fn member(&self, user: &str, group: &str) -> Result<Certificate> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::OrganizationName, group);
        self.sign(params, user, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, name: &str, usage: ExtendedKeyUsagePurpose) -> Result<Certificate> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Certificate { certificate_pem, key_pem: key.serialize_pem() })
    }
}

impl Certificate {
    /// Writes `NAME.crt` and `NAME.key` (mode 0600) into `directory`.
    pub fn write(&self, directory: &Path, name: &str) -> Result<CertificateFiles> {
        let files = CertificateFiles {
            certificate: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
        };
        std::fs::write(&files.certificate, &self.certificate_pem)?;
        write_private(&files.key, self.key_pem.as_bytes())?;
        Ok(files)
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(content)?)
}
