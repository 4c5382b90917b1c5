//! The key of tapes: where it is, and that it is the one of the tapes that are there.

use std::path::Path;

use ledger::tape::KeyStore;
use model::secret::Secret;
use store::config::{Config, KeyLocation};

use super::{Layout, StartError, key_text, seed};

/// The keys of the tapes in the configured data directory, opened with the key that the configuration names or else the
/// data directory has. That one is made where there is nothing yet that it could open, and never anew: tapes that are there
/// could not be read any more, and nobody would notice.
///
/// # Errors
/// If that key cannot be read, or be made, or is gone.
pub fn tape_keys(config: &Config) -> Result<KeyStore, StartError> {
    let layout = Layout::of(&config.data_dir);
    let path = layout.key("tape.key");
    let master = match &config.tape_key {
        None if !path.exists() && (holds_any(&layout.tapes())? || holds_any(&layout.tape_keys())?) => {
            return Err(StartError::TapeKeyGone(path));
        }
        None => seed(&path)?,
        Some(location) => named_tape_key(location)?,
    };
    KeyStore::new(&layout.tape_keys(), &master).map_err(|_| StartError::Key(path))
}

fn named_tape_key(location: &KeyLocation) -> Result<Secret<[u8; 32]>, StartError> {
    let (setting, at) = match location {
        KeyLocation::File(path) => ("key_file", path.display().to_string()),
        KeyLocation::Env(name) => ("key_env", name.clone()),
    };
    let text = key_text(location).map_err(|error| StartError::TapeKey(format!("{setting}: {error}")))?;
    let key: Result<model::id::Digest, _> = text.expose().trim().parse();
    let key = key.map_err(|_| StartError::TapeKey(format!("{setting}: {at} does not hold 64 hexadecimal digits")))?;
    Ok(Secret::new(key.0))
}

/// Whether there is anything in this directory.
fn holds_any(dir: &Path) -> Result<bool, StartError> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StartError::File { path: dir.to_owned(), source }),
    }
}
