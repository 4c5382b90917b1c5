//! What a log keeps of its witnesses: beside the journal, of each the last checkpoint that it cosigned.

use std::io;
use std::path::Path;

use crate::disk::{Disk, read_small, replace};
use crate::note::{Checkpoint, MAX_NOTE};

const PREFIX: &str = "witness-";

/// The file of the witness with this name.
fn file_name(witness: &str) -> String {
    format!("{PREFIX}{witness}")
}

/// Whether a file of a journal's directory is a witness's.
pub(crate) fn is_kept(file: &str) -> bool {
    file.strip_prefix(PREFIX).is_some_and(|name| !name.is_empty() && !name.contains('.'))
}

/// Puts a cosigned checkpoint beside the journal in `dir`. `witness` is the name that the configuration gives it, without
/// dots.
///
/// # Errors
/// If the disk fails; then the old one is still there, or the new one already.
pub fn keep(disk: &dyn Disk, dir: &Path, witness: &str, cosigned: &Checkpoint) -> io::Result<()> {
    replace(disk, &dir.join(file_name(witness)), cosigned.note().as_bytes())
}

/// The note of that file, if there is one. Nothing of it is verified.
///
/// # Errors
/// If the disk fails.
pub fn kept(disk: &dyn Disk, dir: &Path, witness: &str) -> io::Result<Option<Vec<u8>>> {
    match read_small(disk, &dir.join(file_name(witness)), MAX_NOTE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
