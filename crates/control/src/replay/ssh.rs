//! What passed on the channels of a session as events: on those of SSH, and in the exchanges of HTTP.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledger::tape::{Lane, Track};
use serde::Deserialize;

use super::http::Heads;
use super::{Digested, Event, Passed, request, unreadable};

/// The longest line of JSON that is read; what is longer is named and passed over.
const LONGEST: usize = 16 << 20;

/// Turns what is on the channels of a tape into events. Lines and characters may be split over any number of records.
#[derive(Debug, Default)]
pub struct Channels(BTreeMap<(u32, Lane), Vec<u8>>, Heads);

/// An end as the tape holds it: of what ran on a channel, or of a file that was open on it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapedEnd {
    exit_status: Option<u32>,
    signal: Option<String>,
    input: Option<Digested>,
    output: Option<Digested>,
    request: Option<String>,
    read: Option<Digested>,
    written: Option<Digested>,
    status: Option<u16>,
    error: Option<String>,
    millis: Option<u64>,
}

impl Channels {
    /// Takes the content of a record that has a track: the channel, and what there is to tell of it now.
    pub fn feed(&mut self, content: &[u8]) -> (Option<u32>, Vec<Event>) {
        let Some((track, bytes)) = Track::split(content) else {
            return (None, vec![unreadable("something of a channel", content.len())]);
        };
        if track.lane == Lane::Head {
            return (named(track.channel), self.1.feed(track.channel, bytes).into_iter().collect());
        }
        // A head is whole when something else follows.
        let head = self.1.finish(track.channel);
        if track.lane == Lane::Messages {
            return (named(track.channel), head.into_iter().chain(self.message(track.channel, bytes)).collect());
        }
        let pending = self.0.entry((track.channel, track.lane)).or_default();
        let events = match track.lane {
            Lane::Head | Lane::Messages => Vec::new(),
            Lane::Requests => lines(pending, bytes, request),
            Lane::End => lines(pending, bytes, end),
            Lane::Size => vec![size(bytes)],
            Lane::Input | Lane::Output | Lane::Error => {
                text(pending, bytes).map(|passed| streamed(track.lane, passed)).into_iter().collect()
            }
        };
        if pending.is_empty() {
            self.0.remove(&(track.channel, track.lane));
        }
        (named(track.channel), head.into_iter().chain(events).collect())
    }

    /// What is told of a message. Characters that the one before did not complete, none will.
    fn message(&mut self, channel: u32, bytes: &[u8]) -> Vec<Event> {
        let left = [Lane::Input, Lane::Output].into_iter().filter_map(|lane| {
            let left = self.0.remove(&(channel, lane))?;
            Some(streamed(lane, passed(&left)))
        });
        let mut events: Vec<Event> = left.collect();
        let pending = self.0.entry((channel, Lane::Messages)).or_default();
        events.extend(lines(pending, bytes, message));
        if pending.is_empty() {
            self.0.remove(&(channel, Lane::Messages));
        }
        events
    }

    /// What is left at the end of a tape: characters and lines that were never completed.
    pub fn finish(&mut self) -> Vec<(Option<u32>, Event)> {
        let left = std::mem::take(&mut self.0).into_iter();
        let event = |((channel, lane), bytes): ((u32, Lane), Vec<u8>)| {
            let event = match lane {
                Lane::Input | Lane::Output | Lane::Error => streamed(lane, passed(&bytes)),
                Lane::Requests | Lane::End | Lane::Size | Lane::Head | Lane::Messages => {
                    unreadable("the end, which is cut off", bytes.len())
                }
            };
            (named(channel), event)
        };
        let heads = self.1.all().map(|(channel, event)| (named(channel), event));
        heads.chain(left.map(event)).collect()
    }
}

/// A channel, unless it is the session itself.
fn named(channel: u32) -> Option<u32> {
    Some(channel).filter(|channel| *channel > 0)
}

/// The lines that are complete now.
fn lines(pending: &mut Vec<u8>, bytes: &[u8], read: fn(&[u8]) -> Event) -> Vec<Event> {
    pending.extend_from_slice(bytes);
    let mut events = Vec::new();
    while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = pending.drain(..=end).collect();
        events.push(read(&line));
    }
    if pending.len() > LONGEST {
        events.push(unreadable("a line too long to be shown", pending.len()));
        pending.clear();
    }
    events
}

fn end(line: &[u8]) -> Event {
    let Ok(taped) = serde_json::from_slice(line) else { return unreadable("how a channel ended", line.len()) };
    let TapedEnd { exit_status, signal, input, output, request, read, written, status, error, millis } = taped;
    if let Some(millis) = millis {
        return Event::Exchanged { status, error, millis, input, output };
    }
    match request {
        Some(request) => Event::File { request, read, written },
        None => Event::Exit { exit_status, signal, input, output },
    }
}

fn message(line: &[u8]) -> Event {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Taped {
        to: String,
        opcode: u8,
        bytes: u64,
        taped: u64,
    }
    match serde_json::from_slice(line) {
        Ok(Taped { to, opcode, bytes, taped }) => Event::Message { to, opcode, bytes, taped },
        Err(_) => unreadable("what is told of a message", line.len()),
    }
}

fn size(bytes: &[u8]) -> Event {
    let read = std::str::from_utf8(bytes).ok().and_then(|text| {
        let (columns, rows) = text.split_once('x')?;
        Some(Event::Size { columns: columns.parse().ok()?, rows: rows.parse().ok()? })
    });
    read.unwrap_or_else(|| unreadable("the size of a terminal", bytes.len()))
}

const fn streamed(lane: Lane, passed: Passed) -> Event {
    match lane {
        Lane::Input => Event::Input(passed),
        Lane::Error => Event::ErrorOutput(passed),
        Lane::Output | Lane::Requests | Lane::Size | Lane::End | Lane::Head | Lane::Messages => Event::Output(passed),
    }
}

/// What is whole of a stream now; the beginning of a character waits for its end.
fn text(pending: &mut Vec<u8>, bytes: &[u8]) -> Option<Passed> {
    let mut all = std::mem::take(pending);
    all.extend_from_slice(bytes);
    *pending = all.split_off(all.len().saturating_sub(begun(&all)));
    (!all.is_empty()).then(|| passed(&all))
}

/// How many bytes at the end are the beginning of a character that may still become whole.
fn begun(bytes: &[u8]) -> usize {
    let is_begun = |length: &usize| {
        let last = bytes.len().checked_sub(*length).and_then(|from| bytes.get(from..)).unwrap_or_default();
        std::str::from_utf8(last).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..4).find(is_begun).unwrap_or(0)
}

fn passed(bytes: &[u8]) -> Passed {
    match std::str::from_utf8(bytes) {
        Ok(text) => Passed { data: text.to_owned(), bytes: None },
        Err(_) => Passed { data: String::from_utf8_lossy(bytes).into_owned(), bytes: Some(STANDARD.encode(bytes)) },
    }
}

#[cfg(test)]
mod tests;
