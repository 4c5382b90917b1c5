//! A revision: `targets.toml`, `classification.toml` and `policies/*.cedar`, read as of one moment and refused or taken
//! whole.
//!
//! Files change while they are read: an editor truncates and writes, a deployment swaps a symbolic link. So everything
//! is read, and read again a moment later, until two readings in a row are the same byte by byte. What is taken was on
//! disk as a whole, and its digest names it.
//!
//! Whether the policies make sense is for `policy` to say; here they are texts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::classification::Classification;
use model::id::Digest;

use crate::config::{ConfigError, TargetConfig, parse_classification, parse_targets};

mod files;

use files::Contents;
pub(crate) use files::read_text;

/// How often it is read before the operator is told that it does not come to rest.
const READINGS: usize = 20;
/// The time between two readings: longer than a writer that is not stuck leaves a file half written.
const PAUSE: Duration = Duration::from_millis(50);

/// A revision whose files are right as far as `store` can tell.
#[derive(Clone, Debug)]
pub struct RevisionFiles {
    /// The targets, in the order of their names.
    pub targets: Vec<TargetConfig>,
    /// The classes and which columns carry them.
    pub classification: Classification,
    /// The policy files, in the order of their names.
    pub policies: Vec<PolicyFile>,
    /// Over the names and contents of all files.
    pub digest: Digest,
}

/// One file of policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyFile {
    /// Where it is, for messages.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A revision that was refused whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the revision has {} mistakes", .errors.len())]
pub struct RefusedRevision {
    /// Over the names and contents of all files that could be read.
    pub digest: Digest,
    /// Every mistake.
    pub errors: Vec<ConfigError>,
}

impl RevisionFiles {
    /// Reads the revision in `dir`. It sleeps between readings, so it belongs on a thread that may block.
    ///
    /// # Errors
    /// Every mistake in its files, or that they do not come to rest.
    pub fn load(dir: &Path) -> Result<Self, RefusedRevision> {
        Self::parse(files::read_at_rest(READINGS, || std::thread::sleep(PAUSE), || files::read(dir))?)
    }

    fn parse(contents: Contents) -> Result<Self, RefusedRevision> {
        let digest = contents.digest();
        let Contents { targets, classification, policies, mut errors } = contents;
        let targets = collect(&mut errors, targets, parse_targets);
        let classification = collect(&mut errors, classification, parse_classification);
        match (targets, classification) {
            (Some(targets), Some(classification)) if errors.is_empty() => {
                Ok(Self { targets, classification, policies, digest })
            }
            _ => Err(RefusedRevision { digest, errors }),
        }
    }
}

fn collect<T>(
    errors: &mut Vec<ConfigError>,
    file: Option<PolicyFile>,
    parse: impl FnOnce(&str, &Path) -> Result<T, Vec<ConfigError>>,
) -> Option<T> {
    let file = file?;
    parse(&file.text, &file.path).map_err(|mistakes| errors.extend(mistakes)).ok()
}

#[cfg(test)]
mod tests;
