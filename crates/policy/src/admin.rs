//! The first question for the control plane.

use model::decision::Denial;

use crate::question::Context;
use crate::subject::SubjectPolicies;

/// What somebody may do to Sluice itself, on `Control::"sluice"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AdminVerb {
    /// See targets, policies, revisions, health.
    Read,
    /// Search the journal.
    Audit,
    /// See tapes.
    Replay,
    /// List and end sessions.
    Sessions,
    /// See approvals and answer them; which ones is a matter of their groups.
    Approve,
    /// Change configuration, secrets, revisions.
    Operate,
}

impl AdminVerb {
    /// Every verb.
    pub const ALL: [Self; 6] = [Self::Read, Self::Audit, Self::Replay, Self::Sessions, Self::Approve, Self::Operate];

    /// The Cedar action.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "admin:read",
            Self::Audit => "admin:audit",
            Self::Replay => "admin:replay",
            Self::Sessions => "admin:sessions",
            Self::Approve => "admin:approve",
            Self::Operate => "admin:operate",
        }
    }
}

/// Whether the subject may use this part of the control plane.
///
/// # Errors
/// Why not.
pub fn may(policies: &SubjectPolicies, verb: AdminVerb, context: &Context<'_>) -> Result<(), Denial> {
    let _ = (policies, context);
    Err(Denial { policies: vec![], message: "no policy permits it".into(), missing: verb.as_str().into() })
}
