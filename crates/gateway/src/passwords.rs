//! Short-lived passwords, for clients that can hold no token: each is random and stands for one subject at one target.
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
use store::password::KeptPassword;

use crate::clock;

/// What each begins with: it is told from a token of any kind, which is never looked up here, and found by tools that
/// look for secrets where they must not be.
const PREFIX: &str = "sluice_";
/// Random bytes of one: 216 bits.
const RANDOM: usize = 27;
/// Characters of one, the random bytes in base64url: below every driver's limit that is known (63 is the least).
const LENGTH: usize = PREFIX.len() + RANDOM / 3 * 4;
/// How many there are at a time, of all subjects.
const MOST: usize = 10_000;

/// Why a password is not issued.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The subject has as many as it may have.
    #[error("you have {0} passwords that have not ended, which is the most that one subject may have")]
    TooManyOfSubject(usize),
    /// There are as many as there may be.
    #[error("there are too many passwords that have not ended")]
    TooMany,
    /// It cannot be kept.
    #[error(transparent)]
    State(#[from] store::Error),
    /// What it stands for cannot be written down.
    #[error("what the password stands for cannot be written: {0}")]
    Written(#[from] serde_json::Error),
    /// There is nothing to make it of.
    #[error(transparent)]
    Randomness(#[from] clock::NoRandomness),
}

/// What a password stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandsFor {
    /// Whom, until its expiry.
    pub subject: Subject,
    /// At which target.
    pub target: Arc<str>,
    /// What the connection has to prove, too.
    pub confirmation: Option<Confirmation>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The digests of the tokens that it was issued for.
    pub made_of: Vec<Digest>,
}

/// Every password that has not ended.
pub struct Passwords {
    held: Mutex<HashMap<Digest, StandsFor>>,
    most_per_subject: usize,
    state: Arc<dyn State>,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Passwords({})", self.held().len())
    }
}

/// Whether a text has the form of one.
pub(crate) fn is_one(text: &str) -> bool {
    text.len() == LENGTH
        && text.starts_with(PREFIX)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl Passwords {
    /// Those of an earlier process that have not ended. Blocks.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn open(state: Arc<dyn State>, most_per_subject: usize, now: Timestamp) -> Result<Self, store::Error> {
        state.drop_ended_passwords(now)?;
        let mut held = HashMap::new();
        for KeptPassword { digest, stands_for, .. } in state.passwords(now)? {
            match serde_json::from_str(&stands_for) {
                Ok(stands_for) => drop(held.insert(digest, stands_for)),
                Err(error) => tracing::warn!(%error, "a password of another version is not accepted any more"),
            }
        }
        Ok(Self { held: Mutex::new(held), most_per_subject, state })
    }

    /// Whether one more may be issued for the subject.
    ///
    /// # Errors
    /// If there are too many.
    pub fn has_room(&self, subject: &SubjectKey, now: Timestamp) -> Result<(), PasswordError> {
        room(&self.held(), subject, self.most_per_subject, now)
    }

    /// Makes a password and keeps it. Blocks.
    ///
    /// # Errors
    /// See [`PasswordError`]; then there is none.
    pub fn issue(&self, stands_for: StandsFor, now: Timestamp) -> Result<Secret<String>, PasswordError> {
        let password = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(clock::random::<RANDOM>()?)));
        let digest = sha256(password.expose());
        let (subject, expires_at) = (stands_for.subject.key.clone(), stands_for.subject.expires_at);
        let kept = KeptPassword { digest, stands_for: serde_json::to_string(&stands_for)?, expires_at };
        {
            let mut held = self.held();
            room(&held, &subject, self.most_per_subject, now)?;
            held.insert(digest, stands_for);
        }
        if let Err(error) = self.state.keep_password(&kept) {
            self.held().remove(&digest);
            return Err(error.into());
        }
        Ok(password)
    }

    /// Whom a password stands for at this target.
    pub(crate) fn find(
        &self,
        password: &str,
        proven: &Proven,
        target: &str,
        now: Timestamp,
    ) -> Result<Subject, IdentityError> {
        // Found by a digest that nobody can steer: how long it takes tells nothing of those that there are.
        let digest = sha256(password);
        let found = self.held().get(&digest).cloned();
        let found = found.ok_or(IdentityError::Password("it is unknown"))?;
        let StandsFor { subject, target: at, confirmation, issued_at, made_of } = found;
        if subject.expires_at <= now {
            return Err(IdentityError::Password("it ended"));
        }
        if *at != *target {
            return Err(IdentityError::Password("it is for another target"));
        }
        if confirmation.is_some_and(|confirmation| !confirmation.is_proven(proven)) {
            return Err(IdentityError::Binding("the connection does not have the password's client certificate"));
        }
        let generation = subject.credential.generation;
        let credential = Credential { issued_at, digest: Some(digest), generation, made_of };
        Ok(Subject { credential, ..subject })
    }

    /// What a revocation has to know of a password: whoever has it may give it up, wherever it is good.
    pub(crate) fn revocable(&self, password: &str, now: Timestamp) -> Result<Revocable, IdentityError> {
        let digest = sha256(password);
        let held = self.held();
        let subject = held.get(&digest).map(|found| &found.subject).filter(|subject| now < subject.expires_at);
        let subject = subject.ok_or(IdentityError::Password("it is unknown"))?;
        Ok(Revocable { subject: subject.key.clone(), digest, expires_at: subject.expires_at })
    }

    /// Drops every password of a subject, whether it calls or is called for; returns how many there were. Sessions that
    /// began with one are not ended by it. Blocks.
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
        self.state.drop_passwords(&dropped)?;
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
        if ended == 0 { Ok(()) } else { self.state.drop_ended_passwords(now) }
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
) -> Result<(), PasswordError> {
    let lives = |one: &&StandsFor| one.subject.expires_at > now && one.subject.key == *subject;
    if held.values().filter(lives).count() >= most_per_subject {
        return Err(PasswordError::TooManyOfSubject(most_per_subject));
    }
    if held.len() >= MOST { Err(PasswordError::TooMany) } else { Ok(()) }
}

pub(crate) fn sha256(password: &str) -> Digest {
    let mut out = Digest::default();
    for (to, from) in out.0.iter_mut().zip(digest(&SHA256, password.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
