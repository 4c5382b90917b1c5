//! `[[notify]]` of `sluice.toml`: whom to tell that an approval waits, and how.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::subject::SubjectKey;

use super::credential::{SOURCE_ADVICE, secret};
use super::issuer::is_alias;
use super::sinks::receiver;
use super::sluice::seconds;
use super::ssh_keys::subject;
use super::{CredentialSource, Receiver, Section};

mod email;
mod slack;
mod teams;

pub use email::{EmailConfig, EmailTls};
pub use slack::{SlackAnswers, SlackConfig};
pub use teams::{TeamsBot, TeamsConfig, TeamsWay};

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
    /// A channel in Slack.
    Slack(SlackConfig),
    /// A channel in Microsoft Teams.
    Teams(TeamsConfig),
    /// E-mail.
    Email(EmailConfig),
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
            Self::Slack(_) => "slack",
            Self::Teams(_) => "teams",
            Self::Email(_) => "email",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Every secret that it reads, for the record.
    pub fn secrets(&self) -> Vec<&CredentialSource> {
        match self {
            Self::Slack(slack) => {
                let signing = slack.answers.as_ref().map(|answers| &answers.signing_secret);
                std::iter::once(&slack.token).chain(signing).collect()
            }
            Self::Teams(teams) => match &teams.way {
                TeamsWay::Workflow(url) => vec![url],
                TeamsWay::Bot(bot) => vec![&bot.secret],
            },
            Self::Email(email) => email.login.iter().map(|(_, password)| password).collect(),
            Self::Webhook { secret, .. } => vec![secret],
        }
    }
}

/// Somebody who is known elsewhere, and whom they stand for here: the operator vouches for that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyUser {
    /// What they are called there.
    pub id: String,
    /// Who they are here.
    pub subject: SubjectKey,
    /// Their groups, as policies name them.
    pub groups: Vec<Arc<str>>,
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

/// The settings of a webhook.
const OF_WEBHOOKS: [&str; 5] = ["url", "secret", "ca_file", "headers_file", "allow_http"];

/// The settings of how often people are told.
const OF_PEOPLE: [&str; 3] = ["after", "digest", "user"];

/// Reads every `[[notify]]`. `aliases` are those of whoever is believed.
pub(super) fn channels(root: &Section<'_, '_>, aliases: &[&str]) -> Vec<NotifyConfig> {
    let mut channels: Vec<NotifyConfig> = Vec::new();
    for section in root.tables("notify") {
        if let Some(channel) = channel(&section, aliases) {
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
    Slack,
    Teams,
    Email,
    Webhook,
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn channel(section: &Section<'_, '_>, aliases: &[&str]) -> Option<NotifyConfig> {
    let name = section.parsed("name", "a short name of a-z, 0-9, - and _, at most 32", |text| {
        is_alias(text).then(|| Arc::from(text))
    });
    let word = section.word(
        "kind",
        &[("slack", Word::Slack), ("teams", Word::Teams), ("email", Word::Email), ("webhook", Word::Webhook)],
    );
    let about = NotifyAbout { groups: names(section, "groups"), targets: names(section, "targets") };
    let name = section.required("name", name, "write name = \"dba\"");
    let Some(word) = section.required("kind", word, "write kind = \"slack\", \"teams\", \"email\" or \"webhook\"")
    else {
        // Which of these belong there cannot be told, so none of them is called unknown.
        let all = OF_WEBHOOKS.into_iter().chain(slack::SETTINGS).chain(teams::SETTINGS).chain(email::SETTINGS);
        all.chain(OF_PEOPLE).for_each(|key| drop(section.take(key)));
        return None;
    };
    let pace = match word {
        Word::Webhook => NotifyPace::default(),
        Word::Slack | Word::Teams | Word::Email => pace(section),
    };
    let kind = match word {
        Word::Slack => slack::slack(section, aliases).map(NotifyKind::Slack),
        Word::Teams => teams::teams(section, aliases).map(NotifyKind::Teams),
        Word::Email => email::email(section).map(NotifyKind::Email),
        Word::Webhook => webhook(section),
    };
    Some(NotifyConfig { name: name?, kind: kind?, about, pace })
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

/// When people are told: `after`, and `digest = { most = 20, every = "10m" }`.
fn pace(section: &Section<'_, '_>) -> NotifyPace {
    let default = NotifyPace::default();
    let after = section.duration("after", seconds(1, 7 * 86_400)).unwrap_or(default.after);
    let digest = section.table("digest");
    let most = digest.number("most", 1..=1000).unwrap_or(default.most);
    let every = digest.duration("every", seconds(1, 86_400)).unwrap_or(default.every);
    digest.finish();
    NotifyPace { after, most, every }
}

/// Reads every `[[notify.user]]`; `None` after a mistake.
fn users(
    section: &Section<'_, '_>,
    aliases: &[&str],
    expected: &str,
    is_id: impl Fn(&str) -> bool,
) -> Option<Vec<NotifyUser>> {
    let mut users: Vec<NotifyUser> = Vec::new();
    let mut is_right = true;
    for user in section.tables("user") {
        let id = user.parsed("id", expected, |text| is_id(text).then(|| text.to_owned()));
        let subject = user.parsed("subject", "an issuer's alias and its id, such as \"corp|ada\"", subject);
        let groups = user.texts("groups");
        let id = user.required("id", id, &format!("write {expected}"));
        let subject = user.required("subject", subject, "write whom they stand for, such as \"corp|ada\"");
        let groups = user.required("groups", groups, "write their groups, as policies name them: [\"corp|dba\"]");
        if let Some(key) = subject.as_ref().filter(|key| !aliases.contains(&&*key.issuer)) {
            let problem = format!("nobody is believed about subjects of {:?}", &*key.issuer);
            user.report("subject", &problem, "write the alias of an [[issuer]], [[saml]] or [[trust_domain]]");
            is_right = false;
        }
        if id.as_ref().is_some_and(|id| users.iter().any(|other| other.id == *id)) {
            user.report("id", "another user has it", "let each stand for one subject");
            is_right = false;
        }
        user.finish();
        match (id, subject, groups) {
            (Some(id), Some(subject), Some(groups)) => {
                users.push(NotifyUser { id, subject, groups: groups.into_iter().map(Arc::from).collect() });
            }
            _ => is_right = false,
        }
    }
    is_right.then_some(users)
}

/// A secret that has to be there.
fn needed(section: &Section<'_, '_>, key: &'static str) -> Option<CredentialSource> {
    let found = secret(section, key);
    if found == Some(None) {
        section.required::<()>(key, None, SOURCE_ADVICE);
    }
    found.flatten()
}
