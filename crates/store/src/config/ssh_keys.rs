//! `ssh_keys.toml`: public keys of callers who have no token, and whom each stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use model::subject::{SubjectKey, SubjectKind};
use model::time::Timestamp;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::{ConfigError, Document, Section, TargetConfig, public_key};

/// The keys that a revision registers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegisteredKeys(BTreeMap<KeyData, Arc<RegisteredKey>>);

impl RegisteredKeys {
    /// What is registered for a key, whatever its comment.
    pub fn find(&self, key: &PublicKey) -> Option<&Arc<RegisteredKey>> {
        self.0.get(key.key_data())
    }

    /// All of them, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RegisteredKey>> {
        self.0.values()
    }
}

/// A public key that stands for a subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredKey {
    /// Which.
    pub key: PublicKey,
    /// Whom it stands for.
    pub subject: SubjectKey,
    /// Machine or person.
    pub kind: SubjectKind,
    /// The subject's groups, as policies name them.
    pub groups: Vec<Arc<str>>,
    /// Where it is accepted; `None` means at every target that speaks SSH.
    pub targets: Option<BTreeSet<Arc<str>>>,
    /// From when on it is not accepted any more; `None` means as long as it is registered.
    pub expires: Option<Timestamp>,
}

impl RegisteredKey {
    /// Whether it is accepted at this target.
    pub fn is_for(&self, target: &str) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.contains(target))
    }
}

/// Reads `text` as the `ssh_keys.toml` at `file`. `targets` are those of the same revision; where they have mistakes
/// themselves, there is nothing to compare with.
///
/// # Errors
/// Every mistake in it.
pub fn parse_ssh_keys(
    text: &str,
    file: &Path,
    targets: Option<&[TargetConfig]>,
) -> Result<RegisteredKeys, Vec<ConfigError>> {
    Document::new(file, text).read(|root| {
        let mut keys = BTreeMap::new();
        for section in root.tables("key") {
            let read = key(&section, targets);
            if let Some(read) = read {
                if keys.contains_key(read.key.key_data()) {
                    section.report("key", "it is registered already", "let each key stand for one subject");
                }
                keys.insert(read.key.key_data().clone(), Arc::new(read));
            }
            section.finish();
        }
        RegisteredKeys(keys)
    })
}

fn key(section: &Section<'_, '_>, known: Option<&[TargetConfig]>) -> Option<RegisteredKey> {
    let key = section.text("key").map(|text| public_key::of_caller(&text));
    let key = match section.required("key", key, "write key = \"ssh-ed25519 AAAA…\"") {
        Some(Err(problem)) => {
            section.report("key", &problem, "write a line such as \"ssh-ed25519 AAAA…\"");
            None
        }
        other => other.and_then(Result::ok),
    };
    let subject = section.parsed("subject", "an issuer's alias and its id, such as \"corp|backup-robot\"", subject);
    let subject = section.required("subject", subject, "write whom it stands for, such as \"corp|backup-robot\"");
    let kind = section.word("kind", &[("service", SubjectKind::Service), ("user", SubjectKind::User)]);
    let kind = section.required("kind", kind, "write kind = \"service\" or \"user\"");
    let groups = section.texts("groups").unwrap_or_default();
    let targets = targets(section, known);
    let expires = section.moment("expires");
    Some(RegisteredKey {
        key: key?,
        subject: subject?,
        kind: kind?,
        groups: groups.into_iter().map(Into::into).collect(),
        targets,
        expires,
    })
}

pub(super) fn subject(text: &str) -> Option<SubjectKey> {
    let (issuer, id) = text.split_once('|')?;
    let is_id = !id.is_empty() && !id.chars().any(char::is_control);
    (super::issuer::is_alias(issuer) && is_id).then(|| SubjectKey { issuer: issuer.into(), id: id.into() })
}

fn targets(section: &Section<'_, '_>, known: Option<&[TargetConfig]>) -> Option<BTreeSet<Arc<str>>> {
    let names = section.texts("targets")?;
    let is_one = |name: &String| {
        known.is_none_or(|known| known.iter().any(|one| *one.target.name == **name && one.ssh().is_some()))
    };
    if let Some(name) = names.iter().find(|name| !is_one(name)) {
        let problem = format!("there is no target {name:?} that speaks SSH");
        section.report("targets", &problem, "write names of [targets] with protocol = \"ssh\"");
    }
    if names.is_empty() {
        section.report("targets", "the list is empty", "write [\"web1\"], or remove targets for all that speak SSH");
    }
    Some(names.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests;
