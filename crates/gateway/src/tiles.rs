//! Keeps the journal as static files too (`journal.tiles_dir`): behind each checkpoint, and never in a request's way.

use std::sync::{Arc, PoisonError};

use ledger::{Exported, RealDisk, TilesError};

use crate::node::Node;

/// Follows the checkpoints for as long as it is polled.
pub(crate) async fn run(node: &Node) {
    let mut signed = node.recorder.signed();
    loop {
        signed.mark_unchanged();
        bring(node).await;
        if signed.changed().await.is_err() {
            return;
        }
    }
}

/// Brings the files up to the latest checkpoint. What fails is tried again at the next.
pub(crate) async fn bring(node: &Node) {
    let Some(dir) = node.config.journal.tiles_dir.clone() else { return };
    if node.recorder.signed().borrow().is_none() {
        return;
    }
    let (journal, key) = (node.layout().journal(), node.recorder.journal().public_key().clone());
    let tiles = Arc::clone(&node.tiles);
    let exported = tokio::task::spawn_blocking(move || {
        // What was begun goes on where its task ends.
        let _alone = tiles.lock().unwrap_or_else(PoisonError::into_inner);
        ledger::export(&RealDisk, &journal, &key, &dir)
    })
    .await;
    match exported {
        Ok(Ok(Exported { checkpoint, .. })) => {
            node.metrics.tiles_size.set(i64::try_from(checkpoint.size()).unwrap_or(i64::MAX));
        }
        Ok(Err(TilesError::NotSigned)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the tiles do not follow the journal"),
        Err(error) => tracing::error!(%error, "a task of the tiles failed"),
    }
}
