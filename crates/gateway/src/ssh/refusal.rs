//! What a caller is told when Sluice refuses: what happened, what to do, and the request id to look up.
//!
//! Nothing here knows the target, the policy's text or another subject: what a caller may not know cannot be said.

use std::sync::Arc;

use model::decision::Denial;
use model::id::{ApprovalId, RequestId};

use crate::deciding::{Refused, denied};

/// The exit status of what was not run because Sluice refused it: what a shell uses for what it may not execute.
pub(super) const REFUSED: u32 = 126;

/// The exit status of what was cut off, or could not be run at all: what `ssh` itself uses for its own failures.
pub(super) const FAILED: u32 = 255;

/// Why Sluice refuses a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Policy says no; and what the caller lacks, if policy lets it know.
    Denied(Denial, Option<Arc<str>>),
    /// A human has to agree first; the same request retried afterwards goes through.
    Ticket(ApprovalId, Arc<str>),
    /// A human said no.
    ApprovalDenied(ApprovalId),
    /// Nobody answered in time; the approval is still open.
    HoldOver(ApprovalId),
    /// The approval store cannot be used.
    ApprovalsUnavailable,
    /// Too many approvals wait already for this subject.
    TooManyPending,
    /// The journal cannot be written.
    NotRecorded,
    /// What the journal would hold of it is longer than one entry may be.
    TooLongToRecord,
    /// A line is longer than Sluice looks at.
    TooLong,
    /// Nobody of these groups observes it.
    Unobserved(Arc<str>),
    /// A revision came in that denies what runs, or masks more of it.
    Cut,
    /// The caller went away, or the session ends.
    Gone,
    /// The target does not take it.
    Target(&'static str),
    /// A part of the protocol that Sluice does not let through.
    Unsupported(&'static str),
}

impl Refusal {
    /// What the caller is told, in one line.
    pub(super) fn tell(&self, request: RequestId) -> String {
        format!("sluice: {} Request {request}.", self.told())
    }

    /// How it is told by an exit status.
    pub(super) const fn status(&self) -> u32 {
        match self {
            Self::Cut | Self::Unobserved(_) | Self::Gone | Self::Target(_) => FAILED,
            _ => REFUSED,
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Denied(denial, lacks) => denied(denial, lacks.as_deref()),
            Self::Ticket(approval, groups) => {
                format!("approval {approval} was asked for, of {groups}. Run the same again once it is approved.")
            }
            Self::ApprovalDenied(approval) => format!("approval {approval} was denied."),
            Self::HoldOver(approval) => format!(
                "approval {approval} was not given in time. It stays open for a while: run the same again once it is approved."
            ),
            Self::ApprovalsUnavailable => {
                "approvals cannot be checked now. Try again; if it lasts, tell your operator.".to_owned()
            }
            Self::TooManyPending => {
                "too many of your requests wait for approval. Wait for answers, or withdraw some.".to_owned()
            }
            Self::NotRecorded => {
                "this cannot be recorded, so it was not run. Try again; if it lasts, tell your operator.".to_owned()
            }
            Self::TooLongToRecord | Self::TooLong => {
                "this is longer than Sluice takes. Put it into a file, or send it in parts.".to_owned()
            }
            Self::Unobserved(groups) => format!("nobody of {groups} observes this."),
            Self::Cut => "a new policy no longer allows this.".to_owned(),
            Self::Gone => "the session ends.".to_owned(),
            Self::Target(reason) => format!("{reason}."),
            Self::Unsupported(what) => format!("{what} is not available through Sluice."),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Denied(denial, lacks) => Self::Denied(denial, lacks),
            Refused::Ticket(approval, groups) => Self::Ticket(approval, groups),
            Refused::ApprovalDenied(approval) => Self::ApprovalDenied(approval),
            Refused::HoldOver(approval) => Self::HoldOver(approval),
            Refused::ApprovalsUnavailable => Self::ApprovalsUnavailable,
            Refused::TooManyPending => Self::TooManyPending,
            Refused::NotRecorded => Self::NotRecorded,
            Refused::TooLongToRecord => Self::TooLongToRecord,
            Refused::Gone => Self::Gone,
        }
    }
}
