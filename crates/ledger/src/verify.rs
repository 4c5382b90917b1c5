//! Offline verification: is the journal in these files what was signed?
//!
//! One pass over the segments, several at a time, checks every checksum, index and encoding, grows the tree, compares it
//! with the edge that each segment's header pins and with every stored checkpoint on the way. What is not covered by a checksum is refused:
//! stray bytes, unknown files, a `checkpoint` that is in no list.

use std::io;
use std::path::Path;

use model::id::RequestId;

use crate::checkpoints;
use crate::disk::{Disk, read_small};
use crate::frame;
use crate::journal::RESERVE;
use crate::journal::request_of;
use crate::merkle::{Edge, Hash};
use crate::note::{Checkpoint, MAX_NOTE, VerifyingKey};
use crate::segment::{self, Header};

mod segments;

use segments::{Checked, Wrong};

/// What verification found.
#[derive(Debug)]
pub struct Report {
    /// Entries that are whole and in their place, counted up to the first fault.
    pub entries: u64,
    /// Checkpoints that were verified against the entries.
    pub checkpoints: u64,
    /// How many of the entries the latest such checkpoint covers; those after it are whole, but not signed yet.
    pub signed: u64,
    /// The root of the tree over `entries`.
    pub root: Hash,
    /// The first thing that is wrong, if anything is.
    pub fault: Option<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    pub const fn is_good(&self) -> bool {
        self.fault.is_none()
    }
}

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}: {place}")]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// Where.
    pub place: Where,
}

/// Where a fault is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Where {
    /// The file's name.
    pub file: String,
    /// The byte in it.
    pub offset: u64,
    /// The entry that is wrong or missing, the first of them. For entries that are whole and in order but not the
    /// signed ones, the first entry that no good checkpoint covers.
    pub entry: Option<u64>,
    /// The first entry that is certainly not wrong in the same way, where it is not known which of several is.
    pub before: Option<u64>,
    /// The kind of the entry, if it can be decoded.
    pub kind: Option<String>,
    /// The request that it is about.
    pub request: Option<RequestId>,
}

impl Where {
    fn at(file: impl Into<String>, offset: u64) -> Self {
        Self { file: file.into(), offset, entry: None, before: None, kind: None, request: None }
    }

    const fn entry(mut self, index: u64) -> Self {
        self.entry = Some(index);
        self
    }

    fn described(mut self, payload: &[u8]) -> Self {
        if let Ok(entry) = frame::decode(payload) {
            self.request = request_of(&entry.event);
            let shown = format!("{:?}", entry.event);
            self.kind = shown.split([' ', '{', '(']).next().map(str::to_owned);
        }
        self
    }
}

impl std::fmt::Display for Where {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.entry, self.before) {
            (Some(entry), Some(before)) if before > entry.saturating_add(1) => {
                write!(out, "entries {entry} to {}, ", before.saturating_sub(1))?;
            }
            (Some(entry), _) => write!(out, "entry {entry}, ")?,
            (None, _) => {}
        }
        write!(out, "file {}, byte {}", self.file, self.offset)?;
        if let Some(kind) = &self.kind {
            write!(out, ", {kind}")?;
        }
        self.request.map_or(Ok(()), |request| write!(out, ", request {request}"))
    }
}

