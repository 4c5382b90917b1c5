//! Why a request does not go on, as far as that is no protocol's own.

use std::sync::Arc;

use model::decision::{Denial, Need};
use model::id::ApprovalId;

use crate::recorder::NotRecorded;

/// Why a request does not go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// Policy says no; and what the caller lacks, if policy lets it know.
    Denied(Denial, Option<Arc<str>>),
    /// A human has to agree first; the same request again afterwards goes through.
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
    /// The caller went away, or the session ends.
    Gone,
}

impl From<NotRecorded> for Refused {
    fn from(why: NotRecorded) -> Self {
        match why {
            NotRecorded::Unwritable => Self::NotRecorded,
            NotRecorded::TooLong => Self::TooLongToRecord,
        }
    }
}

/// What a caller is told of a denial.
pub(crate) fn denied(denial: &Denial, lacks: Option<&str>) -> String {
    let by = match denial.policies.as_slice() {
        [] => String::new(),
        policies => format!(" (policy {})", policies.iter().map(|id| &**id).collect::<Vec<_>>().join(", ")),
    };
    let lacks = lacks.map(|lacks| format!(" Missing: {lacks}.")).unwrap_or_default();
    format!("{}{by}.{lacks} Ask your operator, giving the request id.", denial.message)
}

/// Who has to agree, or to observe, for people.
pub(crate) fn groups(needs: &[Need]) -> String {
    let each = needs.iter().map(|need| {
        let groups = need.groups.iter().map(|group| &**group).collect::<Vec<_>>().join(" or ");
        if need.quorum > 1 { format!("{} of {groups}", need.quorum) } else { groups }
    });
    each.collect::<Vec<_>>().join(" and ")
}
