//! Opening a journal: what is there, what was torn, what is damaged.
//!
//! A torn tail is the end of the last segment from the first byte on that is no frame, with no frame after it. It is
//! cut, and reported. Anything else that is not as it was written is damage: reported, and the journal does not open.
//!
//! A power cut may also leave a hole: bytes that never reached the disk, with later ones that did. That looks like any other
//! damage, so a human has to say what it is ([`Journal::open_repairing`]). Behind what is signed, it is set aside then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use model::id::Digest;

use super::reserve::{Reserve, is_full};
use super::{Health, Journal, JournalId, Mark, Sizes, State, start_segment};
use crate::checkpoints::{self, CheckpointLog};
use crate::disk::{Disk, DiskFile, read_full, read_small, replace};
use crate::frame;
use crate::merkle::{self, Edge};
use crate::note::{Checkpoint, MAX_NOTE, SigningKey};
use crate::rotation::Keys;
use crate::segment::{self, Header, Scan, Step};

/// What opening a journal found and repaired.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// How many entries there are.
    pub entries: u64,
    /// What was cut off; none of it had been acknowledged.
    pub torn: Vec<Torn>,
    /// The latest checkpoint's size, if there is one. Entries from here on are not signed yet.
    pub signed: Option<u64>,
    /// What was set aside, now or before, and is not recorded: see [`Journal::set_aside_is_recorded`].
    pub set_aside: Vec<SetAside>,
}

/// Bytes at the end of a file, not signed yet, that were put into a file of their own and cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    /// From where.
    pub torn: Torn,
    /// The file that has them now.
    pub kept: String,
    /// Their SHA-256.
    pub digest: Digest,
    /// How many whole entries are among them.
    pub whole: u64,
}

const ASIDE: &str = ".aside";

/// Behind that, until it is recorded.
const UNRECORDED: &str = ".unrecorded";

/// Whether a file has this name because it was set aside.
pub(crate) fn is_set_aside(name: &str) -> bool {
    set_aside_from(name.strip_suffix(UNRECORDED).unwrap_or(name)).is_some()
}

/// From which segment what has this name was set aside, and from which byte on.
fn set_aside_from(name: &str) -> Option<(&str, u64)> {
    let (file, at) = name.strip_suffix(ASIDE)?.rsplit_once('.')?;
    let digits = at.bytes().all(|digit| digit.is_ascii_digit());
    (digits && segment::first_index(file).is_some()).then_some((file, at.parse().ok()?))
}

/// What is done about damage behind what is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holes {
    /// The journal does not open.
    Refuse,
    /// It is set aside.
    SetAside,
}

/// Bytes at the end of a file that were cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// The file's name.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes there were.
    pub bytes: u64,
}

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process has this journal open")]
    InUse,
    /// The disk failed.
    #[error("the journal cannot be read or repaired")]
    Disk(#[from] io::Error),
    /// The key is not the one in force.
    #[error("the journal's key was changed, and this is an older one")]
    OldKey,
    /// Bytes that are not signed yet are damaged, and whole ones follow.
    #[error(
        "the journal is damaged behind what is signed ({file}, byte {offset}): if the power failed, \
        `sluice audit repair` sets that aside"
    )]
    Hole {
        /// The file's name.
        file: String,
        /// Where in the file.
        offset: u64,
    },
    /// Something is not as it was written. `sluice audit verify` says more.
    #[error("the journal is damaged: {what} ({file}, byte {offset})")]
    Damaged {
        /// What is wrong.
        what: String,
        /// The file's name.
        file: String,
        /// Where in the file.
        offset: u64,
    },
}

fn damaged(what: impl Into<String>, file: impl Into<String>, offset: u64) -> OpenError {
    OpenError::Damaged { what: what.into(), file: file.into(), offset }
}

pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    key: SigningKey,
    sizes: Sizes,
    holes: Holes,
) -> Result<(Journal, Recovery), OpenError> {
    disk.create_dir(dir)?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_dir(parent)?;
    }
    let lock = lock(disk.as_ref(), dir)?;
    let mut recovery = Recovery::default();
    let keys = keys_in_force(disk.as_ref(), dir, &key)?;
    let (last, signed) = read_checkpoints(disk.as_ref(), dir, &keys, &mut recovery)?;
    let reserve = Reserve::find(disk.as_ref(), dir, sizes.reserve)?;
    let mut state = open_segments(disk.as_ref(), dir, &signed, reserve, holes, &mut recovery)?;
    if let Some(last) = &last {
        replace(disk.as_ref(), &dir.join(checkpoints::LATEST), last.note().as_bytes())?;
    }
    hold_room(disk.as_ref(), &mut state)?;
    recovery.set_aside = read_set_aside(disk.as_ref(), dir)?;
    recovery.entries = state.edge.size();
    recovery.signed = last.as_ref().map(Checkpoint::size);
    let journal = Journal {
        disk,
        dir: dir.to_owned(),
        key,
        id: next_id(),
        sizes,
        turn: Mutex::new(()),
        visible: Arc::new(AtomicU64::new(state.edge.size())),
        stalled: AtomicBool::new(state.health != Health::Well),
        state: Mutex::new(state),
        checkpoints: Mutex::new(CheckpointLog::new(dir, last)),
        _lock: lock,
    };
    Ok((journal, recovery))
}

fn keys_in_force(disk: &dyn Disk, dir: &Path, key: &SigningKey) -> Result<Keys, OpenError> {
    match Keys::read(disk, dir, key.public())? {
        (_, Some(broken)) => Err(damaged(broken.what, broken.file, broken.offset)),
        (keys, None) if keys.current() == key.public() => Ok(keys),
        (_, None) => Err(OpenError::OldKey),
    }
}

/// Makes the reserve if it is missing. Without room for it the journal opens stalled, and goes on when there is some.
fn hold_room(disk: &dyn Disk, state: &mut State) -> Result<(), OpenError> {
    if state.reserve.is_held() {
        return Ok(());
    }
    match state.reserve.renew(disk) {
        Err(error) if is_full(&error) => {
            (state.health, state.full) = (Health::Full, true);
            Ok(())
        }
        made => Ok(made?),
    }
}

fn next_id() -> JournalId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    JournalId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Keeps every writer away from a journal that is only read, until what is returned is dropped.
///
/// # Errors
/// If a writer has it, or the disk fails.
pub fn hold(disk: &dyn Disk, dir: &Path) -> Result<impl Sized + use<>, OpenError> {
    lock(disk, dir)
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, OpenError> {
    let path = dir.join("lock");
    let file = match disk.create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open_append(&path)?,
        result => result?,
    };
    match file.lock() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(OpenError::InUse),
        result => Ok(result.map(|()| file)?),
    }
}

/// All stored checkpoints in their order; the torn end of the last list is cut.
fn read_checkpoints(
    disk: &dyn Disk,
    dir: &Path,
    keys: &Keys,
    recovery: &mut Recovery,
) -> Result<(Option<Checkpoint>, Vec<Checkpoint>), OpenError> {
    let mut lists: Vec<u64> = disk.list(dir)?.iter().filter_map(|name| checkpoints::first_size(name)).collect();
    lists.sort_unstable();
    let mut all = Vec::new();
    for list in lists {
        let name = checkpoints::file_name(list);
        let path = dir.join(&name);
        let checkpoints::Notes { good: notes, bad } = checkpoints::read_list(disk, &path, keys)?;
        // A list may have a torn end and yet not be the last: after a failure the next checkpoint begins a new list.
        match bad {
            Some(bad) if bad.torn && bad.offset > 0 => cut(disk, &path, name, bad.offset, recovery)?,
            Some(bad) => return Err(damaged(format!("a checkpoint: {}", bad.error), name, bad.offset)),
            None => {}
        }
        all.extend(notes.into_iter().map(|(_, checkpoint)| checkpoint));
    }
    check_latest(disk, dir, keys, all.last())?;
    Ok((all.last().cloned(), all))
}

