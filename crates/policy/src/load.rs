//! Reading a revision's policies: all of them are valid, or none is used.

use std::collections::BTreeMap;
use std::fmt;

use model::class::{DataClass, Transform};
use model::subject::Subject;

use crate::subject::SubjectPolicies;

/// A mistake in a policy file, and where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub struct PolicyError {
    /// The file, as it was named to [`PolicySet::load`].
    pub path: String,
    /// The line, from 1; 0 if the mistake is not at one place.
    pub line: usize,
    /// The column in characters, from 1; 0 if the mistake is not at one place.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(out, " ({help})"),
            None => Ok(()),
        }
    }
}

/// The policies of one revision, validated.
#[derive(Debug)]
pub struct PolicySet {}

impl PolicySet {
    /// Reads and validates `files`, pairs of a path (for messages) and a text. `classes` are the revision's data classes
    /// with their default transforms; policies may name no others.
    ///
    /// # Errors
    /// Every mistake in every file, sorted by place.
    pub fn load(
        files: &[(String, String)],
        classes: &BTreeMap<DataClass, Transform>,
    ) -> Result<Self, Vec<PolicyError>> {
        let _ = (files, classes);
        Ok(Self {})
    }

    /// The policies that can apply to `subject`: cheap to ask, made to be kept for a session and a revision.
    pub fn for_subject(&self, subject: &Subject) -> SubjectPolicies {
        let _ = subject;
        SubjectPolicies {}
    }
}
