//! One round after another: what is to be removed, what is to be archived, and what was kept here long enough.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ledger::tape::{Archived, PartFiles, TapeReadError};
use ledger::{Level, RealDisk};
use model::event::Event;
use model::id::SessionId;
use model::time::Timestamp;
use store::audit::SessionSearch;

use super::bucket::{Bucket, Content, content};
use super::{Archive, ArchiveError, removal};
use crate::clock;
use crate::node::Node;
use crate::recorder::entry;

/// How often there is a round when nothing calls for one.
pub(super) const LOOK: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again, at first and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// After so many failures one after the other a round ends: the server is gone, and not one object odd.
const FAILURES: usize = 3;

/// How long after a round there is none, whatever calls for one: each lists all tapes.
const REST: Duration = Duration::from_secs(1);

/// How soon it is looked again, in milliseconds, whether the journal has the end of a session that is over.
const SOON: u64 = 1000;

/// What a round did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Parts that are in the archive since.
    pub archived: usize,
    /// Local files that were removed.
    pub freed: usize,
    /// Objects that were removed.
    pub removed: usize,
    /// What did not succeed. All of it is tried again.
    pub failed: usize,
    /// Why the first of that did not.
    pub reason: Option<String>,
    /// Parts that wait to be archived.
    pub waiting: usize,
    /// When what is kept here is looked through again.
    pub next: Option<Timestamp>,
}

/// Archives for as long as it is polled, and for as long as it takes.
pub async fn run(node: Arc<Node>) {
    let Some(archive) = &node.archive else { return std::future::pending().await };
    let (mut wait, mut in_a_row) = (WAITS.0, 0u64);
    loop {
        let outcome = round(&node, clock::now()).await;
        if outcome.failed > 0 {
            // Once, twice, at the fourth time, …: a server that is gone for days does not fill the log.
            in_a_row = in_a_row.saturating_add(1);
            if in_a_row.is_power_of_two() {
                let (waiting, reason) = (outcome.waiting, outcome.reason);
                tracing::warn!(in_a_row, waiting, reason, "the archive fails; what it does not have is kept here");
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(WAITS.1);
            continue;
        }
        if in_a_row > 0 {
            tracing::info!(after = in_a_row, "the archive takes what it should again");
        }
        (wait, in_a_row) = (WAITS.0, 0);
        let until = outcome.next.map_or(LOOK, |next| Duration::from_millis(next.millis_since(clock::now())).min(LOOK));
        let _ = tokio::time::timeout(until, archive.news.notified()).await;
        tokio::time::sleep(REST).await;
    }
}

/// One round at `now`. Whatever fails in it is left for the next.
pub async fn round(node: &Arc<Node>, now: Timestamp) -> Outcome {
    let mut round = Round { node, now, outcome: Outcome::default(), in_a_row: 0 };
    let Some(archive) = &node.archive else { return round.outcome };
    if let Err(error) = round.all(archive).await {
        round.failed(&error, "what there is to do");
        archive.turns.is_due(now);
    }
    round.outcome.next = Some(archive.turns.due());
    if round.outcome.failed > 0 {
        archive.forget().await;
    }
    let outcome = round.outcome;
    node.metrics.archive_waiting.set(i64::try_from(outcome.waiting).unwrap_or(i64::MAX));
    node.metrics.archive_failures.inc_by(u64::try_from(outcome.failed).unwrap_or(0));
    node.metrics.archive_parts.inc_by(u64::try_from(outcome.archived).unwrap_or(0));
    outcome
}

struct Round<'a> {
    node: &'a Arc<Node>,
    now: Timestamp,
    outcome: Outcome,
    /// Failures one after the other.
    in_a_row: usize,
}

