//! Microsoft Teams: an Adaptive Card in a channel, by a workflow's URL or by a bot (docs/adr/0019).

use std::sync::Arc;
use std::time::Duration;

use gateway::clock;
use gateway::fetch::{self, Answer, Call};
use gateway::node::Node;
use gateway::sinks;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use model::secret::Secret;
use model::time::Timestamp;
use serde_json::{Value, json};
use store::config::{TeamsBot, TeamsConfig, TeamsWay};
use tokio::sync::Mutex;

use super::failure::{Failure, judge};
use super::words::Notice;

pub(crate) mod callback;
mod card;
mod keys;

/// How long Teams may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long before its end a token of the bot's is not used any more, in milliseconds.
const MARGIN: u64 = 300_000;

/// What the bot's tokens are for.
const SCOPE: &str = "https://api.botframework.com/.default";

/// The bot's token, and when it ends.
type Token = (Arc<Secret<String>>, Timestamp);

/// A channel in Teams.
#[derive(Clone)]
pub(crate) struct Teams {
    node: Arc<Node>,
    config: TeamsConfig,
    token: Arc<Mutex<Option<Token>>>,
    keys: Arc<keys::Keys>,
}

impl Teams {
    pub(super) fn new(node: Arc<Node>, config: TeamsConfig) -> Self {
        Self { node, config, token: Arc::default(), keys: Arc::default() }
    }

    /// The bot, where there is one.
    pub(super) const fn bot(&self) -> Option<&TeamsBot> {
        match &self.config.way {
            TeamsWay::Bot(bot) => Some(bot),
            TeamsWay::Workflow(_) => None,
        }
    }

    /// Posts a card; returns what names it, which is nothing by a workflow.
    pub(super) async fn post(&self, notice: &Notice) -> Result<String, Failure> {
        self.send(card::of(notice, self.bot().is_some())).await
    }

    /// Has a card say how things stand now; by a workflow another one does.
    pub(super) async fn follow(&self, reference: &str, notice: &Notice) -> Result<(), Failure> {
        match &self.config.way {
            TeamsWay::Workflow(_) => self.post(notice).await.map(|_| ()),
            TeamsWay::Bot(bot) => {
                let path = format!("/{reference}");
                self.activity(bot, Method::PUT, &path, &card::of(notice, true)).await.map(|_| ())
            }
        }
    }

    /// Posts what is about no single approval.
    pub(super) async fn say(&self, title: &str, text: &str, link: Option<&str>) -> Result<(), Failure> {
        self.send(card::plainly(title, text, link)).await.map(|_| ())
    }

    async fn send(&self, card: Value) -> Result<String, Failure> {
        match &self.config.way {
            TeamsWay::Workflow(url) => {
                let url = super::secret(&self.node, url).await?;
                let url = url.expose().trim();
                if !url.starts_with("https://") && !self.config.allow_http {
                    return Err(Failure::Secret("the workflow's URL does not begin with https://".into()));
                }
                let body = json!({ "type": "message", "attachments": [card::attached(&card)] });
                self.call(Method::POST, url, None, Body::Json(&body)).await.map(|_| String::new())
            }
            TeamsWay::Bot(bot) => {
                let answer = self.activity(bot, Method::POST, "", &card).await?;
                let said = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
                let id = said.as_ref().and_then(|said| said.get("id")).and_then(Value::as_str);
                let is_id = |id: &&str| (1..=256).contains(&id.len()) && id.bytes().all(is_of_a_path);
                id.filter(is_id).map(str::to_owned).ok_or_else(|| Failure::Said("an answer without an id".into()))
            }
        }
    }

    /// Has the Bot Connector post an activity in the channel, or change the one at `path`.
    async fn activity(&self, bot: &TeamsBot, method: Method, path: &str, card: &Value) -> Result<Answer, Failure> {
        let conversation = percent(&bot.conversation);
        let url = format!("{}v3/conversations/{conversation}/activities{path}", bot.service_url);
        let body = json!({ "type": "message", "attachments": [card::attached(card)] });
        let token = self.token(bot).await?;
        let sent = self.call(method, &url, Some(&token), Body::Json(&body)).await;
        if sent.is_err() {
            // It may be why.
            *self.token.lock().await = None;
        }
        sent
    }

    /// The bot's token, which it gets from Entra as the app that it is (RFC 6749, section 4.4).
    async fn token(&self, bot: &TeamsBot) -> Result<Arc<Secret<String>>, Failure> {
        let mut kept = self.token.lock().await;
        let now = clock::now();
        if let Some((token, _)) = kept.as_ref().filter(|(_, ends)| now.plus_millis(MARGIN) < *ends) {
            return Ok(Arc::clone(token));
        }
        let secret = super::secret(&self.node, &bot.secret).await?;
        let url = format!("{}/{}/oauth2/v2.0/token", bot.login_url, bot.tenant);
        let answer = self.call(Method::POST, &url, None, Body::Form(form(bot, &secret))).await?;
        let said = answer.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
        let said = said.ok_or_else(|| Failure::Said("no token".into()))?;
        let (token, life) =
            (said.get("access_token").and_then(Value::as_str), said.get("expires_in").and_then(Value::as_u64));
        let (token, life) = token.zip(life).ok_or_else(|| Failure::Said("no token".into()))?;
        let token = Arc::new(Secret::new(token.to_owned()));
        *kept = Some((Arc::clone(&token), now.plus_millis(life.saturating_mul(1000))));
        Ok(token)
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        token: Option<&Secret<String>>,
        body: Body<'_>,
    ) -> Result<Answer, Failure> {
        let mut headers = sinks::headers_of(None).await?;
        if let Some(token) = token {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| Failure::Secret("the bot's token cannot be sent".into()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let body = match body {
            Body::Json(body) => body.to_string(),
            Body::Form(form) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                form
            }
        };
        let (ca, allow_http) = (self.config.ca_file.as_deref(), self.config.allow_http);
        let call = Call { url, ca, allow_http, headers };
        let answer = fetch::call(&call, method, Bytes::from(body), DEADLINE).await?;
        judge(&answer)?;
        Ok(answer)
    }
}

enum Body<'a> {
    Json(&'a Value),
    Form(String),
}

/// How the app asks for a token as itself.
fn form(bot: &TeamsBot, secret: &Secret<String>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").append_pair("client_id", &bot.app_id);
    form.append_pair("client_secret", secret.expose().trim()).append_pair("scope", SCOPE);
    form.finish()
}

/// Bytes that mean themselves in a path.
fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte)
}

fn percent(text: &str) -> String {
    let encode = |byte: u8| if is_of_a_path(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
