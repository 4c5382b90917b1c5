//! The journal at work: receipts for requests, group commit, checkpoints, and what happens when the disk fails.
//!
//! A request's entries are written before it is forwarded, one write(2) for all that a session has in hand. Entries that
//! nothing waits for (a request completed, a session closed) are gathered and go out with the next batch, or within
//! a few milliseconds. One thread does every fdatasync, so that all who wait share the next one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::{Appended, Checkpoint, Journal, Level, Receipt, Synced};
use model::error::ErrorKind;
use model::event::{Entry, Event};
use model::id::{Digest, SessionId};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::metrics::Metrics;

/// How long an entry that nothing waits for may stay in memory.
const TICK: Duration = Duration::from_millis(20);

/// How soon after a session's end a checkpoint covers it.
const SESSION_CHECKPOINT: Duration = Duration::from_millis(500);

/// How often a failed disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How many statements are known to be in the journal before all are forgotten, and introduced again.
const MOST_STATEMENTS: usize = 65_536;

/// The journal cannot be written, and the wait for it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be written")]
pub struct NotRecorded;

/// The one way into the journal.
pub struct Recorder {
    journal: Arc<Journal>,
    gathered: Mutex<Vec<Entry>>,
    statements: Mutex<HashSet<Digest>>,
    synced: watch::Sender<Option<Synced>>,
    signed: watch::Sender<Option<Checkpoint>>,
    wanted: Notify,
    ended_session: AtomicBool,
    written: Notify,
    grown: Notify,
    deadline: Duration,
    checkpoint_every: Duration,
    metrics: Metrics,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Recorder({} entries)", self.journal.size())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a gap in the place of entries that no journal can take, so that they do not hold up the others.
fn shorten(entries: Vec<Entry>) -> Vec<Entry> {
    let fits = |entry: &Entry| ledger::fits(entry);
    entries
        .into_iter()
        .map(|entry| match fits(&entry) {
            true => entry,
            false => Entry { event: Event::Gap { session: None, reason: "an entry was too large".into() }, ..entry },
        })
        .collect()
}

/// An entry that happens now.
pub fn entry(event: Event) -> Entry {
    Entry { at: clock::now(), event }
}

impl Recorder {
    /// Takes the opened journal. Requests wait at most `deadline` for a disk that fails; a checkpoint is signed at
    /// least every `checkpoint_every` while entries come.
    pub fn new(journal: Journal, deadline: Duration, checkpoint_every: Duration, metrics: Metrics) -> Arc<Self> {
        metrics.journal_writable.set(1);
        let signed = watch::Sender::new(journal.last_checkpoint());
        Arc::new(Self {
            journal: Arc::new(journal),
            signed,
            gathered: Mutex::default(),
            statements: Mutex::default(),
            synced: watch::Sender::new(None),
            wanted: Notify::new(),
            ended_session: AtomicBool::new(false),
            written: Notify::new(),
            grown: Notify::new(),
            deadline,
            checkpoint_every,
            metrics,
        })
    }

    /// The journal, to read from.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Whether requests can be recorded now.
    pub fn is_writable(&self) -> bool {
        !self.journal.is_stalled()
    }

    /// Records a batch and returns a receipt for each entry, in order. Waits for the disk where the level or a failing
    /// disk demands it, at most until the deadline. Cancel safe: entries once written stay.
    ///
    /// # Errors
    /// If the entries are not recorded at that level in time. They may be in the journal all the same: a decision that
    /// was not carried out.
    pub async fn record(&self, mut entries: Vec<Entry>, level: Level) -> Result<Vec<Receipt>, NotRecorded> {
        let until = Instant::now() + self.deadline;
        let count = entries.len();
        let appended = loop {
            match self.append(entries) {
                Ok(appended) => break appended,
                Err(back) if Instant::now() < until => {
                    entries = back;
                    tokio::time::sleep(RETRY.min(self.deadline)).await;
                }
                Err(_) => return Err(NotRecorded),
            }
        };
        let mut receipts = match level {
            Level::Process => appended.at_process(),
            Level::Power => {
                let timer = self.metrics.journal_wait.start_timer();
                let receipts = self.redeem(appended, until).await;
                timer.observe_duration();
                receipts?
            }
        };
        // The entries that were gathered before come first; their receipts are nobody's.
        Ok(receipts.split_off(receipts.len().saturating_sub(count)))
    }

    /// Gathers an entry that nothing waits for.
    pub fn note(&self, event: Event) {
        if matches!(event, Event::SessionClosed { .. }) {
            self.ended_session.store(true, Ordering::Release);
        }
        locked(&self.gathered).push(entry(event));
    }

    /// Says that a session's record has a hole.
    pub(crate) fn gap(&self, session: SessionId, reason: &str) {
        tracing::error!(%session, reason, "the record has a gap");
        self.note(Event::Gap { session: Some(session), reason: reason.into() });
    }

    /// Whether the journal already explains this statement; if not, the caller's batch has to.
    pub(crate) fn knows(&self, statement: &Digest) -> bool {
        locked(&self.statements).contains(statement)
    }

    /// The journal now explains these statements.
    pub(crate) fn introduced(&self, statements: impl IntoIterator<Item = Digest>) {
        let mut known = locked(&self.statements);
        if known.len() >= MOST_STATEMENTS {
            known.clear();
        }
        known.extend(statements);
    }

    /// Resolves when something was written since the last call: for the index.
    pub(crate) async fn written(&self) {
        self.written.notified().await;
    }

