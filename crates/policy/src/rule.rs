//! What a policy says beside its condition.

use std::sync::Arc;
use std::time::Duration;

use model::class::Transform;
use model::decision::Need;
use model::id::Digest;

use crate::load::reads::Reads;

/// A policy's annotations, understood.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    /// Of the policy's text with its annotations.
    pub(crate) digest: Digest,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) approval: Option<Approval>,
    /// A live observer of any of these groups lifts this forbid; sorted.
    pub(crate) observers: Option<Vec<Arc<str>>>,
    pub(crate) mask: Option<Transform>,
    /// Members of these groups are not bound by this forbid (RULES.md 25).
    pub(crate) break_glass: Vec<Arc<str>>,
    /// What this permits writes nothing that outlives the session (`@read_only`); the target holds it to that.
    pub(crate) read_only: bool,
    /// What its condition reads.
    pub(crate) reads: Reads,
}

/// Whose approval lifts a forbid.
#[derive(Debug)]
pub(crate) struct Approval {
    /// Any of these; sorted.
    pub(crate) groups: Vec<Arc<str>>,
    /// How many different people.
    pub(crate) quorum: u8,
    pub(crate) ttl: Duration,
}

impl Rule {
    /// What humans have to agree to so that this forbid is lifted.
    pub(crate) fn need(&self, approval: &Approval) -> Need {
        self.as_need(&approval.groups, approval.quorum)
    }

    /// Who has to observe so that this forbid is lifted.
    pub(crate) fn observer(&self, groups: &[Arc<str>]) -> Need {
        self.as_need(groups, 1)
    }

    /// Whether members of these groups are not bound by this forbid.
    pub(crate) fn is_waived_for(&self, groups: &[Arc<str>]) -> bool {
        self.break_glass.iter().any(|group| groups.contains(group))
    }

    /// This forbid as something that was waived.
    pub(crate) fn waived(&self) -> Need {
        match &self.approval {
            Some(approval) => self.need(approval),
            None => self.as_need(&[], 0),
        }
    }

    fn as_need(&self, groups: &[Arc<str>], quorum: u8) -> Need {
        Need { policy: self.id.clone(), policy_digest: self.digest, groups: groups.to_vec(), quorum }
    }
}
