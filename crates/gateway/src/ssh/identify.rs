//! Who a caller of SSH is: by a token or a password, by a certificate that Sluice issued for one, or by a registered key.
//!
//! What is asked here is only who a key or token stands for. That the caller holds the key is for the protocol to show
//! first: the key that *signed* is the one to ask about, never one that was merely offered (CVE-2024-45337).

use std::net::IpAddr;

use identity::{IdentityError, Proven};
use model::subject::{Binding, Credential, Subject};
use model::time::Timestamp;
use ssh_key::{Certificate, HashAlg, PublicKey};
use store::config::RegisteredKey;

use crate::clock;
use crate::node::Node;
use crate::revision::Active;

/// How long a session lives that began with a registered key, where no listener says so.
const SESSION: std::time::Duration = std::time::Duration::from_secs(12 * 3600);

/// Whom a token, or a short-lived password, stands for at the target `at`. One that is bound to a certificate or a key of
/// proofs is refused: nothing here proves that.
///
/// # Errors
/// The true reason, for the journal.
pub(crate) async fn by_token(node: &Node, token: &str, at: &str) -> Result<Subject, IdentityError> {
    node.issuers.log_in(token, &Proven::NOTHING, at).await
}

/// Whom a certificate stands for at the target `at`, shown from `source` by whoever holds its key.
///
/// # Errors
/// The true reason, for the journal.
pub(crate) fn by_certificate(
    node: &Node,
    certificate: &Certificate,
    at: &str,
    source: IpAddr,
) -> Result<Subject, IdentityError> {
    let now = clock::now();
    let refused = |error: super::CertificateRefusal| IdentityError::SshCertificate(error.to_string());
    let digest = node.ssh_callers.verify(certificate, source, now).map_err(refused)?;
    node.issuers.standing(&node.issued.find_certificate(digest, at, now)?)
}

/// Whom a key of `ssh_keys.toml` stands for at the target `at`.
///
/// # Errors
/// The true reason, for the journal.
pub(crate) fn by_key(node: &Node, active: &Active, key: &PublicKey, at: &str) -> Result<Subject, IdentityError> {
    let registered = registered(active, key, at)?;
    let bound = node.config.ssh.as_ref().map_or(SESSION, |ssh| ssh.max_session);
    let bound = clock::now().plus_millis(u64::try_from(bound.as_millis()).unwrap_or(u64::MAX));
    subject(node, registered, bound)
}

/// Whom a key stands for still, with the groups that it has now: for a session that began with it as `subject`, when there is
/// another revision.
///
/// # Errors
/// It is not registered any more, or stands for somebody else.
pub(crate) fn still_registered(
    node: &Node,
    active: &Active,
    key: &PublicKey,
    at: &str,
    before: &Subject,
) -> Result<Subject, IdentityError> {
    let now = subject(node, registered(active, key, at)?, before.expires_at)?;
    if now.is_same_caller(before) { Ok(now) } else { Err(IdentityError::SshKey("it stands for somebody else now")) }
}

fn registered<'a>(active: &'a Active, key: &PublicKey, at: &str) -> Result<&'a RegisteredKey, IdentityError> {
    let registered = active.ssh_keys.find(key).ok_or(IdentityError::SshKey("it is not registered"))?;
    if !registered.is_for(at) {
        return Err(IdentityError::SshKey("it is registered for other targets"));
    }
    if registered.expires.is_some_and(|end| end <= clock::now()) {
        return Err(IdentityError::SshKey("it is registered until a moment that has passed"));
    }
    Ok(registered)
}

fn subject(node: &Node, registered: &RegisteredKey, bound: Timestamp) -> Result<Subject, IdentityError> {
    let subject = Subject {
        key: registered.subject.clone(),
        kind: registered.kind,
        groups: registered.groups.clone(),
        on_behalf_of: Vec::new(),
        expires_at: registered.expires.map_or(bound, |end| end.min(bound)),
        binding: Binding::Ssh,
        token_id: Some(registered.key.fingerprint(HashAlg::Sha256).to_string().into()),
        // As old as can be: whoever is revoked does not come back with a key that nobody issued.
        credential: Credential::default(),
    };
    node.issuers.vouch(subject)
}

#[cfg(test)]
mod tests;
