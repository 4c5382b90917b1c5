//! Ways past Sluice at a target: it enforces only what passes through it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It weakens what Sluice does.
    Warning,
    /// It is a way past Sluice.
    Serious,
}

impl Severity {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Serious => "serious",
        }
    }
}

/// Something that was found at a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// What was looked at, such as `superuser` or `pg_hba`.
    pub check: Arc<str>,
    /// What there is, in words; at most some hundred characters.
    pub what: Arc<str>,
}
