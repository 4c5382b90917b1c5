//! What policy answered, as the record and the caller see it. The proofs made from it are `policy`'s own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Allow, deny, or ask a human.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
    /// It may, if a human agrees.
    Ask,
}

/// Why a request is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Denial {
    /// The `@id`s of the policies that forbid it; empty when nothing permits it.
    pub policies: Vec<Arc<str>>,
    /// The first `@message` of those policies, or a sentence of ours: what the caller is told.
    pub message: Arc<str>,
    /// The first effect that is refused, such as `delete table public.orders`: what the caller lacks.
    pub missing: Arc<str>,
}

/// What a human has to agree to. Every need has to be met; each by any of its groups.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Need {
    /// The `@id` of the policy that asks.
    pub policy: Arc<str>,
    /// A digest of the policy's text: an approval holds only while the same policy asks.
    pub policy_digest: crate::id::Digest,
    /// Any of these groups may answer.
    pub groups: Vec<Arc<str>>,
    /// How many different people have to agree.
    pub quorum: u8,
}

/// What may be seen of values of one class.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reveal {
    /// As they are.
    Clear,
    /// Masked: by this transform if the deciding policies name one, by the class's default otherwise.
    Masked(Option<crate::class::Transform>),
}
