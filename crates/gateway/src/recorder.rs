//! The journal at work: receipts for requests, group commit, checkpoints, and what happens when the disk fails.
//!
//! A request's entries are written before it is forwarded, one write(2) for all that a session has in hand. Entries that
//! nothing waits for (a request completed, a session closed) are gathered and go out with the next batch, or within
//! a few milliseconds. One thread does every fdatasync, so that all who wait share the next one.
//!
//! One writes at a time, and whoever has to wait for its turn waits as a task, not as a thread. While the disk is quick a
//! session writes by itself; once it is slow, failing or full, threads do that may be kept waiting. What is not recorded by
//! the deadline is not forwarded, also when the write returns after all.

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::{Appended, Checkpoint, Journal, JournalError, Level, Receipt, Synced};
use model::approval::Status;
use model::error::ErrorKind;
use model::event::{Entry, Event};
use model::id::{Digest, SessionId};
use store::approval::{AskedFor, OUTDATED};
use tokio::sync::{Mutex as Turns, Notify, OwnedMutexGuard, watch};

use crate::clock;
use crate::metrics::Metrics;
pub(crate) use clocks::Clocks;
use gathered::Gathered;
use health::Health;

mod clocks;
mod fitting;
mod gathered;
mod health;
mod waker;

pub use health::Fault;

/// How long an entry that nothing waits for may stay in memory.
const TICK: Duration = Duration::from_millis(20);

/// How soon after a session's end a checkpoint covers it.
const SESSION_CHECKPOINT: Duration = Duration::from_millis(500);

/// How often a failed disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The shortest time that requests wait for their turn, whatever the configuration says.
const LEAST_DEADLINE: Duration = Duration::from_millis(100);

/// How many gathered entries one write takes along: on the slowest disk, less than a deadline's worth.
const CHUNK: usize = 128;

/// How many statements are known to be in the journal before all are forgotten, and introduced again.
const MOST_STATEMENTS: usize = 65_536;

/// Why entries were not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The journal cannot be written, and the wait for it is over.
    #[error("the journal cannot be written")]
    Unwritable,
    /// One of them is longer than any journal takes: 65,535 bytes.
    #[error("an entry is longer than the journal takes")]
    TooLong,
}