/// The latest checkpoint is written when it is in a list: one that is in no list was in one.
fn check_latest(disk: &dyn Disk, dir: &Path, keys: &Keys, last: Option<&Checkpoint>) -> Result<(), OpenError> {
    let note = match read_small(disk, &dir.join(checkpoints::LATEST), MAX_NOTE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    let size = keys.open(&note).map_or(0, |latest| latest.size());
    if size <= last.map_or(0, Checkpoint::size) {
        return Ok(());
    }
    Err(damaged(format!("the checkpoint of {size} entries is in no list"), checkpoints::LATEST, 0))
}

fn cut(disk: &dyn Disk, path: &Path, name: String, at: u64, recovery: &mut Recovery) -> Result<(), OpenError> {
    let file = disk.open_append(path)?;
    let length = file.length()?;
    file.truncate(at)?;
    file.sync()?;
    recovery.torn.push(Torn { file: name, offset: at, bytes: length.saturating_sub(at) });
    Ok(())
}

/// Damage that a power cut can leave: refused, or set aside.
fn hole(
    disk: &dyn Disk,
    dir: &Path,
    name: String,
    at: u64,
    holes: Holes,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    if holes == Holes::Refuse {
        return Err(OpenError::Hole { file: name, offset: at });
    }
    let path = dir.join(&name);
    let bytes = read_from(disk, &path, at)?;
    replace(disk, &dir.join(format!("{name}.{at}{ASIDE}{UNRECORDED}")), &bytes)?;
    cut(disk, &path, name, at, recovery)?;
    recovery.torn.pop();
    Ok(())
}

/// What was set aside and is not recorded: now, or by a process that died before it could be.
fn read_set_aside(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<SetAside>> {
    let mut found = Vec::new();
    for name in disk.list(dir)? {
        let Some(kept) = name.strip_suffix(UNRECORDED) else { continue };
        let Some((file, offset)) = set_aside_from(kept) else { continue };
        let bytes = read_from(disk, &dir.join(&name), 0)?;
        let torn = Torn { file: file.to_owned(), offset, bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) };
        let whole = frame::count(&bytes);
        found.push(SetAside { torn, kept: kept.to_owned(), digest: Digest(merkle::sha256(&[&bytes])), whole });
    }
    Ok(found)
}

impl Journal {
    /// To be called when what [`Recovery::set_aside`] says is recorded and on the disk; until then, each opening says it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn set_aside_is_recorded(&self) -> io::Result<()> {
        for name in self.disk.list(&self.dir)? {
            if let Some(kept) = name.strip_suffix(UNRECORDED).filter(|kept| set_aside_from(kept).is_some()) {
                self.disk.rename(&self.dir.join(&name), &self.dir.join(kept))?;
            }
        }
        self.disk.sync_dir(&self.dir)
    }
}

