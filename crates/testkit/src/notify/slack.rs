//! A Slack that takes messages within Block Kit's limits alone, and signs what its users press.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::locked;

/// How many buttons were pressed.
static PRESSED: AtomicU64 = AtomicU64::new(1);

/// A message in the channel, as it is now.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// What names it.
    pub ts: String,
    /// What a phone shows of it.
    pub text: String,
    /// Its blocks.
    pub blocks: Vec<Value>,
    /// How often it was changed.
    pub updates: usize,
}

impl Message {
    /// All text of its sections, without their fences.
    pub fn sections(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| block.pointer("/text/text")?.as_str());
        texts.map(|text| text.trim_start_matches("```\n").trim_end_matches("```")).collect()
    }

    /// The ids of its buttons.
    pub fn buttons(&self) -> Vec<String> {
        let elements = self.blocks.iter().filter_map(|block| block.get("elements")?.as_array()).flatten();
        elements.filter_map(|element| Some(element.get("action_id")?.as_str()?.to_owned())).collect()
    }

    fn button(&self, action: &str) -> Option<&Value> {
        let elements = self.blocks.iter().filter_map(|block| block.get("elements")?.as_array()).flatten();
        elements.into_iter().find(|element| element.get("action_id").and_then(Value::as_str) == Some(action))
    }
}

/// What Slack posts when a user presses something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callback {
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

#[derive(Default)]
struct Seen {
    token: String,
    messages: Vec<Message>,
    told: Vec<(String, String)>,
    refused: Vec<String>,
    planned: VecDeque<&'static str>,
    always: Option<&'static str>,
}

/// The server. It ends when it is dropped.
pub struct Slack {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

/// The one channel.
const CHANNEL: &str = "C0123456789";
/// The one workspace.
const TEAM: &str = "T0123456789";

impl Slack {
    /// The one channel.
    pub const CHANNEL: &str = CHANNEL;
    /// The one workspace.
    pub const TEAM: &str = TEAM;

    /// Starts it on a free port, for a bot with this token.
    pub async fn start(token: &str) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen { token: token.to_owned(), ..Seen::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/api/{method}", post(receive)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, seen, serving })
    }

    /// Where its methods are.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// The errors that the next calls end with; `ratelimited` is a 429.
    pub fn plan(&self, errors: impl IntoIterator<Item = &'static str>) {
        locked(&self.seen).planned.extend(errors);
    }

    /// The error that all calls end with from now on.
    pub fn always(&self, error: Option<&'static str>) {
        locked(&self.seen).always = error;
    }

    /// The messages in the channel, in order.
    pub fn messages(&self) -> Vec<Message> {
        locked(&self.seen).messages.clone()
    }

    /// What single users were told, and nobody else saw.
    pub fn told(&self) -> Vec<(String, String)> {
        locked(&self.seen).told.clone()
    }

    /// Why calls were not what Slack takes.
    pub fn refused(&self) -> Vec<String> {
        locked(&self.seen).refused.clone()
    }

    /// What is posted when this user presses that button of a message now.
    pub fn press(message: &Message, user: &str, action: &str, secret: &str) -> Result<Callback> {
        let button = message.button(action).context("the message has no such button")?;
        let value = button.get("value").and_then(Value::as_str).unwrap_or_default();
        // No two presses are alike.
        let action_ts = format!("1796000000.{:06}", PRESSED.fetch_add(1, Ordering::Relaxed));
        let payload = json!({
            "type": "block_actions",
            "team": { "id": TEAM, "domain": "test" },
            "user": { "id": user, "username": user, "team_id": TEAM },
            "api_app_id": "A0123456789",
            "container": { "type": "message", "message_ts": message.ts, "channel_id": CHANNEL },
            "channel": { "id": CHANNEL, "name": "approvals" },
            "message": { "ts": message.ts, "text": message.text, "blocks": message.blocks },
            "response_url": "https://hooks.slack.com/actions/T0123456789/1/x",
            "actions": [{ "type": "button", "action_id": action, "block_id": "x", "value": value, "action_ts": action_ts }],
        });
        Self::signed(&payload, secret, 0)
    }

