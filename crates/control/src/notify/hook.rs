//! A webhook: each event about an approval in order, signed as Standard Webhooks 1.0 has it.
//!
//! An event's id is made of its place in the journal, so that it is the same whenever it is sent again; the position behind
//! the last one that was taken is kept in the data directory. Nothing is sent before the one before it was taken.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine};
use gateway::fetch::{self, Call};
use gateway::node::Node;
use gateway::sinks::{self, Pace, Position};
use gateway::{clock, sinks::is_plain};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use model::approval::Status;
use model::event::Event;
use serde_json::{Value, json};
use store::config::{CredentialSource, Receiver};
use tokio_util::sync::CancellationToken;

use super::about::Interest;
use super::failure::{Failure, judge};
use super::feed::{Feed, Told};
use super::{Gauges, Links};
use crate::shown;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How long to wait at most before looking whether the journal has grown.
const PAUSE: Duration = Duration::from_millis(200);

/// How many entries that are about no approval may pass before the position is kept.
const PASSED: u64 = 10_000;

/// Anything that takes a signed POST.
#[derive(Clone)]
pub(super) struct Hook {
    pub(super) node: Arc<Node>,
    pub(super) receiver: Receiver,
    pub(super) secret: CredentialSource,
    pub(super) links: Links,
}

impl Hook {
    /// Posts one message.
    pub(super) async fn post(&self, id: &str, kind: &str, data: &Value, deadline: Duration) -> Result<(), Failure> {
        let (mut headers, now) = (sinks::headers_of(self.receiver.headers_file.as_deref()).await?, clock::now());
        let body = shown::json(&json!({ "type": kind, "timestamp": now.to_string(), "data": data }));
        let secret = super::secret(&self.node, &self.secret).await?;
        let signature = signature(&key(secret.expose())?, id, now.seconds(), &body);
        for (name, text) in [(ID, id), (TIMESTAMP, &now.seconds().to_string()), (SIGNATURE, &signature)] {
            let value = HeaderValue::from_str(text).map_err(|_| Failure::Secret("a header cannot be sent".into()))?;
            headers.insert(name, value);
        }
        let (url, ca) = (self.receiver.url.as_str(), self.receiver.ca_file.as_deref());
        let call = Call { url, ca, allow_http: is_plain(url), headers };
        judge(&fetch::post(&call, Bytes::from(body), deadline).await?)
    }
}

/// The webhook at work.
pub(super) struct Task {
    pub(super) hook: Hook,
    pub(super) interest: Interest,
    pub(super) gauges: Gauges,
    pub(super) pace: Pace,
    pub(super) stop: CancellationToken,
    pub(super) path: PathBuf,
}

