//! The first question for the control plane.

use cedar_policy::{Entity, EntityUid};
use model::decision::Denial;
use model::subject::Subject;

use crate::court::{Court, Ruling};
use crate::judge::refusal;
use crate::question::Context;
use crate::subject::{SubjectPolicies, identity, principal_uid};
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
    /// Propose changes of the policies, and try them.
    Propose,
    /// Agree to what others propose, and put it into force.
    Apply,
}

impl AdminVerb {
    /// Every verb.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Audit,
        Self::Replay,
        Self::Sessions,
        Self::Approve,
        Self::Operate,
        Self::Propose,
        Self::Apply,
    ];

    /// The Cedar action.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "admin:read",
            Self::Audit => "admin:audit",
            Self::Replay => "admin:replay",
            Self::Sessions => "admin:sessions",
            Self::Approve => "admin:approve",
            Self::Operate => "admin:operate",
            Self::Propose => "admin:propose",
            Self::Apply => "admin:apply",
        }
    }
}

/// Whether the subject may use this part of the control plane. Approvals and break-glass change nothing here.
///
/// # Errors
/// Why not.
pub fn may(policies: &SubjectPolicies, verb: AdminVerb, context: &Context<'_>) -> Result<(), Denial> {
    on_control(policies, verb.as_str(), context)
}

/// Whether the subject may have a credential of Sluice's own for the one that it showed.
///
/// # Errors
/// Why not.
pub fn may_exchange(policies: &SubjectPolicies, context: &Context<'_>) -> Result<(), Denial> {
    on_control(policies, "exchange", context)
}

/// Whether the subject may act on behalf of `whom`, whose own credential was verified too.
///
/// # Errors
/// Why not.
pub fn may_act_for(policies: &SubjectPolicies, whom: &Subject, context: &Context<'_>) -> Result<(), Denial> {
    let types = &policies.shared.types;
    let resource = principal_uid(types, whom.kind, &whom.key);
    let groups = whom.groups.iter().map(|group| uid(&types.group, group));
    asked(policies, "delegate", &resource, identity(&resource, &whom.key, groups), context)
}

fn on_control(policies: &SubjectPolicies, action: &str, context: &Context<'_>) -> Result<(), Denial> {
    let control = uid(&policies.shared.types.control, "sluice");
    asked(policies, action, &control, Some(Entity::with_uid(control.clone())), context)
}

fn asked(
    policies: &SubjectPolicies,
    action: &str,
    resource: &EntityUid,
    entity: Option<Entity>,
    context: &Context<'_>,
) -> Result<(), Denial> {
    let court = Court::new(policies, context, None);
    let ruling = policies.slice_for(action).zip(entity).and_then(|(slice, entity)| {
        let entities = court.entities(action, vec![entity])?;
        Some(court.rule(&slice.all, action, resource, court.circumstances(), &entities))
    });
    match ruling {
        Some(Ruling::Allow(_)) => Ok(()),
        Some(Ruling::Deny(forbids)) => Err(refusal(&forbids, action.into())),
        Some(Ruling::Broken) | None => Err(refusal(&[], action.into())),
    }
}
