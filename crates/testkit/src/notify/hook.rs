//! A receiver of Standard Webhooks 1.0.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::locked;

/// What goes wrong with one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is not taken, and this is the answer.
    Status(u16),
    /// It is taken, and the answer is 500.
    LosesReply,
    /// There is no answer, ever.
    Hangs,
}

/// A message that was taken: its signature holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Taken {
    /// Its `webhook-id`.
    pub id: String,
    /// Its body, as it came.
    pub text: String,
    /// The same, read.
    pub body: Value,
}

impl Taken {
    /// The body's `type`.
    pub fn kind(&self) -> &str {
        self.body.pointer("/type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The approval that it is about.
    pub fn approval(&self) -> &str {
        self.body.pointer("/data/approval").and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Default)]
struct Seen {
    key: Vec<u8>,
    planned: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    taken: Vec<Taken>,
    refused: Vec<String>,
    posts: usize,
}

/// The receiver. It ends when it is dropped.
pub struct Webhook {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

impl Webhook {
    /// Starts it on a free port, with the secret that it verifies by.
    pub async fn start(secret: &str) -> Result<Self> {
        let key = secret.strip_prefix("whsec_").context("the secret begins with whsec_")?;
        let seen = Arc::new(Mutex::new(Seen { key: BASE64_STANDARD.decode(key)?, ..Seen::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(receive)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, seen, serving })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What goes wrong with the next messages, one by one; `None` goes well.
    pub fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        locked(&self.seen).planned.extend(faults);
    }

    /// What goes wrong with all of them from now on.
    pub fn always(&self, fault: Option<Fault>) {
        locked(&self.seen).always = fault;
    }

    /// What was taken, in order, also what was taken twice.
    pub fn taken(&self) -> Vec<Taken> {
        locked(&self.seen).taken.clone()
    }

    /// Why messages were not believed.
    pub fn refused(&self) -> Vec<String> {
        locked(&self.seen).refused.clone()
    }

    /// How many messages came, taken or not.
    pub fn posts(&self) -> usize {
        locked(&self.seen).posts
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let fault = {
        let mut seen = locked(&seen);
        seen.posts = seen.posts.saturating_add(1);
        let taken = match verified(&seen.key, &headers, &body) {
            Ok(taken) => taken,
            Err(error) => {
                seen.refused.push(error.to_string());
                return StatusCode::UNAUTHORIZED;
            }
        };
        let fault = seen.planned.pop_front().flatten().or(seen.always);
        if matches!(fault, None | Some(Fault::LosesReply)) {
            seen.taken.push(taken);
        }
        fault
    };
    match fault {
        None => StatusCode::NO_CONTENT,
        Some(Fault::Status(status)) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Fault::LosesReply) => StatusCode::INTERNAL_SERVER_ERROR,
        Some(Fault::Hangs) => std::future::pending().await,
    }
}

/// What the specification has a receiver do.
fn verified(key: &[u8], headers: &HeaderMap, body: &[u8]) -> Result<Taken> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).context(name.to_owned());
    let (id, time, signatures) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    ensure!(!id.is_empty() && !id.contains('.'), "the id has a full stop");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    ensure!(now.abs_diff(time.parse()?) < 300, "the time is too far off");
    let text = std::str::from_utf8(body)?;
    let (key, signed) = (hmac::Key::new(hmac::HMAC_SHA256, key), format!("{id}.{time}.{text}"));
    let tags = signatures.split(' ').filter_map(|one| BASE64_STANDARD.decode(one.strip_prefix("v1,")?).ok());
    let mut tags = tags.map(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok());
    ensure!(tags.any(|holds| holds), "no signature holds");
    let body: Value = serde_json::from_str(text)?;
    let is_whole = ["/type", "/timestamp"].iter().all(|at| body.pointer(at).is_some_and(Value::is_string));
    ensure!(is_whole && body.pointer("/data").is_some_and(Value::is_object), "it lacks type, timestamp or data");
    Ok(Taken { id: id.to_owned(), text: text.to_owned(), body })
}