impl Task {
    /// Sends what happens until Sluice stops; what was not taken then is sent after the next start.
    pub(super) async fn run(self) {
        let mut feed = Feed::new(Arc::clone(&self.hook.node));
        let path = self.path.clone();
        let begun = match super::blocking(move || Position::load(&path)).await {
            Ok(kept) => feed.begin(kept).await,
            Err(error) => Err(error),
        };
        let mut at = match begun {
            Ok(at) => at,
            Err(error) => return self.gauges.stopped(&error),
        };
        self.keep(at).await;
        let (mut kept, mut failures) = (at, 0);
        while !self.stop.is_cancelled() {
            self.gauges.waiting(feed.behind(at));
            match tokio::select! { read = feed.next(at) => read, () = self.stop.cancelled() => break } {
                Ok(None) => self.wait_for_more().await,
                Ok(Some(read)) => {
                    failures = 0;
                    for told in &read.told {
                        if !self.send(told).await {
                            return;
                        }
                        at = told.after();
                        kept = at;
                        self.keep(at).await;
                    }
                    at = read.after;
                    if at.next.saturating_sub(kept.next) >= PASSED {
                        kept = at;
                        self.keep(at).await;
                    }
                }
                Err(error) => {
                    self.gauges.failed(&error);
                    self.pause(sinks::doubled(failures, &self.pace)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// Sends an event until it is taken. `false`: Sluice stops first.
    async fn send(&self, told: &Told) -> bool {
        let mut failures = 0;
        loop {
            let sent = async {
                if !self.interest.has(&self.hook.node, told).await? {
                    return Ok(false);
                }
                let (kind, data) = said(told, &self.hook.links);
                self.hook.post(&id(told), kind, &data, self.pace.deadline).await.map(|()| true)
            };
            let sent = tokio::select! { sent = sent => sent, () = self.stop.cancelled() => return false };
            match sent {
                Ok(is_sent) => {
                    if is_sent {
                        self.gauges.sent();
                    }
                    return true;
                }
                Err(failure) => {
                    self.gauges.failed(&failure);
                    self.pause(failure.wait(failures, &self.pace)).await;
                    failures = failures.saturating_add(1);
                }
            }
            if self.stop.is_cancelled() {
                return false;
            }
        }
    }

    async fn keep(&self, at: Position) {
        let path = self.path.clone();
        if let Err(error) = super::blocking(move || at.store(&path)).await {
            // It is sent again after a restart, with the same id.
            self.gauges.failed(&error);
        }
    }

    async fn wait_for_more(&self) {
        tokio::select! {
            () = self.hook.node.recorder.grown() => {}
            () = tokio::time::sleep(PAUSE) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.stop.cancelled()).await;
    }
}

/// What names an event, whoever asks and whenever: its index and the beginning of its hash, which differs between journals.
fn id(told: &Told) -> String {
    let hash = told.hash.to_string();
    format!("evt-{}-{}", told.index, hash.get(..16).unwrap_or_default())
}

/// What a receiver is told of an event. It is what the journal has, in which classified values are masked.
fn said(told: &Told, links: &Links) -> (&'static str, Value) {
    let (kind, more) = match &told.event {
        Event::ApprovalAsked { asked, .. } => ("approval.asked", json!({ "asked": asked })),
        Event::ApprovalAnswered { answer, .. } => ("approval.answered", json!({ "answer": answer })),
        Event::ApprovalConsumed { request, .. } => ("approval.consumed", json!({ "request": request })),
        Event::ApprovalEnded { status, reason, .. } => (ended(*status), json!({ "status": status, "reason": reason })),
        Event::HoldBecameTicket { .. } => ("approval.became_ticket", json!({})),
        Event::OutcomeUnknown { request, .. } => ("approval.outcome_unknown", json!({ "request": request })),
        // The feed has no others.
        other => (other.kind(), json!({})),
    };
    let mut data = json!({
        "approval": told.approval,
        "position": told.index,
        "at": told.at,
        "link": links.to(told.approval),
    });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    (kind, data)
}

const fn ended(status: Status) -> &'static str {
    match status {
        Status::Denied => "approval.denied",
        Status::Withdrawn => "approval.withdrawn",
        Status::Expired => "approval.expired",
        Status::Pending | Status::Approved | Status::Consumed => "approval.ended",
    }
}

/// The key in a secret: 24 to 64 bytes in base64, behind `whsec_` (Standard Webhooks 1.0, "Symmetric").
pub(super) fn key(secret: &str) -> Result<hmac::Key, Failure> {
    let bytes = secret.trim().strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let bytes = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
    let advice = "the secret is not `whsec_` and 24 to 64 bytes in base64; make one: \
                  printf 'whsec_%s' \"$(openssl rand -base64 32)\"";
    bytes.map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes)).ok_or_else(|| Failure::Secret(advice.into()))
}

/// `v1,` and the base64 of the HMAC-SHA-256 of `id.seconds.body`.
fn signature(key: &hmac::Key, id: &str, seconds: u64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the libraries of Standard Webhooks.
    #[test]
    fn a_signature_is_what_the_specification_computes() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let found = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(found, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_shown() {
        for wrong in ["s3cret", "whsec_", "whsec_AAAA", "whsec_not-base64"] {
            let error = key(wrong).err().unwrap().to_string();
            assert!(error.contains("openssl rand") && !error.contains("s3cret"), "{error}");
        }
    }
}
