//! Public keys of SSH as they stand in configuration files: one line each, as `ssh-keygen` and `ssh-keyscan` write them.

use ssh_key::public::KeyData;
use ssh_key::{Certificate, PublicKey};

use super::Section;

/// The fewest bits of an RSA key, wherever one is given: what OpenSSH asks for by default is less, and what NIST SP 800-57 asks for is this.
pub const LEAST_RSA: u32 = 2048;
/// The longest line of one key, in bytes: an RSA key of 16384 bits has some 2,800.
const LONGEST: usize = 8192;

/// A key that a host or an authority of hosts has; or what is wrong with it.
pub(super) fn of_host(text: &str) -> Result<PublicKey, String> {
    let key = read(text)?;
    match key.key_data() {
        KeyData::SkEcdsaSha2NistP256(_) | KeyData::SkEd25519(_) => {
            Err("it is a key of a security token, which no host has".to_owned())
        }
        _ => Ok(key),
    }
}

/// A key that a caller has; or what is wrong with it.
///
/// # Errors
/// It is no line of OpenSSH, too weak, or of a kind that is not known. The text itself is not in what comes back.
pub fn of_caller(text: &str) -> Result<PublicKey, String> {
    read(text)
}

/// Whatever stands there may be a private key, so it is never shown.
fn read(text: &str) -> Result<PublicKey, String> {
    let text = text.trim();
    if text.contains("PRIVATE KEY") {
        return Err("it is a private key, which must not be here".to_owned());
    }
    if text.len() > LONGEST || text.contains(['\n', '\r']) {
        return Err("it is not one line".to_owned());
    }
    let key = PublicKey::from_openssh(text).map_err(|_| match Certificate::from_openssh(text) {
        Ok(_) => "it is a certificate, not a key".to_owned(),
        Err(_) => "it is no public key of OpenSSH's form".to_owned(),
    })?;
    match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEcdsaSha2NistP256(_) | KeyData::SkEd25519(_) => Ok(key),
        KeyData::Rsa(rsa) if rsa.key_size() >= LEAST_RSA => Ok(key),
        KeyData::Rsa(rsa) => Err(format!("it is an RSA key of {} bits, which is too weak", rsa.key_size())),
        KeyData::Dsa(_) => Err("it is a DSA key, which is too weak".to_owned()),
        KeyData::Certificate(_) => Err("it is a certificate, not a key".to_owned()),
        _ => Err(format!("keys of the kind {} are not known", key.algorithm())),
    }
}

