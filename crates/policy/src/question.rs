//! What is asked.

use std::net::IpAddr;
use std::sync::Arc;

use model::class::Labels;
use model::effect::{Effect, Facts};
use model::subject::{Binding, Subject, SubjectKey};
use model::target::Target;
use model::time::Timestamp;

/// One request that somebody wants to make. The caller is the [`crate::SubjectPolicies`] that it is put to.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Where.
    pub target: &'a Target,
    /// In which of the target's databases.
    pub database: &'a str,
    /// What it would do. Never empty for a statement that was understood.
    pub effects: &'a [Effect],
    /// What else policies may ask about it.
    pub facts: &'a Facts,
    /// Which columns are classified, and what partitions inherit from.
    pub labels: &'a Labels,
    /// The circumstances.
    pub context: &'a Context<'a>,
}

/// The circumstances of a question.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The moment of the decision.
    pub now: Timestamp,
    /// The address that the request comes from.
    pub source: IpAddr,
    /// How the credential is tied to the connection.
    pub binding: Binding,
    /// Seconds since the session was authenticated.
    pub session_age: u64,
    /// Who triggered it: the request's own verified user, or else the subject's nearest actor.
    pub on_behalf_of: Option<&'a SubjectKey>,
    /// Why, in the caller's words.
    pub reason: Option<&'a str>,
    /// The target's own estimate of the rows touched, where it was asked.
    pub estimated_rows: Option<u64>,
    /// The groups of those who watch what runs, and can end it.
    pub observers: &'a [Arc<str>],
}

impl<'a> Context<'a> {
    /// Those of a subject that has just said who it is: a session that begins, or one call.
    pub fn at_the_start(subject: &'a Subject, source: IpAddr, now: Timestamp) -> Self {
        Self {
            now,
            source,
            binding: subject.binding,
            session_age: 0,
            on_behalf_of: subject.on_behalf_of.first(),
            reason: None,
            estimated_rows: None,
            observers: &[],
        }
    }
}

/// Which facts, besides the session, those who observe it and the statement, an answer depends on. It may be used again for
/// the same effects, facts and labels in the same session as long as these are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Validity {
    /// It depends on the time or on the session's age: it holds for [`Validity::TIMED_MILLIS`] at most.
    pub timed: bool,
    /// It depends on [`Context::reason`].
    pub reason: bool,
    /// It depends on [`Context::on_behalf_of`].
    pub on_behalf_of: bool,
    /// It depends on [`Context::estimated_rows`].
    pub estimated_rows: bool,
}

impl Validity {
    /// How long an answer that depends on the time holds, in milliseconds.
    pub const TIMED_MILLIS: u64 = 1000;

    /// Depends on what either depends on.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            timed: self.timed | other.timed,
            reason: self.reason | other.reason,
            on_behalf_of: self.on_behalf_of | other.on_behalf_of,
            estimated_rows: self.estimated_rows | other.estimated_rows,
        }
    }
}
