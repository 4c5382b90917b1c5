//! Exchanges of HTTP as an HTTP archive (HAR 1.2, w3c.github.io/web-performance/specs/HAR/Overview.html).
//!
//! What the tape has not, such as bodies beyond what it holds, is said in a comment. Times are those of the tape: one from the
//! head of a request to the end of its answer, as no other is known of one that came through Sluice.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::replay::{Digested, Event, Field, Line, Passed};
use model::id::SessionId;
use model::time::Timestamp;
use serde_json::{Value, json};

/// A tape as an archive.
pub(super) struct Har {
    session: SessionId,
    /// The only exchange that is wanted, or all.
    wanted: Option<u32>,
    open: BTreeMap<u32, Exchange>,
    is_begun: bool,
}

/// An exchange that is not over.
#[derive(Default)]
struct Exchange {
    began: Timestamp,
    request: String,
    method: String,
    path: String,
    asked: Vec<Field>,
    answered: Vec<Field>,
    status: u16,
    input: Vec<u8>,
    output: Vec<u8>,
    messages: Vec<Message>,
}

/// A message of WebSocket.
struct Message {
    at: Timestamp,
    is_sent: bool,
    opcode: u8,
    bytes: u64,
    /// How much of its content is to come.
    left: u64,
    content: Vec<u8>,
}

/// How one ended.
struct End {
    error: Option<String>,
    millis: u64,
    input: Option<Digested>,
    output: Option<Digested>,
}

impl Exchange {
    /// Takes content: of the last message of its direction, where there are messages, or else of the body.
    fn take(&mut self, is_sent: bool, content: Vec<u8>) {
        if let Some(last) =
            self.messages.iter_mut().rev().find(|message| message.is_sent == is_sent && message.left > 0)
        {
            last.left = last.left.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
            last.content.extend(content);
        } else if is_sent {
            self.input.extend(content);
        } else {
            self.output.extend(content);
        }
    }
}

/// A message as the tools of browsers write and read it in an archive.
fn message(message: &Message) -> Value {
    let data = match std::str::from_utf8(&message.content) {
        Ok(text) if message.opcode != 2 => text.to_owned(),
        _ => STANDARD.encode(&message.content),
    };
    let millis = u32::try_from(message.at.0 % 1000).unwrap_or_default();
    let seconds = u32::try_from(message.at.0 / 1000).map_or(0.0, f64::from);
    let mut entry = json!({
        "type": if message.is_sent { "send" } else { "receive" },
        "time": seconds + f64::from(millis) / 1000.0,
        "opcode": message.opcode,
        "data": data,
    });
    let there = u64::try_from(message.content.len()).unwrap_or(u64::MAX);
    if let (true, Some(entry)) = (there < message.bytes, entry.as_object_mut()) {
        let said = format!("the tape holds {there} of {} bytes", message.bytes);
        entry.insert("_comment".to_owned(), Value::String(said));
    }
    entry
}

impl Har {
    pub(super) const fn new(session: SessionId, wanted: Option<u32>) -> Self {
        Self { session, wanted, open: BTreeMap::new(), is_begun: false }
    }

    /// What stands in front of the entries.
    pub(super) fn begin(&self) -> String {
        let creator = json!({ "name": "Sluice", "version": env!("CARGO_PKG_VERSION") });
        let comment = Value::String(format!("session {}", self.session));
        format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"comment\":{comment},\"entries\":[\n")
    }

    /// The entry of an exchange that is over with this line of the tape.
    pub(super) fn line(&mut self, line: Line) -> String {
        let (Some(number), at) = (line.channel, line.at) else { return String::new() };
        if self.wanted.is_some_and(|wanted| wanted != number) {
            return String::new();
        }
        if let Event::Exchanged { error, millis, input, output, .. } = line.event {
            let Some(exchange) = self.open.remove(&number) else { return String::new() };
            return self.entry(&exchange, Some(End { error, millis, input, output }));
        }
        let exchange = self.open.entry(number).or_insert_with(|| Exchange { began: at, ..Exchange::default() });
        match line.event {
            Event::Request { request, .. } => exchange.request = request,
            Event::Asked { method, path, fields } => {
                (exchange.method, exchange.path, exchange.asked) = (method, path, fields);
            }
            Event::Answered { status, fields } => (exchange.status, exchange.answered) = (status, fields),
            Event::Trailers { fields } => exchange.answered.extend(fields),
            Event::Input(passed) => exchange.take(true, bytes(passed)),
            Event::Output(passed) => exchange.take(false, bytes(passed)),
            Event::Message { to, opcode, bytes, taped } => {
                let is_sent = to == "target";
                exchange.messages.push(Message { at, is_sent, opcode, bytes, left: taped, content: Vec::new() });
            }
            _ => {}
        }
        String::new()
    }

    /// The entries of exchanges without an end, and what stands behind all entries.
    pub(super) fn finish(&mut self) -> String {
        let left = std::mem::take(&mut self.open);
        // What has no head is no exchange of HTTP.
        let left = left.values().filter(|exchange| !exchange.method.is_empty());
        let entries: String = left.map(|exchange| self.entry(exchange, None)).collect();
        format!("{entries}]}}}}\n")
    }

    fn entry(&mut self, exchange: &Exchange, end: Option<End>) -> String {
        let millis = end.as_ref().map_or(0, |end| end.millis);
        let began = end.as_ref().map_or(exchange.began, |_| exchange.began);
        let (input, output) = match &end {
            Some(end) => (end.input.as_ref(), end.output.as_ref()),
            None => (None, None),
        };
        let mut entry = json!({
            "startedDateTime": began.to_string(),
            "time": millis,
            "request": request(exchange, input),
            "response": response(exchange, output),
            "cache": {},
            "timings": { "send": 0, "wait": millis, "receive": 0 },
            "_request": exchange.request,
        });
        if let (false, Some(entry)) = (exchange.messages.is_empty(), entry.as_object_mut()) {
            entry.insert("_resourceType".to_owned(), json!("websocket"));
            entry.insert("_webSocketMessages".to_owned(), exchange.messages.iter().map(message).collect());
        }
        let said = end.map_or_else(|| Some(String::from("it has no end on the tape")), |end| end.error);
        if let (Some(said), Some(entry)) = (said, entry.as_object_mut()) {
            entry.insert("comment".to_owned(), Value::String(said));
        }
        let separator = if std::mem::replace(&mut self.is_begun, true) { ",\n" } else { "" };
        format!("{separator}{entry}")
    }
}

