//! What Sluice issued and knows again: short-lived passwords, for clients that can hold no token, and SSH certificates. Each
//! stands for one subject, at one target or wherever that may be.
//!
//! They are looked up in memory by their digest, and kept by it in the state, so that a restart ends none of them
//! before its time: a connection pool comes back at once, with the password that it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Confirmation, IdentityError, Proven, Revocable};
use model::id::Digest;
use model::secret::Secret;
use model::subject::{Credential, Subject, SubjectKey};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::State;
use store::issued::KeptCredential;

use crate::clock;

/// What each password begins with: it is told from a token of any kind, which is never looked up here, and found by tools that
/// look for secrets where they must not be.
const PREFIX: &str = "sluice_";
/// Random bytes of a password: 216 bits.
const RANDOM: usize = 27;
/// Characters of a password, the random bytes in base64url: below every driver's limit that is known (63 is the least).
const LENGTH: usize = PREFIX.len() + RANDOM / 3 * 4;
/// How many there are at a time, of all subjects.
const MOST: usize = 10_000;

/// Why nothing is issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The subject has as many as it may have.
    #[error("you have {0} passwords and certificates that have not ended, which is the most that one subject may have")]
    TooManyOfSubject(usize),
    /// There are as many as there may be.
    #[error("there are too many passwords and certificates that have not ended")]
    TooMany,
    /// It cannot be kept.
    #[error(transparent)]
    State(#[from] store::Error),
    /// What it stands for cannot be written down.
    #[error("what it stands for cannot be written: {0}")]
    Written(#[from] serde_json::Error),
    /// There is nothing to make it of.
    #[error(transparent)]
    Randomness(#[from] clock::NoRandomness),
}

/// What was issued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A short-lived password.
    #[default]
    Password,
    /// A certificate of a caller's SSH key.
    SshCertificate,
}

/// What it stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandsFor {
    /// What it is. What was kept before there were several is a password.
    #[serde(default)]
    pub kind: Kind,
    /// Whom, until its expiry.
    pub subject: Subject,
    /// At which target; `None` means wherever the subject may be, which no password does.
    pub target: Option<Arc<str>>,
    /// What the connection has to prove, too.
    pub confirmation: Option<Confirmation>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The digests of the tokens that it was issued for.
    pub made_of: Vec<Digest>,
}

/// Everything issued that has not ended.
pub struct IssuedCredentials {
    held: Mutex<HashMap<Digest, StandsFor>>,
    most_per_subject: usize,
    state: Arc<dyn State>,
}

impl std::fmt::Debug for IssuedCredentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "IssuedCredentials({})", self.held().len())
    }
}

