//! The authority that hosts believe (`TrustedUserCAKeys`), and the certificates that it signs for sessions.
//!
//! Each session at a host has a key of its own, which is in this process alone and only for as long as it logs in. The
//! certificate of it is good for one user of the host, for minutes, and from one address where Sluice knows its own: who
//! steals it has next to nothing. What it is called is in the host's log, with its serial number.

use std::net::IpAddr;
use std::time::Duration;

use model::id::SessionId;
use model::subject::SubjectKey;
use model::time::Timestamp;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::{Certificate, PrivateKey, PublicKey};

use super::keys;
use crate::clock;
use crate::node::{Layout, StartError};

/// How far a host's clock may be behind Sluice's.
pub(super) const SKEW: Duration = Duration::from_secs(60);
/// The longest name that is written into a certificate, in characters: hosts log it whole.
const LONGEST_NAME: usize = 200;

/// Why nothing is signed: a defect, or a machine without randomness.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The operating system gave no randomness.
    #[error(transparent)]
    Randomness(#[from] clock::NoRandomness),
    /// It cannot be signed.
    #[error("the certificate cannot be signed: {0}")]
    Signature(#[from] ssh_key::Error),
}

/// Signs what hosts believe.
pub(crate) struct TargetAuthority(PrivateKey);

impl std::fmt::Debug for TargetAuthority {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TargetAuthority")
    }
}

/// The public key that hosts have to trust, made now if there is none yet.
///
/// # Errors
/// If its file cannot be made or read.
pub fn target_authority(layout: &Layout) -> Result<PublicKey, StartError> {
    Ok(TargetAuthority::open(layout)?.public_key())
}

/// Whom a session's certificate is for, and what it lets the session do at the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForSession<'a> {
    /// The host's user, the only one.
    pub(crate) login: &'a str,
    /// The session.
    pub(crate) session: SessionId,
    /// Whose session it is.
    pub(crate) subject: &'a SubjectKey,
    /// The address that the host sees Sluice come from; `None` where that is not known.
    pub(crate) source: Option<IpAddr>,
    /// How long it is good.
    pub(crate) lifetime: Duration,
    /// Whether policy may let the session have a terminal.
    pub(crate) terminal: bool,
    /// Whether policy may let the session forward ports.
    pub(crate) forwarding: bool,
}

impl TargetAuthority {
    /// With the key of the data directory.
    pub(crate) fn open(layout: &Layout) -> Result<Self, StartError> {
        keys::own(&layout.key("ssh_target_ca")).map(Self)
    }

    /// What hosts have to trust.
    pub(crate) fn public_key(&self) -> PublicKey {
        let mut key = self.0.public_key().clone();
        key.set_comment("sluice");
        key
    }

    /// A key for one session, and the certificate of it.
    ///
    /// # Errors
    /// See [`SignError`].
    pub(crate) fn for_session(
        &self,
        wanted: &ForSession<'_>,
        now: Timestamp,
    ) -> Result<(PrivateKey, Certificate), SignError> {
        let key = keys::new()?;
        let (from, until) = (now.seconds().saturating_sub(SKEW.as_secs()), now.seconds());
        let until = until.saturating_add(wanted.lifetime.as_secs());
        let mut builder = Builder::new(clock::random::<32>()?, key.public_key().key_data().clone(), from, until)?;
        builder.serial(clock::random_bits()?)?.cert_type(CertType::User)?.valid_principal(wanted.login)?;
        builder.key_id(key_id(wanted))?;
        if let Some(source) = wanted.source {
            builder.critical_option("source-address", source.to_canonical().to_string())?;
        }
        let extensions = [
            ("permit-agent-forwarding", wanted.forwarding),
            ("permit-port-forwarding", wanted.forwarding),
            ("permit-pty", wanted.terminal),
        ];
        for (extension, _) in extensions.into_iter().filter(|(_, permitted)| *permitted) {
            builder.extension(extension, "")?;
        }
        Ok((key, builder.sign(&self.0)?))
    }
}

/// What the host logs: it joins its log with the journal.
fn key_id(wanted: &ForSession<'_>) -> String {
    format!("sluice session {} of {}", wanted.session, plain(&wanted.subject.to_string()))
}

/// A name without what could forge a line of a log, or hide in one.
pub(super) fn plain(name: &str) -> String {
    let is_plain =
        |c: char| !c.is_control() && !c.is_whitespace() && c != '\u{feff}' && !('\u{2000}'..='\u{206f}').contains(&c);
    name.chars().take(LONGEST_NAME).map(|c| if is_plain(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
