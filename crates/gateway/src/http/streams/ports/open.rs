//! Which connections to ports are open, and what belongs to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use effects::http::Request;
use model::disclosure::Disclosure;
use serde::Serialize;

use crate::deciding::Go;
use crate::measure::{Measure, Measured};

/// How a connection ended, as the tape has it.
#[derive(Serialize)]
pub(super) struct Ending {
    pub(super) input: Measured,
    pub(super) output: Measured,
}

/// One connection to a port.
pub(super) struct Connection {
    pub(super) go: Arc<Go>,
    pub(super) asked: Request,
    pub(super) port: u16,
    pub(super) number: u32,
    pub(super) sent: Measure,
    pub(super) got: Measure,
    pub(super) disclosure: Disclosure,
    pub(super) error: Vec<u8>,
    /// How many of its streams are not over on both sides.
    pub(super) open: usize,
    pub(super) has_data: bool,
    pub(super) has_error: bool,
}

/// To what a stream belongs that is opened.
pub(super) enum Belongs {
    /// To a connection that is decided.
    Known,
    /// To one that was refused.
    Refused,
    /// To none yet.
    New,
}

/// One of its streams.
pub(super) struct Stream {
    /// The connection.
    pub(super) of: Box<str>,
    pub(super) is_error: bool,
    pub(super) has_ended: bool,
    pub(super) is_taken: bool,
    pub(super) is_over: bool,
}

#[derive(Default)]
pub(super) struct Open {
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) connections: BTreeMap<Box<str>, Connection>,
    /// Connections that were refused, the second stream of which comes still; and their streams.
    pub(super) refused: BTreeSet<Box<str>>,
    pub(super) refused_streams: BTreeSet<u32>,
    pub(super) last: u32,
}

impl Open {
    /// What is over for one side; the connection, if it is for both.
    pub(super) fn over(&mut self, number: u32) -> Option<Connection> {
        let stream = self.streams.get(&number).filter(|stream| stream.has_ended && stream.is_over)?;
        let of = stream.of.clone();
        self.streams.remove(&number);
        let connection = self.connections.get_mut(&of)?;
        connection.open = connection.open.saturating_sub(1);
        let is_whole = connection.open == 0 && connection.has_data;
        if is_whole { self.connections.remove(&of) } else { None }
    }
}
