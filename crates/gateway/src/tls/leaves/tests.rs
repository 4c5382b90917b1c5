use rcgen::{BasicConstraints, IsCa};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, ServerConnection};
use rustls_pki_types::ServerName;
use tempfile::TempDir;

use super::*;

/// A CA as `change` makes it, and its key, in files.
fn authority(change: impl FnOnce(&mut CertificateParams)) -> (TempDir, CertificateFiles) {
    let dir = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let files = CertificateFiles { cert: dir.path().join("ca.crt"), key: dir.path().join("ca.key") };
    fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    crate::tls::write_private(&files.key, &key.serialize_pem()).unwrap();
    (dir, files)
}

fn refused(files: &CertificateFiles) -> String {
    Leaves::open(files).unwrap_err().to_string()
}

/// The certificate that a client is shown who asks for this name in the handshake, and trusts the CA alone.
fn shown(leaves: &Leaves, ca: &Path, host: &str, asked: &str) -> Result<CertificateDer<'static>, rustls::Error> {
    let client = ClientConfig::clone(&*crate::tls::client(crate::tls::Verify::Full, Some(ca), None, &[]).unwrap());
    let name = ServerName::try_from(asked.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(leaves.of(host).unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(client.peer_certificates().unwrap()[0].clone())
}

#[test]
fn one_is_for_its_host_alone_and_for_an_hour() {
    let (_dir, files) = authority(|_| {});
    let leaves = Leaves::open(&files).unwrap();
    for (host, name) in [("api.example", "api.example"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")] {
        let leaf = shown(&leaves, &files.cert, host, name).unwrap();
        let parsed = ParsedCertificate::try_from(&leaf).unwrap();
        for other in ["other.example", "sub.api.example", "127.0.0.2", "::2"] {
            assert!(verify_server_name(&parsed, &ServerName::try_from(other).unwrap()).is_err(), "{host} {other}");
        }
        let (_, read) = X509Certificate::from_der(&leaf).unwrap();
        let validity = read.validity();
        let lasts = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert!((3600..=3902).contains(&lasts), "{lasts}");
        assert!(!read.is_ca() && read.extended_key_usage().unwrap().unwrap().value.server_auth);
    }
    assert!(shown(&leaves, &files.cert, "api.example", "other.example").is_err());
}

#[test]
fn one_is_made_once_and_only_so_many_are_kept() {
    let (_dir, files) = authority(|_| {});
    let leaves = Leaves::open(&files).unwrap();
    let first = leaves.of("a.example").unwrap();
    assert!(Arc::ptr_eq(&first, &leaves.of("a.example").unwrap()));
    assert!(!Arc::ptr_eq(&first, &leaves.of("b.example").unwrap()));
    for at in 0..MOST {
        leaves.of(&format!("h{at}.example")).unwrap();
    }
    assert_eq!(leaves.made().len(), MOST);
    // One whose time is over is not shown again.
    let last = leaves.of("h9.example").unwrap();
    leaves.made().get_mut("h9.example").unwrap().until = clock::now();
    assert!(!Arc::ptr_eq(&last, &leaves.of("h9.example").unwrap()));
}

#[test]
fn none_outlives_its_ca() {
    let now = clock::now().seconds();
    let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let (_dir, files) = authority(|params| {
        params.not_before = at(now - 60);
        params.not_after = at(now + 600);
    });
    let leaf = shown(&Leaves::open(&files).unwrap(), &files.cert, "api.example", "api.example").unwrap();
    let (_, read) = X509Certificate::from_der(&leaf).unwrap();
    assert!(u64::try_from(read.validity().not_after.timestamp()).unwrap() <= now + 600);
    let (_dir, files) = authority(|params| params.not_before = at(now + 3600));
    assert!(matches!(Leaves::open(&files).unwrap().of("api.example"), Err(LeafError::Over)));
    let (_dir, files) = authority(|params| params.not_after = at(now - 60));
    assert!(refused(&files).contains("its time is over"));
}

#[test]
fn only_a_ca_with_its_own_key_signs_any() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, files) = authority(|params| params.is_ca = IsCa::NoCa);
    assert!(refused(&files).contains("it is no CA"), "{}", refused(&files));
    let (_dir, files) = authority(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert!(refused(&files).contains("keyCertSign"));
    let (_dir, files) = authority(|_| {});
    let (_other_dir, other) = authority(|_| {});
    let mixed = CertificateFiles { key: other.key, ..files.clone() };
    assert!(refused(&mixed).contains("the private key is another one's"));
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&files).contains("chmod 600"));
    let none = CertificateFiles { key: "/nonexistent/ca.key".into(), ..files };
    assert!(refused(&none).contains("/nonexistent/ca.key"));
}