/// Why verification stopped.
enum Stop {
    Disk(io::Error),
    Fault(Box<Fault>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

fn stop(what: impl Into<String>, place: Where) -> Stop {
    Stop::Fault(Box::new(Fault { what: what.into(), place }))
}

/// Verifies the journal in `dir` with the public key that its checkpoints are signed by. Reads only.
///
/// Entries after the latest checkpoint are protected by checksums alone, as is the fact that there are none missing at
/// the very end: [`Report::signed`] says how far the signatures reach.
///
/// Whether the whole journal was exchanged for an older one, or written anew with the stolen key, only a checkpoint tells
/// that was kept elsewhere: `kept` are such, and the journal must have grown from each of them.
///
/// # Errors
/// If the disk fails. What is wrong with the journal is in the report.
pub fn verify(disk: &dyn Disk, dir: &Path, key: &VerifyingKey, kept: &[Checkpoint]) -> io::Result<Report> {
    verify_with(disk, dir, key, kept, &|count, work| (0..count).for_each(work))
}

/// Calls the work with every number below a count, in any order, and several at a time if it likes to.
pub type Run<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// As [`verify`], where `run` says how many segments are looked at at the same time.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(
    disk: &dyn Disk,
    dir: &Path,
    key: &VerifyingKey,
    kept: &[Checkpoint],
    run: Run<'_>,
) -> io::Result<Report> {
    let mut walk = Walk::default();
    let fault = match walk.run(disk, dir, key, kept, run) {
        Ok(()) => None,
        Err(Stop::Fault(fault)) => Some(*fault),
        Err(Stop::Disk(error)) => return Err(error),
    };
    Ok(Report {
        entries: walk.edge.size(),
        checkpoints: walk.verified,
        signed: walk.signed,
        root: walk.edge.root(),
        fault,
    })
}

/// What stands for the file of a checkpoint that was kept elsewhere.
const KEPT: &str = "a checkpoint kept elsewhere";

/// All checkpoints in the order in which the tree grew to them; the stored ones stay in theirs.
fn with_kept<'a>(stored: &'a [Stored], kept: &'a [Stored]) -> Vec<&'a Stored> {
    let mut all: Vec<&Stored> = stored.iter().collect();
    for one in kept {
        let size = one.checkpoint.size();
        let at = all.iter().position(|other| other.checkpoint.size() > size).unwrap_or(all.len());
        all.insert(at, one);
    }
    all
}

/// A stored checkpoint, and where it is stored.
struct Stored {
    file: String,
    offset: u64,
    checkpoint: Checkpoint,
}

impl Stored {
    fn is_kept(&self) -> bool {
        self.file == KEPT
    }
}

#[derive(Default)]
struct Walk {
    edge: Edge,
    verified: u64,
    signed: u64,
    /// Where the entry after the signed ones is: where a wrong root is looked for.
    unsigned_at: (String, u64),
    /// The first entry and the length of the segment before.
    previous: (u64, u64),
}

impl Walk {
    fn run(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        key: &VerifyingKey,
        kept: &[Checkpoint],
        run: Run<'_>,
    ) -> Result<(), Stop> {
        // A live journal grows meanwhile. So what speaks of more is read before what it speaks of: the latest checkpoint, then
        // the lists, then the segments.
        let latest = read_latest(disk, dir)?;
        let names = disk.list(dir)?;
        // The segments come first, so that a damaged entry is named even where a checkpoint is damaged too; but the
        // checkpoints are needed on the way, so what is wrong with them is kept for the end.
        let (stored, checkpoint_fault) = read_stored(disk, dir, &names, key)?;
        let firsts = segment::list(disk, dir)?;
        if firsts.is_empty() {
            return Err(stop("there is no journal", Where::at(segment::file_name(0), 0).entry(0)));
        }
        let kept = kept.iter().map(|checkpoint| Stored {
            file: String::from(KEPT),
            offset: 0,
            checkpoint: checkpoint.clone(),
        });
        let kept: Vec<Stored> = kept.collect();
        let all = with_kept(&stored, &kept);
        for (first, checked) in firsts.iter().zip(segments::check_all(disk, dir, &firsts, &all, run)?) {
            self.join(*first, checked)?;
        }
        if let Some(next) = all.iter().find(|stored| stored.checkpoint.size() > self.edge.size()) {
            let elsewhere = if next.is_kept() { ", as a checkpoint says that was kept elsewhere" } else { "" };
            let what = format!("entries are missing: {} were signed{elsewhere}", next.checkpoint.size());
            let place = Where::at(self.file_at_end(&firsts), self.previous.1).entry(self.edge.size());
            return Err(stop(what, Where { before: Some(next.checkpoint.size()), ..place }));
        }
        if let Some(fault) = checkpoint_fault {
            return Err(Stop::Fault(Box::new(fault)));
        }
        check_latest(latest.as_deref(), &stored)?;
        check_names(&names)
    }

    fn file_at_end(&self, firsts: &[u64]) -> String {
        segment::file_name(firsts.last().copied().unwrap_or(0))
    }

    /// Adds a segment to what was verified before it.
    fn join(&mut self, first: u64, checked: Checked) -> Result<(), Stop> {
        let name = segment::file_name(first);
        let Some(header) = &checked.header else {
            return Err(stop("the segment's header is damaged", Where::at(name, 0).entry(self.edge.size())));
        };
        self.check_header(header, first, &name)?;
        if self.signed == self.edge.size() {
            self.unsigned_at = (name.clone(), checked.begins);
        }
        if let Some((signed, next)) = checked.signed {
            self.signed = signed;
            self.unsigned_at = (name, next);
        }
        self.verified = self.verified.saturating_add(checked.verified);
        self.edge = checked.edge;
        self.previous = (first, checked.ends);
        match checked.wrong {
            None => Ok(()),
            Some(Wrong::Fault(fault)) => Err(Stop::Fault(fault)),
            Some(Wrong::NotSigned { by, before }) => {
                let (file, offset) = self.unsigned_at.clone();
                let place = Where::at(file, offset).entry(self.signed);
                let what = if by == KEPT {
                    "entries are not those that a checkpoint kept elsewhere signed"
                } else {
                    "entries are not the signed ones"
                };
                Err(stop(what, Where { before: Some(before), ..place }))
            }
        }
    }