/// The keys of a list, which is not empty and has none twice; `None` where there is none, or after a mistake.
pub(super) fn list(
    section: &Section<'_, '_>,
    key: &'static str,
    read: fn(&str) -> Result<PublicKey, String>,
) -> Option<Vec<PublicKey>> {
    let texts = section.texts(key)?;
    let advice = "write lines such as \"ssh-ed25519 AAAA…\"";
    let mut keys: Vec<PublicKey> = Vec::with_capacity(texts.len());
    for (at, text) in (1_usize..).zip(&texts) {
        match read(text) {
            Ok(found) if keys.iter().any(|known| known.key_data() == found.key_data()) => {
                section.report(key, &format!("key {at} is there twice"), "keep one of them");
            }
            Ok(found) => keys.push(found),
            Err(problem) => section.report(key, &format!("key {at}: {problem}"), advice),
        }
    }
    if texts.is_empty() {
        section.report(key, "the list is empty", advice);
    }
    (!keys.is_empty() && keys.len() == texts.len()).then_some(keys)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbnx30wS9/8yPUhuDtlqfcnCCQFIMYEr7x3ozzzMve+ a";
    pub(in super::super) const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIfpZKUtMNluX+Tz+fh0W+3u8hoj8vTA+VXyZk1K7+y6nMEn1Lbo45iGCPisSgYSE3+e6q/WMi3YXYOsn1nnomg= b";
    const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDK2X6nPVdYcyjzZO+5fSXft7xiN9vckFqYNHRaRWsg1lw1yjuZdtRFbHuWhqCO0Y5FbeTl7Rjq5wOmZ0aC9ygpzwYfSUpPR1fTILzMAfdAPcUIei2Yvpr/6i1OsYdS5D/kPsd0m4N/crmzBTqhZ5GMiUmEiwYzL1HcaNfm2H1jrIsSzaWZH+7oY7TKCHPZ7b1FK9fgYIuU9NVdOv6V9/mRMMSGI8QI5bWjgQp27XkgZUb6OdQYxFimFbMnAvfi2x83HrOJiTJ6VQLd7CBnQ3Ef+js7EhSY+285bXHo8cOitI5PJM784dIEdaTcQXDWLHTGrJxXPo+yNZV/v9lPIyjT r2";
    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQD0AixpeFh+utAvegLO0uUO1OpBmxrL1XtHLtifB66Vo0Kc9zB15eKsgBKVmV8r45JpVadhDWJB+XbJupLIw+IQT1g6RWw3z8OvhwtNg8cdD7cuCDK9zCJhL0163JDTLf6qFMaxWuR4YyjChIqernr+ndut3RGfBbkiT1bRnwuY+w== weak";
    const DSA: &str = "ssh-dss AAAAB3NzaC1kc3MAAACBAPPov3p1+hZ52HZ6s5REXimyJ1CWed4nVuFFRosz6zOfi5D17vDkqu8kHxjD9t1GWZregTqM4XHslpI/j7q9z5HGQvWF17Vk6BNnH8ffGFIqLDxitb8l1dV5ksrQfynOkCJrTsF8kJLISnaKLYrVLbRexAUoO6AyhSJIfCttEC+vAAAAFQCw0rKYix/tLen+CUDyWaQ3Dgyz3QAAAIEAjkwSasI+GG1MYVgfBSfy0daYUKII2VPB37Bf22OSLoBulb71wcah4VRaqOYqSdJ0sAWdA/GOxtA5ep2ATZiDy0xzCqFRCw9lwaH6eAJP96JVMTAsIpQVfr8+P0sbValLmC1U1VlFtrvpYSXSgSW0XNKNN3a3dewKtL7VOrIEFIQAAACAFP0FZagViqeV5MeF5bAFUbrEf2XnjN95eEC/jvYKEnYOu4YovmUZrwXHf1IrSYXOaeYrVSmTNgsB1L2+CKGOdP3LoBc/7Goo4DKun3dleNmuEpyUJRspzkrdzO/ciE1OvvGYwk+CiEQKS4pH6WJeGhpvIFVtdrqXyMB7droEXaM= d";
    const CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIOnCl66J6HMAV49j63IDYN6dPZIAOxVdn+bIMLgdIKcFAAAAIIbnx30wS9/8yPUhuDtlqfcnCCQFIMYEr7x3ozzzMve+AAAAAAAAAAAAAAABAAAAAmlkAAAABQAAAAF4AAAAAAAAAAD//////////wAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAABoAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIfpZKUtMNluX+Tz+fh0W+3u8hoj8vTA+VXyZk1K7+y6nMEn1Lbo45iGCPisSgYSE3+e6q/WMi3YXYOsn1nnomgAAABjAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAABIAAAAIAsiBHrWC9K2nkTgh9v4ql8wNmSGUXH49G/Aui+f9j60AAAAIEbVYV7TF1/iWd34EqUIln1nuwE5i+h9V9YZnDu5A15v a";
    const SECURITY_TOKEN: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIIbnx30wS9/8yPUhuDtlqfcnCCQFIMYEr7x3ozzzMve+AAAABHNzaDo=";

    #[test]
    fn keys_are_strong_and_of_known_kinds() {
        for right in [ED25519, ECDSA, RSA_2048] {
            assert_eq!(of_host(right).map(|key| key.to_openssh().unwrap()), Ok(right.to_owned()));
            assert!(of_caller(&format!("  {right}\n")).is_ok());
        }
        assert!(of_caller(SECURITY_TOKEN).is_ok());
        for (wrong, problem) in [
            (RSA_1024, "1024 bits"),
            (DSA, "DSA"),
            (CERTIFICATE, "certificate"),
            (SECURITY_TOKEN, "security token"),
            ("ssh-ed25519 AAAA", "no public key"),
            ("", "no public key"),
            ("ssh-unheard-of@example.com AAAAGnNzaC11bmhlYXJkLW9mQGV4YW1wbGUuY29tAAAABHNzaDo=", "not known"),
        ] {
            let found = of_host(wrong).unwrap_err();
            assert!(found.contains(problem), "{wrong}: {found}");
        }
        let two = format!("{ED25519}\n{ECDSA}");
        assert!(of_host(&two).unwrap_err().contains("one line"));
    }

    #[test]
    fn a_private_key_is_never_shown() {
        let found = of_host("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n").unwrap_err();
        assert!(found.contains("private key") && !found.contains("c2VjcmV0"), "{found}");
    }
}
