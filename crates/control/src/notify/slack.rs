//! Slack: a message in a channel, changed as its approval changes, with buttons whose press Slack signs.

use std::sync::Arc;
use std::time::Duration;

use gateway::fetch::{self, Call};
use gateway::node::Node;
use gateway::sinks::{self, is_plain};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use store::config::SlackConfig;

use super::failure::{Failure, judge};
use super::words::Notice;

mod blocks;
pub(crate) mod callback;

/// How long Slack may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The longest that Slack is waited for where it asks to be left alone without saying for how long.
const ALONE: Duration = Duration::from_secs(30);

/// A channel in Slack.
#[derive(Clone)]
pub(crate) struct Slack {
    pub(super) node: Arc<Node>,
    pub(super) config: SlackConfig,
}

impl Slack {
    /// Posts a message; returns what names it.
    pub(super) async fn post(&self, notice: &Notice) -> Result<String, Failure> {
        let answer = self.call("chat.postMessage", self.message(notice)).await?;
        let named = |at: &str| answer.get(at).and_then(Value::as_str).filter(|text| !text.contains(' '));
        match (named("channel"), named("ts")) {
            (Some(channel), Some(ts)) => Ok(format!("{channel} {ts}")),
            (_, _) => Err(Failure::Said("an answer without channel and ts".into())),
        }
    }

    /// Has a message say how things stand now.
    pub(super) async fn update(&self, reference: &str, notice: &Notice) -> Result<(), Failure> {
        let Some((channel, ts)) = reference.split_once(' ') else {
            return Err(Failure::Said("a message that nobody can name".into()));
        };
        let mut message = self.message(notice);
        if let Some(message) = message.as_object_mut() {
            message.extend([("channel".into(), channel.into()), ("ts".into(), ts.into())]);
        }
        self.call("chat.update", message).await.map(|_| ())
    }

    /// Posts a few words that are about no single approval.
    pub(super) async fn say(&self, title: &str, text: &str, link: Option<&str>) -> Result<(), Failure> {
        self.call("chat.postMessage", self.with(title, blocks::plainly(title, text, link))).await.map(|_| ())
    }

    /// Tells one user alone, in the channel.
    async fn tell(&self, user: &str, text: &str) -> Result<(), Failure> {
        let (channel, text) = (&self.config.channel, blocks::escaped(text));
        let message = json!({ "channel": channel, "user": user, "text": text, "parse": "none", "link_names": false });
        self.call("chat.postEphemeral", message).await.map(|_| ())
    }

    fn message(&self, notice: &Notice) -> Value {
        self.with(&notice.title(), blocks::of(notice, self.config.answers.is_some()))
    }

    /// No link in it is followed for a preview.
    fn with(&self, title: &str, blocks: Vec<Value>) -> Value {
        json!({
            "channel": self.config.channel,
            "text": blocks::escaped(title),
            "blocks": blocks,
            "parse": "none",
            "link_names": false,
            "unfurl_links": false,
            "unfurl_media": false,
        })
    }

    /// Calls one of Slack's methods.
    async fn call(&self, method: &str, body: Value) -> Result<Value, Failure> {
        let token = super::secret(&self.node, &self.config.token).await?;
        let mut headers = sinks::headers_of(None).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()))
            .map_err(|_| Failure::Secret("the token of Slack cannot be sent: it has more than one line".into()))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let url = format!("{}/{method}", self.config.api_url);
        let call = Call { url: &url, ca: self.config.ca_file.as_deref(), allow_http: is_plain(&url), headers };
        let answer = fetch::post(&call, Bytes::from(body.to_string()), DEADLINE).await?;
        judge(&answer)?;
        let said = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
        match said {
            Some(said) if said.get("ok") == Some(&Value::Bool(true)) => Ok(said),
            Some(said) => Err(refused(said.get("error").and_then(Value::as_str).unwrap_or_default())),
            None => Err(Failure::Said("an answer that is not JSON".into())),
        }
    }
}

/// Why Slack did not do it, as far as it is one of its words.
fn refused(code: &str) -> Failure {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match code {
        "ratelimited" | "rate_limited" => {
            Failure::Sent(sinks::Failure::Later(StatusCode::TOO_MANY_REQUESTS, Some(ALONE)))
        }
        code if (1..=60).contains(&code.len()) && code.bytes().all(is_word) => Failure::Said(format!("`{code}`")),
        _ => Failure::Said("that it failed, and not why".into()),
    }
}
