//! TLS on both sides: our certificate for clients, verification of targets.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

mod clients;
mod leaves;
mod own;

pub use clients::ClientCertificate;
pub(crate) use leaves::Leaves;
pub(crate) use own::OwnCertificate;

/// The application protocol that a direct TLS connection to PostgreSQL must name (protocol docs, "Direct TLS").
pub(crate) const ALPN_POSTGRES: &[u8] = b"postgresql";

/// The application protocols of HTTP (RFC 9113, section 3.2; RFC 7301, section 6).
pub(crate) const ALPN_HTTP_2: &[u8] = b"h2";
pub(crate) const ALPN_HTTP_1: &[u8] = b"http/1.1";

/// Certificates or keys that cannot be used, with the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no usable certificate or key.
    #[error("{path}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> TlsError + '_ {
    move |source| TlsError::File { path: path.to_owned(), source }
}

fn content(path: &Path) -> impl FnOnce(String) -> TlsError + '_ {
    move |reason| TlsError::Content { path: path.to_owned(), reason }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What Sluice shows to clients: the certificate and key of these files. It asks them for one of their own.
pub fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    if store::credential::is_open_to_others(key) {
        tracing::warn!(path = %key.display(), "a private key is open to others; run chmod 600 on it");
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| content(key)(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| content(certificate)(error.to_string()))?
        .with_client_cert_verifier(Arc::new(clients::AnyClient::new()))
        .with_single_cert(chain, private)
        .map_err(|error| content(certificate)(error.to_string()))?;
    config.alpn_protocols = vec![ALPN_POSTGRES.to_vec()];
    resume_nothing(&mut config);
    Ok(Arc::new(config))
}

/// A resumed session would carry one connection's identity to another, and 0-RTT data could be replayed.
fn resume_nothing(config: &mut ServerConfig) {
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
}

/// The development certificate in `dir`, made on first use: a CA that clients can trust (`ca.pem`), and a certificate
/// for `localhost` and the loopback addresses signed by it.
pub fn development(dir: &Path) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key, ca) = (dir.join("server.pem"), dir.join("server.key"), dir.join("ca.pem"));
    if certificate.exists() && key.exists() && ca.exists() {
        return Ok((certificate, key));
    }
    fs::create_dir_all(dir).map_err(file(dir))?;
    let made = make_development().map_err(|error| content(dir)(error.to_string()))?;
    write_private(&key, &made.key)?;
    fs::write(&certificate, made.certificate).map_err(file(&certificate))?;
    fs::write(&ca, made.ca).map_err(file(&ca))?;
    Ok((certificate, key))
}

struct Development {
    ca: String,
    certificate: String,
    key: String,
}

fn make_development() -> Result<Development, rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name.push(DnType::CommonName, "Sluice development CA");
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "Sluice development certificate");
    let server_key = KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, &Issuer::new(ca, ca_key))?;
    Ok(Development { ca: ca_certificate.pem(), certificate: certificate.pem(), key: server_key.serialize_pem() })
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(path).map_err(file(path))?;
    out.write_all(text.as_bytes()).map_err(file(path))
}

/// The certificates in a PEM file, of which there is one at least.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| content(path)(error.to_string()))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| content(path)(error.to_string()))?;
    if chain.is_empty() {
        return Err(content(path)("holds no certificate".into()));
    }
    Ok(chain)
}

/// How Sluice checks a peer that it connects to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verify {
    /// Chain and name.
    Full,
    /// Encrypted, but anybody: only by the operator's explicit word.
    Nothing,
}

/// Whether the CA of a peer can be read from this file.
///
/// # Errors
/// It cannot.
pub fn check_ca(file: &Path) -> Result<(), TlsError> {
    client(Verify::Full, Some(file), None, &[]).map(|_| ())
}

/// How Sluice connects to a peer inside TLS. `ca` replaces the operating system's trust anchors.
pub(crate) fn client(
    verify: Verify,
    ca: Option<&Path>,
    identity: Option<&OwnCertificate>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let place = ca.unwrap_or(Path::new("the system's trust anchors"));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| content(place)(error.to_string()))?;
    let builder = match verify {
        Verify::Full => builder.with_root_certificates(anchors(ca)?),
        Verify::Nothing => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new())),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (chain, key) = own.parts();
            builder.with_client_auth_cert(chain, key).map_err(|error| content(own.place())(error.to_string()))?
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn anchors(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| content(path)(error.to_string()))?;
            }
        }
        None => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                let place = Path::new("the system's trust anchors");
                return Err(content(place)("none found; name a `ca_file`".into()));
            }
        }
    }
    Ok(roots)
}

/// Accepts any certificate: `tls = "require"`, which encrypts without knowing to whom.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl Anybody {
    fn new() -> Self {
        Self(aws_lc_rs::default_provider().signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The data for SASL channel binding `tls-server-end-point` (RFC 5929, section 4.1): the certificate's hash, by the
/// hash function of its own signature, MD5 and SHA-1 raised to SHA-256. `None` for signatures without a hash of their
/// own (Ed25519), for which the binding is undefined.
pub(crate) fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    use ::aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    use x509_parser::prelude::FromDer;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // md5, sha1 and sha256 with RSA; ecdsa with sha1 and sha256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &SHA512,
        _ => return None,
    };
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_certificate_is_made_once_and_only_its_owner_reads_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = development(dir.path()).unwrap();
        let first = fs::read(&certificate).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        server(&certificate, &key).unwrap();
        client(Verify::Full, Some(&dir.path().join("ca.pem")), None, &[]).unwrap();
        development(dir.path()).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), first);
    }

    #[test]
    fn a_missing_or_empty_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.pem");
        let error = server(&path, &path).unwrap_err().to_string();
        assert!(error.contains("none.pem"), "{error}");
    }
}
