//! Files that only their owner may read, written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a directory that only its owner may enter, and those above it.
///
/// # Errors
/// If it cannot be made.
pub fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only its owner may read; whoever reads it meanwhile sees the old content or the new.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed
}

/// Whether others than its owner may read the file.
///
/// # Errors
/// If it cannot be looked at.
pub fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Holds the lock of a file until it is dropped; waits for whoever else holds it.
///
/// # Errors
/// If the file cannot be made or locked.
pub fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("a/b");
        directory(&inside).unwrap();
        assert_eq!(fs::metadata(&inside).unwrap().permissions().mode() & 0o777, 0o700);
        let path = inside.join("login.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(!is_open_to_others(&path).unwrap());
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
    }
}
