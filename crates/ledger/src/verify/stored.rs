//! The journal's own checkpoints, and what else is in its directory.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{Fault, Source, Stop, Stored, Where, stop};
use crate::checkpoints;
use crate::disk::{Disk, read_small};
use crate::journal::{RESERVE, is_set_aside};
use crate::note::MAX_NOTE;
use crate::rotation::Keys;
use crate::segment;
use crate::witness;

/// All stored checkpoints up to the first bad one, and what is wrong with that.
pub(super) fn read_stored(
    disk: &dyn Disk,
    dir: &Path,
    names: &[String],
    keys: &Keys,
) -> Result<(Vec<Stored>, Option<Fault>), Stop> {
    let mut all = Vec::new();
    for name in names.iter().filter(|name| checkpoints::first_size(name).is_some()) {
        let checkpoints::Notes { good: notes, bad } = checkpoints::read_list(disk, &dir.join(name), keys)?;
        let misnamed = notes.first().is_some_and(|(_, note)| Some(note.size()) != checkpoints::first_size(name));
        let stored = |(offset, checkpoint)| Stored { file: name.clone(), offset, checkpoint, source: Source::Own };
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
pub(super) fn check_latest(latest: Option<&[u8]>, stored: &[Stored]) -> Result<(), Stop> {
    let place = || Where::at(checkpoints::LATEST, 0);
    let Some(note) = latest else {
        return if stored.len() <= 1 { Ok(()) } else { Err(stop("the latest checkpoint is missing", place())) };
    };
    let known = stored.iter().rev().take(2).any(|stored| stored.checkpoint.note().as_bytes() == note);
    if known { Ok(()) } else { Err(stop("the latest checkpoint is not the last that was stored", place())) }
}

pub(super) fn read_latest(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_small(disk, &dir.join(checkpoints::LATEST), MAX_NOTE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

pub(super) fn check_names(names: &[String]) -> Result<(), Stop> {
    let known = |name: &str| {
        segment::first_index(name).is_some()
            || checkpoints::first_size(name).is_some()
            || witness::is_kept(name)
            || is_set_aside(name)
            || BTreeSet::from([checkpoints::LATEST, "lock", RESERVE]).contains(name)
            || Path::new(name).extension().is_some_and(|extension| extension == "new")
    };
    match names.iter().find(|name| !known(name)) {
        Some(name) => Err(stop("the file does not belong to a journal", Where::at(name.clone(), 0))),
        None => Ok(()),
    }
}
