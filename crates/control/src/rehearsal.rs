//! What policies would say, before anybody is bound by them: cases that are heard without a target, and requests of the
//! journal that are heard again. All of it asks what sessions ask (`gateway::judging`).

mod cases;
mod hearing;
mod replay;
mod side;
mod trial;
mod unused;
mod words;

pub use cases::{Case, CaseFile, Expected, key, parse as parse_cases, verified, who};
pub use hearing::{Circumstances, Heard, Request, Room, Shown};
pub use replay::{Change, Counts, Replay};
pub use side::Side;
pub use trial::{Difference, Examined, Outcome, examine, run};
pub use unused::{Permit, Unused, Usage, without};
pub use words::{MASKS, fate, groups, observers, outcome, policies};

/// Why cases or requests cannot be heard.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotHeard(pub(crate) String);
