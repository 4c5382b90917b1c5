//! One segment by itself, from the tree that its header claims to begin with. So segments are looked at side by side, and
//! only afterwards whether each begins where the one before ends.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use super::{Fault, Run, Source, Stored, Where, check_entry};
use crate::disk::Disk;
use crate::merkle::{self, Edge};
use crate::segment::{self, Header, Scan, Step};

/// What is in a segment.
pub(super) struct Checked {
    /// `None` if it is damaged.
    pub(super) header: Option<Header>,
    /// Where its entries begin, and where they end, in bytes.
    pub(super) begins: u64,
    pub(super) ends: u64,
    /// The tree after its entries, up to the first that is wrong.
    pub(super) edge: Edge,
    /// How many checkpoints were verified.
    pub(super) verified: u64,
    /// How many entries the last of them covers, and where the next one is.
    pub(super) signed: Option<(u64, u64)>,
    pub(super) wrong: Option<Wrong>,
}

/// What is wrong in a segment.
pub(super) enum Wrong {
    Fault(Box<Fault>),
    /// The entries from the last checkpoint before on are not those that this one signed, which covers so many.
    NotSigned {
        by: Source,
        before: u64,
    },
}

/// Looks at all segments, in whatever order `run` does, and returns them in their own. `stored` are the checkpoints in the
/// order of their sizes.
pub(super) fn check_all(
    disk: &dyn Disk,
    dir: &Path,
    firsts: &[u64],
    stored: &[&Stored],
    run: Run<'_>,
) -> io::Result<Vec<Checked>> {
    let done: Vec<OnceLock<io::Result<Checked>>> = firsts.iter().map(|_| OnceLock::new()).collect();
    run(firsts.len(), &|at| {
        if let (Some(first), Some(slot)) = (firsts.get(at), done.get(at)) {
            let is_last = at.saturating_add(1) == firsts.len();
            slot.get_or_init(|| check(disk, dir, *first, is_last, stored));
        }
    });
    let missing = || Err(io::Error::other("a segment was not looked at"));
    done.into_iter().map(|slot| slot.into_inner().unwrap_or_else(missing)).collect()
}

fn check(disk: &dyn Disk, dir: &Path, first: u64, is_last: bool, stored: &[&Stored]) -> io::Result<Checked> {
    let name = segment::file_name(first);
    let Some((header, mut scan)) = Scan::open(disk, &dir.join(&name))? else {
        return Ok(Checked {
            header: None,
            begins: 0,
            ends: 0,
            edge: Edge::default(),
            verified: 0,
            signed: None,
            wrong: None,
        });
    };
    // A checkpoint of just what is before this segment is the one before's.
    let before = if first == 0 { 0 } else { stored.partition_point(|one| one.checkpoint.size() <= first) };
    let begins = scan.offset();
    let edge = header.edge.clone();
    let mut checked =
        Checked { header: Some(header), begins, ends: begins, edge, verified: 0, signed: None, wrong: None };
    let mut pending = stored.get(before..).unwrap_or_default().iter().peekable();
    let signed = stored.last().map_or(0, |stored| stored.checkpoint.size());
    let mut looked_again = 0;
    let mut smaller = None;
    loop {
        while let Some(stored) = pending.next_if(|stored| stored.checkpoint.size() <= checked.edge.size()) {
            if *stored.checkpoint.root() != checked.edge.root() {
                let before = checked.edge.size();
                checked.wrong = Some(Wrong::NotSigned { by: stored.source, before });
                // Another checkpoint of this very size may have agreed: what is in doubt is in front of it all the same.
                if checked.signed.is_some_and(|(size, _)| size == before) {
                    checked.signed = smaller;
                }
                return Ok(checked);
            }
            if checked.signed.is_none_or(|(size, _)| size < checked.edge.size()) {
                smaller = checked.signed.replace((checked.edge.size(), scan.offset()));
            }
            checked.verified = checked.verified.saturating_add(u64::from(stored.is_own()));
        }
        let offset = scan.offset();
        let expected = checked.edge.size();
        let place = || Where::at(name.clone(), offset).entry(expected);
        let fault = |what: String, place: Where| Some(Wrong::Fault(Box::new(Fault { what, place })));
        match scan.next()? {
            Step::Frame { index, payload, .. } => match check_entry(index, expected, first, payload, index < signed) {
                Ok(()) => checked.edge.push(merkle::leaf_hash(payload)),
                Err(what) => checked.wrong = fault(what, place().described(payload)),
            },
            Step::End => {
                checked.ends = offset;
                return Ok(checked);
            }
            // On a live journal it may be a write that was half done a moment ago: it gets a second look.
            Step::Bad if is_last && offset != looked_again => {
                looked_again = offset;
                scan.refresh();
            }
            Step::Bad => {
                let what =
                    if is_last { "the entry is damaged, or its write was cut off" } else { "the entry is damaged" };
                checked.wrong = fault(what.to_owned(), place());
            }
        }
        if checked.wrong.is_some() {
            checked.ends = offset;
            return Ok(checked);
        }
    }
}
