//! The journal of a data directory, and the key that signs it.

use std::path::Path;
use std::sync::Arc;

use ledger::{Disk, Journal, KeyFile, RealDisk, Recovery, Rotated, SetAside, Sizes, VerifyingKey};
use model::event::Event;
use model::secret::Secret;
use store::config::JournalConfig;

use super::{Layout, StartError, seed};
use crate::clock;
use crate::recorder::entry;

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

/// Sets aside what is damaged in the journal of a data directory behind what is signed, where no Sluice may run, and records
/// that there. See [`Journal::open_repairing`].
///
/// # Errors
/// If a Sluice has the journal, if something that is signed is damaged, or if the disk fails; it can be called again.
pub fn repair(data_dir: &Path) -> Result<Recovery, StartError> {
    let layout = Layout::of(data_dir);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let key = key_file(&layout, Arc::clone(&disk))?;
    let (journal, recovery) = Journal::open_repairing(disk, &layout.journal(), key.load()?, Sizes::default())?;
    let entries: Vec<_> = gaps(&recovery).map(entry).collect();
    if !entries.is_empty() {
        let internal = |error: ledger::JournalError| StartError::Internal(error.to_string());
        drop(journal.append(&entries).map_err(internal)?.at_process());
        journal.sync().map_err(internal)?;
        // Signed is it by the next Sluice, when its witnesses agree.
        journal.set_aside_is_recorded().map_err(|source| StartError::File { path: layout.journal(), source })?;
    }
    Ok(recovery)
}

/// What was repaired, as the journal has it.
pub(super) fn gaps(recovery: &Recovery) -> impl Iterator<Item = Event> {
    let torn = recovery
        .torn
        .iter()
        .map(|torn| format!("{} was torn: {} bytes from {} on were cut off", torn.file, torn.bytes, torn.offset));
    let aside = recovery.set_aside.iter().map(|SetAside { torn, kept, digest, whole }| {
        let (file, bytes, offset) = (&torn.file, torn.bytes, torn.offset);
        format!(
            "{file} was damaged: {bytes} bytes from {offset} on, with {whole} whole entries, were set aside as {kept}, \
             SHA-256 {digest}"
        )
    });
    torn.chain(aside).map(|reason| Event::Gap { session: None, reason: reason.into() })
}

/// The key file of a data directory, whose public key says what the journal is called. One that others can read is refused.
fn key_file(layout: &Layout, disk: Arc<dyn Disk>) -> Result<KeyFile, StartError> {
    let path = layout.journal_public_key();
    let text = std::fs::read_to_string(&path).map_err(|source| StartError::File { path: path.clone(), source })?;
    let known: VerifyingKey = text.parse().map_err(|_| StartError::Key(path))?;
    let path = layout.key("journal.key");
    if path.exists() {
        drop(seed(&path)?);
    }
    Ok(KeyFile::new(disk, &path, &layout.journal(), known.name()))
}

/// Changes the key of the journal of a data directory, where no Sluice may run: the new one is made here, and the old one
/// is gone when this returns. See [`KeyFile::rotate`].
///
/// # Errors
/// If a Sluice has the journal, or something fails; it can be called again.
pub fn rotate_key(data_dir: &Path) -> Result<Rotated, StartError> {
    let layout = Layout::of(data_dir);
    let fresh = Secret::new(clock::random::<32>()?);
    let file = key_file(&layout, Arc::new(RealDisk))?;
    let rotated = file.rotate(fresh.expose(), clock::now())?;
    publish(&layout, &rotated.new)?;
    Ok(rotated)
}