fn read_from(disk: &dyn Disk, path: &Path, at: u64) -> io::Result<Vec<u8>> {
    let file = disk.open_read(path)?;
    let length = file.length()?.saturating_sub(at);
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let filled = read_full(file.as_ref(), at, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    signed: &[Checkpoint],
    reserve: Reserve,
    holes: Holes,
    recovery: &mut Recovery,
) -> Result<State, OpenError> {
    let firsts = segment::list(disk, dir)?;
    let Some(last) = firsts.last().copied() else { return begin(disk, dir, signed, reserve) };
    let headers = firsts.iter().map(|first| read_header(disk, dir, *first)).collect::<Result<Vec<_>, _>>()?;
    check_chain(disk, dir, &headers, recovery)?;
    let Some(header) = headers.into_iter().next_back() else { return begin(disk, dir, signed, reserve) };
    let (edge, length) = read_last(disk, dir, &header, signed, holes, recovery)?;
    let file = disk.open_append(&segment::path(dir, last))?;
    // What an earlier process wrote may still be in the page cache alone.
    file.sync()?;
    disk.sync_dir(dir)?;
    Ok(State::new(file, header, edge, length, reserve))
}

fn begin(disk: &dyn Disk, dir: &Path, signed: &[Checkpoint], reserve: Reserve) -> Result<State, OpenError> {
    if let Some(checkpoint) = signed.iter().find(|checkpoint| checkpoint.size() > 0) {
        let what = format!("{} entries were signed, but there is no segment", checkpoint.size());
        return Err(damaged(what, segment::file_name(0), 0));
    }
    let header = Header { edge: Edge::default(), previous_first: 0, previous_length: 0 };
    let (file, length) = start_segment(disk, dir, &header, &[])?;
    Ok(State::new(file, header, Edge::default(), length, reserve))
}

impl State {
    fn new(file: Arc<dyn DiskFile>, header: Header, edge: Edge, length: u64, reserve: Reserve) -> Self {
        Self {
            file,
            header,
            length,
            synced: Mark { edge: edge.clone(), length },
            edge,
            tail: Vec::new(),
            generation: 0,
            health: Health::Well,
            full: false,
            reserve,
            buffer: Vec::new(),
            leaves: Vec::new(),
        }
    }
}

fn read_header(disk: &dyn Disk, dir: &Path, first: u64) -> Result<Header, OpenError> {
    let name = segment::file_name(first);
    match Scan::open(disk, &dir.join(&name))? {
        Some((header, _)) if header.edge.size() == first => Ok(header),
        Some(_) => Err(damaged("the segment has another segment's name", name, 0)),
        None => Err(damaged("the segment's header", name, 0)),
    }
}

/// Checks that every segment but the last is as long as the next one says. A longer one was abandoned after a failed
/// fsync, and what is too much is in the next segment as well: it is cut.
fn check_chain(disk: &dyn Disk, dir: &Path, headers: &[Header], recovery: &mut Recovery) -> Result<(), OpenError> {
    if headers.first().is_some_and(|header| header.edge.size() != 0) {
        return Err(damaged("the first segment is missing", segment::file_name(0), 0));
    }
    for pair in headers.windows(2) {
        let [header, next] = pair else { continue };
        let name = segment::file_name(header.edge.size());
        let path: PathBuf = dir.join(&name);
        let length = disk.open_read(&path)?.length()?;
        if next.previous_first != header.edge.size() {
            return Err(damaged("a segment after this one is missing", name, length));
        }
        if length < next.previous_length {
            return Err(damaged("the segment is shorter than it was", name, length));
        }
        if length > next.previous_length {
            check_abandoned(disk, &path, next, &name)?;
            cut(disk, &path, name, next.previous_length, recovery)?;
        }
    }
    Ok(())
}

/// Checks that the part of a segment that stays ends with the entry before the next segment's first.
fn check_abandoned(disk: &dyn Disk, path: &Path, next: &Header, name: &str) -> Result<(), OpenError> {
    let Some((header, mut scan)) = Scan::open(disk, path)? else {
        return Err(damaged("the segment's header", name, 0));
    };
    let mut edge = header.edge;
    while scan.offset() < next.previous_length {
        match scan.next()? {
            Step::Frame { payload, .. } => edge.push(crate::merkle::leaf_hash(payload)),
            Step::End | Step::Bad => return Err(damaged("an entry", name, scan.offset())),
        }
    }
    if edge == next.edge { Ok(()) } else { Err(damaged("a segment after this one is missing", name, scan.offset())) }
}

/// Reads the last segment whole: the tree after it, and its length up to the last entry.
fn read_last(
    disk: &dyn Disk,
    dir: &Path,
    header: &Header,
    signed: &[Checkpoint],
    holes: Holes,
    recovery: &mut Recovery,
) -> Result<(Edge, u64), OpenError> {
    let name = segment::file_name(header.edge.size());
    let path = dir.join(&name);
    let Some((_, mut scan)) = Scan::open(disk, &path)? else {
        return Err(damaged("the segment's header", name, 0));
    };
    let mut edge = header.edge.clone();
    let first = edge.size();
    let mut signed = signed.iter().skip_while(|checkpoint| checkpoint.size() < first).peekable();
    loop {
        while let Some(checkpoint) = signed.next_if(|checkpoint| checkpoint.size() == edge.size()) {
            if edge.root() != *checkpoint.root() {
                let what = format!("the entries before {} are not the signed ones", edge.size());
                return Err(damaged(what, name, scan.offset()));
            }
        }
        match scan.next()? {
            Step::Frame { index, payload, .. } if index == edge.size() && frame::decode(payload).is_ok() => {
                edge.push(crate::merkle::leaf_hash(payload));
            }
            Step::Frame { offset, .. } => return Err(damaged(format!("entry {}", edge.size()), name, offset)),
            Step::End | Step::Bad => break,
        }
    }
    let length = scan.offset();
    if let Some(checkpoint) = signed.next() {
        let what = format!("{} entries were signed, but only {} are readable", checkpoint.size(), edge.size());
        return Err(damaged(what, name, length));
    }
    if scan.length()? > length {
        match scan.frames_follow(edge.size())? {
            true => hole(disk, dir, name, length, holes, recovery)?,
            false => cut(disk, &path, name, length, recovery)?,
        }
    }
    Ok((edge, length))
}
