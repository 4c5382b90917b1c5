//! The first question for the control plane.

use cedar_policy::Entity;
use model::decision::Denial;

use crate::court::{Court, Ruling};
use crate::judge::refusal;
use crate::question::Context;
use crate::subject::SubjectPolicies;
use crate::vocabulary::uid;

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

/// Whether the subject may use this part of the control plane. Approvals and break-glass change nothing here.
///
/// # Errors
/// Why not.
pub fn may(policies: &SubjectPolicies, verb: AdminVerb, context: &Context<'_>) -> Result<(), Denial> {
    let action = verb.as_str();
    let control = uid(&policies.shared.types.control, "sluice");
    let court = Court::new(policies, context, None);
    let ruling = policies.slice_for(action).and_then(|slice| {
        let entities = court.entities(action, Entity::with_uid(control.clone()))?;
        Some(court.rule(&slice.all, action, &control, court.circumstances(), &entities))
    });
    match ruling {
        Some(Ruling::Allow(_)) => Ok(()),
        Some(Ruling::Deny(forbids)) => Err(refusal(&forbids, action.into())),
        Some(Ruling::Broken) | None => Err(refusal(&[], action.into())),
    }
}
