//! What is to be removed from the archive: noted before the local files go, and kept until it is done.

use std::io;
use std::path::{Path, PathBuf};

use ledger::RealDisk;
use model::id::SessionId;

/// Notes objects of a session's tape.
pub(super) fn note(dir: &Path, objects: &[String], session: SessionId) -> io::Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!("{session}.remove"));
    let mut all = read(&path)?;
    all.extend(objects.iter().cloned());
    all.sort_unstable();
    all.dedup();
    let lines = all.iter().map(|object| format!("{object}\n")).collect::<String>();
    ledger::disk::replace(&RealDisk, &path, lines.as_bytes())
}

/// Ends a note whose objects are gone. One that has others as well stays: theirs are still there. Nothing may be noted
/// meanwhile.
pub(super) fn done(note: &Path, gone: &[String]) -> io::Result<()> {
    if read(note)?.iter().all(|object| gone.contains(object)) { std::fs::remove_file(note) } else { Ok(()) }
}

/// The notes that there are.
pub(super) fn notes(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let mut notes: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "remove")).collect();
    notes.sort();
    Ok(notes)
}

/// The objects of a note; none if it is not there.
pub(super) fn read(note: &Path) -> io::Result<Vec<String>> {
    match std::fs::read_to_string(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        text => Ok(text?.lines().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rc_11_a_note_that_was_extended_while_its_objects_went_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (session, [one, two]) = (SessionId::from_bits(1), ["one", "two"].map(String::from));
        note(dir.path(), std::slice::from_ref(&one), session).unwrap();
        let path = notes(dir.path()).unwrap().remove(0);
        let gone = read(&path).unwrap();
        note(dir.path(), std::slice::from_ref(&two), session).unwrap();
        done(&path, &gone).unwrap();
        assert_eq!(read(&path).unwrap(), [one, two]);
        done(&path, &read(&path).unwrap()).unwrap();
        assert!(notes(dir.path()).unwrap().is_empty());
    }
}
