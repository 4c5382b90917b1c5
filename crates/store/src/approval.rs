//! Approvals as state keeps them. The rules for people are here, the transactions in `sqlite::approvals`.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::approval::{Answer, Asked, Mode, Status};
use model::decision::Need;
use model::error::ErrorKind;
use model::id::{ApprovalId, Digest, RequestId, SessionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::window::Terms;

/// How much a subject may ask, so that nobody tires the approvers out (AP-13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Open questions per subject.
    pub pending_per_subject: u32,
    /// Questions per subject in any hour, however they ended.
    pub hourly_per_subject: u32,
    /// Open questions of all subjects together.
    pub pending_total: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pending_per_subject: 10, hourly_per_subject: 60, pending_total: 1000 }
    }
}

/// What became of asking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedFor {
    /// The approval to wait for: the caller's new id, or that of an earlier question.
    pub id: ApprovalId,
    /// How that one is waited for.
    pub mode: Mode,
    /// Where it stands: pending, or approved already.
    pub status: Status,
    /// Whether it is new: only then is it journaled and are approvers told.
    pub is_new: bool,
    /// Open questions for the same thing that were withdrawn, as policy no longer asks them: each is journaled as ended.
    pub outdated: Vec<ApprovalId>,
}

/// Why an open question is withdrawn where policy asks for something else.
pub const OUTDATED: &str = "policy asks for something else now";

/// Why a question was not put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The subject has too many open questions, or asked too many in the last hour.
    #[error("{subject} has asked for too many approvals ({limit})")]
    TooManyOfSubject {
        /// Who asks.
        subject: SubjectKey,
        /// The limit that was reached.
        limit: u32,
    },
    /// All subjects together have too many open questions.
    #[error("too many approvals are pending ({0})")]
    TooMany(u32),
    /// There is nothing that anybody could agree to, it has already ended, or a window was asked for as a request.
    #[error("not a question that can be put: {0}")]
    Invalid(&'static str),
    /// State failed.
    #[error(transparent)]
    State(#[from] Error),
}

impl AskError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManyOfSubject { .. } | Self::TooMany(_) => ErrorKind::Limit,
            Self::Invalid(_) => ErrorKind::Client,
            Self::State(error) => error.kind(),
        }
    }

    /// What the requester may be told.
    pub const fn client_message(&self) -> &'static str {
        match self {
            Self::TooManyOfSubject { .. } => "you have asked for too many approvals, wait for the open ones",
            Self::TooMany(_) => "too many approvals are pending, try again later",
            Self::Invalid(reason) => reason,
            Self::State(error) => error.client_message(),
        }
    }
}

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No approval has this id.
    #[error("there is no such approval")]
    NotFound,
    /// It has ended, or is approved already.
    #[error("it is {} already", status_word(*.0))]
    NotOpen(Status),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// The approver is one of the requester's identities (four eyes), through whatever issuer.
    #[error("nobody answers their own request")]
    OwnRequest,
    /// None of the approver's groups is asked.
    #[error("none of your groups may answer it")]
    NotAnApprover,
    /// This person has agreed already; an answer that shares an identity with an earlier one is the same person's.
    #[error("you have answered it already")]
    AlreadyAnswered,
    /// State failed; the answer does not count.
    #[error(transparent)]
    State(#[from] Error),
}

impl AnswerError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound | Self::NotOpen(_) | Self::Expired | Self::AlreadyAnswered => ErrorKind::Client,
            Self::OwnRequest | Self::NotAnApprover => ErrorKind::Policy,
            Self::State(error) => error.kind(),
        }
    }
}

impl From<rusqlite::Error> for AskError {
    fn from(error: rusqlite::Error) -> Self {
        Self::State(error.into())
    }
}

impl From<rusqlite::Error> for AnswerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::State(error.into())
    }
}

/// One approval, complete.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Where it stands. It may read open after its end until [`crate::State::expire`] runs; it cannot be used then.
    pub status: Status,
    /// What is asked. Its mode is the present one.
    pub asked: Asked,
    /// A window's own terms.
    pub window: Option<Terms>,
    /// Every answer, in order.
    pub answers: Vec<Answer>,
    /// The requests that it was spent on, the newest first; of a window the latest thousand.
    pub uses: Vec<Use>,
    /// When and why it ended unused.
    pub ended: Option<Ended>,
}

