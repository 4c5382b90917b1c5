//! The heads of exchanges of HTTP as events.

use std::collections::BTreeMap;

use super::{Event, Field, unreadable};

/// The longest head that is read; what is longer is named and passed over.
const LONGEST: usize = 1 << 20;

/// Heads that may go on in the next record, by their exchange.
#[derive(Debug, Default)]
pub(super) struct Heads(BTreeMap<u32, Vec<u8>>);

impl Heads {
    /// Takes a piece of a head; the one before it, if another begins with it.
    pub(super) fn feed(&mut self, exchange: u32, bytes: &[u8]) -> Option<Event> {
        let before = if begins(bytes) { self.finish(exchange) } else { None };
        let pending = self.0.entry(exchange).or_default();
        if pending.len().saturating_add(bytes.len()) > LONGEST {
            let length = pending.len();
            pending.clear();
            return Some(unreadable("a head too long to be shown", length));
        }
        pending.extend_from_slice(bytes);
        before
    }

    /// The head of an exchange that something else follows.
    pub(super) fn finish(&mut self, exchange: u32) -> Option<Event> {
        self.0.remove(&exchange).map(|bytes| head(&bytes))
    }

    /// All that are left at the end of a tape.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (u32, Event)> {
        std::mem::take(&mut self.0).into_iter().map(|(exchange, bytes)| (exchange, head(&bytes)))
    }
}

/// Whether a head begins here, and not in the middle of one: by a line that is no field.
fn begins(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first == b"\r" || first.starts_with(b"HTTP/1.1 ") || first.ends_with(b" HTTP/1.1\r")
}

fn head(bytes: &[u8]) -> Event {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let fields = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| {
        let (name, value) = (name.to_owned(), value.to_owned());
        Field { name, value }
    });
    let fields: Vec<Field> = fields.collect();
    if first.is_empty() {
        return Event::Trailers { fields };
    }
    if let Some(rest) = first.strip_prefix("HTTP/1.1 ") {
        return match rest.get(..3).and_then(|status| status.parse().ok()) {
            Some(status) => Event::Answered { status, fields },
            None => unreadable("the head of an answer", bytes.len()),
        };
    }
    match first.strip_suffix(" HTTP/1.1").and_then(|asked| asked.split_once(' ')) {
        Some((method, path)) => Event::Asked { method: method.to_owned(), path: path.to_owned(), fields },
        None => unreadable("the head of a request", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field { name: name.into(), value: value.into() }
    }

    #[test]
    fn heads_are_read_as_they_were_written() {
        let mut heads = Heads::default();
        assert_eq!(heads.feed(1, b"GET /a?b=c HTTP/1.1\r\nhost: x\r\naccept: */*\r\n"), None);
        // An answer's first line and its fields are records of their own.
        let asked = Event::Asked {
            method: "GET".into(),
            path: "/a?b=c".into(),
            fields: vec![field("host", "x"), field("accept", "*/*")],
        };
        assert_eq!(heads.feed(1, b"HTTP/1.1 200 OK\r\n"), Some(asked));
        assert_eq!(heads.feed(2, b"DELETE / HTTP/1.1\r\n"), None);
        assert_eq!(heads.feed(1, b"content-type: a: b\r\n"), None);
        let fields = vec![field("content-type", "a: b")];
        assert_eq!(heads.finish(1), Some(Event::Answered { status: 200, fields }));
        assert_eq!(heads.finish(1), None);
        assert_eq!(heads.feed(1, b"\r\n"), None);
        assert_eq!(heads.feed(1, b"grpc-status: 0\r\n"), None);
        let left: Vec<_> = heads.all().collect();
        assert_eq!(left[0], (1, Event::Trailers { fields: vec![field("grpc-status", "0")] }));
        assert!(matches!(&left[1], (2, Event::Asked { method, .. }) if method == "DELETE"));
    }

    #[test]
    fn what_is_no_head_is_named() {
        for bytes in [b"nonsense\r\n".as_slice(), b"HTTP/1.1 x\r\n", b"\xff\r\n"] {
            let mut heads = Heads::default();
            heads.feed(1, bytes);
            assert!(matches!(heads.finish(1), Some(Event::Unreadable { .. })), "{bytes:?}");
        }
    }
}
