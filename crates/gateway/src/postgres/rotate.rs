//! A tape that is long or old goes on in its next part, beside its session: the part that ended is synced, told to the
//! journal and packed while the session goes on.

use std::sync::Arc;

use ledger::tape::{Ended, EndedPart, Part};
use model::event::{Event, Shown};
use model::id::{RequestId, SessionId};
use tokio::task::JoinHandle;

use super::session::Session;
use crate::node::Node;

impl Session {
    /// Notes a request on the tape.
    pub(super) fn tape_request(&mut self, request: RequestId, statement: &str, values: &[Shown]) {
        let is_fresh = self.pipeline.is_empty() && self.staged.is_empty() && self.outbox.is_empty();
        self.rotate_tape(is_fresh);
        self.tape.request(request, statement, values);
    }

    /// Has the tape go on in its next part, if it is time for that. A tape that cannot takes nothing more: the session ends
    /// with what it has to record next.
    pub(super) fn rotate_tape(&mut self, is_fresh: bool) {
        if !self.tape.is_due() {
            return;
        }
        let (tape, slow) = (&mut self.tape, !self.node.recorder.is_quick());
        match crate::threads::may_block(slow, || tape.rotate(is_fresh)) {
            Ok(Some((ended, live))) => {
                self.node.live_tapes.enter(live);
                let told = tell(&self.node, ended);
                self.tape.is_told_by(told);
            }
            Ok(None) => {}
            Err(error) => tracing::error!(session = %self.caller.session, %error, "a tape cannot go on in a next part"),
        }
    }
}

/// Makes a part that ended last, and has the journal know it.
fn tell(node: &Arc<Node>, ended: Ended) -> JoinHandle<()> {
    let telling = Arc::clone(node);
    node.tasks.spawn_blocking(move || {
        let session = ended.session();
        match ended.sync() {
            Ok(EndedPart { part, digest, length }) => {
                telling.recorder.note(Event::TapePartEnded { session, part: part.number(), digest, length });
                pack(&telling, session, part);
            }
            Err(error) => tracing::error!(%session, %error, "a part of a tape cannot be synced: it takes nothing more"),
        }
    })
}

/// Rewrites a part that ended to a fraction of its size; its digest stays the same.
pub(super) fn pack(node: &Arc<Node>, session: SessionId, part: Part) {
    let packing = Arc::clone(node);
    node.tasks.spawn_blocking(move || {
        // Whoever has it already compresses it whole.
        let Some(alone) = packing.packing.claim(session, part) else { return };
        let (dir, disk, keys) = (packing.layout().tapes(), packing.disk(), Some(&*packing.tape_keys));
        if let Err(error) = ledger::tape::compress(disk.as_ref(), &dir, session, part, keys) {
            tracing::warn!(%session, %part, %error, "a part of a tape stays uncompressed");
        }
        drop(alone);
        if let Some(archive) = &packing.archive {
            archive.look();
        }
    });
}
