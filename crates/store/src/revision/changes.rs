//! Which files of a revision may be changed by the admin API, and what changes.
//!
//! A name has one form and no way out of the revision's directory. Targets, callers' keys and descriptions of interfaces
//! are not among them: whoever may write policies cannot lead Sluice, or its credentials, to another machine.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use model::id::Digest;
use serde::{Deserialize, Serialize};

use super::files::{finished, mistake, read_text};
use crate::config::ConfigError;

/// The most files that one change may be of.
pub const MOST_CHANGES: usize = 100;
/// The longest name of a file.
const LONGEST: usize = 100;
/// The most files of cases, and the bytes that all of them may have.
const MOST_CASES: usize = 200;
const MOST_CASES_BYTES: usize = 8 << 20;

/// Names what is digested and how, so that no other digest of Sluice's can be mistaken for this one.
const DOMAIN: &str = "sluice proposal 2";

/// What a file that may be changed is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `classification.toml`.
    Classification,
    /// `policies/NAME.cedar`.
    Policy,
    /// `tests/NAME.toml`.
    Cases,
}

/// A file of the revision that may be changed: `classification.toml`, `policies/NAME.cedar` or `tests/NAME.toml`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeableFile(String);

/// A name that no file has which may be changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` cannot be changed here: name classification.toml, policies/NAME.cedar or tests/NAME.toml, with a name of \
     ASCII letters, digits and _ - . that begins with a letter or digit"
)]
pub struct InvalidFile(String);

/// What files are to be, by their names; `None` is no file.
pub type Wanted = BTreeMap<ChangeableFile, Option<String>>;

/// What a file is, and what it is to be; `None` is no file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub file: ChangeableFile,
    /// Its text before.
    pub before: Option<String>,
    /// Its text after.
    pub after: Option<String>,
}

impl ChangeableFile {
    /// Where it is in the revision.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.0.split_once('/') {
            Some(("policies", _)) => Kind::Policy,
            Some(_) => Kind::Cases,
            None => Kind::Classification,
        }
    }
}

impl FromStr for ChangeableFile {
    type Err = InvalidFile;

    fn from_str(text: &str) -> Result<Self, InvalidFile> {
        let stem = match text.split_once('/') {
            Some(("policies", name)) => name.strip_suffix(".cedar"),
            Some(("tests", name)) => name.strip_suffix(".toml"),
            Some(_) => None,
            None => (text == "classification.toml").then_some("classification"),
        };
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        let is_name = |stem: &str| {
            stem.len() <= LONGEST
                && stem.starts_with(|first: char| first.is_ascii_alphanumeric())
                && stem.chars().all(allowed)
        };
        match stem.is_some_and(is_name) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidFile(text.chars().take(LONGEST).flat_map(char::escape_debug).collect())),
        }
    }
}

impl TryFrom<String> for ChangeableFile {
    type Error = InvalidFile;

    fn try_from(text: String) -> Result<Self, InvalidFile> {
        text.parse()
    }
}

impl From<ChangeableFile> for String {
    fn from(file: ChangeableFile) -> Self {
        file.0
    }
}

impl fmt::Display for ChangeableFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What would change in `dir`, in the order of the names; what is so already is left out. Reads files.
///
/// # Errors
/// A file cannot be read.
pub fn changes(dir: &Path, wanted: &Wanted) -> Result<Vec<Change>, ConfigError> {
    let mut changes = Vec::new();
    for (file, after) in wanted {
        let before = present(dir, file)?;
        if before != *after {
            changes.push(Change { file: file.clone(), before, after: after.clone() });
        }
    }
    Ok(changes)
}

/// What a file is now; `None` if there is none.
pub(super) fn present(dir: &Path, file: &ChangeableFile) -> Result<Option<String>, ConfigError> {
    let path = dir.join(file.as_str());
    if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    read_text(&path).map(Some)
}

