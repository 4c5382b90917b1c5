//! A Microsoft Teams: a workflow and a Bot Connector that take Adaptive Cards of the published schema alone, and bring what
//! users press with the Connector's token.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;

use super::locked;
use crate::issuer::{Algorithm, Issuer};

/// A card in the channel, as it is now.
#[derive(Clone, PartialEq, Debug)]
pub struct Card {
    /// What names its message; a workflow's has no name.
    pub id: String,
    /// The card.
    pub content: Value,
    /// How often it was changed.
    pub updates: usize,
}

impl Card {
    /// Its heading.
    pub fn title(&self) -> String {
        self.content.pointer("/body/0/text").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// What stands below, a line each.
    pub fn text(&self) -> String {
        let body = self.content.pointer("/body").and_then(Value::as_array).into_iter().flatten();
        let lines = body.filter_map(|block| block.pointer("/inlines/0/text")?.as_str());
        lines.map(|line| format!("{}\n", if line == " " { "" } else { line })).collect()
    }

    /// Its buttons: verbs, or `open`.
    pub fn buttons(&self) -> Vec<String> {
        let actions = self.content.pointer("/actions").and_then(Value::as_array).into_iter().flatten();
        actions.map(|action| action.get("verb").and_then(Value::as_str).unwrap_or("open").to_owned()).collect()
    }
}

/// What the Bot Connector posts when a user presses something.
#[derive(Clone, PartialEq, Debug)]
pub struct Invoke {
    /// The token of its `Authorization` header.
    pub token: String,
    /// The activity.
    pub activity: Value,
}

#[derive(Default)]
struct Seen {
    cards: Vec<Card>,
    refused: Vec<String>,
    planned: VecDeque<u16>,
    logins: usize,
    fetches: usize,
}

#[derive(Clone)]
struct Serves {
    seen: Arc<Mutex<Seen>>,
    connector: Arc<Issuer>,
    others: Arc<Issuer>,
    address: SocketAddr,
    /// Taken for as long as keys are not given out.
    held: Arc<tokio::sync::Mutex<()>>,
}

/// The servers. They end when this is dropped.
pub struct Teams {
    serves: Serves,
    serving: JoinHandle<()>,
}

/// How many activities there were.
static ACTIVITIES: AtomicU64 = AtomicU64::new(1);

const SECRET: &str = "bot~s3cret";
const BEARER: &str = "the-bot's-token";

impl Teams {
    /// The bot.
    pub const APP: &str = "11111111-2222-3333-4444-555555555555";
    /// The tenant.
    pub const TENANT: &str = "99999999-8888-7777-6666-aaaaaaaaaaaa";
    /// The channel.
    pub const CONVERSATION: &str = "19:abc123@thread.tacv2";
    /// The secret of the bot's app.
    pub const SECRET: &str = SECRET;
    /// Who signs for the Bot Connector.
    pub const CONNECTOR: &str = "https://api.botframework.com";

    /// Starts them on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (connector, others) = (Issuer::start_with(Algorithm::Rs256)?, Issuer::start_with(Algorithm::Rs256)?);
        let serves = Serves {
            seen: Arc::default(),
            connector: Arc::new(connector),
            others: Arc::new(others),
            address: listener.local_addr()?,
            held: Arc::default(),
        };
        let router = Router::new()
            .route("/workflow", post(workflow))
            .route("/metadata", get(metadata))
            .route("/keys", get(keys))
            .route("/login/{tenant}/oauth2/v2.0/token", post(login))
            .route("/bot/v3/conversations/{conversation}/activities", post(begin))
            .route("/bot/v3/conversations/{conversation}/activities/{id}", put(change))
            .with_state(serves.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { serves, serving })
    }

