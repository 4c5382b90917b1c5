//! Feeds the index from the journal: behind it by a moment, and never in its way.

use std::sync::Arc;
use std::time::Duration;

use model::event::Entry;
use store::State;

use crate::recorder::Recorder;

/// How many entries go into the index in one transaction.
const BATCH: usize = 1000;

/// How long to wait for more when the journal is quiet, or after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the journal for as long as it is polled.
pub(crate) async fn run(state: Arc<dyn State>, recorder: Arc<Recorder>) {
    loop {
        let (reading, index) = (Arc::clone(&recorder), Arc::clone(&state));
        let fed = tokio::task::spawn_blocking(move || feed(index.as_ref(), &reading)).await;
        match fed {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let _ = tokio::time::timeout(PAUSE, recorder.written()).await;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the index cannot follow the journal");
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Why the index does not follow.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    State(#[from] store::Error),
    #[error(transparent)]
    Read(#[from] ledger::ReadError),
}

/// Takes what is new, at most a batch; says whether there was anything.
fn feed(state: &dyn State, recorder: &Recorder) -> Result<bool, FeedError> {
    let next = state.indexed_to()?.map_or(0, |position| position.saturating_add(1));
    let mut reader = recorder.journal().reader(next);
    let mut batch: Vec<(u64, Entry)> = Vec::new();
    while batch.len() < BATCH {
        match reader.next()? {
            Some(entry) => batch.push(entry),
            None => break,
        }
    }
    if batch.is_empty() {
        return Ok(false);
    }
    state.index(&batch)?;
    Ok(true)
}
