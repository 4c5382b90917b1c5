//! An OpenTelemetry collector: OTLP over HTTP, in JSON.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::Value;
use store::config::Receiver;

use super::super::feed::Batch;
use super::super::forms::otlp_request;
use super::{Failure, headers_of, is_plain, judge};
use crate::fetch::{self, Call};

/// A collector's endpoint for logs.
#[derive(Debug)]
pub(in super::super) struct Collector(pub(super) Receiver);

impl Collector {
    /// Posts a batch; returns how many records the collector rejected although it took the request.
    pub(super) async fn deliver(&self, batch: &Batch, deadline: Duration) -> Result<u64, Failure> {
        let receiver = &self.0;
        let headers = headers_of(receiver.headers_file.as_deref()).await?;
        let (url, ca) = (receiver.url.as_str(), receiver.ca_file.as_deref());
        let call = Call { url, ca, allow_http: is_plain(url), headers };
        let answer = fetch::post(&call, Bytes::from(otlp_request(&batch.events)), deadline).await?;
        judge(&answer)?;
        Ok(answer.body.as_deref().map_or(0, rejected))
    }
}

/// `partialSuccess.rejectedLogRecords` of the answer: a number, or a text as Protocol Buffers' JSON has it. What it says
/// beside that is not looked at: it may quote the records.
fn rejected(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    match answer.pointer("/partialSuccess/rejectedLogRecords") {
        Some(Value::String(digits)) => digits.parse().unwrap_or(0),
        Some(number) => number.as_u64().unwrap_or(0),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_records_are_counted_in_either_spelling() {
        for (body, count) in [
            ("{}", 0),
            ("", 0),
            ("not json", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"x"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedLogRecords":4}}"#, 4),
            (r#"{"partialSuccess":{"rejectedLogRecords":-4}}"#, 0),
        ] {
            assert_eq!(rejected(body.as_bytes()), count, "{body}");
        }
    }
}