    /// Where this is: `/workflow`, `/login`, `/bot/`, `/metadata`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.serves.address)
    }

    /// What the next messages are answered with in place of being taken.
    pub fn plan(&self, statuses: impl IntoIterator<Item = u16>) {
        locked(&self.serves.seen).planned.extend(statuses);
    }

    /// The cards in the channel, in order.
    pub fn cards(&self) -> Vec<Card> {
        locked(&self.serves.seen).cards.clone()
    }

    /// Why messages were not what Teams takes.
    pub fn refused(&self) -> Vec<String> {
        locked(&self.serves.seen).refused.clone()
    }

    /// How often the bot asked for a token, and how often the Connector's keys were fetched.
    pub fn fetches(&self) -> (usize, usize) {
        let seen = locked(&self.serves.seen);
        (seen.logins, seen.fetches)
    }

    /// What is posted when this user presses that button of a card now.
    pub fn press(&self, card: &Card, user: &str, verb: &str) -> Result<Invoke> {
        let actions = card.content.pointer("/actions").and_then(Value::as_array).context("no actions")?;
        let action = actions.iter().find(|action| action.get("verb").and_then(Value::as_str) == Some(verb));
        let data = action.context("no such button")?.get("data").cloned().unwrap_or_default();
        let activity = json!({
            "type": "invoke",
            "id": format!("f:{}", ACTIVITIES.fetch_add(1, Ordering::Relaxed)),
            "name": "adaptiveCard/action",
            "channelId": "msteams",
            "serviceUrl": self.url("/bot/"),
            "from": { "id": "29:x", "name": "Somebody", "aadObjectId": user },
            "conversation": { "id": format!("{};messageid=1", Self::CONVERSATION), "tenantId": Self::TENANT },
            "channelData": { "tenant": { "id": Self::TENANT } },
            "replyToId": card.id,
            "value": { "action": { "type": "Action.Execute", "verb": verb, "data": data }, "trigger": "manual" },
        });
        Ok(Invoke { token: self.token(&json!({}))?, activity })
    }

    /// The Connector's token, with these claims in place of its own; `null` leaves one out.
    pub fn token(&self, other: &Value) -> Result<String> {
        signed(&self.serves.connector, &claims(&self.url("/bot/"), other)?)
    }

    /// The same, by a key that is published and not endorsed for Teams.
    pub fn token_of_others(&self) -> Result<String> {
        signed(&self.serves.others, &claims(&self.url("/bot/"), &json!({}))?)
    }

    /// Whoever asks for the Connector's keys waits until this is dropped.
    pub async fn hold_keys(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.serves.held).lock_owned().await
    }

    /// Has the Connector sign with another key from now on.
    pub fn rotate_keys(&self) -> Result<()> {
        self.serves.connector.rotate_keys(true)
    }
}

