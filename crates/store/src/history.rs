//! The revisions that were in force, as far back as they are kept.

use model::id::{Digest, ProposalId, RevisionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many revisions are kept with their files.
pub const MOST_REVISIONS: u32 = 200;

/// A revision that is or was in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptRevision {
    /// Its number.
    pub revision: RevisionId,
    /// The digest of all its files.
    pub digest: Digest,
    /// When it came into force.
    pub at: Timestamp,
    /// The proposal that it came of; none where the files were changed in the directory.
    pub proposal: Option<ProposalId>,
    /// Who put that into force.
    pub by: Option<SubjectKey>,
    /// Whether its files are kept.
    pub has_files: bool,
}
