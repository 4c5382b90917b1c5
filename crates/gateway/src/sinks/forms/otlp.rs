//! Log records of OpenTelemetry (OTLP 1, JSON encoding), with attributes by the semantic conventions where they have one.

use model::event::{Event, Shown};
use serde_json::{Map, Value, json};

use super::super::telling::{Severity, Telling};

/// The body of a POST to `/v1/logs` with these records.
pub(in super::super) fn request(records: &[String]) -> String {
    let resource = json!({ "attributes": [text("service.name", "sluice"), text("service.version", version())] });
    let scope = json!({ "name": "sluice.journal", "version": version() });
    let records = records.join(",");
    format!(
        r#"{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{"scope":{scope},"logRecords":[{records}]}}]}}]}}"#
    )
}

const fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// One log record. Its body is the event's JSON, whole.
pub(super) fn record(telling: &Telling<'_>) -> Value {
    let (number, word) = match telling.severity() {
        Severity::Info => (9, "INFO"),
        Severity::Notice => (10, "INFO2"),
        Severity::Warning => (13, "WARN"),
        Severity::Error => (17, "ERROR"),
    };
    // 64-bit integers are texts in the JSON of Protocol Buffers.
    let nanos = u128::from(telling.at.0).saturating_mul(1_000_000).to_string();
    let mut record = Map::new();
    record.insert("timeUnixNano".into(), json!(nanos));
    record.insert("observedTimeUnixNano".into(), json!(nanos));
    record.insert("severityNumber".into(), json!(number));
    record.insert("severityText".into(), json!(word));
    record.insert("eventName".into(), json!(format!("sluice.{}", telling.event.kind())));
    record.insert("body".into(), json!({ "stringValue": telling.json() }));
    record.insert("attributes".into(), Value::Array(attributes(telling)));
    if let Some((trace, span, flags)) = telling.traceparent.as_deref().and_then(trace) {
        record.insert("traceId".into(), json!(trace));
        record.insert("spanId".into(), json!(span));
        record.insert("flags".into(), json!(flags));
    }
    Value::Object(record)
}

/// Trace id, span id and flags of a `traceparent` (W3C Trace Context, section 3.2).
pub(super) fn trace(traceparent: &str) -> Option<(&str, &str, u8)> {
    let mut parts = traceparent.split('-');
    let (_version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_id = |id: &str, length| {
        id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0')
    };
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (is_id(trace, 32) && is_id(span, 16)).then_some((trace, span, flags))
}

fn text(key: &str, value: impl std::fmt::Display) -> Value {
    json!({ "key": key, "value": { "stringValue": value.to_string() } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn texts<T: std::fmt::Display>(key: &str, values: impl IntoIterator<Item = T>) -> Value {
    let values: Vec<Value> = values.into_iter().map(|value| json!({ "stringValue": value.to_string() })).collect();
    json!({ "key": key, "value": { "arrayValue": { "values": values } } })
}

fn attributes(telling: &Telling<'_>) -> Vec<Value> {
    let mut all = vec![number("sluice.index", telling.position), text("sluice.kind", telling.event.kind())];
    all.extend(telling.event.session().map(|session| text("session.id", session)));
    let request = ledger::request_of(telling.event).filter(|request| request.number != 0);
    all.extend(request.map(|request| text("sluice.request", request)));
    if let Some(who) = &telling.who {
        all.push(text("user.id", &who.subject));
        all.push(text("client.address", who.source));
        all.push(text("db.system.name", "postgresql"));
        all.push(text("db.namespace", &who.database));
        all.push(text("sluice.target", &who.target));
    }
    if telling.on_behalf_of().next().is_some() {
        all.push(texts("sluice.on_behalf_of", telling.on_behalf_of()));
    }
    all.extend(telling.text().map(|sql| text("db.query.text", sql)));
    all.extend(own(telling.event));
    all
}

/// What one kind of event has that others have not.
fn own(event: &Event) -> Vec<Value> {
    match event {
        Event::Decided { outcome, policies, revision, approval, denial, values, .. } => {
            let mut all = vec![
                text("sluice.outcome", word(outcome)),
                texts("sluice.policies", policies),
                number("sluice.revision", revision.0),
                number("sluice.values.masked", masked(values)),
            ];
            all.extend(approval.map(|approval| text("sluice.approval", approval)));
            all.extend(denial.as_ref().map(|denial| text("sluice.missing", &denial.missing)));
            all
        }
        Event::Completed { disclosure, error, millis, .. } => {
            let mut all = vec![
                number("db.response.returned_rows", disclosure.rows),
                number("sluice.bytes", disclosure.bytes),
                number("sluice.duration_ms", *millis),
            ];
            for (class, counts) in &disclosure.classes {
                all.push(number(&format!("sluice.disclosed.{class}.clear"), counts.clear));
                all.push(number(&format!("sluice.disclosed.{class}.masked"), counts.masked));
            }
            if let Some(code) = error {
                all.extend([text("db.response.status_code", code), text("error.type", code)]);
            }
            all
        }
        Event::AdminAction { subject, action, object, outcome } => vec![
            text("user.id", subject),
            text("sluice.action", action),
            text("sluice.object", object),
            text("sluice.outcome", word(outcome)),
        ],
        Event::SessionRefused { source, reason, .. } => {
            vec![text("client.address", source), text("sluice.reason", reason)]
        }
        Event::SessionClosed { reason, .. }
        | Event::Gap { reason, .. }
        | Event::TapeCut { reason, .. }
        | Event::TapeRemoved { reason, .. } => vec![text("sluice.reason", reason)],
        Event::RevisionApplied { revision, .. } => vec![number("sluice.revision", revision.0)],
        _ => Vec::new(),
    }
}

pub(super) const fn word(outcome: &model::decision::Outcome) -> &'static str {
    match outcome {
        model::decision::Outcome::Allow => "allow",
        model::decision::Outcome::Deny => "deny",
        model::decision::Outcome::Ask => "ask",
    }
}

fn masked(values: &[Shown]) -> u64 {
    let masked = values.iter().filter(|value| matches!(value, Shown::Masked(_))).count();
    u64::try_from(masked).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_names_a_trace() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace(good), Some(("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1)));
        for bad in ["", "00-01-02-01", &good.replace('4', "x"), &good.replace("00f067aa0ba902b7", "0000000000000000")] {
            assert_eq!(trace(bad), None, "{bad}");
        }
    }
}
