//! Whether a host is the one that is meant: its key is pinned, or a certificate of it was signed by an authority for it. There
//! is no trust on first use.

use model::time::Timestamp;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Certificate, HashAlg, PublicKey};
use store::config::SshTarget;

/// Why the host is not believed, if it is not.
pub(super) fn host(
    target: &SshTarget,
    name: &str,
    shown: &PublicKeyOrCertificate,
    now: Timestamp,
) -> Result<(), String> {
    let key = shown.public_key();
    if target.host_keys.iter().any(|pinned| pinned.key_data() == key.key_data()) {
        return Ok(());
    }
    match shown {
        PublicKeyOrCertificate::PublicKey { .. } => Err(format!("{} is not among host_keys", fingerprint(&key))),
        PublicKeyOrCertificate::Certificate(certificate) => by_authority(target, name, certificate, now),
    }
}

fn by_authority(target: &SshTarget, name: &str, certificate: &Certificate, now: Timestamp) -> Result<(), String> {
    let authorities = target.host_authorities.iter().map(|authority| authority.fingerprint(HashAlg::Sha256));
    let authorities: Vec<_> = authorities.collect();
    certificate
        .validate_at(now.seconds(), authorities.iter())
        .map_err(|error| format!("the host's certificate is not valid: {error}"))?;
    if certificate.cert_type() != CertType::Host {
        return Err("the host's certificate is not one of a host".to_owned());
    }
    let principals = certificate.valid_principals();
    // One without principals would be good for every host.
    if !principals.iter().any(|principal| principal == name) {
        return Err(format!("the host's certificate is for [{}] and not for {name}", principals.join(", ")));
    }
    Ok(())
}

fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use russh::keys::ssh_key::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use store::config::{FileTape, SshCredential};

    use super::*;
    use crate::ssh::keys;

    const NOW: Timestamp = Timestamp(1_795_406_400_000);

    fn target(host_keys: &[&PrivateKey], host_authorities: &[&PrivateKey]) -> SshTarget {
        let public = |keys: &[&PrivateKey]| keys.iter().map(|key| key.public_key().clone()).collect();
        SshTarget {
            logins: vec!["backup".into()],
            host_keys: public(host_keys),
            host_authorities: public(host_authorities),
            credential: SshCredential::Certificate { lifetime: Duration::from_secs(300) },
            files: FileTape::Digests,
            max_channels: 1,
        }
    }

    /// A certificate of a key, for a principal, signed by an authority.
    fn certified(key: &PrivateKey, principal: Option<&str>, kind: CertType, by: &PrivateKey) -> Certificate {
        let (from, to) = (NOW.seconds() - 60, NOW.seconds() + 60);
        let mut builder = Builder::new([7; 16].to_vec(), key.public_key().key_data().clone(), from, to).unwrap();
        builder.cert_type(kind).unwrap();
        match principal {
            Some(principal) => builder.valid_principal(principal).unwrap(),
            None => builder.all_principals_valid().unwrap(),
        };
        builder.sign(by).unwrap()
    }

    fn believed(target: &SshTarget, shown: impl Into<PublicKeyOrCertificate>) -> Result<(), String> {
        host(target, "web1.internal", &shown.into(), NOW)
    }

    #[test]
    fn sh_07_a_host_with_another_key_than_the_pinned_one_is_not_believed() {
        let (pinned, other) = (keys::new().unwrap(), keys::new().unwrap());
        let target = target(&[&pinned], &[]);
        assert_eq!(believed(&target, pinned.public_key().clone()), Ok(()));
        assert!(believed(&target, other.public_key().clone()).is_err_and(|why| why.contains("not among host_keys")));
    }

    #[test]
    fn sh_07_a_host_certificate_has_to_be_for_this_very_host_of_this_authority_and_in_time() {
        let (key, authority, other) = (keys::new().unwrap(), keys::new().unwrap(), keys::new().unwrap());
        let target = target(&[], &[&authority]);
        let shown = |principal, kind, by: &PrivateKey| believed(&target, certified(&key, principal, kind, by));
        assert_eq!(shown(Some("web1.internal"), CertType::Host, &authority), Ok(()));
        assert!(shown(Some("web2.internal"), CertType::Host, &authority).is_err(), "another host");
        assert!(shown(None, CertType::Host, &authority).is_err(), "every host");
        assert!(shown(Some("web1.internal"), CertType::User, &authority).is_err(), "a user");
        assert!(shown(Some("web1.internal"), CertType::Host, &other).is_err(), "another authority");
        assert!(believed(&target, key.public_key().clone()).is_err(), "the bare key");
        let late = Timestamp::from_seconds(NOW.seconds() + 61);
        let certificate = certified(&key, Some("web1.internal"), CertType::Host, &authority);
        assert!(host(&target, "web1.internal", &certificate.into(), late).is_err(), "over");
    }
}
