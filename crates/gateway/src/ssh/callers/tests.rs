use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};

use super::*;
use crate::issued::Kind;

const NOW: Timestamp = Timestamp(1_795_406_400_000);

fn here() -> IpAddr {
    "10.1.2.3".parse().unwrap()
}

fn stands_for() -> StandsFor {
    let subject = Subject {
        key: SubjectKey { issuer: "corp".into(), id: "jane".into() },
        kind: SubjectKind::User,
        groups: Vec::new(),
        on_behalf_of: Vec::new(),
        expires_at: NOW.plus_millis(60_000),
        binding: Binding::Ssh,
        token_id: Some("t1".into()),
        credential: Credential::default(),
    };
    let (kind, made_of) = (Kind::SshCertificate, Vec::new());
    StandsFor { kind, subject, target: None, confirmation: None, issued_at: NOW, made_of }
}

fn callers() -> (CallerCertificates, PrivateKey) {
    (CallerCertificates(keys::new().unwrap()), keys::new().unwrap())
}

/// A certificate as this authority signs it, but for what `change` does.
fn changed(callers: &CallerCertificates, by: &PrivateKey, change: impl FnOnce(&mut Builder)) -> Certificate {
    let key = callers.0.public_key().key_data().clone();
    let mut builder = Builder::new([1; 32], key, NOW.seconds(), NOW.seconds() + 60).unwrap();
    builder.key_id("corp|jane t1").unwrap();
    change(&mut builder);
    builder.sign(by).unwrap()
}

fn caller(builder: &mut Builder) {
    builder.cert_type(CertType::User).unwrap().valid_principal(PRINCIPAL).unwrap();
}

#[test]
fn a_certificate_is_believed_while_it_is_valid() {
    let (callers, key) = callers();
    let (certificate, digest) = callers.sign(key.public_key(), &stands_for(), NOW).unwrap();
    let verify = |seconds: u64| callers.verify(&certificate, here(), Timestamp::from_seconds(NOW.seconds() + seconds));
    assert_eq!((verify(0), verify(59)), (Ok(digest), Ok(digest)));
    assert_eq!(verify(60), Err(CertificateRefusal::Invalid));
    let before = callers.verify(&certificate, here(), Timestamp::from_seconds(NOW.seconds() - 61));
    assert_eq!(before, Err(CertificateRefusal::Invalid));
    // As it comes over the wire.
    let sent = Certificate::from_openssh(&certificate.to_openssh().unwrap()).unwrap();
    assert_eq!(callers.verify(&sent, here(), NOW), Ok(digest));
    assert_eq!(certificate.valid_principals(), [PRINCIPAL]);
    assert!(certificate.extensions().is_empty());
    assert_eq!(certificate.key_id(), "corp|jane t1");
}

#[test]
fn only_the_plain_key_of_the_callers_authority_counts() {
    let (callers, other) = callers();
    let verify = |certificate: &Certificate| callers.verify(certificate, here(), NOW);
    let own = changed(&callers, &callers.0, caller);
    assert!(verify(&own).is_ok());
    let others = changed(&callers, &other, caller);
    assert_eq!(verify(&others), Err(CertificateRefusal::Authority));
    // It says that it was our key, and was not.
    let pretends = with_signing_key(&others, &key_blob(&callers.0));
    assert_eq!(verify(&pretends), Err(CertificateRefusal::Invalid));
    // CVE-2025-49825: the signing key is a certificate, which our own key signed.
    let vouched = with_signing_key(&own, &own.to_bytes().unwrap());
    assert!(vouched.signature_key().is_certificate());
    assert_eq!(verify(&vouched), Err(CertificateRefusal::Authority));
}

/// A public key as it is in a certificate.
fn key_blob(key: &PrivateKey) -> Vec<u8> {
    key.public_key().to_bytes().unwrap()
}

