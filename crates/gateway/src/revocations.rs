//! Who is no longer believed: kept in state, looked up on every verification, told to every live session at once.
//!
//! What is in memory is in force. State keeps it for the next process, and is written after: where that fails, the
//! revocation holds all the same until this process ends, and whoever asked for it is told.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use identity::{IdentityError, Revoked};
use model::revocation::{Revocation, Whose};
use model::subject::Subject;
use model::time::Timestamp;
use prometheus::IntGauge;
use store::State;

use crate::clock;
use crate::node::Node;
use crate::sessions::Signal;

/// The most single tokens that can be revoked at a time, and the most subjects and issuers.
const MOST: usize = 50_000;

/// Why a revocation is not in force, or not for good.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There are too many.
    #[error("{MOST} are revoked already: restore some, or revoke their issuer")]
    Full,
    /// It is in force, and would not be after a restart.
    #[error("it is in force, and cannot be kept for the next start")]
    NotKept(#[from] store::Error),
    /// A defect of Sluice.
    #[error("it was broken off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

/// The revocations in force.
pub struct Revocations {
    state: Arc<dyn State>,
    revoked: RwLock<Revoked>,
    /// Held while memory and state are changed, so that they never say two different things.
    changing: Mutex<()>,
    in_force: IntGauge,
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Revocations({})", self.in_force.get())
    }
}

impl Revocations {
    /// Reads what an earlier process left. Blocks.
    ///
    /// # Errors
    /// State cannot be read: nobody is believed on the chance that they were not revoked.
    pub fn open(state: Arc<dyn State>, in_force: IntGauge) -> Result<Self, store::Error> {
        let mut revoked = Revoked::default();
        for revocation in state.revocations()? {
            revoked.insert(revocation);
        }
        let revocations = Self { state, revoked: RwLock::new(revoked), changing: Mutex::default(), in_force };
        revocations.count();
        Ok(revocations)
    }

    /// The subject as far as it is still believed ([`Revoked::apply`]).
    ///
    /// # Errors
    /// Its credential, an identity in it or an issuer of one is revoked.
    pub(crate) fn apply(&self, subject: Subject) -> Result<Subject, IdentityError> {
        self.read().apply(subject, clock::now())
    }

    /// All of them, the latest first.
    pub fn list(&self) -> Vec<Revocation> {
        let now = clock::now();
        let mut all: Vec<Revocation> = self.read().iter().filter(|one| !one.is_over(now)).cloned().collect();
        all.sort_by(|one, other| (other.at, &one.whose).cmp(&(one.at, &other.whose)));
        all
    }

    /// Whether these are revoked in any way.
    pub fn has(&self, whose: &Whose) -> bool {
        self.read().has(whose)
    }

    /// Puts one in force. Blocks.
    ///
    /// # Errors
    /// There are too many, or it cannot be kept.
    pub(crate) fn put(&self, revocation: Revocation) -> Result<(), RevokeError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = {
            let revoked = self.read();
            let others = if revocation.whose.is_token() { revoked.tokens() } else { revoked.others() };
            others >= MOST && !revoked.has(&revocation.whose)
        };
        if is_full {
            return Err(RevokeError::Full);
        }
        let joined = self.write().insert(revocation);
        self.count();
        Ok(self.state.put_revocation(&joined)?)
    }

    /// Ends every one of these credentials, or those of one kind; returns what was in force. Blocks.
    ///
    /// # Errors
    /// State cannot be changed: nothing is.
    pub(crate) fn lift(&self, whose: &Whose, kind: Option<&str>) -> Result<Vec<Revocation>, store::Error> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // State first: what is forgotten here alone would come back.
        self.state.remove_revocations(whose, kind)?;
        let lifted = self.write().lift(whose, kind);
        self.count();
        Ok(lifted)
    }

    /// Forgets what is over. Blocks.
    ///
    /// # Errors
    /// State cannot be changed; it is asked again next time.
    pub(crate) fn sweep(&self, now: Timestamp) -> Result<(), store::Error> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write().sweep(now);
        self.count();
        self.state.sweep_revocations(now)
    }

    fn count(&self) {
        let count = self.read().iter().count();
        self.in_force.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Revoked> {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Revoked> {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Puts a revocation in force that the journal has, and tells every session.
    ///
    /// # Errors
    /// There are too many, or it cannot be kept for the next start.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), RevokeError> {
        let (revocations, sessions) = (Arc::clone(&self.revocations), Arc::clone(&self.sessions));
        // On a thread of its own, so that sessions are told although whoever asked goes away meanwhile.
        let put = tokio::task::spawn_blocking(move || {
            let put = revocations.put(revocation);
            // It may be in force although it could not be kept.
            sessions.tell_all(Signal::Trust);
            put
        });
        put.await?
    }

    /// Believes these credentials again, as the journal has it, or as far as revocations of one kind go
    /// ([`model::revocation::Extent::kind`]); returns what was in force.
    ///
    /// # Errors
    /// State cannot be changed: nothing is.
    pub async fn restore(&self, whose: Whose, kind: Option<&'static str>) -> Result<Vec<Revocation>, RevokeError> {
        let revocations = Arc::clone(&self.revocations);
        Ok(tokio::task::spawn_blocking(move || revocations.lift(&whose, kind)).await??)
    }
}

#[cfg(test)]
mod tests;