impl Drop for Teams {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// As the Connector's tokens are: without `iat` and `sub`.
fn claims(service: &str, other: &Value) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut claims = json!({
        "iss": Teams::CONNECTOR,
        "aud": Teams::APP,
        "nbf": now.saturating_sub(60),
        "exp": now.saturating_add(3600),
        "serviceurl": service,
    });
    let all = claims.as_object_mut().context("an object")?;
    for (name, value) in other.as_object().into_iter().flatten() {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    Ok(claims)
}

fn signed(by: &Issuer, claims: &Value) -> Result<String> {
    let header = json!({ "alg": "RS256", "kid": by.key_id()?, "typ": "JWT", "x5t": "abc" });
    by.sign(&header.to_string(), &claims.to_string())
}

async fn metadata(State(serves): State<Serves>) -> Json<Value> {
    let keys = format!("http://{}/keys", serves.address);
    Json(json!({ "issuer": Teams::CONNECTOR, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["RS256"] }))
}

/// All keys that are published, each with what it is endorsed for.
async fn keys(State(serves): State<Serves>) -> Json<Value> {
    {
        let mut seen = locked(&serves.seen);
        seen.fetches = seen.fetches.saturating_add(1);
    }
    let _held = serves.held.lock().await;
    let mut all = Vec::new();
    for (issuer, endorsed) in [(&serves.connector, json!(["skype", "msteams"])), (&serves.others, json!(["webchat"]))] {
        for key in issuer.jwks().get("keys").and_then(Value::as_array).into_iter().flatten() {
            let mut key = key.clone();
            if let Some(key) = key.as_object_mut() {
                key.insert("endorsements".into(), endorsed.clone());
            }
            all.push(key);
        }
    }
    Json(json!({ "keys": all }))
}

async fn login(State(serves): State<Serves>, Path(tenant): Path<String>, body: String) -> Response {
    let mut seen = locked(&serves.seen);
    seen.logins = seen.logins.saturating_add(1);
    let wanted = [
        String::from("grant_type=client_credentials"),
        format!("client_id={}", Teams::APP),
        String::from("client_secret=bot%7Es3cret"),
        String::from("scope=https%3A%2F%2Fapi.botframework.com%2F.default"),
    ];
    let has_all = wanted.iter().all(|pair| body.split('&').any(|found| found == pair));
    if tenant != Teams::TENANT || !has_all {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    Json(json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": BEARER })).into_response()
}

async fn workflow(State(serves): State<Serves>, body: Bytes) -> Response {
    take(&serves, &body, 28 * 1024, |seen, content| {
        seen.cards.push(Card { id: String::new(), content, updates: 0 });
        Ok(StatusCode::ACCEPTED.into_response())
    })
}

async fn begin(
    State(serves): State<Serves>,
    Path(conversation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = unknown(&serves, &conversation, &headers) {
        return refused;
    }
    take(&serves, &body, 100 * 1024, |seen, content| {
        let id = format!("1796000000{:03}", seen.cards.len().saturating_add(1));
        seen.cards.push(Card { id: id.clone(), content, updates: 0 });
        Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
    })
}

async fn change(
    State(serves): State<Serves>,
    Path((conversation, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = unknown(&serves, &conversation, &headers) {
        return refused;
    }
    take(&serves, &body, 100 * 1024, |seen, content| {
        let card = seen.cards.iter_mut().find(|card| card.id == id).context("no such message")?;
        card.content = content;
        card.updates = card.updates.saturating_add(1);
        Ok(Json(json!({ "id": id })).into_response())
    })
}

fn unknown(serves: &Serves, conversation: &str, headers: &HeaderMap) -> Option<Response> {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    if conversation == Teams::CONVERSATION && bearer == Some(&format!("Bearer {BEARER}")) {
        return None;
    }
    locked(&serves.seen).refused.push("another conversation or token".into());
    Some(StatusCode::FORBIDDEN.into_response())
}

fn take(
    serves: &Serves,
    body: &[u8],
    most: usize,
    keep: impl FnOnce(&mut Seen, Value) -> Result<Response>,
) -> Response {
    let mut seen = locked(&serves.seen);
    if let Some(status) = seen.planned.pop_front() {
        return StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    }
    let taken = card(body, most).and_then(|content| keep(&mut seen, content));
    taken.unwrap_or_else(|error| {
        seen.refused.push(error.to_string());
        StatusCode::BAD_REQUEST.into_response()
    })
}

/// The one card of a message, as the schema of version 1.4 has it, as far as Sluice makes use of it.
fn card(body: &[u8], most: usize) -> Result<Value> {
    ensure!(body.len() <= most, "the message has {} bytes", body.len());
    let message: Value = serde_json::from_slice(body)?;
    only(&message, &["type", "attachments"])?;
    ensure!(message.get("type") == Some(&json!("message")), "no message");
    let [attached] = message.get("attachments").and_then(Value::as_array).context("no attachments")?.as_slice() else {
        bail!("not one attachment");
    };
    let kind = attached.get("contentType").and_then(Value::as_str);
    ensure!(kind == Some("application/vnd.microsoft.card.adaptive"), "another kind of attachment");
    let card = attached.get("content").context("no content")?;
    only(card, &["type", "$schema", "version", "body", "actions", "msteams"])?;
    ensure!(
        card.get("type") == Some(&json!("AdaptiveCard")) && card.get("version") == Some(&json!("1.4")),
        "the version"
    );
    for block in card.get("body").and_then(Value::as_array).context("no body")? {
        block_of(block)?;
    }
    let actions = card.get("actions").and_then(Value::as_array).context("no actions")?;
    ensure!(actions.len() <= 6, "{} actions", actions.len());
    actions.iter().try_for_each(action)?;
    Ok(card.clone())
}

fn block_of(block: &Value) -> Result<()> {
    match block.get("type").and_then(Value::as_str) {
        Some("TextBlock") => {
            only(block, &["type", "text", "weight", "size", "wrap"])?;
            text(block, "text")?;
            one_of(block, "weight", &["Default", "Lighter", "Bolder"])?;
            one_of(block, "size", &["Default", "Small", "Medium", "Large", "ExtraLarge"])
        }
        Some("RichTextBlock") => {
            only(block, &["type", "inlines", "spacing"])?;
            one_of(block, "spacing", &["None", "Small", "Default", "Medium"])?;
            let inlines = block.get("inlines").and_then(Value::as_array).context("no inlines")?;
            for run in inlines {
                only(run, &["type", "text", "fontType", "size"])?;
                ensure!(run.get("type") == Some(&json!("TextRun")), "no TextRun");
                text(run, "text")?;
                one_of(run, "fontType", &["Default", "Monospace"])?;
                one_of(run, "size", &["Default", "Small"])?;
            }
            Ok(())
        }
        other => bail!("a block of type {other:?}"),
    }
}

fn action(action: &Value) -> Result<()> {
    text(action, "title")?;
    match action.get("type").and_then(Value::as_str) {
        Some("Action.OpenUrl") => {
            only(action, &["type", "title", "url"])?;
            text(action, "url").map(|_| ())
        }
        Some("Action.Execute") => {
            only(action, &["type", "title", "verb", "style", "data"])?;
            text(action, "verb")?;
            one_of(action, "style", &["default", "positive", "destructive"])?;
            ensure!(action.get("data").is_some_and(Value::is_object), "no data");
            Ok(())
        }
        other => bail!("an action of type {other:?}"),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).with_context(|| format!("no {key}"))
}

fn one_of(value: &Value, key: &str, words: &[&str]) -> Result<()> {
    let word = text(value, key)?;
    ensure!(words.contains(&word), "{key} is {word}");
    Ok(())
}

fn only(value: &Value, known: &[&str]) -> Result<()> {
    let fields = value.as_object().context("no object")?;
    let unknown = fields.keys().find(|key| !known.contains(&key.as_str()));
    ensure!(unknown.is_none(), "an unknown field {unknown:?}");
    Ok(())
}