/// The certificate with another text in the place of the key that signed it.
fn with_signing_key(certificate: &Certificate, blob: &[u8]) -> Certificate {
    let bytes = certificate.to_bytes().unwrap();
    let prefixed = |blob: &[u8]| [&u32::try_from(blob.len()).unwrap().to_be_bytes(), blob].concat();
    let before = prefixed(&PublicKey::from(certificate.signature_key().clone()).to_bytes().unwrap());
    let at = bytes.windows(before.len()).rposition(|window| window == before).unwrap();
    let changed = [&bytes[..at], &prefixed(blob), &bytes[at + before.len()..]].concat();
    Certificate::from_bytes(&changed).unwrap()
}

#[test]
fn what_is_no_callers_certificate_is_refused_although_our_own_key_signed_it() {
    let (callers, _) = callers();
    let verify = |change: &dyn Fn(&mut Builder)| {
        callers.verify(&changed(&callers, &callers.0, |builder| change(builder)), here(), NOW)
    };
    let host = |builder: &mut Builder| {
        builder.cert_type(CertType::Host).unwrap().valid_principal(PRINCIPAL).unwrap();
    };
    assert_eq!(verify(&host), Err(CertificateRefusal::Kind));
    let root = |builder: &mut Builder| {
        let _ = builder.valid_principal("root").unwrap();
    };
    assert_eq!(verify(&root), Err(CertificateRefusal::Principals));
    let both = |builder: &mut Builder| {
        let _ = builder.valid_principal(PRINCIPAL).unwrap().valid_principal("root").unwrap();
    };
    assert_eq!(verify(&both), Err(CertificateRefusal::Principals));
    let anybody = |builder: &mut Builder| {
        let _ = builder.all_principals_valid().unwrap();
    };
    assert_eq!(verify(&anybody), Err(CertificateRefusal::Principals));
    let option = |name: &'static str, value: &'static str| {
        move |builder: &mut Builder| {
            caller(builder);
            builder.critical_option(name, value).unwrap();
        }
    };
    assert_eq!(verify(&option("force-command", "id")), Err(CertificateRefusal::Option("force-command".into())));
    assert_eq!(verify(&option("verify-required", "")), Err(CertificateRefusal::Option("verify-required".into())));
    assert!(verify(&option(SOURCE_ADDRESS, "192.168.0.0/16,10.1.0.0/16")).is_ok());
    assert_eq!(verify(&option(SOURCE_ADDRESS, "192.168.0.0/16")), Err(CertificateRefusal::Source(here())));
    assert_eq!(verify(&option(SOURCE_ADDRESS, "")), Err(CertificateRefusal::Source(here())));
}

#[test]
fn a_changed_certificate_is_none() {
    let (callers, key) = callers();
    let (certificate, digest) = callers.sign(key.public_key(), &stands_for(), NOW).unwrap();
    let bytes = certificate.to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let Ok(changed) = Certificate::from_bytes(&changed) else { continue };
        assert_ne!(callers.verify(&changed, here(), NOW), Ok(digest), "byte {at}");
    }
}

#[test]
fn a_range_covers_what_is_in_it() {
    let is_in = |range: &str, address: &str| covers(range, address.parse().unwrap());
    for (range, address) in [
        ("10.0.0.0/8", "10.255.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1/32", "::ffff:10.0.0.1"),
        ("0.0.0.0/0", "203.0.113.9"),
        ("2001:db8::/32", "2001:db8:1::1"),
        ("::1", "::1"),
    ] {
        assert!(is_in(range, address), "{range} {address}");
    }
    for (range, address) in [
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.0.0.1", "10.0.0.2"),
        ("10.0.0.0/33", "10.0.0.1"),
        ("10.0.0.0/x", "10.0.0.1"),
        ("10.0.0.0/", "10.0.0.1"),
        ("0.0.0.0/0", "2001:db8::1"),
        ("::/0", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("example.com", "10.0.0.1"),
    ] {
        assert!(!is_in(range, address), "{range} {address}");
    }
}
