//! `[[notify]]` of `sluice.toml`: whom to tell that an approval waits, and how.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::credential::{SOURCE_ADVICE, secret};
use super::issuer::is_alias;
use super::sinks::receiver;
use super::{CredentialSource, Receiver, Section};

/// One channel by which people or programs are told of approvals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyConfig {
    /// What metrics, logs, its file and its address for answers call it.
    pub name: Arc<str>,
    /// What is there.
    pub kind: NotifyKind,
    /// Of which approvals it tells.
    pub about: NotifyAbout,
    /// When, and how often at most. A webhook has its default: it is told of everything at once.
    pub pace: NotifyPace,
}

/// What is at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotifyKind {
    /// Anything that takes a POST that is signed as Standard Webhooks has it.
    Webhook {
        /// Where.
        receiver: Receiver,
        /// The key of the signature: `whsec_` and base64.
        secret: CredentialSource,
    },
}

impl NotifyKind {
    /// Its word in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Every secret that it reads, for the record.
    pub fn secrets(&self) -> Vec<&CredentialSource> {
        match self {
            Self::Webhook { secret, .. } => vec![secret],
        }
    }
}

/// Which approvals a channel tells of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NotifyAbout {
    /// Those that ask one of these groups; `None` stands for all.
    pub groups: Option<BTreeSet<Arc<str>>>,
    /// Those at one of these targets; `None` stands for all.
    pub targets: Option<BTreeSet<Arc<str>>>,
}

/// When people are told, and how often at most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyPace {
    /// Only of what nobody has answered after so long; zero tells at once.
    pub after: Duration,
    /// How many messages of their own approvals get in a period; one message stands for all others.
    pub most: usize,
    /// How long a period is.
    pub every: Duration,
}

impl Default for NotifyPace {
    fn default() -> Self {
        Self { after: Duration::ZERO, most: 20, every: Duration::from_secs(600) }
    }
}

/// Every setting that some kind has.
const OF_KINDS: [&str; 5] = ["url", "secret", "ca_file", "headers_file", "allow_http"];

/// The settings of how often people are told.
const OF_PEOPLE: [&str; 2] = ["after", "digest"];

/// Reads every `[[notify]]`.
pub(super) fn channels(root: &Section<'_, '_>) -> Vec<NotifyConfig> {
    let mut channels: Vec<NotifyConfig> = Vec::new();
    for section in root.tables("notify") {
        if let Some(channel) = channel(&section) {
            if channels.iter().any(|other| other.name == channel.name) {
                let advice = "give each a name of its own: what it has told is kept under it";
                section.report("name", "another [[notify]] has it", advice);
            }
            channels.push(channel);
        }
        section.finish();
    }
    channels
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Webhook,
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn channel(section: &Section<'_, '_>) -> Option<NotifyConfig> {
    let name = section.parsed("name", "a short name of a-z, 0-9, - and _, at most 32", |text| {
        is_alias(text).then(|| Arc::from(text))
    });
    let word = section.word("kind", &[("webhook", Word::Webhook)]);
    let about = NotifyAbout { groups: names(section, "groups"), targets: names(section, "targets") };
    let name = section.required("name", name, "write name = \"dba\"");
    let Some(word) = section.required("kind", word, "write kind = \"webhook\"") else {
        // Which of these belong there cannot be told, so none of them is called unknown.
        OF_KINDS.into_iter().chain(OF_PEOPLE).for_each(|key| drop(section.take(key)));
        return None;
    };
    let pace = Some(NotifyPace::default());
    let kind = match word {
        Word::Webhook => webhook(section),
    };
    Some(NotifyConfig { name: name?, kind: kind?, about, pace: pace? })
}

fn names(section: &Section<'_, '_>, key: &'static str) -> Option<BTreeSet<Arc<str>>> {
    let names = section.texts(key)?;
    if names.is_empty() {
        section.report(key, "the list is empty", "name some, or remove the setting for all");
    }
    Some(names.into_iter().map(Arc::from).collect())
}

fn webhook(section: &Section<'_, '_>) -> Option<NotifyKind> {
    let (receiver, key) = (receiver(section), needed(section, "secret"));
    Some(NotifyKind::Webhook { receiver: receiver?, secret: key? })
}

/// A secret that has to be there.
fn needed(section: &Section<'_, '_>, key: &'static str) -> Option<CredentialSource> {
    let found = secret(section, key);
    if found == Some(None) {
        section.required::<()>(key, None, SOURCE_ADVICE);
    }
    found.flatten()
}
