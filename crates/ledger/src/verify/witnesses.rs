//! Checkpoints that others vouch for: cosigned by a witness and stored beside the journal, or kept elsewhere.

use std::io;
use std::path::Path;

use super::{Fault, Source, Stop, Stored, Where, Witnessed, stop};
use crate::cosignature::WitnessKey;
use crate::disk::{Disk, read_small};
use crate::note::{Checkpoint, MAX_NOTE, NoteError};
use crate::rotation::Keys;
use crate::witness;

/// What stands for the file of a checkpoint that was kept elsewhere.
const KEPT: &str = "a checkpoint kept elsewhere";

/// All of them, and what is wrong with the first that cannot be read.
pub(super) fn gather(
    disk: &dyn Disk,
    dir: &Path,
    keys: &Keys,
    kept: &[Checkpoint],
) -> io::Result<(Vec<Stored>, Option<Fault>)> {
    let (mut all, mut fault) = (Vec::new(), None);
    for file in disk.list(dir)?.into_iter().filter(|name| witness::is_kept(name)) {
        match keys.open(&read_small(disk, &dir.join(&file), MAX_NOTE)?) {
            Ok(checkpoint) => all.push(Stored { file, offset: 0, checkpoint, source: Source::Witness }),
            Err(error) => {
                let what = format!("a cosigned checkpoint is damaged: {error}");
                fault.get_or_insert(Fault { what, place: Where::at(file, 0) });
            }
        }
    }
    all.extend(kept.iter().map(|checkpoint| {
        let file = String::from(KEPT);
        Stored { file, offset: 0, checkpoint: checkpoint.clone(), source: Source::Kept }
    }));
    Ok((all, fault))
}

/// What each of these witnesses vouches for.
pub(super) fn check(witnesses: &[WitnessKey], others: &[Stored]) -> Result<Vec<Witnessed>, Stop> {
    witnesses.iter().map(|witness| largest(witness, others)).collect()
}

fn largest(witness: &WitnessKey, others: &[Stored]) -> Result<Witnessed, Stop> {
    let mut largest: Option<Witnessed> = None;
    for one in others {
        let size = one.checkpoint.size();
        match one.checkpoint.cosigned_at(witness) {
            Ok(at) if largest.as_ref().is_none_or(|before| (before.size, before.at) < (size, at)) => {
                largest = Some(Witnessed { witness: witness.name().to_owned(), size, at });
            }
            Ok(_) | Err(NoteError::Unsigned) => {}
            Err(error) => {
                let what = format!("the cosignature of the witness {} does not hold: {error}", witness.name());
                return Err(stop(what, Where::at(one.file.clone(), 0)));
            }
        }
    }
    let nothing =
        || stop(format!("no checkpoint is cosigned by the witness {}", witness.name()), Where::at("witness-*", 0));
    largest.ok_or_else(nothing)
}
