//! A named backend, as policy and the record see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What policy may know of a target. Its address and credential stay in `store`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The name that callers and policies use.
    pub name: Arc<str>,
    /// The protocol spoken, such as `postgres`.
    pub protocol: Arc<str>,
    /// The operator's labels, such as `env = prod`; policies see them as tags of the target and of all in it.
    pub labels: BTreeMap<String, String>,
}

/// When a decision counts as recorded (DESIGN.md, Ledger).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// `Power` for writes, approvals and reads that may deliver a class in clear; `Process` for the rest.
    #[default]
    Auto,
    /// Written to the file before forwarding: survives a crash of Sluice.
    Process,
    /// fdatasync before forwarding: survives a crash of the machine.
    Power,
}

/// How safely an entry is recorded, and how safely one has to be before what it is about is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// In the file: survives a crash of Sluice.
    Process,
    /// On the disk: survives a crash of the machine.
    Power,
}

impl Durability {
    /// The level that a request's decision needs here; `is_grave` says whether the request is one that `Auto` takes for
    /// [`Level::Power`].
    pub const fn level(self, is_grave: bool) -> Level {
        match self {
            Self::Power => Level::Power,
            Self::Auto if is_grave => Level::Power,
            Self::Auto | Self::Process => Level::Process,
        }
    }
}

/// What the tape of a session holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TapeMode {
    /// Requests and answers.
    #[default]
    Full,
    /// Requests only.
    Requests,
    /// Nothing.
    Off,
}

/// What becomes of a value that has no mask of its own type, such as a date or a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnmaskable {
    /// NULL.
    #[default]
    Null,
    /// The type's zero: 0, false, the epoch, an empty string. For clients whose types know no NULL.
    TypeDefault,
    /// The answer is refused.
    Refuse,
}