/// Whether a text has the form of a password.
pub(crate) fn is_password(text: &str) -> bool {
    text.len() == LENGTH
        && text.starts_with(PREFIX)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl IssuedCredentials {
    /// Those of an earlier process that have not ended. Blocks.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn open(state: Arc<dyn State>, most_per_subject: usize, now: Timestamp) -> Result<Self, store::Error> {
        state.drop_ended_credentials(now)?;
        let mut held = HashMap::new();
        for KeptCredential { digest, stands_for, .. } in state.issued_credentials(now)? {
            match serde_json::from_str(&stands_for) {
                Ok(stands_for) => drop(held.insert(digest, stands_for)),
                Err(error) => tracing::warn!(%error, "what another version issued is not accepted any more"),
            }
        }
        Ok(Self { held: Mutex::new(held), most_per_subject, state })
    }

    /// Whether one more may be issued for the subject.
    ///
    /// # Errors
    /// If there are too many.
    pub fn has_room(&self, subject: &SubjectKey, now: Timestamp) -> Result<(), IssueError> {
        room(&self.held(), subject, self.most_per_subject, now)
    }

    /// Makes a password and keeps it. Blocks.
    ///
    /// # Errors
    /// See [`IssueError`]; then there is none.
    pub fn issue_password(&self, stands_for: StandsFor, now: Timestamp) -> Result<Secret<String>, IssueError> {
        let password = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(clock::random::<RANDOM>()?)));
        self.keep(sha256(password.expose().as_bytes()), stands_for, now)?;
        Ok(password)
    }

    /// Keeps what stands for somebody by the digest of what was issued. Blocks.
    ///
    /// # Errors
    /// See [`IssueError`]; then it stands for nobody.
    pub fn keep(&self, digest: Digest, stands_for: StandsFor, now: Timestamp) -> Result<(), IssueError> {
        let (subject, expires_at) = (stands_for.subject.key.clone(), stands_for.subject.expires_at);
        let kept = KeptCredential { digest, stands_for: serde_json::to_string(&stands_for)?, expires_at };
        {
            let mut held = self.held();
            room(&held, &subject, self.most_per_subject, now)?;
            held.insert(digest, stands_for);
        }
        if let Err(error) = self.state.keep_credential(&kept) {
            self.held().remove(&digest);
            return Err(error.into());
        }
        Ok(())
    }

    /// Whom a password stands for at this target.
    pub(crate) fn find_password(
        &self,
        password: &str,
        proven: &Proven,
        target: &str,
        now: Timestamp,
    ) -> Result<Subject, IdentityError> {
        // Found by a digest that nobody can steer: how long it takes tells nothing of those that there are.
        let digest = sha256(password.as_bytes());
        let (subject, confirmation) =
            self.find(Kind::Password, digest, target, now).map_err(IdentityError::Password)?;
        if confirmation.is_some_and(|confirmation| !confirmation.is_proven(proven)) {
            return Err(IdentityError::Binding("the connection does not have the password's client certificate"));
        }
        Ok(subject)
    }

    /// Whom an SSH certificate stands for at this target, by the digest of it. Its holder proved its key, and its signature
    /// was verified.
    pub(crate) fn find_certificate(
        &self,
        digest: Digest,
        target: &str,
        now: Timestamp,
    ) -> Result<Subject, IdentityError> {
        let found = self.find(Kind::SshCertificate, digest, target, now);
        found.map(|(subject, _)| subject).map_err(|problem| IdentityError::SshCertificate(problem.to_owned()))
    }

    fn find(
        &self,
        kind: Kind,
        digest: Digest,
        target: &str,
        now: Timestamp,
    ) -> Result<(Subject, Option<Confirmation>), &'static str> {
        let found = self.held().get(&digest).filter(|found| found.kind == kind).cloned();
        let StandsFor { subject, target: at, confirmation, issued_at, made_of, .. } = found.ok_or("it is unknown")?;
        if subject.expires_at <= now {
            return Err("it ended");
        }
        if at.is_some_and(|at| *at != *target) {
            return Err("it is for another target");
        }
        let generation = subject.credential.generation;
        let credential = Credential { issued_at, digest: Some(digest), generation, made_of };
        Ok((Subject { credential, ..subject }, confirmation))
    }

    /// What a revocation has to know of a password: whoever has it may give it up, wherever it is good.
    pub(crate) fn revocable(&self, password: &str, now: Timestamp) -> Result<Revocable, IdentityError> {
        let digest = sha256(password.as_bytes());
        let held = self.held();
        let subject = held.get(&digest).map(|found| &found.subject).filter(|subject| now < subject.expires_at);
        let subject = subject.ok_or(IdentityError::Password("it is unknown"))?;
        Ok(Revocable { subject: subject.key.clone(), digest, expires_at: subject.expires_at })
    }

    /// Drops everything of a subject, whether it calls or is called for; returns how much there was. Sessions that began with
    /// it are not ended by it. Blocks.
    ///
    /// # Errors
    /// The state cannot be written: they are not accepted any more, until the process is started again.
    pub fn drop_of(&self, subject: &SubjectKey) -> Result<usize, store::Error> {
        let mut dropped = Vec::new();
        self.held().retain(|digest, stands_for| {
            let is_of = stands_for.subject.identities().any(|identity| identity == subject);
            if is_of {
                dropped.push(*digest);
            }
            !is_of
        });
        self.state.drop_credentials(&dropped)?;
        Ok(dropped.len())
    }

    /// Forgets those that ended. Blocks.
    ///
    /// # Errors
    /// The state cannot be written.
    pub(crate) fn sweep(&self, now: Timestamp) -> Result<(), store::Error> {
        let mut ended = 0_usize;
        self.held().retain(|_, stands_for| {
            let lives = stands_for.subject.expires_at > now;
            ended = ended.saturating_add(usize::from(!lives));
            lives
        });
        if ended == 0 { Ok(()) } else { self.state.drop_ended_credentials(now) }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Digest, StandsFor>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room(
    held: &HashMap<Digest, StandsFor>,
    subject: &SubjectKey,
    most_per_subject: usize,
    now: Timestamp,
) -> Result<(), IssueError> {
    let lives = |one: &&StandsFor| one.subject.expires_at > now && one.subject.key == *subject;
    if held.values().filter(lives).count() >= most_per_subject {
        return Err(IssueError::TooManyOfSubject(most_per_subject));
    }
    if held.len() >= MOST { Err(IssueError::TooMany) } else { Ok(()) }
}

pub(crate) fn sha256(issued: &[u8]) -> Digest {
    let mut out = Digest::default();
    for (to, from) in out.0.iter_mut().zip(digest(&SHA256, issued).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