fn bytes(passed: Passed) -> Vec<u8> {
    let decoded = passed.bytes.as_ref().and_then(|bytes| STANDARD.decode(bytes).ok());
    decoded.unwrap_or_else(|| passed.data.into_bytes())
}

fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
}

fn pairs(fields: &[Field]) -> Vec<Value> {
    fields.iter().map(|field| json!({ "name": field.name, "value": field.value })).collect()
}

fn request(exchange: &Exchange, input: Option<&Digested>) -> Value {
    let host = field(&exchange.asked, "host").unwrap_or("sluice.invalid");
    // What is asked to be connected to is all that there is.
    let url = match exchange.method.as_str() {
        "CONNECT" => format!("https://{}", exchange.path),
        _ => format!("https://{host}{}", exchange.path),
    };
    let query = exchange.path.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<Value> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut request = json!({
        "method": exchange.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": pairs(&exchange.asked),
        "queryString": query,
        "headersSize": -1,
        "bodySize": input.map_or(0, |input| input.bytes),
    });
    if let (Some(input), Some(request)) = (input, request.as_object_mut()) {
        let kind = field(&exchange.asked, "content-type").unwrap_or("application/octet-stream");
        let text = String::from_utf8_lossy(&exchange.input);
        let mut data = json!({ "mimeType": kind, "text": text });
        comment(&mut data, &exchange.input, input);
        request.insert("postData".to_owned(), data);
    }
    request
}

fn response(exchange: &Exchange, output: Option<&Digested>) -> Value {
    let kind = field(&exchange.answered, "content-type").unwrap_or("application/octet-stream");
    let size = output.map_or_else(|| u64::try_from(exchange.output.len()).unwrap_or(u64::MAX), |output| output.bytes);
    let mut content = json!({ "size": size, "mimeType": kind });
    let (text, encoding) = match std::str::from_utf8(&exchange.output) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (STANDARD.encode(&exchange.output), Some("base64")),
    };
    if let Some(content) = content.as_object_mut() {
        content.insert("text".to_owned(), Value::String(text));
        content.extend(encoding.map(|encoding| ("encoding".to_owned(), Value::String(encoding.to_owned()))));
    }
    if let Some(output) = output {
        comment(&mut content, &exchange.output, output);
    }
    json!({
        "status": exchange.status,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": pairs(&exchange.answered),
        "content": content,
        "redirectURL": field(&exchange.answered, "location").unwrap_or_default(),
        "headersSize": -1,
        "bodySize": size,
    })
}

