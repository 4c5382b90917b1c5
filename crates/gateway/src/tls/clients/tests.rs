//! Handshakes in memory, between a client of rustls and Sluice's own configuration.

use std::path::Path;

use rustls::client::Resumption;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, ServerName};
use testkit::tls::Authority;

use super::*;
use crate::tls::{development, server};

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
}

fn identity() -> Identity {
    let made = Authority::generate("nobody's").unwrap().client("client").unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.key_pem.as_bytes()).unwrap();
    Identity {
        chain: vec![CertificateDer::from_pem_slice(made.certificate_pem.as_bytes()).unwrap()],
        key: provider().key_provider.load_private_key(key).unwrap(),
    }
}

fn client(dir: &Path, version: &'static SupportedProtocolVersion, identity: Option<Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        // Without the check that key and certificate belong together.
        Some(Identity { chain, key }) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))))
        }
    };
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// What the server has of a handshake that came to its end.
fn shake(server: &Arc<rustls::ServerConfig>, client: &Arc<ClientConfig>) -> Result<ServerConnection, rustls::Error> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut ours = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut theirs = ClientConnection::new(Arc::clone(client), name).unwrap();
    for _ in 0..20 {
        let mut bytes = Vec::new();
        while theirs.wants_write() {
            theirs.write_tls(&mut bytes).unwrap();
        }
        ours.read_tls(&mut bytes.as_slice()).unwrap();
        ours.process_new_packets()?;
        let mut bytes = Vec::new();
        while ours.wants_write() {
            ours.write_tls(&mut bytes).unwrap();
        }
        theirs.read_tls(&mut bytes.as_slice()).unwrap();
        theirs.process_new_packets()?;
        if !ours.is_handshaking() && !theirs.is_handshaking() && !theirs.wants_write() {
            return Ok(ours);
        }
    }
    panic!("the handshake does not end");
}

#[test]
fn a_client_certificate_is_taken_and_none_is_too() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = development(dir.path()).unwrap();
    let server = server(&certificate, &key).unwrap();
    for version in BOTH {
        let identity = identity();
        let thumbprint = identity::thumbprint(&identity.chain[0]);
        let shown = shake(&server, &client(dir.path(), version, Some(identity))).unwrap();
        let shown = ClientCertificate::of(&shown).unwrap();
        assert_eq!((shown.thumbprint(), shown.chain().len()), (thumbprint, 1));
        assert_eq!(ClientCertificate::proven(Some(&shown)).certificate, Some(thumbprint));
        let none = shake(&server, &client(dir.path(), version, None)).unwrap();
        assert!(ClientCertificate::of(&none).is_none());
    }
    assert_eq!(ClientCertificate::proven(None), Proven::NOTHING);
}

/// Somebody else's certificate is public; its key is not.
#[test]
fn a_certificate_without_its_key_ends_the_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = development(dir.path()).unwrap();
    let server = server(&certificate, &key).unwrap();
    for version in BOTH {
        let stolen = Identity { chain: identity().chain, key: identity().key };
        let refused = shake(&server, &client(dir.path(), version, Some(stolen))).unwrap_err();
        assert!(matches!(refused, rustls::Error::InvalidCertificate(_)), "{refused}");
    }
}

/// A resumed session would carry what an earlier connection proved.
#[test]
fn no_session_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = development(dir.path()).unwrap();
    let server = server(&certificate, &key).unwrap();
    for version in BOTH {
        let client = client(dir.path(), version, Some(identity()));
        for _ in 0..2 {
            assert_eq!(shake(&server, &client).unwrap().handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}
