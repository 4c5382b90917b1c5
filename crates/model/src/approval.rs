//! Approvals: a human's answer to an Ask.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decision::Need;
use crate::id::{ApprovalId, Digest, RequestId, RevisionId};
use crate::subject::SubjectKey;
use crate::time::Timestamp;

/// How an Ask is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The connection waits; bound to its session.
    Hold,
    /// The request failed at once; the same request retried consumes the answer.
    Ticket,
    /// A time-boxed grant asked for ahead.
    Window,
}

/// Where an approval stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for answers.
    Pending,
    /// Every need is met; may be consumed once before it expires.
    Approved,
    /// Somebody said no.
    Denied,
    /// The requester went away before it was answered or used.
    Withdrawn,
    /// Time ran out.
    Expired,
    /// Used.
    Consumed,
}

/// What the approver sees, complete, and what the approval is bound to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The request that asked first.
    pub request: RequestId,
    /// Who asks.
    pub subject: SubjectKey,
    /// The delegation behind it.
    pub on_behalf_of: Vec<SubjectKey>,
    /// Where.
    pub target: Arc<str>,
    /// The target's database.
    pub database: Arc<str>,
    /// The whole statement with classified literals masked.
    pub statement: String,
    /// Bound parameters as text, classified ones masked.
    pub parameters: Vec<String>,
    /// The statement's effects, one line each.
    pub effects: Vec<String>,
    /// The target's own estimate of the rows touched, where there is one.
    pub estimated_rows: Option<u64>,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// What has to be agreed to.
    pub needs: Vec<Need>,
    /// Binds the answer to exactly this request (RULES.md 22).
    pub digest: Digest,
    /// How it is waited for.
    pub mode: Mode,
    /// The revision under which it was asked.
    pub revision: RevisionId,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it ends, answered or not.
    pub expires_at: Timestamp,
}

/// One person's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Who answered.
    pub approver: SubjectKey,
    /// The approver's groups when the answer was given.
    pub groups: Vec<Arc<str>>,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Proof that an approval was spent on one request, made by `store` when its one transactional UPDATE succeeded.
///
/// Only `store` calls [`Consumed::attest`]; `clippy.toml` forbids it elsewhere.
#[derive(Debug)]
pub struct Consumed {
    approval: ApprovalId,
    digest: Digest,
    request: RequestId,
    answers: Vec<Answer>,
}

impl Consumed {
    /// Attests that `approval` was spent on `request`, whose digest is `digest`.
    pub const fn attest(approval: ApprovalId, digest: Digest, request: RequestId, answers: Vec<Answer>) -> Self {
        Self { approval, digest, request, answers }
    }

    /// The approval that was spent.
    pub const fn approval(&self) -> ApprovalId {
        self.approval
    }

    /// What it was bound to.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The one request that it was spent on.
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// Who agreed: only answers that approve.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }
}
