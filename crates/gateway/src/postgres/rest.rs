//! What a session that has gone quiet gives back. Most sessions are quiet most of the time, and each would keep for itself
//! what it needed at its busiest.
//!
//! While statements come, nothing is given back and nothing made anew.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::analysed::Memo;
use super::session::{Session, Stall};

/// How long a session has to be quiet for its buffers to go.
const BUFFERS_AFTER: Duration = Duration::from_secs(2);

/// And for what it remembers of texts to go: the next one is analysed and judged anew, which takes longer than to get a
/// buffer.
const MEMO_AFTER: Duration = Duration::from_secs(60);

/// What a session has given back since something last came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Given {
    Nothing,
    Buffers,
    Memo,
}

impl Session {
    /// Notes that something came.
    pub(super) fn is_active(&mut self) {
        self.last_activity = Instant::now();
        self.given = Given::Nothing;
    }

    /// When there is more to be given back, if nothing comes before. A request that is held has its own times.
    pub(super) fn rests_at(&self) -> Option<Instant> {
        let after = match self.given {
            Given::Nothing => BUFFERS_AFTER,
            Given::Buffers => MEMO_AFTER,
            Given::Memo => return None,
        };
        (!matches!(self.stall, Some(Stall::Hold(_)))).then(|| self.last_activity + after)
    }

    /// Gives back what it is time for.
    pub(super) fn rest(&mut self) {
        if self.rests_at().is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.given = match self.given {
            Given::Nothing => {
                self.give_buffers();
                Given::Buffers
            }
            Given::Buffers | Given::Memo => {
                self.memo = Memo::default();
                Given::Memo
            }
        };
    }

    /// Whatever is empty and has room. What is in use stays.
    fn give_buffers(&mut self) {
        self.client.leg().rest();
        self.target.leg().rest();
        self.outbox.rest();
        self.tape.rest();
        self.pipeline.rest();
        // An empty map keeps the room of a node.
        if self.runs.is_empty() {
            self.runs = BTreeMap::new();
        }
        if self.receipts.is_empty() {
            self.receipts = BTreeMap::new();
        }
    }
}