impl Round<'_> {
    async fn all(&mut self, archive: &Archive) -> Result<(), ArchiveError> {
        let listing = Arc::clone(self.node);
        let found = blocking(move || {
            let notes = removal::notes(&listing.layout().archive())?;
            Ok((notes, ledger::tape::parts(&RealDisk, &listing.layout().tapes())?))
        });
        let (notes, parts) = found.await?;
        let (archived, waiting): (Vec<PartFiles>, Vec<PartFiles>) =
            parts.into_iter().partition(|files| files.is_archived);
        let (mut ready, mut unread) = (Vec::new(), 0usize);
        for files in waiting.into_iter().filter(|files| files.is_live || files.is_packed) {
            match self.ready(files).await {
                Ok(found) => ready.extend(found),
                // It alone waits: the others have nothing to do with it.
                Err(error) => {
                    unread = unread.saturating_add(1);
                    self.failed(&error, &format!("part {} of the tape of {}", files.part, files.session));
                }
            }
        }
        self.outcome.waiting = ready.len().saturating_add(unread);
        // What says since when a part is kept is in a file of its own: they are not read before one is due. What becomes due
        // in this round, or fails, is looked at in the next.
        let are_due = archive.turns.are_due(self.now);
        if are_due {
            archive.turns.looked(self.now.plus_millis(millis(LOOK)));
        }
        let kept = archived.into_iter().filter(|files| are_due && (files.is_live || files.is_packed));
        let kept: Vec<_> = kept.collect();
        if notes.is_empty() && ready.is_empty() && kept.is_empty() {
            return Ok(());
        }
        let bucket = archive.bucket(self.node).await?;
        let behind = archive.turns.failed_last();
        self.in_a_row = 0;
        for note in behind.first(notes, |failed| &failed.note) {
            let done = self.remove(archive, &bucket, note.clone()).await;
            self.outcome.removed = self.outcome.removed.saturating_add(*done.as_ref().unwrap_or(&0));
            if self.is_over(done.map(drop), "an object that is to be removed", || {
                archive.turns.note(|at| at.note = Some(note))
            }) {
                break;
            }
        }
        self.in_a_row = 0;
        for files in behind.first(ready, |failed| &failed.ready) {
            let done = self.archive(archive, &bucket, files).await;
            if done.is_ok() {
                self.outcome.archived = self.outcome.archived.saturating_add(1);
                self.outcome.waiting = self.outcome.waiting.saturating_sub(1);
            }
            let what = format!("part {} of the tape of {}", files.part, files.session);
            if self.is_over(done, &what, || archive.turns.note(|at| at.ready = Some(files))) {
                break;
            }
        }
        self.in_a_row = 0;
        for files in behind.first(kept, |failed| &failed.kept) {
            let done = self.free(archive, &bucket, files).await;
            let what = format!("part {} of the tape of {}", files.part, files.session);
            let now = self.now;
            let note = || {
                archive.turns.note(|at| at.kept = Some(files));
                archive.turns.is_due(now);
            };
            if self.is_over(done, &what, note) {
                break;
            }
        }
        Ok(())
    }

    /// Counts what failed and has it noted where; whether that is enough of its kind for one round.
    fn is_over(&mut self, done: Result<(), ArchiveError>, what: &str, note: impl FnOnce()) -> bool {
        match done {
            Ok(()) => self.in_a_row = 0,
            Err(error) => {
                note();
                self.failed(&error, what);
            }
        }
        self.in_a_row >= FAILURES
    }

    fn failed(&mut self, error: &ArchiveError, what: &str) {
        self.outcome.reason.get_or_insert_with(|| format!("{what}: {error}"));
        self.outcome.failed = self.outcome.failed.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// The part, if nothing will change its file any more, and only its key opens it.
    async fn ready(&self, files: PartFiles) -> Result<Option<PartFiles>, ArchiveError> {
        if files.is_live && !files.is_packed && !self.has_ended(files.session).await? {
            return Ok(None);
        }
        let node = Arc::clone(self.node);
        blocking(move || {
            let (dir, keys) = (node.layout().tapes(), Some(&*node.tape_keys));
            // One in clear, from before tapes were sealed, goes nowhere.
            if !files.is_sealed(&RealDisk, &dir)? {
                return Ok(None);
            }
            let mut files = files;
            // The compressed form takes the other's place only once it was read again.
            if files.is_live {
                let Some(_alone) = node.packing.claim(files.session, files.part) else { return Ok(None) };
                match ledger::tape::compress(&RealDisk, &dir, files.session, files.part, keys) {
                    Ok(()) => files = PartFiles { is_live: false, is_packed: true, ..files },
                    Err(TapeReadError::Disk(error)) => return Err(error),
                    Err(_) if files.is_packed => return Ok(None),
                    // What broke off, or cannot be read, is evidence as it is.
                    Err(_) => {}
                }
            }
            Ok(Some(files))
        })
        .await
    }

    /// Whether a session has ended, and the journal knows how.
    async fn has_ended(&self, session: SessionId) -> Result<bool, ArchiveError> {
        if self.node.sessions.find(session).is_some() {
            return Ok(false);
        }
        let node = Arc::clone(self.node);
        blocking(move || {
            let search = SessionSearch { session: Some(session), limit: 1, ..SessionSearch::default() };
            let found = node.state.sessions(&search).map_err(io::Error::other)?.into_iter().next();
            Ok(found.is_some_and(|session| session.closed.is_some()))
        })
        .await
    }

    async fn archive(&mut self, archive: &Archive, bucket: &Bucket, files: PartFiles) -> Result<(), ArchiveError> {
        let dir = self.node.layout().tapes();
        let (path, object) = (files.path(&dir), archive.object(&files));
        let reading = path.clone();
        let Content { digest, length } = blocking(move || content(&reading)).await?;
        bucket.keep(&object, &path, Content { digest, length }).await?;
        let _alone = archive.alone.lock().await;
        let (session, part) = (files.session, files.part);
        let (notes, noted) = (self.node.layout().archive(), object.clone());
        let is_here = blocking(move || {
            let is_here = path.try_exists()?;
            if !is_here {
                // It was removed meanwhile, and from the archive perhaps before it was there.
                removal::note(&notes, &[noted], session)?;
            }
            Ok(is_here)
        });
        if !is_here.await? {
            return Ok(());
        }
        let event =
            Event::TapeArchived { session, part: part.number(), object: object.as_str().into(), digest, length };
        self.node.recorder.record(vec![entry(event)], Level::Power).await?;
        let archived = Archived { object, digest, length, at: self.now };
        blocking(move || archived.write(&RealDisk, &dir, session, part)).await?;
        archive.turns.is_due(self.now.plus_millis(millis(archive.config.keep_local)));
        Ok(())
    }

    /// Removes a local file that was kept long enough, if its session has ended and its object is still what it was.
    async fn free(&mut self, archive: &Archive, bucket: &Bucket, files: PartFiles) -> Result<(), ArchiveError> {
        let dir = self.node.layout().tapes();
        let tapes = dir.clone();
        let archived = blocking(move || Archived::of(&RealDisk, &tapes, files.session, files.part));
        let Some(archived) = archived.await? else { return Ok(()) };
        let due = archived.at.plus_millis(millis(archive.config.keep_local));
        if due > self.now {
            archive.turns.is_due(due);
            return Ok(());
        }
        // Whoever settles the end of a session that broke off reads all of its tape, on this disk.
        if !self.has_ended(files.session).await? {
            if self.node.sessions.find(files.session).is_none() {
                archive.turns.is_due(self.now.plus_millis(SOON));
            }
            return Ok(());
        }
        // What it was when it was sent may be long ago.
        let is = Content { digest: archived.digest, length: archived.length };
        if !bucket.holds(&archived.object, is).await? {
            tracing::error!(
                session = %files.session, part = %files.part, object = archived.object,
                "what the archive has is not what was sent: the tape is kept here"
            );
            return Err(ArchiveError::Differs(archived.object));
        }
        let _alone = archive.alone.lock().await;
        blocking(move || ledger::tape::remove_archived(&RealDisk, &dir, &files)).await?;
        self.outcome.freed = self.outcome.freed.saturating_add(1);
        Ok(())
    }

    /// Removes the objects of a note, and then the note, unless more were noted in the meantime.
    async fn remove(&self, archive: &Archive, bucket: &Bucket, note: PathBuf) -> Result<usize, ArchiveError> {
        let reading = note.clone();
        let objects = blocking(move || removal::read(&reading)).await?;
        for object in &objects {
            bucket.remove(object).await?;
        }
        let _alone = archive.alone.lock().await;
        let gone = objects.len();
        blocking(move || removal::done(&note, &objects)).await?;
        Ok(gone)
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ArchiveError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| ArchiveError::Ended)??)
}
