//! May they?
//!
//! Three questions, all put to Cedar policies that were validated strictly against one schema when they were loaded:
//! may this request be made ([`judge`], [`decide`]), would a human's approval change that (part of the same answer), and
//! may a value be seen in clear ([`reveal`]). [`may`] asks the first one for the control plane,
//! [`may_exchange`] and [`may_act_for`] for tokens that Sluice issues.
//!
//! What it must never do: perform I/O, read a clock, remember a request, or let anything through that no policy permits.
//! A policy that fails while it is evaluated, a question that does not fit the schema, and a request without effects are
//! denied.
//!
//! Start with [`PolicySet::load`], then [`judge`], then [`decide`].
#![forbid(unsafe_code)]

mod admin;
mod allowed;
mod ask;
mod considered;
mod court;
mod digest;
mod entities;
mod judge;
mod load;
mod permit;
mod permits;
mod question;
mod reveal;
mod rule;
mod schema;
mod shipped;
mod subject;
mod texts;
mod verdict;
mod vocabulary;

pub use admin::{AdminVerb, may, may_act_for, may_exchange};
pub use considered::{Circumstances, Considered, considered};
pub use digest::{BoundTo, Parameter, approval_digest};
pub use judge::judge;
pub use load::{PolicyError, PolicySet};
pub use permit::{OwnStatement, Permit, PermitKind, ProtocolAct};
pub use permits::PermitScope;
pub use question::{Context, Question, Validity};
pub use reveal::{RevealQuestion, reveal, reveal_policies};
pub use shipped::{BASELINE, SCHEMA_TEMPLATE};
pub use subject::SubjectPolicies;
pub use texts::{PolicyText, policy_texts};
pub use verdict::{Approved, DEFAULT_APPROVAL_TTL, Decision, Recording, Verdict, decide, prepare};
