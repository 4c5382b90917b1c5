//! A channel in Microsoft Teams.

use std::path::PathBuf;

use super::super::credential::secret;
use super::super::issuer::is_loopback;
use super::super::sinks::{is_plain, is_postable};
use super::super::{CredentialSource, Section};
use super::{NotifyUser, needed, users};

/// A channel in Microsoft Teams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TeamsConfig {
    /// How messages get there.
    pub way: TeamsWay,
    /// The CA of the servers' certificates; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether plain HTTP to a loopback address will do.
    pub allow_http: bool,
}

/// How messages get to Teams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TeamsWay {
    /// By the URL of a workflow, which is a secret: cards that link, and nothing comes back.
    Workflow(CredentialSource),
    /// By a bot: cards that change, with buttons.
    Bot(Box<TeamsBot>),
}

/// A bot, and who may answer by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TeamsBot {
    /// The bot's id: that of its app in Entra.
    pub app_id: String,
    /// The id of the only tenant that answers come from, and in which the app is.
    pub tenant: String,
    /// Where the app's secret is.
    pub secret: CredentialSource,
    /// Where the Bot Connector is, with a slash at the end.
    pub service_url: String,
    /// The channel's conversation.
    pub conversation: String,
    /// Where the app gets its tokens, without a slash at the end.
    pub login_url: String,
    /// What says where the Bot Connector's keys are.
    pub metadata_url: String,
    /// Whom users stand for.
    pub users: Vec<NotifyUser>,
}

/// The settings of this kind.
pub(super) const SETTINGS: [&str; 4] = ["workflow", "bot", "ca_file", "allow_http"];

const LOGIN: &str = "https://login.microsoftonline.com";
const METADATA: &str = "https://login.botframework.com/v1/.well-known/openidconfiguration";
const BOT_ADVICE: &str =
    "write workflow = { env = \"TEAMS_WORKFLOW_URL\" }, or a bot: see docs/operating/notifications.md";

pub(super) fn teams(section: &Section<'_, '_>, aliases: &[&str]) -> Option<TeamsConfig> {
    let (workflow, ca_file) = (secret(section, "workflow"), section.path("ca_file"));
    let allow_http = section.flag("allow_http").unwrap_or(false);
    let has_bot = section.holds("bot");
    let users = users(section, aliases, "the object id of a user in Entra, a UUID in lower case", is_uuid);
    let bot = bot(section.table("bot"), allow_http);
    let way = match (workflow?, has_bot) {
        (Some(url), false) => {
            if users.as_ref().is_some_and(|users| !users.is_empty()) {
                section.report("workflow", "nothing that users say comes back by it", "remove user, or have a bot");
            }
            TeamsWay::Workflow(url)
        }
        (None, true) => TeamsWay::Bot(Box::new(TeamsBot { users: users?, ..bot? })),
        (None, false) => return section.required("workflow", None, BOT_ADVICE),
        (Some(_), true) => {
            section.report("workflow", "it has both a workflow and a bot", "keep one of the two");
            return None;
        }
    };
    Some(TeamsConfig { way, ca_file, allow_http })
}

fn bot(bot: Section<'_, '_>, allow_http: bool) -> Option<TeamsBot> {
    if !bot.is_present() {
        bot.finish();
        return None;
    }
    let uuid = |key, advice: &str| {
        let found = bot.parsed(key, "a UUID in lower case", |text| is_uuid(text).then(|| text.to_owned()));
        bot.required(key, found, advice)
    };
    let is_safe = |text: &str| is_postable(text) || allow_http && is_plain(text) && is_loopback(text);
    let url = |key, end: bool| {
        let expected = if end {
            "a URL with https:// and a slash at its end"
        } else {
            "a URL with https://, without a slash at its end"
        };
        bot.parsed(key, expected, |text| (is_safe(text) && text.ends_with('/') == end).then(|| text.to_owned()))
    };
    let app_id = uuid("app_id", "write the id of the bot's app");
    let tenant = uuid("tenant", "write the id of the tenant that the app is in");
    let secret = needed(&bot, "secret");
    let service_url = url("service_url", true);
    let advice = "write where the Bot Connector is, such as \"https://smba.trafficmanager.net/emea/\"";
    let service_url = bot.required("service_url", service_url, advice);
    let is_id = |text: &str| {
        (1..=256).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":@._-".contains(&byte))
    };
    let expected = "a channel's id, such as \"19:…@thread.tacv2\"";
    let conversation = bot.parsed("conversation", expected, |text| is_id(text).then(|| text.to_owned()));
    let conversation =
        bot.required("conversation", conversation, "write the channel's id, such as \"19:…@thread.tacv2\"");
    let login_url = url("login_url", false).unwrap_or_else(|| LOGIN.to_owned());
    let metadata_url = url("metadata_url", false).unwrap_or_else(|| METADATA.to_owned());
    bot.finish();
    Some(TeamsBot {
        app_id: app_id?,
        tenant: tenant?,
        secret: secret?,
        service_url: service_url?,
        conversation: conversation?,
        login_url,
        metadata_url,
        users: Vec::new(),
    })
}

/// Eight, four, four, four and twelve hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| part.bytes().all(is_digit))
}
