//! Feeds the index from the journal: behind it by a moment, and never in its way.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger::{Reader, RealDisk};
use model::event::Entry;
use store::{Sqlite, State};

use crate::node::Layout;

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

/// Why the index cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A Sluice has the journal, or it cannot be read.
    #[error(transparent)]
    Journal(#[from] ledger::OpenError),
    /// An entry cannot be read.
    #[error(transparent)]
    Read(#[from] ledger::ReadError),
    /// The index cannot be written.
    #[error(transparent)]
    State(#[from] store::Error),
    /// The old index cannot be removed.
    #[error("the old index cannot be removed")]
    Remove(#[source] std::io::Error),
}

/// Makes the index of a data directory anew, from its journal alone, whatever state the old one is in; no Sluice may run
/// there. `progress` is told how many entries are in it so far. Returns how many there are.
///
/// # Errors
/// See [`RebuildError`].
pub fn rebuild(data_dir: &Path, mut progress: impl FnMut(u64)) -> Result<u64, RebuildError> {
    let journal = Layout::of(data_dir).journal();
    let _held = ledger::hold(&RealDisk, &journal)?;
    store::remove_index(data_dir).map_err(RebuildError::Remove)?;
    let index = Sqlite::open(data_dir)?;
    let mut reader = Reader::open(Arc::new(RealDisk), &journal, 0);
    loop {
        let batch = next_batch(&mut reader)?;
        if batch.is_empty() {
            return Ok(reader.position());
        }
        index.index(&batch)?;
        progress(reader.position());
    }
}

/// How many entries of the journal in a data directory are not in its index.
///
/// # Errors
/// The index, or the journal, cannot be read.
pub fn behind(data_dir: &Path, index: &store::Index) -> Result<u64, RebuildError> {
    let next = index.position()?.map_or(0, |position| position.saturating_add(1));
    let mut reader = Reader::open(Arc::new(RealDisk), &Layout::of(data_dir).journal(), next);
    while reader.next()?.is_some() {}
    Ok(reader.position().saturating_sub(next))
}

fn next_batch(reader: &mut Reader) -> Result<Vec<(u64, Entry)>, ledger::ReadError> {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match reader.next()? {
            Some(entry) => batch.push(entry),
            None => break,
        }
    }
    Ok(batch)
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
    let batch = next_batch(&mut reader)?;
    if !batch.is_empty() {
        state.index(&batch)?;
    }
    Ok((reader, batch.len()))
}
