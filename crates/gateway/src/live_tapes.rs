//! The tapes of sessions that go on, synced about as often as a checkpoint is signed, beside the sessions: none waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use ledger::tape::LiveTape;

use crate::node::Node;

/// Every tape that is written.
#[derive(Default)]
pub(crate) struct LiveTapes(Mutex<Vec<LiveTape>>);

impl LiveTapes {
    /// Has a tape synced until it ends.
    pub(crate) fn enter(&self, tape: LiveTape) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tape);
    }

    /// Syncs all that have grown. Blocks.
    fn sync(&self) {
        // Not held meanwhile: sessions begin.
        let mut tapes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tapes.retain_mut(|tape| {
            tape.sync().unwrap_or_else(|error| {
                tracing::error!(session = %tape.session(), %error, "a tape cannot be synced: it takes nothing more");
                false
            })
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(&mut tapes);
    }
}

/// Syncs them again and again, for as long as it is polled.
pub(crate) async fn run(node: &Node) {
    loop {
        tokio::time::sleep(node.config.journal.checkpoint_interval).await;
        let tapes = Arc::clone(&node.live_tapes);
        // The disk may keep it waiting, and with it the next round alone.
        let _ = tokio::task::spawn_blocking(move || tapes.sync()).await;
    }
}