    /// Any payload, signed as Slack signs, `ago` seconds ago.
    pub fn signed(payload: &Value, secret: &str, ago: u64) -> Result<Callback> {
        let body = format!("payload={}", encoded(&payload.to_string()));
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().saturating_sub(ago);
        let tag =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), format!("v0:{time}:{body}").as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let headers = [
            ("Content-Type", String::from("application/x-www-form-urlencoded")),
            ("X-Slack-Request-Timestamp", time.to_string()),
            ("X-Slack-Signature", format!("v0={hex}")),
        ];
        Ok(Callback { headers: headers.map(|(name, value)| (name.to_owned(), value)).into(), body })
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

async fn receive(
    State(seen): State<Arc<Mutex<Seen>>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut seen = locked(&seen);
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if bearer != format!("Bearer {}", seen.token) {
        return failed(&mut seen, "invalid_auth", "another token");
    }
    match seen.planned.pop_front().or(seen.always) {
        Some("ratelimited") => return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "").into_response(),
        Some(error) => return axum::Json(json!({ "ok": false, "error": error })).into_response(),
        None => {}
    }
    let called = serde_json::from_slice(&body).map_err(Into::into).and_then(|body| call(&mut seen, &method, &body));
    match called {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => failed(&mut seen, "invalid_blocks", &error.to_string()),
    }
}

fn failed(seen: &mut Seen, error: &str, why: &str) -> Response {
    seen.refused.push(why.to_owned());
    axum::Json(json!({ "ok": false, "error": error })).into_response()
}

fn call(seen: &mut Seen, method: &str, body: &Value) -> Result<Value> {
    let text = |at: &str| body.get(at).and_then(Value::as_str).with_context(|| format!("{method} without {at}"));
    ensure!(text("channel")? == CHANNEL, "another channel");
    let words = text("text")?;
    ensure!(words.chars().count() <= 4000, "the text is too long");
    if method == "chat.postEphemeral" {
        seen.told.push((text("user")?.to_owned(), words.to_owned()));
        return Ok(json!({ "ok": true, "message_ts": "1.1" }));
    }
    ensure!(body.get("unfurl_links") == Some(&Value::Bool(false)), "links are followed for previews");
    let blocks = body.get("blocks").and_then(Value::as_array).context("no blocks")?.clone();
    check(&blocks)?;
    match method {
        "chat.postMessage" => {
            let ts = format!("1796000000.{:06}", seen.messages.len().saturating_add(1));
            seen.messages.push(Message { ts: ts.clone(), text: words.to_owned(), blocks, updates: 0 });
            Ok(json!({ "ok": true, "channel": CHANNEL, "ts": ts }))
        }
        "chat.update" => {
            let ts = text("ts")?;
            let found = seen.messages.iter_mut().find(|message| message.ts == ts).context("message_not_found")?;
            (found.text, found.blocks) = (words.to_owned(), blocks);
            found.updates = found.updates.saturating_add(1);
            Ok(json!({ "ok": true, "channel": CHANNEL, "ts": ts }))
        }
        other => bail!("no method {other}"),
    }
}

/// The limits of Block Kit, as far as Sluice makes use of it (docs.slack.dev, "Blocks").
fn check(blocks: &[Value]) -> Result<()> {
    ensure!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    let mut actions = BTreeSet::new();
    for block in blocks {
        match block.get("type").and_then(Value::as_str) {
            Some("header") => {
                only(block, &["type", "text"])?;
                plain(block.get("text"), 150)?;
            }
            Some("section") => {
                only(block, &["type", "text", "expand"])?;
                ensure!(block.get("expand") == Some(&Value::Bool(true)), "a section that Slack may fold");
                let text = block.get("text").context("a section without text")?;
                only(text, &["type", "text", "verbatim"])?;
                ensure!(text.get("type") == Some(&json!("mrkdwn")), "a section of another kind of text");
                long(text.get("text"), 3000)?;
            }
            Some("actions") => {
                only(block, &["type", "elements"])?;
                let elements = block.get("elements").and_then(Value::as_array).context("no elements")?;
                ensure!((1..=25).contains(&elements.len()), "{} elements", elements.len());
                for element in elements {
                    button(element)?;
                    ensure!(actions.insert(element.get("action_id").map(Value::to_string)), "two of one action_id");
                }
            }
            other => bail!("a block of type {other:?}"),
        }
    }
    Ok(())
}

fn button(element: &Value) -> Result<()> {
    only(element, &["type", "action_id", "text", "style", "value", "url", "confirm"])?;
    ensure!(element.get("type") == Some(&json!("button")), "no button");
    plain(element.get("text"), 75)?;
    long(element.get("action_id"), 255)?;
    ensure!(matches!(element.get("style").and_then(Value::as_str), None | Some("primary" | "danger")), "the style");
    for (key, most) in [("value", 2000), ("url", 3000)] {
        if element.get(key).is_some() {
            long(element.get(key), most)?;
        }
    }
    let Some(confirm) = element.get("confirm") else { return Ok(()) };
    only(confirm, &["title", "text", "confirm", "deny"])?;
    for (key, most) in [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)] {
        plain(confirm.get(key), most)?;
    }
    Ok(())
}

fn plain(text: Option<&Value>, most: usize) -> Result<()> {
    let text = text.context("no text")?;
    only(text, &["type", "text", "emoji"])?;
    ensure!(text.get("type") == Some(&json!("plain_text")), "it is not plain_text");
    long(text.get("text"), most)
}

fn long(text: Option<&Value>, most: usize) -> Result<()> {
    let length = text.and_then(Value::as_str).context("no text")?.chars().count();
    ensure!((1..=most).contains(&length), "{length} characters, of {most}");
    Ok(())
}

fn only(value: &Value, known: &[&str]) -> Result<()> {
    let fields = value.as_object().context("no object")?;
    let unknown = fields.keys().find(|key| !known.contains(&key.as_str()));
    ensure!(unknown.is_none(), "an unknown field {unknown:?}");
    Ok(())
}