    /// Resolves when something is written after the first poll: for any number of sinks.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Waits until more than `known` entries are on the disk, and returns how many are. It does not end while there are no
    /// more.
    pub(crate) async fn durable_beyond(&self, known: u64) -> u64 {
        let mut synced = self.synced.subscribe();
        loop {
            let size = synced.borrow_and_update().as_ref().map_or(0, Synced::size);
            if size > known {
                return size;
            }
            self.wanted.notify_one();
            // A sync that failed says nothing; it is asked for again.
            let _ = tokio::time::timeout(RETRY, synced.changed()).await;
        }
    }

    /// The latest checkpoint, and each that follows: for the witnesses.
    pub(crate) fn signed(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.signed.subscribe()
    }

    /// Appends what was gathered and `entries` with one write; gives `entries` back if the disk fails.
    fn append(&self, entries: Vec<Entry>) -> Result<Appended, Vec<Entry>> {
        let mut gathered = locked(&self.gathered);
        let before = gathered.len();
        let mut batch = std::mem::take(&mut *gathered);
        batch.extend(entries);
        let result = self.journal.append(&batch);
        self.metrics.journal_writable.set(i64::from(result.is_ok()));
        match result {
            Ok(appended) => {
                self.metrics.journal_entries.inc_by(u64::try_from(batch.len()).unwrap_or(0));
                self.written.notify_one();
                self.grown.notify_waiters();
                Ok(appended)
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be written");
                let back = batch.split_off(before);
                *gathered = if error.kind() == ErrorKind::Limit { shorten(batch) } else { batch };
                Err(back)
            }
        }
    }

    /// Waits until a sync covers the batch.
    async fn redeem(&self, mut appended: Appended, until: Instant) -> Result<Vec<Receipt>, NotRecorded> {
        let mut synced = self.synced.subscribe();
        loop {
            self.wanted.notify_one();
            let left = until.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, synced.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(NotRecorded),
            }
            let mark = synced.borrow_and_update().clone();
            if let Some(mark) = mark {
                match appended.at_power(&mark) {
                    Ok(receipts) => return Ok(receipts),
                    Err(not_yet) => appended = not_yet.0,
                }
            }
        }
    }

    /// Syncs, signs and repairs, for as long as it is polled. Blocking work runs on the runtime's blocking threads.
    pub async fn run(self: Arc<Self>) {
        // What an earlier process left unsigned is due as well.
        let last = self.journal.last_checkpoint().map_or(0, |checkpoint| checkpoint.size());
        let mut signed = (Instant::now(), last);
        loop {
            let wanted = tokio::select! {
                () = self.wanted.notified() => true,
                () = tokio::time::sleep(TICK) => false,
            };
            if !wanted && !self.has_work(signed) {
                continue;
            }
            let recorder = Arc::clone(&self);
            let turn = tokio::task::spawn_blocking(move || recorder.turn(wanted, signed)).await;
            if let Ok(next) = turn {
                signed = next;
            }
        }
    }

    /// Whether a turn would do anything.
    fn has_work(&self, (at, size): (Instant, u64)) -> bool {
        let due = at.elapsed() >= self.checkpoint_every && self.journal.size() != size;
        due || self.ended_session.load(Ordering::Acquire)
            || self.journal.is_stalled()
            || !locked(&self.gathered).is_empty()
    }

    /// One turn of the writer: what was gathered goes out, whoever waits is served, a due checkpoint is signed.
    fn turn(&self, wanted: bool, signed: (Instant, u64)) -> (Instant, u64) {
        if self.journal.is_stalled() {
            match self.journal.try_recover() {
                Ok(()) => tracing::warn!("the journal can be written again"),
                Err(error) => {
                    self.metrics.journal_writable.set(0);
                    tracing::error!(%error, "the journal is stalled; nothing is forwarded");
                    std::thread::sleep(RETRY);
                    return signed;
                }
            }
        }
        self.flush();
        if wanted {
            self.sync();
        }
        self.checkpoint_if_due(signed)
    }

    /// Writes what was gathered.
    pub fn flush(&self) {
        if !locked(&self.gathered).is_empty() {
            // If it fails, that was logged and the entries stay gathered for the next turn.
            let _ = self.append(Vec::new()).map(Appended::at_process);
        }
    }

    /// Makes all that was written survive a power cut, and tells whoever waits for it.
    pub(crate) fn sync(&self) {
        self.metrics.journal_syncs.inc();
        match self.journal.sync() {
            Ok(mark) => drop(self.synced.send_replace(Some(mark))),
            Err(error) => {
                self.metrics.journal_writable.set(0);
                tracing::error!(%error, "the journal cannot be synced; its segment is given up");
            }
        }
    }

    fn checkpoint_if_due(&self, (at, size): (Instant, u64)) -> (Instant, u64) {
        let ended = self.ended_session.load(Ordering::Acquire);
        let age = at.elapsed();
        let due = age >= self.checkpoint_every || (ended && age >= SESSION_CHECKPOINT);
        if !due {
            return (at, size);
        }
        self.ended_session.store(false, Ordering::Release);
        if self.journal.size() == size {
            return (Instant::now(), size);
        }
        self.checkpoint();
        (Instant::now(), self.journal.size())
    }

    /// Signs the tree as it is.
    pub fn checkpoint(&self) {
        match self.journal.checkpoint() {
            Ok(checkpoint) => drop(self.signed.send_replace(Some(checkpoint))),
            Err(error) => tracing::error!(%error, "no checkpoint could be signed"),
        }
    }
}
