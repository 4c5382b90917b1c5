//! The journal: appending, syncing, signing.
//!
//! A batch of entries is one write(2). The tree grows only after the write returned. [`Journal::sync`] runs fdatasync
//! outside the append lock, and whoever waits for it meanwhile shares the next one (group commit).
//!
//! Failing: a failed or short *write* stalls the journal until the partial write is cut off. A failed *fsync* abandons
//! the segment: the kernel may have dropped the pages and reports it once, so it is never retried. The entries since
//! the last good sync are kept in memory; recovery writes them to a fresh segment, cuts the old one back to what is
//! known to be good, and starts a new generation, so that no token of before ever becomes a receipt at level power.
//!
//! A *full* disk leaves the journal stalled until there is room again, with one exception: the reserve is given up, and
//! [`Journal::append_closing`] writes in its place what has ended already.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use model::error::ErrorKind;
use model::event::{Entry, Event};
use model::id::RequestId;

use crate::checkpoints::CheckpointLog;
use crate::disk::{Disk, DiskFile, append_all, replace};
use crate::frame::{self, EncodeError};
use crate::merkle::{Edge, Hash};
use crate::note::{Checkpoint, SigningKey};
use crate::reader::Reader;
use crate::receipt::{Appended, JournalId, Synced, let_on};
use crate::segment::{self, Header};
use recovery::Holes;
use reserve::{Reserve, is_full};

mod recovery;
mod reserve;
mod rotate;

pub(crate) use recovery::is_set_aside;
pub use recovery::{OpenError, Recovery, SetAside, Torn, hold};
pub(crate) use reserve::NAME as RESERVE;
pub use rotate::RotateError;

/// Unsynced bytes that are kept in memory at most; more of them force a sync.
const TAIL_LIMIT: usize = 8 * 1024 * 1024;

/// Why the journal did not do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An entry that cannot be written; none of its batch was.
    #[error("an entry cannot be recorded")]
    Entry(#[from] EncodeError),
    /// The disk failed just now; the journal is stalled.
    #[error("the journal cannot be written")]
    Disk(#[from] io::Error),
    /// The disk failed before, and [`Journal::try_recover`] has not succeeded since.
    #[error("the journal is stalled")]
    Stalled,
}

impl JournalError {
    /// Whose doing it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Entry(EncodeError::TooLarge(_)) => ErrorKind::Limit,
            Self::Entry(EncodeError::Unencodable(_)) | Self::Disk(_) | Self::Stalled => ErrorKind::Internal,
        }
    }
}

/// How large the journal's files are, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Where a new segment begins.
    pub segment: u64,
    /// What is kept for closing entries when the disk is full.
    pub reserve: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { segment: 64 * 1024 * 1024, reserve: 1024 * 1024 }
    }
}

/// An open journal: the only writer of its directory. Share it in an [`Arc`]; every method takes `&self` and blocks.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    key: SigningKey,
    id: JournalId,
    sizes: Sizes,
    /// Held during fdatasync and whatever replaces the file. Taken before `state`, never after it.
    turn: Mutex<()>,
    state: Mutex<State>,
    checkpoints: Mutex<CheckpointLog>,
    /// How many entries are whole in the file and will stay.
    visible: Arc<AtomicU64>,
    /// Whether it is not well: to be asked without waiting for a write that does not return.
    stalled: AtomicBool,
    /// Keeps a second process out.
    _lock: Arc<dyn DiskFile>,
}

#[derive(Debug)]
struct State {
    file: Arc<dyn DiskFile>,
    /// The header of the segment that is written to.
    header: Header,
    /// Length of the segment up to the last whole entry.
    length: u64,
    edge: Edge,
    synced: Mark,
    /// The frames of this segment after `synced`.
    tail: Vec<u8>,
    generation: u64,
    health: Health,
    /// Whether what failed last failed for want of room.
    full: bool,
    reserve: Reserve,
    /// The batch being encoded, and its leaf hashes: kept to be used again.
    buffer: Vec<u8>,
    leaves: Vec<Hash>,
}

/// What is known to be on the disk.
#[derive(Clone, Debug)]
struct Mark {
    edge: Edge,
    length: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    Well,
    /// The segment may end in part of a batch.
    WriteFailed,
    /// The segment is whole, and there is no room but what the reserve left.
    Full,
    /// Nothing after `synced` can be trusted to reach the disk.
    SyncFailed,
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl Journal {
    /// Opens the journal in `dir`, or begins one there, and says what had to be repaired.
    ///
    /// # Errors
    /// If another process has it open, if the disk fails, or if it is damaged anywhere but in its torn tail.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, key: SigningKey) -> Result<(Self, Recovery), OpenError> {
        recovery::open(disk, dir, key, Sizes::default(), Holes::Refuse)
    }

