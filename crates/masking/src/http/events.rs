//! Server-sent events (HTML, 9.2.6): each looked at when it is whole, the lines of its data together.

use super::error::Unmaskable;
use super::json::{Json, Kind};
use super::plan::Plan;
use super::spelling::Spelling;
use super::work::Work;
use crate::detect::Hints;

/// The stream may begin with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Masks a stream of events.
pub(super) struct Events {
    plan: Plan,
    /// The event in hand.
    event: Vec<u8>,
    /// Whether there is anything in its last line.
    filled: bool,
    /// Whether the last byte was a carriage return, so that a line feed belongs to it.
    returned: bool,
    begun: bool,
}

impl Events {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), event: Vec::new(), filled: false, returned: false, begun: false }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        while let Some(at) = memchr::memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at(at);
            let (end, rest) = rest.split_at_checked(1).unwrap_or((rest, &[]));
            self.add(line)?;
            self.filled |= !line.is_empty();
            // A line feed behind a carriage return ends no line of its own.
            let ends_line = !(self.returned && line.is_empty() && end == b"\n");
            self.returned = end == b"\r";
            self.add(end)?;
            if ends_line && !std::mem::take(&mut self.filled) {
                self.end(work)?;
            }
            bytes = rest;
        }
        self.returned &= bytes.is_empty();
        self.filled |= !bytes.is_empty();
        self.add(bytes)
    }

    fn add(&mut self, part: &[u8]) -> Result<(), Unmaskable> {
        if memchr::memchr(0, part).is_some() {
            return Err(Unmaskable::Charset);
        }
        if self.event.len().saturating_add(part.len()) > self.plan.0.limits.record {
            return Err(Unmaskable::TooLong);
        }
        self.event.extend_from_slice(part);
        Ok(())
    }

    /// The event in hand is over.
    pub(super) fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        let event = std::mem::take(&mut self.event);
        let mark = if !self.begun && event.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK } else { &[] };
        self.begun |= !event.is_empty();
        work.verbatim(mark);
        self.whole(event.get(mark.len()..).unwrap_or_default(), work)?;
        self.event = event;
        self.event.clear();
        Ok(())
    }

    fn whole(&self, event: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let lines: Vec<Line<'_>> = Lines { rest: event }.collect();
        let data: Vec<&[u8]> = lines.iter().filter_map(|line| line.data).collect();
        let joined = data.join(&b'\n');
        let mut masked = Vec::new();
        if !data.is_empty() {
            masked = self.payload(&joined, work)?;
            work.count_row();
        }
        let mut rewritten = masked != joined;
        for line in &lines {
            match line.data {
                None => self.other(line, work)?,
                Some(_) if masked == joined => work.verbatim(line.bytes),
                // All of the data stands where its first line stood.
                Some(_) if rewritten => {
                    for part in masked.split(|byte| *byte == b'\n') {
                        work.verbatim(b"data: ");
                        work.verbatim(part);
                        work.verbatim(if line.end.is_empty() { b"\n" } else { line.end });
                    }
                    rewritten = false;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A line of another field, or a comment: what is behind its name.
    fn other(&self, line: &Line<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        let text = line.bytes.get(..line.bytes.len().saturating_sub(line.end.len())).unwrap_or_default();
        let colon = memchr::memchr(b':', text).map_or(text.len(), |at| at.saturating_add(1));
        let (name, value) = text.split_at(colon);
        let masked = self.payload(value, work)?;
        work.whole(Spelling::Plain, Hints::default(), name, &self.plan.0.lens)?;
        work.verbatim(&masked);
        work.verbatim(line.end);
        Ok(())
    }

    /// Masks what is JSON as such, and all else as text. Where values are hidden by their places, what has members in it
    /// has to be JSON.
    fn payload(&self, payload: &[u8], work: &mut Work) -> Result<Vec<u8>, Unmaskable> {
        let state = work.state();
        let start = state.out;
        let mut json = Json::new(&self.plan, Kind::Part);
        match json.push(payload, work).and_then(|()| json.end(work)) {
            Ok(()) => {}
            Err(Unmaskable::Malformed) => {
                work.restore(state);
                if self.plan.hides_by_place() && memchr::memchr2(b'{', b'"', payload).is_some() {
                    return Err(Unmaskable::Malformed);
                }
                work.whole(Spelling::Plain, Hints::default(), payload, &self.plan.0.lens)?;
            }
            Err(error) => return Err(error),
        }
        Ok(work.out().split_off(start))
    }
}

/// A line of an event.
struct Line<'e> {
    /// With what ends it.
    bytes: &'e [u8],
    end: &'e [u8],
    /// What it says, if its field is `data`.
    data: Option<&'e [u8]>,
}

struct Lines<'e> {
    rest: &'e [u8],
}

impl<'e> Iterator for Lines<'e> {
    type Item = Line<'e>;

    fn next(&mut self) -> Option<Line<'e>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = memchr::memchr2(b'\n', b'\r', self.rest).unwrap_or(self.rest.len());
        let behind = self.rest.get(length..).unwrap_or_default();
        let end = if behind.starts_with(b"\r\n") { 2 } else { behind.len().min(1) };
        let (bytes, rest) = self.rest.split_at_checked(length.saturating_add(end))?;
        self.rest = rest;
        let (text, end) = bytes.split_at_checked(length)?;
        Some(Line { bytes, end, data: data(text) })
    }
}

/// What a line says if its field is `data`.
fn data(text: &[u8]) -> Option<&[u8]> {
    let value = text.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}