impl Approval {
    /// For each need, how many different people have agreed so far.
    pub fn agreed(&self) -> impl Iterator<Item = (&Need, usize)> {
        self.asked.needs.iter().map(|need| (need, agreeing(need, &self.answers)))
    }
}

/// One request that an approval was spent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Use {
    /// The request.
    pub request: RequestId,
    /// When it was spent, before the request was forwarded.
    pub at: Timestamp,
    /// Whether the request is known to have ended.
    pub completed: bool,
}

/// The end of an approval.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Which approvals to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Standing so.
    pub status: Option<Status>,
    /// Asked by this subject.
    pub subject: Option<SubjectKey>,
    /// At this target.
    pub target: Option<Arc<str>>,
    /// Asked at this moment or later.
    pub since: Option<Timestamp>,
    /// At most so many; 0 stands for 100.
    pub limit: u32,
}

/// What an approval is to be spent on. It is spent only if it was given for exactly this digest and these needs: an
/// approval holds only while the same policies, by content, ask for the same groups (RULES.md 22).
#[derive(Clone, Copy, Debug)]
pub struct Spending<'a> {
    /// The request's approval digest.
    pub digest: Digest,
    /// What policy asks for now.
    pub needs: &'a [Need],
    /// The session that makes the request; a hold is spent only by its own.
    pub session: SessionId,
    /// The request.
    pub request: RequestId,
    /// Now.
    pub now: Timestamp,
}

/// An approval that the journal knows to be spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spent {
    /// The approval.
    pub approval: ApprovalId,
    /// The request that it was spent on.
    pub request: RequestId,
    /// When.
    pub at: Timestamp,
    /// Whether the journal also tells how that ended; if not, it is among [`crate::State::unresolved`].
    pub completed: bool,
}

/// The word for a status, as it is stored and shown.
pub(crate) const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Approved => "approved",
        Status::Denied => "denied",
        Status::Withdrawn => "withdrawn",
        Status::Expired => "expired",
        Status::Consumed => "consumed",
    }
}

/// What makes two identities the same person: the issuer's id for them without case, whichever issuer says it. Two
/// people whom two issuers name alike are taken for one, which refuses too much rather than too little.
pub(crate) fn person(key: &SubjectKey) -> String {
    key.id.trim().to_lowercase()
}

/// The people behind a subject and its delegation.
pub(crate) fn people<'a>(key: &'a SubjectKey, on_behalf_of: &'a [SubjectKey]) -> BTreeSet<String> {
    std::iter::once(key).chain(on_behalf_of).map(person).collect()
}

/// Whether one of the groups may answer for `need`.
pub(crate) fn may_answer(need: &Need, groups: &[Arc<str>]) -> bool {
    need.groups.iter().any(|group| groups.contains(group))
}

/// How many different people have agreed to `need`. One person may count for several needs, but once for each.
fn agreeing(need: &Need, answers: &[Answer]) -> usize {
    let agreed = answers.iter().filter(|answer| answer.approve && may_answer(need, &answer.groups));
    agreed.map(|answer| person(&answer.approver)).collect::<BTreeSet<_>>().len()
}

/// Whether every need is met. Nothing is met where nothing is needed: an approval without needs is not one.
pub(crate) fn all_met(needs: &[Need], answers: &[Answer]) -> bool {
    let met = |need: &Need| agreeing(need, answers) >= usize::from(need.quorum.max(1));
    !needs.is_empty() && needs.iter().all(met)
}

/// Needs in one order, without repetition, so that equal sets compare equal.
pub(crate) fn canonical(needs: &[Need]) -> Vec<Need> {
    let set = needs.iter().map(|need| {
        let groups: BTreeSet<_> = need.groups.iter().cloned().collect();
        Need { groups: groups.into_iter().collect(), ..need.clone() }
    });
    set.collect::<BTreeSet<_>>().into_iter().collect()
}