    fn check_header(&self, header: &Header, first: u64, name: &str) -> Result<(), Stop> {
        let place = || Where::at(name, 0).entry(self.edge.size());
        if header.edge.size() != first {
            return Err(stop("the segment has another segment's name", place()));
        }
        if first > self.edge.size() {
            let missing = format!("entries {} to {} are missing", self.edge.size(), first.saturating_sub(1));
            return Err(stop(missing, Where { before: Some(first), ..place() }));
        }
        if first < self.edge.size() {
            return Err(stop("the segment repeats entries of the one before", Where { entry: Some(first), ..place() }));
        }
        if (header.previous_first, header.previous_length) != self.previous {
            return Err(stop("the segment before is not the one that was there", place()));
        }
        if header.edge != self.edge {
            let first_unsigned = Where { entry: Some(self.signed), before: Some(first), ..place() };
            let (file, offset) = self.unsigned_at.clone();
            return Err(stop("entries were changed", Where { file, offset, ..first_unsigned }));
        }
        Ok(())
    }
}

fn check_entry(index: u64, expected: u64, payload: &[u8]) -> Result<(), String> {
    if index != expected {
        return Err(format!("entry {index} stands where entry {expected} belongs"));
    }
    frame::decode(payload).map(drop).map_err(|error| error.to_string())
}

/// All stored checkpoints up to the first bad one, and what is wrong with that.
fn read_stored(
    disk: &dyn Disk,
    dir: &Path,
    names: &[String],
    key: &VerifyingKey,
) -> Result<(Vec<Stored>, Option<Fault>), Stop> {
    let mut all = Vec::new();
    for name in names.iter().filter(|name| checkpoints::first_size(name).is_some()) {
        let checkpoints::Notes { good: notes, bad } = checkpoints::read_list(disk, &dir.join(name), key)?;
        let misnamed = notes.first().is_some_and(|(_, note)| Some(note.size()) != checkpoints::first_size(name));
        let stored = |(offset, checkpoint)| Stored { file: name.clone(), offset, checkpoint };
        for one in notes.into_iter().map(stored) {
            if all.last().is_some_and(|before: &Stored| before.checkpoint.size() > one.checkpoint.size()) {
                let place = Where::at(one.file.clone(), one.offset);
                return Ok((all, Some(Fault { what: "checkpoints are out of order".to_owned(), place })));
            }
            all.push(one);
        }
        if let Some(bad) = bad {
            let what = format!("a checkpoint is damaged: {}", bad.error);
            return Ok((all, Some(Fault { what, place: Where::at(name.clone(), bad.offset) })));
        }
        if misnamed {
            let what = "the list of checkpoints has another list's name".to_owned();
            return Ok((all, Some(Fault { what, place: Where::at(name.clone(), 0) })));
        }
    }
    Ok((all, None))
}

/// The file with the latest checkpoint holds the last stored one, or the one before: Sluice may have died in between.
fn check_latest(latest: Option<&[u8]>, stored: &[Stored]) -> Result<(), Stop> {
    let place = || Where::at(checkpoints::LATEST, 0);
    let Some(note) = latest else {
        return if stored.len() <= 1 { Ok(()) } else { Err(stop("the latest checkpoint is missing", place())) };
    };
    let known = stored.iter().rev().take(2).any(|stored| stored.checkpoint.note().as_bytes() == note);
    if known { Ok(()) } else { Err(stop("the latest checkpoint is not the last that was stored", place())) }
}

fn read_latest(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_small(disk, &dir.join(checkpoints::LATEST), MAX_NOTE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn check_names(names: &[String]) -> Result<(), Stop> {
    let known = |name: &str| {
        segment::first_index(name).is_some()
            || checkpoints::first_size(name).is_some()
            || [checkpoints::LATEST, "lock", RESERVE].contains(&name)
            || Path::new(name).extension().is_some_and(|extension| extension == "new")
    };
    match names.iter().find(|name| !known(name)) {
        Some(name) => Err(stop("the file does not belong to a journal", Where::at(name.clone(), 0))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