/// The files of cases in `dir`, in the order of their names; those whose names have another form are left out. Reads files.
///
/// # Errors
/// One of them cannot be read, or there is too much of them.
pub fn cases(dir: &Path) -> Result<Vec<(ChangeableFile, String)>, ConfigError> {
    let tests = dir.join("tests");
    let entries = match std::fs::read_dir(&tests) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(mistake(&tests, &error.to_string(), "make it readable for Sluice")),
    };
    let names = entries.flatten().filter_map(|entry| format!("tests/{}", entry.file_name().to_str()?).parse().ok());
    let mut names: Vec<ChangeableFile> = names.collect();
    names.sort();
    let (mut found, mut all) = (Vec::new(), 0_usize);
    for name in names {
        let text = read_text(&dir.join(name.as_str()))?;
        all = all.saturating_add(text.len());
        if found.len() >= MOST_CASES || all > MOST_CASES_BYTES {
            return Err(mistake(&tests, "it has more than 200 files, or more than 8 MiB", "join some of them"));
        }
        found.push((name, text));
    }
    Ok(found)
}

/// What names a change of one revision: SHA-256 over the revision's digest, the reason, and each file's name, text before
/// and text after, each preceded by whether it is there and its length.
pub fn digest_of_changes(base: Digest, reason: &str, changes: &[Change]) -> Digest {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(u64::MAX, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        context.update(&length.to_be_bytes());
        context.update(bytes.unwrap_or_default());
    };
    part(Some(DOMAIN.as_bytes()));
    part(Some(&base.0));
    part(Some(reason.as_bytes()));
    for change in changes {
        part(Some(change.file.as_str().as_bytes()));
        part(change.before.as_deref().map(str::as_bytes));
        part(change.after.as_deref().map(str::as_bytes));
    }
    finished(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_changed_has_a_name_here() {
        for right in ["classification.toml", "policies/main.cedar", "policies/10-a_b.c.cedar", "tests/reader.toml"] {
            assert_eq!(right.parse::<ChangeableFile>().unwrap().as_str(), right);
        }
        let long = format!("policies/{}.cedar", "a".repeat(101));
        for wrong in [
            "targets.toml",
            "ssh_keys.toml",
            "sluice.toml",
            "apis/a.json",
            "",
            "policies/",
            "policies/.cedar",
            "policies/.hidden.cedar",
            "policies/../targets.toml",
            "policies/../x.cedar",
            "policies/a/b.cedar",
            "../policies/a.cedar",
            "/policies/a.cedar",
            "policies//a.cedar",
            "./classification.toml",
            "policies\\a.cedar",
            "policies/a.cedar\0",
            "policies/a\n.cedar",
            "policies/ä.cedar",
            "policies/a.CEDAR",
            "tests/a.cedar",
            "policies/a.toml",
            "Policies/a.cedar",
            "policies/ a.cedar",
            &long,
        ] {
            assert!(wrong.parse::<ChangeableFile>().is_err(), "{wrong:?}");
            assert!(serde_json::from_value::<ChangeableFile>(wrong.into()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_digest_names_everything_that_changes() {
        let change = |file: &str, before: Option<&str>, after: Option<&str>| Change {
            file: file.parse().unwrap(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let base = Digest([1; 32]);
        let first = change("policies/a.cedar", Some("a"), Some("b"));
        let digests = [
            digest_of_changes(base, "why", &[]),
            digest_of_changes(base, "", &[]),
            digest_of_changes(base, "other", &[]),
            digest_of_changes(base, "why", std::slice::from_ref(&first)),
            digest_of_changes(Digest([2; 32]), "why", std::slice::from_ref(&first)),
            digest_of_changes(base, "why", &[change("policies/b.cedar", Some("a"), Some("b"))]),
            digest_of_changes(base, "why", &[change("policies/a.cedar", None, Some("b"))]),
            digest_of_changes(base, "why", &[change("policies/a.cedar", Some(""), Some("b"))]),
            digest_of_changes(base, "why", &[change("policies/a.cedar", Some("a"), None)]),
            digest_of_changes(base, "why", &[change("policies/a.cedar", Some("ab"), Some(""))]),
            digest_of_changes(base, "why", &[first, change("classification.toml", Some("a"), Some("b"))]),
        ];
        let different: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
    }
}