    /// As [`Journal::open`], with other sizes.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(
        disk: Arc<dyn Disk>,
        dir: &Path,
        key: SigningKey,
        sizes: Sizes,
    ) -> Result<(Self, Recovery), OpenError> {
        recovery::open(disk, dir, key, sizes, Holes::Refuse)
    }

    /// As [`Journal::open_with`], and puts aside what is damaged behind what is signed, from the first damaged byte on: what
    /// a power cut leaves of bytes that were not synced. Whether it was one is for a human to say. The caller records what
    /// [`Recovery::set_aside`] says.
    ///
    /// # Errors
    /// As [`Journal::open`]; damage to what is signed is none that this repairs.
    pub fn open_repairing(
        disk: Arc<dyn Disk>,
        dir: &Path,
        key: SigningKey,
        sizes: Sizes,
    ) -> Result<(Self, Recovery), OpenError> {
        recovery::open(disk, dir, key, sizes, Holes::SetAside)
    }

    /// Appends a batch with one write(2). All of it is recorded, or none.
    ///
    /// # Errors
    /// See [`JournalError`]. After an error no receipt is given for the batch, and [`Journal::try_recover`] removes what
    /// was written of it. If Sluice dies before that, the whole entries at its beginning may be found in the journal.
    pub fn append(&self, entries: &[Entry]) -> Result<Appended, JournalError> {
        let mut state = self.state();
        if state.length >= self.sizes.segment || state.tail.len() >= TAIL_LIMIT {
            drop(state);
            self.make_room()?;
            state = self.state();
        }
        if state.health != Health::Well {
            return Err(JournalError::Stalled);
        }
        self.write(&mut state, entries)
    }

    /// As [`Journal::append`], for entries about what has ended already, and so may be in the room that the reserve left.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_closing(&self, entries: &[Entry]) -> Result<Appended, JournalError> {
        let mut state = self.state();
        if state.health != Health::Full {
            drop(state);
            return self.append(entries);
        }
        self.write(&mut state, entries)
    }

    fn write(&self, state: &mut State, entries: &[Entry]) -> Result<Appended, JournalError> {
        let first = state.edge.size();
        let written = state.write(entries);
        self.show(state);
        written?;
        self.visible.store(state.edge.size(), Ordering::Release);
        let lets = entries.iter().map(|entry| let_on(&entry.event)).collect();
        Ok(Appended { first, lets, journal: self.id, generation: state.generation })
    }

    /// Makes all that was appended before the call survive a power cut. Callers that wait at the same time share one
    /// fdatasync; appending goes on meanwhile.
    ///
    /// # Errors
    /// If the fdatasync fails, or failed before and the journal is not recovered. It is never retried.
    pub fn sync(&self) -> Result<Synced, JournalError> {
        let wanted = self.state().edge.size();
        let _turn = self.turn();
        let (file, mark) = {
            let state = self.state();
            if state.health == Health::SyncFailed {
                return Err(JournalError::Stalled);
            }
            if state.synced.edge.size() >= wanted {
                return Ok(self.synced(&state));
            }
            (Arc::clone(&state.file), Mark { edge: state.edge.clone(), length: state.length })
        };
        let result = file.sync();
        let mut state = self.state();
        self.settle(&mut state, result, mark)?;
        Ok(self.synced(&state))
    }

    /// Syncs, then signs the tree of all entries before the call and stores the checkpoint.
    ///
    /// # Errors
    /// If the sync fails or the checkpoint cannot be stored. It can be called again.
    pub fn checkpoint(&self) -> Result<Checkpoint, JournalError> {
        let mut checkpoints = self.checkpoints();
        let edge = self.state().edge.clone();
        if let Some(last) = checkpoints.last().filter(|last| last.size() == edge.size()) {
            return Ok(last.clone());
        }
        if self.sync()?.size() < edge.size() {
            return Err(JournalError::Stalled);
        }
        let checkpoint = self.key.sign(edge.size(), edge.root());
        checkpoints.store(self.disk.as_ref(), &checkpoint)?;
        Ok(checkpoint)
    }

    /// The latest checkpoint.
    pub fn last_checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoints().last().cloned()
    }

    /// Whether every append fails until [`Journal::try_recover`] succeeds. It waits for nothing.
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Repairs what a failed write or fsync left, if the disk lets it. Does nothing to a journal that is well.
    ///
    /// # Errors
    /// If the disk still fails; the journal stays stalled.
    pub fn try_recover(&self) -> Result<(), JournalError> {
        let _turn = self.turn();
        let mut state = self.state();
        let recovered = self.recover(&mut state);
        self.show(&state);
        recovered.map_err(JournalError::from)
    }

    fn recover(&self, state: &mut State) -> io::Result<()> {
        let repaired = match state.health {
            Health::Well => return Ok(()),
            Health::Full => Ok(()),
            Health::WriteFailed => state.file.truncate(state.length),
            Health::SyncFailed => self.abandon(state),
        };
        if let Err(error) = repaired {
            if is_full(&error) {
                self.give_up_reserve(state);
            }
            return Err(error);
        }
        if !state.full && state.reserve.is_held() {
            state.health = Health::Well;
            return Ok(());
        }
        state.health = Health::Full;
        // Nothing but writing tells whether there is room.
        if let Err(error) = state.reserve.renew(self.disk.as_ref()) {
            if is_full(&error) {
                self.give_up_reserve(state);
            }
            return Err(error);
        }
        (state.health, state.full) = (Health::Well, false);
        Ok(())
    }

    fn give_up_reserve(&self, state: &mut State) {
        state.full = true;
        if state.reserve.is_held() {
            // If even that fails, it is tried again with the next recovery.
            let _ = state.reserve.give_up(self.disk.as_ref());
        }
    }

    /// Lets others see whether it is well.
    fn show(&self, state: &State) {
        self.stalled.store(state.health != Health::Well, Ordering::Release);
    }

    fn settle(&self, state: &mut State, result: io::Result<()>, mark: Mark) -> Result<(), JournalError> {
        let settled = state.settle(result, mark);
        self.show(state);
        settled
    }

    /// How many entries the journal has.
    pub fn size(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// The key that verifies this journal.
    pub const fn public_key(&self) -> &crate::note::VerifyingKey {
        self.key.public()
    }

    /// Reads entries from `position` on, and follows the journal as it grows.
    pub fn reader(&self, position: u64) -> Reader {
        Reader::following(Arc::clone(&self.disk), &self.dir, position, Arc::clone(&self.visible))
    }

    /// To be called when a call into the journal panicked: then [`Journal::is_stalled`] says so at once.
    pub fn look_after_panic(&self) {
        drop(self.state());
    }

    /// The state. Whoever panicked with it may have left part of a write behind, so that it has to be repaired first;
    /// `length` is only set after the act that it describes.
    fn state(&self) -> MutexGuard<'_, State> {
        if self.turn.is_poisoned() {
            drop(self.turn());
        }
        self.state.lock().unwrap_or_else(|poisoned| {
            self.state.clear_poison();
            let mut state = poisoned.into_inner();
            state.panicked(Health::WriteFailed);
            self.show(&state);
            state
        })
    }

    /// The turn. Whoever panicked with it may have been in the middle of an fdatasync, of which nobody knows how it ended.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(|poisoned| {
            self.turn.clear_poison();
            let mut state = self.state();
            state.panicked(Health::SyncFailed);
            self.show(&state);
            poisoned.into_inner()
        })
    }

    fn checkpoints(&self) -> MutexGuard<'_, CheckpointLog> {
        self.checkpoints.lock().unwrap_or_else(|poisoned| {
            self.checkpoints.clear_poison();
            let mut checkpoints = poisoned.into_inner();
            checkpoints.panicked();
            checkpoints
        })
    }

    fn synced(&self, state: &State) -> Synced {
        Synced { size: state.synced.edge.size(), journal: self.id, generation: state.generation }
    }

    /// Syncs, and begins a new segment if the present one is full.
    fn make_room(&self) -> Result<(), JournalError> {
        self.sync()?;
        let _turn = self.turn();
        let mut state = self.state();
        if state.health != Health::Well {
            return Err(JournalError::Stalled);
        }
        if state.length < self.sizes.segment || state.edge.size() == state.header.edge.size() {
            return Ok(());
        }
        // What came in since the sync above.
        let mark = Mark { edge: state.edge.clone(), length: state.length };
        let result = state.file.sync();
        self.settle(&mut state, result, mark)?;
        let previous_first = state.header.edge.size();
        let header = Header { edge: state.edge.clone(), previous_first, previous_length: state.length };
        let started = start_segment(self.disk.as_ref(), &self.dir, &header, &[]);
        let (file, length) = started.inspect_err(|error| {
            state.fail(error);
            self.show(&state);
        })?;
        state.begin(file, header, length);
        Ok(())
    }

    /// Leaves a segment whose fsync failed: what is not known to be on the disk goes to a fresh one.
    fn abandon(&self, state: &mut State) -> io::Result<()> {
        let synced = state.synced.clone();
        // With nothing synced in the old segment the new one has its name, and replaces it.
        let replaces = synced.edge.size() == state.header.edge.size();
        let (previous_first, previous_length) = match replaces {
            true => (state.header.previous_first, state.header.previous_length),
            false => (state.header.edge.size(), synced.length),
        };
        let header = Header { edge: synced.edge, previous_first, previous_length };
        let (file, length) = start_segment(self.disk.as_ref(), &self.dir, &header, &state.tail)?;
        if !replaces {
            state.file.truncate(synced.length)?;
        }
        state.begin(file, header, length);
        state.generation = state.generation.saturating_add(1);
        Ok(())
    }
}

