//! The open files of a channel: by what they were opened, and what passed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ledger::tape::Lane;
use model::disclosure::Disclosure;
use model::id::RequestId;
use serde::Serialize;

use super::super::relay::Relay;
use crate::deciding::Go;
use crate::measure::{Measure, Measured};

/// How many files a channel may have open.
pub(super) const MOST: usize = 1024;

/// How a file or directory was opened.
pub(super) struct Opening {
    pub(super) path: Arc<[u8]>,
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) is_directory: bool,
}

/// An open file or directory.
pub(super) struct Open {
    pub(super) go: Arc<Go>,
    pub(super) opening: Opening,
    disclosure: Disclosure,
    read: Flow,
    written: Flow,
}

/// What passed one way: its digest, as long as it went from the beginning on.
#[derive(Default)]
struct Flow {
    next: u64,
    bytes: u64,
    measure: Measure,
    is_scattered: bool,
}

impl Flow {
    fn add(&mut self, offset: u64, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        if offset != self.next || self.is_scattered {
            self.is_scattered = true;
            return;
        }
        self.next = offset.saturating_add(length);
        self.measure.add(bytes);
    }

    fn content(self) -> Option<Passed> {
        if self.bytes == 0 {
            return None;
        }
        let Measured { sha256, .. } = self.measure.finish();
        Some(Passed { bytes: self.bytes, sha256: (!self.is_scattered).then_some(sha256) })
    }
}

/// What the tape has of a file that was open.
#[derive(Serialize)]
struct Line {
    request: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Passed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Passed>,
}

#[derive(Serialize)]
struct Passed {
    bytes: u64,
    /// Absent where it was not read or written from its beginning on.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// All of them, by the handle that the host gave.
#[derive(Default)]
pub(super) struct Files(HashMap<Bytes, Open>);

impl Files {
    /// Whether one more may be open.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MOST
    }

    /// A file is open. A host that gives a handle again has closed what had it.
    pub(super) fn open(&mut self, handle: Bytes, go: Arc<Go>, opening: Opening) {
        let open =
            Open { go, opening, disclosure: Disclosure::default(), read: Flow::default(), written: Flow::default() };
        self.0.insert(handle, open);
    }

    /// The file of a handle.
    pub(super) fn find(&self, handle: &Bytes) -> Option<&Open> {
        self.0.get(handle)
    }

    /// What the caller saw of it.
    pub(super) fn read(&mut self, handle: &Bytes, offset: u64, bytes: &[u8], disclosed: &Disclosure) {
        if let Some(open) = self.0.get_mut(handle) {
            open.read.add(offset, bytes);
            open.disclosure.add(disclosed);
        }
    }

    /// What is written to it.
    pub(super) fn write(&mut self, handle: &Bytes, offset: u64, bytes: &[u8]) {
        if let Some(open) = self.0.get_mut(handle) {
            open.written.add(offset, bytes);
        }
    }

    /// It is closed.
    pub(super) fn close(&mut self, handle: &Bytes, relay: &Relay, error: Option<Arc<str>>) {
        if let Some(open) = self.0.remove(handle) {
            open.end(relay, error);
        }
    }

    /// The channel ends, and with it all that is open.
    pub(super) fn end(self, relay: &Relay) {
        self.0.into_values().for_each(|open| open.end(relay, None));
    }
}

impl Open {
    fn end(self, relay: &Relay, error: Option<Arc<str>>) {
        let line = Line { request: self.go.request(), read: self.read.content(), written: self.written.content() };
        relay.session.tape().line_on(relay.number, Lane::End, &line);
        relay.session.complete(&self.go, self.disclosure, error);
    }
}
