//! Offline verification: is the journal in these files what was signed?
//!
//! One pass over the segments, several at a time, checks every checksum, index and encoding, grows the tree, compares it
//! with the edge that each segment's header pins and with every checkpoint on the way: the stored ones, those that a
//! witness cosigned, and those that were kept elsewhere. What is not covered by a checksum is refused: stray bytes, unknown
//! files, a `checkpoint` that is in no list.

use std::io;
use std::path::Path;

use model::id::RequestId;

use crate::cosignature::WitnessKey;
use crate::disk::Disk;
use crate::frame;
use crate::journal::request_of;
use crate::merkle::{Edge, Hash};
use crate::note::{Checkpoint, VerifyingKey};
use crate::rotation::{self, Keys};
use crate::segment::{self, Header};

mod segments;
mod stored;
mod witnesses;

use segments::{Checked, Wrong};
use stored::{check_latest, check_names, read_latest, read_stored};

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
    /// Of each witness that was asked for, the largest tree that it cosigned; all of them, if nothing is wrong.
    pub witnessed: Vec<Witnessed>,
    /// The first thing that is wrong, if anything is.
    pub fault: Option<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    pub const fn is_good(&self) -> bool {
        self.fault.is_none()
    }
}

/// What a witness vouches for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witnessed {
    /// The witness's name.
    pub witness: String,
    /// How many entries there were.
    pub size: u64,
    /// When it cosigned them, in seconds since 1970.
    pub at: u64,
}

/// Whom and what a verification believes.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// A key that the journal's checkpoints are signed by: its first, or any that came after.
    pub key: &'a VerifyingKey,
    /// Checkpoints that were kept elsewhere: the journal must have grown from each.
    pub kept: &'a [Checkpoint],
    /// Witnesses of which each must have cosigned a checkpoint, kept elsewhere or beside the journal.
    pub witnesses: &'a [WitnessKey],
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
    verify_with(disk, dir, Trust { key, kept, witnesses: &[] }, &|count, work| (0..count).for_each(work))
}

/// Calls the work with every number below a count, in any order, and several at a time if it likes to.
pub type Run<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// As [`verify`], where `run` says how many segments are looked at at the same time, and witnesses can be named.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(disk: &dyn Disk, dir: &Path, trust: Trust<'_>, run: Run<'_>) -> io::Result<Report> {
    let mut walk = Walk::default();
    let fault = match walk.run(disk, dir, trust, run) {
        Ok(()) => None,
        Err(Stop::Fault(fault)) => Some(*fault),
        Err(Stop::Disk(error)) => return Err(error),
    };
    Ok(Report {
        entries: walk.edge.size(),
        checkpoints: walk.verified,
        signed: walk.signed,
        root: walk.edge.root(),
        witnessed: walk.witnessed,
        fault,
    })
}

/// All checkpoints in the order in which the tree grew to them; the journal's own stay in theirs.
fn in_order<'a>(own: &'a [Stored], others: &'a [Stored]) -> Vec<&'a Stored> {
    let mut all: Vec<&Stored> = own.iter().collect();
    for one in others {
        let size = one.checkpoint.size();
        let at = all.iter().position(|other| other.checkpoint.size() > size).unwrap_or(all.len());
        all.insert(at, one);
    }
    all
}

/// A checkpoint, and where it was found.
#[derive(Clone)]
struct Stored {
    file: String,
    offset: u64,
    checkpoint: Checkpoint,
    source: Source,
}

/// Who stored a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The journal, in its lists.
    Own,
    /// The gateway, with a witness's cosignature.
    Witness,
    /// Whoever verifies, somewhere else.
    Kept,
}

impl Source {
    const fn described(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Witness => ", as a checkpoint says that a witness cosigned",
            Self::Kept => ", as a checkpoint says that was kept elsewhere",
        }
    }
}

impl Stored {
    const fn is_own(&self) -> bool {
        matches!(self.source, Source::Own)
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
    witnessed: Vec<Witnessed>,
}

impl Walk {
    fn run(&mut self, disk: &dyn Disk, dir: &Path, trust: Trust<'_>, run: Run<'_>) -> Result<(), Stop> {
        // A live journal grows meanwhile. So what speaks of more is read before what it speaks of: what witnesses cosigned,
        // the latest checkpoint, then the lists, then the segments.
        let (keys, broken) = Keys::read(disk, dir, trust.key)?;
        let (others, witness_fault) = witnesses::gather(disk, dir, &keys, trust.kept)?;
        let latest = read_latest(disk, dir)?;
        let names = disk.list(dir)?;
        // The segments come first, so that a damaged entry is named even where a checkpoint is damaged too; but the
        // checkpoints are needed on the way, so what is wrong with them is kept for the end.
        let (stored, checkpoint_fault) = read_stored(disk, dir, &names, &keys)?;
        let firsts = segment::list(disk, dir)?;
        if firsts.is_empty() {
            return Err(stop("there is no journal", Where::at(segment::file_name(0), 0).entry(0)));
        }
        let all = in_order(&stored, &others);
        for (first, checked) in firsts.iter().zip(segments::check_all(disk, dir, &firsts, &all, run)?) {
            self.join(*first, checked)?;
        }
        if let Some(next) = all.iter().find(|stored| stored.checkpoint.size() > self.edge.size()) {
            let source = next.source.described();
            let what = format!("entries are missing: {} were signed{source}", next.checkpoint.size());
            let place = Where::at(self.file_at_end(&firsts), self.previous.1).entry(self.edge.size());
            return Err(stop(what, Where { before: Some(next.checkpoint.size()), ..place }));
        }
        if let Some(broken) = broken {
            return Err(stop(broken.what, Where::at(broken.file, broken.offset).entry(broken.index)));
        }
        if let Some(fault) = checkpoint_fault {
            return Err(Stop::Fault(Box::new(fault)));
        }
        check_latest(latest.as_deref(), &stored)?;
        check_names(&names)?;
        if let Some(fault) = witness_fault {
            return Err(Stop::Fault(Box::new(fault)));
        }
        self.witnessed = witnesses::check(trust.witnesses, &others)?;
        Ok(())
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
                let what = match by {
                    Source::Own => "entries are not the signed ones",
                    Source::Witness => "entries are not those that a witness cosigned",
                    Source::Kept => "entries are not those that a checkpoint kept elsewhere signed",
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

/// Looks at one entry by itself. One that a checkpoint covers (`signed`) was written by whoever has the key, so that
/// only its bytes matter; another one has to be an entry.
fn check_entry(index: u64, expected: u64, first: u64, payload: &[u8], signed: bool) -> Result<(), String> {
    if index != expected {
        return Err(format!("entry {index} stands where entry {expected} belongs"));
    }
    if signed && !frame::may_change_key(payload) {
        return Ok(());
    }
    let entry = frame::decode(payload).map_err(|error| error.to_string())?;
    if rotation::is_change(&entry.event) && index != first {
        return Err(String::from("the key is changed within a segment"));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
