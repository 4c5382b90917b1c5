//! Answers about revisions, proposals and what is tried before.

use std::collections::BTreeMap;

use model::subject::SubjectKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PolicyFileView, SubjectName};

impl From<&SubjectKey> for SubjectName {
    fn from(key: &SubjectKey) -> Self {
        Self { issuer: key.issuer.to_string(), id: key.id.to_string() }
    }
}

/// A revision that is or was in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptRevisionView {
    /// Its number.
    pub revision: u64,
    /// The digest of all its files.
    pub digest: String,
    /// When it came into force.
    pub at: u64,
    /// The proposal that it came of; none where files were changed in the directory.
    pub proposal: Option<String>,
    /// Who put that into force.
    pub by: Option<SubjectName>,
    /// Whether its files are kept.
    pub has_files: bool,
}

/// A file of a revision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisionFileView {
    /// Its name in the revision.
    pub path: String,
    /// The SHA-256 of its text.
    pub digest: String,
    /// Its text, if it is a policy file or the classification.
    pub text: Option<String>,
}

/// The files of a revision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisionFilesView {
    /// Its number.
    pub revision: u64,
    /// The files, in the order of their names.
    pub files: Vec<RevisionFileView>,
}

/// What changed in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileDiff {
    /// Its name in the revision.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub what: String,
    /// A unified diff; absent where the text is not shown.
    pub diff: Option<String>,
    /// How many lines came.
    pub added: usize,
    /// How many lines went.
    pub removed: usize,
}

/// What differs between two revisions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisionDiffView {
    /// The number of the one after.
    pub revision: u64,
    /// That of the one before; 0 is none.
    pub against: u64,
    /// The files that differ.
    pub files: Vec<FileDiff>,
}

/// The files that may be changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeableFilesView {
    /// The number of the revision in force.
    pub revision: u64,
    /// Its digest.
    pub digest: String,
    /// Whether proposals can be put into force by the API.
    pub may_apply: bool,
    /// How many others than its author have to agree to one.
    pub approvals: usize,
    /// Policies, classification and cases, in the order of their names.
    pub files: Vec<PolicyFileView>,
}

/// A mistake in a file, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MistakeView {
    /// The file's name in the revision; empty if none is meant.
    pub file: String,
    /// The line, from 1; 0 if the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 if the whole line is meant.
    pub column: usize,
    /// How many characters are meant; 0 if that is not known.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl std::fmt::Display for MistakeView {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = [self.line, self.column].into_iter().filter(|number| *number > 0);
        let place = std::iter::once(self.file.clone()).chain(numbers.map(|number| number.to_string()));
        let place: Vec<String> = place.filter(|part| !part.is_empty()).collect();
        write!(out, "{}: {}", place.join(":"), self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(out, " ({help})"))
    }
}

/// Whether files are right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedView {
    /// The digest of the revision that they make; absent where it has mistakes.
    pub digest: Option<String>,
    /// Every mistake.
    pub mistakes: Vec<MistakeView>,
}

/// Something that a case expects otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DifferenceView {
    /// What.
    pub what: String,
    /// What the case says.
    pub expected: String,
    /// What came of it.
    pub found: String,
}

impl From<&crate::rehearsal::Difference> for DifferenceView {
    fn from(difference: &crate::rehearsal::Difference) -> Self {
        let (what, expected) = (difference.what.clone(), difference.expected.clone());
        Self { what, expected, found: difference.found.clone() }
    }
}

/// A case that was heard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseView {
    /// Its file.
    pub file: String,
    /// Where it begins.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// Whether it came out as it says.
    pub ok: bool,
    /// What did not.
    pub differences: Vec<DifferenceView>,
}

/// What came of the cases of a revision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExaminedView {
    /// Every case, in order.
    pub cases: Vec<CaseView>,
    /// How many did not come out as they say.
    pub failed: usize,
    /// Why cases could not be heard.
    pub mistakes: Vec<MistakeView>,
}

/// Somebody's agreement to what a proposal says now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgreementView {
    /// Who.
    pub by: SubjectName,
    /// The delegation behind them, the nearest first.
    pub on_behalf_of: Vec<SubjectName>,
    /// When.
    pub at: u64,
    /// What they said.
    pub reason: Option<String>,
}

/// A proposed change of the policies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProposalView {
    /// Its id.
    pub id: String,
    /// `open`, `applied`, `withdrawn` or `expired`.
    pub status: String,
    /// Whose it is.
    pub author: SubjectName,
    /// The delegation behind the author, the nearest first.
    pub on_behalf_of: Vec<SubjectName>,
    /// Why.
    pub reason: String,
    /// The number of the revision that it changes.
    pub base: u64,
    /// Whether that is in force.
    pub is_current: bool,
    /// What is agreed to.
    pub digest: String,
    /// The digest of the revision that it makes.
    pub becomes: String,
    /// When it was made.
    pub created_at: u64,
    /// When it was changed or agreed to last.
    pub changed_at: u64,
    /// How many others than its author have to agree.
    pub needed: usize,
    /// Who agreed to what it says now.
    pub agreements: Vec<AgreementView>,
    /// Who ended it.
    pub ended_by: Option<SubjectName>,
    /// When.
    pub ended_at: Option<u64>,
    /// As which revision it came into force.
    pub revision: Option<u64>,
}

/// A proposal with its files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposalFilesView {
    /// All else of it.
    pub proposal: ProposalView,
    /// What differs from the revision that it changes.
    pub diffs: Vec<FileDiff>,
    /// Files as they are to be, by their names; null is none.
    pub files: BTreeMap<String, Option<String>>,
    /// What its cases say; absent where it cannot come into force any more.
    pub examined: Option<ExaminedView>,
}

/// A proposal came into force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppliedView {
    /// The number of the revision in force.
    pub revision: u64,
    /// The proposal.
    pub proposal: ProposalView,
}

/// How many requests a simulation looked at, and how many would go otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedCounts {
    /// Requests that were looked at.
    pub requests: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Requests that would go otherwise.
    pub changed_requests: u64,
    /// Sessions that would.
    pub changed_sessions: u64,
    /// Requests that the journal does not explain.
    pub unexplained: u64,
    /// Those that would go otherwise and are not listed: there are too many different ones.
    pub unlisted: u64,
}

impl From<crate::rehearsal::Counts> for SimulatedCounts {
    fn from(counts: crate::rehearsal::Counts) -> Self {
        Self {
            requests: counts.requests,
            sessions: counts.sessions,
            changed_requests: counts.changed_requests,
            changed_sessions: counts.changed_sessions,
            unexplained: counts.unexplained,
            unlisted: counts.unlisted,
        }
    }
}

/// Requests that would go otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedView {
    /// How many.
    pub count: u64,
    /// Whose.
    pub subject: SubjectName,
    /// Where.
    pub target: String,
    /// What would change: `allow -> deny (policy)`, `number: partial -> clear`.
    pub change: String,
    /// The last of them, or the last session.
    pub such_as: String,
    /// The statements.
    pub statement: String,
}

/// How far a simulation is, and what it found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulationView {
    /// Its id.
    pub id: String,
    /// `running`, `done`, `cancelled` or `failed`.
    pub status: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// Requests since then.
    pub since: u64,
    /// When it began.
    pub began_at: u64,
    /// How many entries of the journal it reads.
    pub entries: u64,
    /// How many it has read.
    pub read: u64,
    /// What it found, once it is done.
    pub counts: Option<SimulatedCounts>,
    /// How many different changes there are.
    pub different: usize,
    /// Those that were asked for, the most frequent first.
    pub changes: Vec<SimulatedView>,
}
