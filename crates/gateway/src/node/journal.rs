//! The journal of a data directory, and the key that signs it.

use std::path::Path;
use std::sync::Arc;

use ledger::{Disk, Journal, KeyFile, RealDisk, Recovery, Rotated, Sizes, VerifyingKey};
use model::secret::Secret;
use store::config::JournalConfig;

use super::{Layout, StartError, seed};
use crate::clock;

pub(super) fn open(
    layout: &Layout,
    disk: Arc<dyn Disk>,
    config: &JournalConfig,
) -> Result<(Journal, Recovery), StartError> {
    let path = layout.key("journal.key");
    // Made on first use.
    drop(seed(&path)?);
    let key = KeyFile::new(Arc::clone(&disk), &path, &layout.journal(), config.name.as_str()).load()?;
    publish(layout, key.public())?;
    let sizes = Sizes { segment: config.segment_size, ..Sizes::default() };
    Ok(Journal::open_with(disk, &layout.journal(), key, sizes)?)
}

fn publish(layout: &Layout, key: &VerifyingKey) -> Result<(), StartError> {
    let path = layout.journal_public_key();
    std::fs::write(&path, format!("{key}\n")).map_err(|source| StartError::File { path, source })
}

/// Changes the key of the journal of a data directory, where no Sluice may run: the new one is made here, and the old one
/// is gone when this returns. See [`KeyFile::rotate`].
///
/// # Errors
/// If a Sluice has the journal, or something fails; it can be called again.
pub fn rotate_key(data_dir: &Path) -> Result<Rotated, StartError> {
    let layout = Layout::of(data_dir);
    let path = layout.journal_public_key();
    let text = std::fs::read_to_string(&path).map_err(|source| StartError::File { path: path.clone(), source })?;
    let known: VerifyingKey = text.parse().map_err(|_| StartError::Key(path))?;
    let fresh = Secret::new(clock::random::<32>()?);
    let file = KeyFile::new(Arc::new(RealDisk), &layout.key("journal.key"), &layout.journal(), known.name());
    let rotated = file.rotate(fresh.expose(), clock::now())?;
    publish(&layout, &rotated.new)?;
    Ok(rotated)
}
