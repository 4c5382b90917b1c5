//! Feeds the index from the journal: behind it by a moment, and never in its way.

use std::sync::Arc;
use std::time::Duration;

use ledger::Reader;
use model::event::Entry;
use store::State;

use crate::recorder::Recorder;

/// How many entries go into the index in one transaction.
const BATCH: usize = 2000;

/// How long to wait for more when the journal is quiet, or after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// How long to let entries gather once there is one: a transaction for each would cost more than what it holds.
const GATHER: Duration = Duration::from_millis(50);

/// How long while so many come that a transaction's own cost shows, and how many that is.
const GATHER_MANY: Duration = Duration::from_millis(250);
const MANY: usize = 250;

/// Follows the journal for as long as it is polled.
pub(crate) async fn run(state: Arc<dyn State>, recorder: Arc<Recorder>) {
    // Kept from batch to batch: a new one finds its place by reading its segment from the beginning.
    let mut reader = None;
    loop {
        let (reading, index, place) = (Arc::clone(&recorder), Arc::clone(&state), reader.take());
        let fed = tokio::task::spawn_blocking(move || feed(index.as_ref(), &reading, place)).await;
        match fed {
            Ok(Ok((place, taken))) => {
                reader = Some(place);
                if taken < BATCH {
                    let _ = tokio::time::timeout(PAUSE, recorder.written()).await;
                    tokio::time::sleep(if taken < MANY { GATHER } else { GATHER_MANY }).await;
                }
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

/// Takes what is new, at most a batch; returns the reader, and how many entries it took. After a failure the next call
/// begins where the index ends.
fn feed(state: &dyn State, recorder: &Recorder, reader: Option<Reader>) -> Result<(Reader, usize), FeedError> {
    let mut reader = match reader {
        Some(reader) => reader,
        None => {
            let next = state.indexed_to()?.map_or(0, |position| position.saturating_add(1));
            recorder.journal().reader(next)
        }
    };
    let mut batch: Vec<(u64, Entry)> = Vec::new();
    while batch.len() < BATCH {
        match reader.next()? {
            Some(entry) => batch.push(entry),
            None => break,
        }
    }
    if !batch.is_empty() {
        state.index(&batch)?;
    }
    Ok((reader, batch.len()))
}