/// The one way into the journal.
pub struct Recorder {
    journal: Arc<Journal>,
    /// Whose turn it is to write.
    turns: Arc<Turns<()>>,
    gathered: Mutex<Gathered>,
    health: Health,
    clocks: Clocks,
    statements: Mutex<HashSet<Digest>>,
    synced: watch::Sender<Option<Synced>>,
    signed: watch::Sender<Option<Checkpoint>>,
    wanted: Notify,
    ended_session: AtomicBool,
    /// Who has to agree before anything is signed: witnesses that were not asked yet, and those that contradict (true).
    unsigned_for: Mutex<BTreeMap<String, bool>>,
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

/// Whatever panics in the journal has failed like a disk: what it was about is not recorded, and is tried again once that
/// is repaired. No entry is lost with the thread, and no session waits for one that is gone.
fn caught<T>(journal: &Journal, act: impl FnOnce(&Journal) -> Result<T, JournalError>) -> Result<T, JournalError> {
    std::panic::catch_unwind(AssertUnwindSafe(|| act(journal))).unwrap_or_else(|_| {
        journal.look_after_panic();
        Err(std::io::Error::other("it panicked").into())
    })
}

/// An entry that happens now.
pub fn entry(event: Event) -> Entry {
    Entry { at: clock::now(), event }
}

impl Recorder {
    /// Takes the opened journal. Requests wait at most `deadline` for a disk that fails; a checkpoint is signed at
    /// least every `checkpoint_every` while entries come.
    pub fn new(journal: Journal, deadline: Duration, checkpoint_every: Duration, metrics: Metrics) -> Arc<Self> {
        let deadline = deadline.max(LEAST_DEADLINE);
        let health = Health::new(deadline);
        if journal.is_stalled() {
            health.failed(Fault::Full);
        }
        let signed = watch::Sender::new(journal.last_checkpoint());
        Arc::new(Self {
            journal: Arc::new(journal),
            signed,
            turns: Arc::default(),
            gathered: Mutex::default(),
            health,
            clocks: Clocks::new(clock::now()),
            statements: Mutex::default(),
            synced: watch::Sender::new(None),
            wanted: Notify::new(),
            ended_session: AtomicBool::new(false),
            unsigned_for: Mutex::default(),
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

    /// Why requests cannot be recorded now; `None` if they can. It waits for nothing.
    pub fn fault(&self) -> Option<Fault> {
        let stalled = || self.journal.is_stalled().then_some(Fault::Other);
        self.health.fault().or_else(stalled)
    }

    /// Whether requests can be recorded now.
    pub fn is_writable(&self) -> bool {
        self.fault().is_none()
    }

    /// Whether writing takes no time worth speaking of, as far as is known.
    pub(crate) fn is_quick(&self) -> bool {
        self.health.is_quick()
    }

    /// Puts what is known of the disk into the metrics.
    pub(crate) fn show(&self) {
        let fault = self.fault();
        self.metrics.journal_writable.set(i64::from(fault.is_none()));
        for known in Fault::ALL {
            let gauge = self.metrics.journal_fault.with_label_values(&[known.name()]);
            gauge.set(i64::from(fault == Some(known)));
        }
    }

    /// Records a batch and returns a receipt for each entry, in order. Waits for the disk where the level or a failing
    /// disk demands it, at most until the deadline. Cancel safe: entries once written stay.
    ///
    /// # Errors
    /// If the entries are not recorded at that level in time. They may be in the journal all the same: a decision that
    /// was not carried out.
    pub async fn record(self: &Arc<Self>, entries: Vec<Entry>, level: Level) -> Result<Vec<Receipt>, NotRecorded> {
        let until = Instant::now() + self.deadline;
        let count = entries.len();
        let appended = self.append_until(entries, until).await?;
        let mut receipts = match level {
            Level::Process => appended.at_process(),
            Level::Power => {
                let timer = self.metrics.journal_wait.start_timer();
                let receipts = self.redeem(appended, until).await;
                timer.observe_duration();
                receipts?
            }
        };
        if Instant::now() > until {
            return Err(self.missed());
        }
        // The entries that were gathered before come first; their receipts are nobody's.
        Ok(receipts.split_off(receipts.len().saturating_sub(count)))
    }

    /// Tries until the deadline, for as long as the disk fails.
    async fn append_until(self: &Arc<Self>, mut entries: Vec<Entry>, until: Instant) -> Result<Appended, NotRecorded> {
        loop {
            if !self.journal.is_stalled() && !self.health.hangs() {
                match self.append_in_turn(entries, until).await? {
                    Ok(appended) => return Ok(appended),
                    // No disk will take these.
                    Err(back) if !back.iter().all(ledger::fits) => return Err(NotRecorded::TooLong),
                    Err(back) => entries = back,
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.missed());
            }
            tokio::time::sleep(RETRY.min(left)).await;
        }
    }

    /// Waits for its turn and appends, by itself or by a thread that may be kept waiting; gives the entries back if the disk
    /// fails.
    async fn append_in_turn(
        self: &Arc<Self>,
        entries: Vec<Entry>,
        until: Instant,
    ) -> Result<Result<Appended, Vec<Entry>>, NotRecorded> {
        let turn = match Arc::clone(&self.turns).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => self.in_time(until, Arc::clone(&self.turns).lock_owned()).await?,
        };
        if self.health.is_quick() && locked(&self.gathered).len() <= CHUNK {
            return Ok(self.append(&turn, entries));
        }
        let recorder = Arc::clone(self);
        // It keeps the turn for as long as it takes, also when nobody waits for it any more: so there is only one.
        let append = tokio::task::spawn_blocking(move || recorder.append(&turn, entries));
        self.in_time(until, append).await?.map_err(|_| NotRecorded::Unwritable)
    }

    async fn in_time<T>(&self, until: Instant, what: impl Future<Output = T>) -> Result<T, NotRecorded> {
        let left = until.saturating_duration_since(Instant::now());
        tokio::time::timeout(left, what).await.map_err(|_| self.missed())
    }

    /// The deadline is over. If the disk did not say that it fails, then it is too slow.
    fn missed(&self) -> NotRecorded {
        if !self.journal.is_stalled() {
            self.health.missed();
        }
        NotRecorded::Unwritable
    }

    /// Gathers an entry that nothing waits for. What is too long of it is left out, and that is said.
    pub fn note(&self, mut event: Event) {
        if let Some(gap) = fitting::cut(&mut event) {
            self.note(gap);
        }
        let ends_session = matches!(event, Event::SessionClosed { .. });
        self.gather(&mut self.gathered_now(), event);
        // When it is there to be taken along: a checkpoint that was under way may have been without it.
        if ends_session {
            self.ended_session.store(true, Ordering::Release);
        }
    }

    fn gather(&self, gathered: &mut Gathered, event: Event) {
        if !gathered.push(entry(event)) {
            self.metrics.journal_left_out.inc();
        }
    }

    /// What is gathered, behind an entry if the wall clock was set: nobody gathers one with the new time before it.
    fn gathered_now(&self) -> MutexGuard<'_, Gathered> {
        let mut gathered = locked(&self.gathered);
        if let Some(moved) = self.clocks.moved(clock::now()) {
            tracing::warn!(event = ?moved, "the wall clock was set");
            self.gather(&mut gathered, moved);
        }
        gathered
    }

    /// Gathers the ends of what asking anew withdrew.
    pub fn note_outdated(&self, asked_for: &AskedFor) {
        for approval in asked_for.outdated.iter().copied() {
            let (status, reason) = (Status::Withdrawn, OUTDATED.into());
            self.note(Event::ApprovalEnded { approval, status, reason });
        }
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
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Waits until more than `known` entries are on the disk, and returns how many are. It does not end while there are no
    /// more.
    pub async fn durable_beyond(&self, known: u64) -> u64 {
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

    /// Signs nothing until this witness agrees: whoever contradicts the journal must not find more of it signed.
    pub(crate) fn hold_signing(&self, witness: &str, contradicts: bool) {
        locked(&self.unsigned_for).insert(witness.to_owned(), contradicts);
    }

    /// Waits until every witness has said what it has to say of signing.
    pub(crate) async fn asked(&self) {
        while locked(&self.unsigned_for).values().any(|contradicts| !contradicts) {
            tokio::time::sleep(TICK).await;
        }
    }

    /// This witness agrees, or cannot be asked.
    pub(crate) fn release_signing(&self, witness: &str) {
        locked(&self.unsigned_for).remove(witness);
    }

    fn may_sign(&self) -> bool {
        locked(&self.unsigned_for).is_empty()
    }

    /// The latest checkpoint, and each that follows: for the witnesses.
    pub(crate) fn signed(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.signed.subscribe()
    }

    /// Appends what was gathered, then `entries` with the last of it in one write; gives `entries` back if the disk fails.
    fn append(&self, _turn: &OwnedMutexGuard<()>, mut entries: Vec<Entry>) -> Result<Appended, Vec<Entry>> {
        loop {
            let (mut batch, last) = {
                let mut gathered = self.gathered_now();
                (gathered.take(CHUNK, entry), gathered.is_empty())
            };
            let before = batch.len();
            if last {
                batch.append(&mut entries);
            }
            let appended = self.health.writing(|| caught(&self.journal, |journal| journal.append(&batch)));
            match self.settle(appended, batch.len()) {
                Ok(appended) if last => return Ok(appended),
                Ok(_) => {}
                Err(error) => {
                    let back = if last { batch.split_off(before) } else { entries };
                    self.put_back(batch, &error);
                    return Err(back);
                }
            }
        }
    }

    fn settle(&self, appended: Result<Appended, JournalError>, count: usize) -> Result<Appended, JournalError> {
        match &appended {
            Ok(_) => {
                self.metrics.journal_entries.inc_by(u64::try_from(count).unwrap_or(0));
                self.written.notify_one();
                self.grown.notify_waiters();
            }
            Err(error) => self.failed(error),
        }
        appended
    }

    /// Keeps what was gathered and could not be written.
    fn put_back(&self, batch: Vec<Entry>, error: &JournalError) {
        let batch = if error.kind() == ErrorKind::Limit { shorten(batch) } else { batch };
        locked(&self.gathered).put_back(batch);
    }

    /// Says once what is wrong.
    fn failed(&self, error: &JournalError) {
        match Fault::of(error) {
            Some(fault) if self.health.failed(fault) => {
                tracing::error!(%error, reason = fault.name(), "nothing is forwarded until the journal can be written");
            }
            Some(_) => {}
            None => tracing::debug!(%error, "entries are not written"),
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
                Ok(Err(_)) | Err(_) => return Err(self.missed()),
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
        let _waker = waker::Waker::start(&self);
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
        ((due || self.ended_session.load(Ordering::Acquire)) && self.may_sign())
            || self.journal.is_stalled()
            || !locked(&self.gathered).is_empty()
    }

    /// One turn of the writer: what was gathered goes out, whoever waits is served, a due checkpoint is signed.
    fn turn(&self, wanted: bool, signed: (Instant, u64)) -> (Instant, u64) {
        if self.journal.is_stalled() && !self.recover() {
            self.flush_in(Duration::ZERO);
            std::thread::sleep(RETRY);
            return signed;
        }
        self.flush_in(Duration::ZERO);
        if wanted {
            self.sync();
        }
        self.checkpoint_if_due(signed)
    }

    /// Repairs what failed; says whether it could.
    fn recover(&self) -> bool {
        match self.health.working(|| caught(&self.journal, |journal| journal.try_recover())) {
            Ok(()) => {
                self.health.well();
                tracing::warn!("the journal can be written again");
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    /// Writes what was gathered; blocks, at most until the deadline.
    pub fn flush(&self) {
        self.flush_in(self.deadline);
    }

    /// As [`Recorder::flush`], waiting so long for its turn: whoever has it takes along what was gathered before.
    fn flush_in(&self, patience: Duration) {
        if locked(&self.gathered).is_empty() {
            return;
        }
        let until = Instant::now() + patience;
        let turn = loop {
            match Arc::clone(&self.turns).try_lock_owned() {
                Ok(turn) => break turn,
                Err(_) if Instant::now() >= until => return,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        while self.flush_chunk(&turn) {}
    }

    /// Writes some of what was gathered, in the room that the reserve left if there is no other; says whether there is more.
    fn flush_chunk(&self, _turn: &OwnedMutexGuard<()>) -> bool {
        let batch = locked(&self.gathered).take(CHUNK, entry);
        if batch.is_empty() {
            return false;
        }
        let appended = self.health.writing(|| caught(&self.journal, |journal| journal.append_closing(&batch)));
        match self.settle(appended, batch.len()) {
            Ok(_) => !locked(&self.gathered).is_empty(),
            Err(error) => {
                // That was said, and the entries stay gathered for the next turn.
                self.put_back(batch, &error);
                false
            }
        }
    }

    /// Makes all that was written survive a power cut, and tells whoever waits for it.
    pub(crate) fn sync(&self) {
        self.metrics.journal_syncs.inc();
        match self.health.working(|| caught(&self.journal, |journal| journal.sync())) {
            Ok(mark) => drop(self.synced.send_replace(Some(mark))),
            Err(error) => self.failed(&error),
        }
    }

    /// Writes, syncs and signs everything, as well as the disk lets it: the last that is done.
    pub(crate) fn finish(&self) {
        if self.journal.is_stalled() {
            self.recover();
        }
        self.flush();
        self.sync();
        self.checkpoint();
    }

    fn checkpoint_if_due(&self, (at, size): (Instant, u64)) -> (Instant, u64) {
        let ended = self.ended_session.load(Ordering::Acquire);
        let age = at.elapsed();
        let due = age >= self.checkpoint_every || (ended && age >= SESSION_CHECKPOINT);
        if !due || !self.may_sign() {
            return (at, size);
        }
        // Before what was gathered is written: what ends from here on asks again.
        self.ended_session.store(false, Ordering::Release);
        self.flush_in(Duration::ZERO);
        let missed = ended && !locked(&self.gathered).is_empty();
        let signed = if self.journal.size() == size { Some(size) } else { self.checkpoint() };
        if missed || signed.is_none() {
            self.ended_session.store(true, Ordering::Release);
        }
        (Instant::now(), signed.unwrap_or(size))
    }

    /// Signs the tree as it is, unless a witness has to agree first; returns how many entries are signed then.
    pub fn checkpoint(&self) -> Option<u64> {
        if !self.may_sign() {
            tracing::warn!("the journal's end is not signed: a witness has to agree first");
            return None;
        }
        match self.health.working(|| caught(&self.journal, |journal| journal.checkpoint())) {
            Ok(checkpoint) => {
                let size = checkpoint.size();
                self.signed.send_replace(Some(checkpoint));
                Some(size)
            }
            Err(error) => {
                tracing::error!(%error, "no checkpoint could be signed");
                None
            }
        }
    }
}