/// Says what of a body is not on the tape.
fn comment(part: &mut Value, taped: &[u8], whole: &Digested) {
    let there = u64::try_from(taped.len()).unwrap_or(u64::MAX);
    if there >= whole.bytes {
        return;
    }
    let digest = whole.sha256.as_deref().unwrap_or("unknown");
    let said = format!("the tape holds {there} of {} bytes; the SHA-256 of all is {digest}", whole.bytes);
    if let Some(part) = part.as_object_mut() {
        part.insert("comment".to_owned(), Value::String(said));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(channel: u32, event: Event) -> Line {
        Line { at: Timestamp(1_795_406_400_000), channel: Some(channel), event }
    }

    fn fields(all: &[(&str, &str)]) -> Vec<Field> {
        all.iter().map(|(name, value)| Field { name: (*name).into(), value: (*value).into() }).collect()
    }

    fn passed(text: &str) -> Passed {
        Passed { data: text.into(), bytes: None }
    }

    fn exchanged(error: Option<&str>, input: Option<u64>, output: u64) -> Event {
        let digested = |bytes| Digested { bytes, sha256: Some("ab".into()) };
        let output = Some(digested(output));
        Event::Exchanged {
            status: Some(200),
            error: error.map(Into::into),
            millis: 7,
            input: input.map(digested),
            output,
        }
    }

    fn archive(wanted: Option<u32>, lines: Vec<Line>) -> Value {
        let mut har = Har::new(SessionId::from_bits(1), wanted);
        let mut text = har.begin();
        lines.into_iter().for_each(|line| text.push_str(&har.line(line)));
        text.push_str(&har.finish());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn two() -> Vec<Line> {
        let asked = |method: &str, path: &str| {
            let fields = fields(&[("host", "api.example"), ("content-type", "application/json")]);
            Event::Asked { method: method.into(), path: path.into(), fields }
        };
        let answered = |status| Event::Answered { status, fields: fields(&[("content-type", "text/plain")]) };
        vec![
            line(1, Event::Request { request: "s.1".into(), statement: "POST /a".into(), values: vec![] }),
            line(1, asked("POST", "/a?x=1&y")),
            line(2, asked("GET", "/b")),
            line(1, Event::Input(passed("{\"n\":1}"))),
            line(1, answered(201)),
            line(2, answered(200)),
            line(1, Event::Output(passed("made"))),
            line(2, Event::Output(Passed { data: "\u{fffd}".into(), bytes: Some("/w==".into()) })),
            line(2, exchanged(Some("cut off"), None, 5)),
            line(1, exchanged(None, Some(7), 4)),
            line(3, asked("GET", "/c")),
        ]
    }

    #[test]
    fn exchanges_that_run_side_by_side_are_entries() {
        let all = archive(None, two());
        let entries = all["log"]["entries"].as_array().unwrap();
        let urls: Vec<_> = entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap()).collect();
        assert_eq!(urls, ["https://api.example/b", "https://api.example/a?x=1&y", "https://api.example/c"]);
        let made = &entries[1];
        assert_eq!(
            (&made["response"]["status"], &made["time"], &made["_request"]),
            (&json!(201), &json!(7), &json!("s.1"))
        );
        assert_eq!(made["request"]["postData"]["text"], "{\"n\":1}");
        assert_eq!(made["request"]["queryString"], json!([{"name": "x", "value": "1"}, {"name": "y", "value": ""}]));
        assert_eq!(made["response"]["content"]["text"], "made");
        assert_eq!(entries[2]["comment"], "it has no end on the tape");
    }

    #[test]
    fn messages_stand_with_their_exchange_and_their_direction() {
        let told = |to: &str, opcode, bytes, taped| Event::Message { to: to.into(), opcode, bytes, taped };
        let all = archive(
            None,
            vec![
                line(1, Event::Asked { method: "GET".into(), path: "/live".into(), fields: fields(&[]) }),
                line(1, Event::Answered { status: 101, fields: fields(&[]) }),
                line(1, told("target", 1, 5, 5)),
                line(1, Event::Input(passed("hello"))),
                line(1, told("caller", 2, 2, 2)),
                line(1, Event::Output(Passed { data: "\u{fffd}".into(), bytes: Some("/wA=".into()) })),
                line(1, told("caller", 1, 9, 0)),
                line(1, exchanged(None, Some(5), 11)),
            ],
        );
        let entry = &all["log"]["entries"][0];
        let time = 1_795_406_400.0;
        assert_eq!(
            entry["_webSocketMessages"],
            json!([
                { "type": "send", "time": time, "opcode": 1, "data": "hello" },
                { "type": "receive", "time": time, "opcode": 2, "data": "/wA=" },
                { "type": "receive", "time": time, "opcode": 1, "data": "", "_comment": "the tape holds 0 of 9 bytes" },
            ])
        );
        assert_eq!(entry["_resourceType"], "websocket");
    }

    #[test]
    fn what_the_tape_has_not_is_said() {
        let all = archive(Some(2), two());
        let entries = all["log"]["entries"].as_array().unwrap();
        assert_eq!((entries.len(), &entries[0]["comment"]), (1, &json!("cut off")));
        let content = &entries[0]["response"]["content"];
        assert_eq!(
            (&content["text"], &content["encoding"], &content["size"]),
            (&json!("/w=="), &json!("base64"), &json!(5))
        );
        assert_eq!(content["comment"], "the tape holds 1 of 5 bytes; the SHA-256 of all is ab");
    }
}
