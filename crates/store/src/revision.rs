//! A revision: `targets.toml`, `classification.toml`, `policies/*.cedar` and, if any, `ssh_keys.toml` and `apis/*.json`,
//! read as of one moment and refused or taken whole.
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
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, RegisteredKeys, TargetConfig, parse_classification, parse_ssh_keys, parse_targets};

mod changes;
mod files;
mod writing;

pub use changes::{Change, ChangeableFile, InvalidFile, Kind, MOST_CHANGES, Wanted, cases, changes, digest_of_changes};
use files::Contents;
pub(crate) use files::read_text;
pub use writing::{Pending, WriteError, begin, finish, forget, is_kept_elsewhere};

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
    /// The public keys that stand for callers. None where there is no `ssh_keys.toml`.
    pub ssh_keys: RegisteredKeys,
    /// The policy files, in the order of their names.
    pub policies: Vec<PolicyFile>,
    /// The descriptions of interfaces that targets name, in the order of their names.
    ///
    /// A descriptor set (`*.binpb`), which is no text, is in base64 here.
    pub apis: Vec<PolicyFile>,
    /// Over the names and contents of all files.
    pub digest: Digest,
    /// What history keeps of it.
    pub kept: Vec<RevisionText>,
}

/// A file of a revision as history keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevisionText {
    /// Where it is in the revision, such as `policies/main.cedar`.
    pub path: String,
    /// The SHA-256 of its text.
    pub digest: Digest,
    /// Its text; absent for what is not shown: targets, callers' keys, descriptions of interfaces.
    pub text: Option<String>,
}

/// One file of policies, or the description of an interface.
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

    /// Reads the revision in `dir` as it would be with these files in it. It sleeps like [`RevisionFiles::load`].
    ///
    /// # Errors
    /// Every mistake that it would have.
    pub fn load_with(dir: &Path, wanted: &Wanted) -> Result<Self, RefusedRevision> {
        let mut contents = files::read_at_rest(READINGS, || std::thread::sleep(PAUSE), || files::read(dir))?;
        contents.change(dir, wanted);
        Self::parse(contents)
    }

    /// The digest of what is in `dir` now. It sleeps like [`RevisionFiles::load`].
    ///
    /// # Errors
    /// Its files do not come to rest.
    pub fn digest_in(dir: &Path) -> Result<Digest, RefusedRevision> {
        Ok(files::read_at_rest(READINGS, || std::thread::sleep(PAUSE), || files::read(dir))?.digest())
    }

    fn parse(contents: Contents) -> Result<Self, RefusedRevision> {
        let (digest, kept) = (contents.digest(), contents.kept());
        let Contents { targets, classification, ssh_keys, policies, apis, mut errors } = contents;
        let targets = collect(&mut errors, targets, parse_targets);
        let classification = collect(&mut errors, classification, parse_classification);
        let parse_keys = |text: &str, file: &Path| parse_ssh_keys(text, file, targets.as_deref());
        let ssh_keys = collect(&mut errors, ssh_keys, parse_keys).unwrap_or_default();
        errors.extend(targets.iter().flatten().filter_map(|target| undescribed(target, &apis)));
        match (targets, classification) {
            (Some(targets), Some(classification)) if errors.is_empty() => {
                Ok(Self { targets, classification, ssh_keys, policies, apis, digest, kept })
            }
            _ => Err(RefusedRevision { digest, errors }),
        }
    }
}

/// What is wrong where a target names the description of its interface, and there is none of that name.
fn undescribed(target: &TargetConfig, apis: &[PolicyFile]) -> Option<ConfigError> {
    let interface = &target.http()?.interface;
    let named = [("openapi", interface.openapi.as_deref()), ("descriptors", interface.descriptors.as_deref())];
    named.into_iter().find_map(|(key, name)| {
        let name = name?;
        let is_it = |file: &PolicyFile| file.path.file_name().is_some_and(|found| found == name);
        let problem = format!("there is no apis/{name} in the revision");
        (!apis.iter().any(is_it)).then(|| ConfigError {
            key: format!("{}.{key}", target.target.name),
            ..files::mistake(Path::new("targets.toml"), &problem, "put it there")
        })
    })
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
