//! A webhook: a signed POST of a JSON array.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use model::event::Event;
use model::secret::Secret;
use store::config::{CredentialSource, Receiver};

use super::super::feed::Batch;
use super::{Failure, headers_of, is_plain, judge};
use crate::clock;
use crate::fetch::{self, Call};
use crate::node::Node;

/// Says that the body is by whoever has the secret, and when it was sent.
const SIGNATURE: HeaderName = HeaderName::from_static("sluice-signature");

/// Names the batch: a retry of the same process has the same.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// Anything that takes a signed POST.
#[derive(Debug)]
pub(in super::super) struct Hook {
    pub(super) name: Arc<str>,
    pub(super) receiver: Receiver,
    pub(super) secret: CredentialSource,
    pub(super) node: Arc<Node>,
}

impl Hook {
    /// Posts a batch.
    pub(super) async fn deliver(&self, batch: &Batch, deadline: Duration) -> Result<(), Failure> {
        let body = format!("[{}]", batch.events.join(","));
        let mut headers = headers_of(self.receiver.headers_file.as_deref()).await?;
        let key = self.secret().await?;
        headers.insert(SIGNATURE, value(&signature(key.expose(), clock::now().seconds(), &body))?);
        headers.insert(IDEMPOTENCY, value(&format!("{}-{}-{}", self.name, batch.first, batch.last))?);
        let (url, ca) = (self.receiver.url.as_str(), self.receiver.ca_file.as_deref());
        let call = Call { url, ca, allow_http: is_plain(url), headers };
        judge(&fetch::post(&call, Bytes::from(body), deadline).await?)
    }

    /// That the secret is used, for the journal: once for each start, as each batch reads it, and would make an event.
    pub(super) fn use_of_secret(&self) -> Event {
        let (target, reference) = (format!("sink:{}", self.name).into(), self.secret.to_string().into());
        Event::SecretUsed { session: None, target, reference }
    }

    /// Read for each batch: it may have been changed.
    async fn secret(&self) -> Result<Secret<String>, Failure> {
        let (node, source) = (Arc::clone(&self.node), self.secret.clone());
        let read = move || store::credential::resolve(&source, &|name| node.secret(name));
        Ok(tokio::task::spawn_blocking(read).await.map_err(|_| Failure::Ended)??)
    }
}

fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|_| Failure::Exchange("a header cannot be sent".into()))
}

/// `t=<unix seconds>,v1=<hexadecimal HMAC-SHA-256 of "t.body">`: the time is signed, so that an old request cannot be sent
/// again as a new one.
fn signature(key: &str, seconds: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by `printf '1700000000.[]' | openssl dgst -sha256 -hmac key`.
    #[test]
    fn a_signature_is_what_openssl_computes() {
        let expected = "t=1700000000,v1=2afce10b4f37880815b715635811bcfa4d5334e7213eea5bc2e130e1008055c3";
        assert_eq!(signature("key", 1_700_000_000, "[]"), expected);
    }
}