impl State {
    fn write(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        self.buffer.clear();
        self.leaves.clear();
        for (index, entry) in (self.edge.size()..).zip(entries) {
            self.leaves.push(frame::encode(entry, index, &mut self.buffer)?);
        }
        append_all(self.file.as_ref(), &self.buffer).inspect_err(|error| self.fail(error))?;
        self.length = self.length.saturating_add(bytes(self.buffer.len()));
        self.tail.extend_from_slice(&self.buffer);
        self.leaves.iter().for_each(|leaf| self.edge.push(*leaf));
        Ok(())
    }

    /// Takes note of a write that failed.
    fn fail(&mut self, error: &io::Error) {
        self.health = Health::WriteFailed;
        self.full = is_full(error);
    }

    /// Takes note that somebody did not get to the end.
    fn panicked(&mut self, health: Health) {
        if self.health != Health::SyncFailed {
            self.health = health;
        }
    }

    /// Takes note of how an fsync ended that covered everything up to `mark` in the present segment.
    fn settle(&mut self, result: io::Result<()>, mark: Mark) -> Result<(), JournalError> {
        if let Err(error) = result {
            self.health = Health::SyncFailed;
            self.full = is_full(&error);
            return Err(error.into());
        }
        let covered = usize::try_from(mark.length.saturating_sub(self.synced.length)).unwrap_or(usize::MAX);
        self.tail.drain(..covered.min(self.tail.len()));
        self.synced = mark;
        Ok(())
    }

