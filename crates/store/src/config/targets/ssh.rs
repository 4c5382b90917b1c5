//! What a target adds that speaks SSH.

use std::sync::Arc;
use std::time::Duration;

use ssh_key::PublicKey;

use super::super::credential::{self, PasswordSource, Servers};
use super::super::sluice::seconds;
use super::super::{CredentialSource, Section, public_key};

/// A host behind a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SshTarget {
    /// The host's users as whom Sluice may log in. Never empty: the first is meant where the caller names none.
    pub logins: Vec<Arc<str>>,
    /// The keys by one of which the host has to prove itself, if it shows no certificate.
    pub host_keys: Vec<PublicKey>,
    /// The keys whose certificates for the host are believed. Without one, there are `host_keys`.
    pub host_authorities: Vec<PublicKey>,
    /// How Sluice proves itself to the host.
    pub credential: SshCredential,
    /// What the tape holds of files that are carried over.
    pub files: FileTape,
    /// Channels of one connection that may be open at a time.
    pub max_channels: usize,
}

/// How Sluice proves itself to a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SshCredential {
    /// By a certificate that it signs for each session, by the authority that the host trusts.
    Certificate {
        /// How long one is good. A host looks at it when it is shown, so that this bounds no session.
        lifetime: Duration,
    },
    /// By a private key that the host lets in.
    PrivateKey {
        /// Where it is, in a form that `ssh-keygen` writes.
        key: CredentialSource,
        /// Where its passphrase is, if it has one.
        passphrase: Option<CredentialSource>,
    },
    /// By a password.
    Password(PasswordSource),
}

/// What the tape holds of files that are carried over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FileTape {
    /// Their lengths and digests.
    #[default]
    Digests,
    /// And what is in them.
    Full,
}

/// How long a certificate for a host is good unless given.
const LIFETIME: Duration = Duration::from_secs(300);
/// How many channels a connection may have open unless given: what a tool that runs 64 at a time needs, and some more.
const CHANNELS: usize = 100;

/// What only such a target has.
pub(super) const SETTINGS: [&str; 6] =
    ["logins", "host_keys", "host_authorities", "credential", "files", "max_channels"];

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn ssh(section: &Section<'_, '_>, servers: &Servers) -> Option<SshTarget> {
    let logins = logins(section);
    let host_keys = public_key::list(section, "host_keys", public_key::of_host);
    let host_authorities = public_key::list(section, "host_authorities", public_key::of_host);
    let credential = credential(section, servers);
    let files = section.word("files", &[("digests", FileTape::Digests), ("full", FileTape::Full)]);
    let max_channels = section.number("max_channels", 1..=10_000).unwrap_or(CHANNELS);
    if !section.holds("host_authorities") {
        let advice = "write host_keys = [\"ssh-ed25519 AAAA…\"], as `ssh-keyscan` shows them and the host itself confirms, or \
                      host_authorities";
        section.required("host_keys", host_keys.as_ref(), advice);
    }
    let logins = section.required("logins", logins, "write logins = [\"backup\"]");
    let credential = section.required("credential", credential, CREDENTIAL_ADVICE);
    Some(SshTarget {
        logins: logins?,
        host_keys: host_keys.unwrap_or_default(),
        host_authorities: host_authorities.unwrap_or_default(),
        credential: credential?,
        files: files.unwrap_or_default(),
        max_channels,
    })
}

fn logins(section: &Section<'_, '_>) -> Option<Vec<Arc<str>>> {
    let names = section.texts("logins")?;
    let wrong = names.iter().find(|name| !is_login(name));
    let twice = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|before| before == *name));
    let problem = match (wrong, twice) {
        _ if names.is_empty() => "the list is empty".to_owned(),
        (Some(name), _) => format!("{name:?} is no name of a user"),
        (None, Some((_, name))) => format!("{name:?} is there twice"),
        (None, None) => return Some(names.into_iter().map(Into::into).collect()),
    };
    section.report(
        "logins",
        &problem,
        "write the names of the host's users, such as [\"backup\"]; the first is the default",
    );
    None
}

/// What a caller can write before `%` (`ssh login%target@sluice`), and a certificate can name.
fn is_login(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'$' | b'\\' | b'+');
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('-')
}

const CREDENTIAL_ADVICE: &str = "write credential = { certificate = true }, { private_key = { vault = \"web1\" } } or \
                                 { password = { env = \"WEB1_PASSWORD\" } }";

fn credential(section: &Section<'_, '_>, servers: &Servers) -> Option<SshCredential> {
    let credential = section.take("credential")?.section()?;
    let certificate = certificate(&credential);
    let private_key = private_key(&credential);
    let password = password(&credential, servers);
    let is_right = certificate.is_some() && private_key.is_some() && password.is_some();
    let mut found: Vec<_> = [certificate, private_key, password].into_iter().flatten().flatten().collect();
    if found.len() > 1 {
        credential.report("", "it has several ways to log in", "keep one of them");
        found.clear();
    } else if found.is_empty() && is_right && !credential.has_mistake() {
        credential.report("", "it has no way to log in", CREDENTIAL_ADVICE);
    }
    credential.finish();
    found.pop().filter(|_| is_right)
}

/// `None` after a mistake, `Some(None)` where there is none; as the others.
fn certificate(credential: &Section<'_, '_>) -> Option<Option<SshCredential>> {
    let is_there = credential.holds("certificate");
    let wanted = credential.flag("certificate");
    if !is_there {
        return Some(None);
    }
    // It goes with a certificate, and is unknown beside anything else.
    let lifetime = credential.duration("lifetime", seconds(10, 3600)).unwrap_or(LIFETIME);
    if wanted == Some(false) {
        credential.report("certificate", "it can only be true", "write certificate = true, or another way to log in");
    }
    wanted?.then_some(Some(SshCredential::Certificate { lifetime }))
}

fn private_key(credential: &Section<'_, '_>) -> Option<Option<SshCredential>> {
    let Some(key) = credential::secret(credential, "private_key")? else { return Some(None) };
    let passphrase = credential::secret(credential, "passphrase")?;
    Some(Some(SshCredential::PrivateKey { key, passphrase }))
}

fn password(credential: &Section<'_, '_>, servers: &Servers) -> Option<Option<SshCredential>> {
    let source = credential::password(credential, servers)?;
    if matches!(source, Some(PasswordSource::RdsToken(_))) {
        credential.report("password", "a token of RDS opens no host", CREDENTIAL_ADVICE);
        return None;
    }
    Some(source.map(SshCredential::Password))
}

#[cfg(test)]
mod tests;
