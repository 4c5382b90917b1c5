//! A channel in Slack.

use std::path::PathBuf;

use super::super::credential::secret;
use super::super::sinks::{is_plain, is_postable};
use super::super::{CredentialSource, Section};
use super::{NotifyUser, needed, users};

/// Where Slack's own methods are.
const API: &str = "https://slack.com/api";

/// A channel in Slack, and who may answer from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlackConfig {
    /// The channel's id.
    pub channel: String,
    /// Where the bot's token is.
    pub token: CredentialSource,
    /// How answers are verified; `None` means that there are no buttons.
    pub answers: Option<SlackAnswers>,
    /// Where Slack's methods are, without a slash at the end.
    pub api_url: String,
    /// The CA of that server's certificate; `None` means the system's.
    pub ca_file: Option<PathBuf>,
}

/// How answers from Slack are verified, and who gives them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlackAnswers {
    /// Where the app's signing secret is.
    pub signing_secret: CredentialSource,
    /// The id of the only workspace that answers come from.
    pub team: String,
    /// Whom its users stand for.
    pub users: Vec<NotifyUser>,
}

/// The settings of this kind.
pub(super) const SETTINGS: [&str; 7] =
    ["channel", "token", "signing_secret", "team", "api_url", "ca_file", "allow_http"];

pub(super) fn slack(section: &Section<'_, '_>, aliases: &[&str]) -> Option<SlackConfig> {
    let channel =
        section.parsed("channel", "the channel's id, such as \"C0123456789\"", |text| id(text, &["C", "G", "D"]));
    let (token, signing_secret) = (needed(section, "token"), secret(section, "signing_secret"));
    let team = section.parsed("team", "the workspace's id, such as \"T0123456789\"", workspace);
    let is_user = |text: &str| id(text, &["U", "W"]).is_some();
    let users = users(section, aliases, "a user's id in Slack, such as \"U0123456789\"", is_user);
    let allows_http = section.flag("allow_http").unwrap_or(false);
    let url = section.parsed("api_url", "a URL with https://, without a slash at its end", |text| {
        let is_safe = is_postable(text) || allows_http && is_plain(text) && super::super::issuer::is_loopback(text);
        (is_safe && !text.ends_with('/') && !text.contains('?')).then(|| text.to_owned())
    });
    let ca_file = section.path("ca_file");
    let channel = section.required("channel", channel, "write the channel's id, such as \"C0123456789\"");
    let answers = match signing_secret? {
        Some(signing_secret) => {
            let team = section.required("team", team, "write the id of the workspace that answers come from");
            Some(SlackAnswers { signing_secret, team: team?, users: users? })
        }
        None if team.is_some() || users.as_ref().is_some_and(|users| !users.is_empty()) => {
            let advice = "write signing_secret = { env = \"SLACK_SIGNING_SECRET\" }, or remove team and user";
            section.report("", "answers from Slack cannot be verified", advice);
            None
        }
        None => None,
    };
    let api_url = url.unwrap_or_else(|| API.to_owned());
    Some(SlackConfig { channel: channel?, token: token?, answers, api_url, ca_file })
}

/// The id of a workspace: an organisation (`E…`) has many, and a press names one of them.
fn workspace(text: &str) -> Option<String> {
    id(text, &["T"])
}

/// An id of Slack: a letter that says of what, then capitals and digits.
fn id(text: &str, kinds: &[&str]) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let is_id = (2..=32).contains(&text.len()) && text.bytes().all(is_plain);
    (is_id && kinds.iter().any(|kind| text.starts_with(kind))).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_is_one_workspace() {
        assert_eq!(workspace("T0123456789").as_deref(), Some("T0123456789"));
        for wrong in ["E0123456789", "C1", "T", "t1", "T1 ", ""] {
            assert_eq!(workspace(wrong), None, "{wrong}");
        }
    }
}