    /// Goes on in a segment that holds everything and is on the disk.
    fn begin(&mut self, file: Arc<dyn DiskFile>, header: Header, length: u64) {
        self.file = file;
        self.header = header;
        self.length = length;
        self.synced = Mark { edge: self.edge.clone(), length };
        self.tail.clear();
    }
}

/// Puts a segment in place that is on the disk, name and content, or not there at all.
fn start_segment(disk: &dyn Disk, dir: &Path, header: &Header, frames: &[u8]) -> io::Result<(Arc<dyn DiskFile>, u64)> {
    let mut content = header.encode();
    content.extend_from_slice(frames);
    let path = segment::path(dir, header.edge.size());
    replace(disk, &path, &content)?;
    Ok((disk.open_append(&path)?, bytes(content.len())))
}

/// The request that an event is about; a session's own entries are about its request 0.
pub fn request_of(event: &Event) -> Option<RequestId> {
    match event {
        Event::Decided { request, .. }
        | Event::Completed { request, .. }
        | Event::Prepared { request, .. }
        | Event::ApprovalConsumed { request, .. }
        | Event::OutcomeUnknown { request, .. }
        | Event::BreakGlass { request, .. } => Some(*request),
        Event::SessionOpened { session, .. }
        | Event::SessionRefused { session, .. }
        | Event::SessionRenewed { session, .. }
        | Event::SessionClosed { session, .. }
        | Event::TapeCut { session, .. }
        | Event::TapeRemoved { session, .. }
        | Event::TapePartEnded { session, .. }
        | Event::TapeArchived { session, .. } => Some(session.request(0)),
        Event::SecretUsed { session, .. } | Event::OwnStatement { session, .. } | Event::Gap { session, .. } => {
            session.map(|session| session.request(0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
