//! The tapes of a site, opened as whoever has its keys may.

use std::path::Path;

use anyhow::{Context, Result};
use ledger::RealDisk;
use ledger::tape::{KeyStore, Record, TapeEnd, TapeReader};
use model::id::Digest;
use model::secret::Secret;

/// The records of a tape, given by its file, and how it ends.
pub fn records(path: &Path) -> Result<(Vec<Record>, Option<TapeEnd>)> {
    let session = path.file_stem().and_then(|name| name.to_str()).context("a tape without a name")?.parse()?;
    let tapes = path.parent().context("a tape without a directory")?;
    let keys = tapes.parent().context("tapes without a data directory")?.join("keys");
    let key: Digest = std::fs::read_to_string(keys.join("tape.key"))?.trim().parse()?;
    let keys = KeyStore::new(&keys.join("tapes"), &Secret::new(key.0))?;
    let mut tape = TapeReader::open(&RealDisk, tapes, session, Some(&keys))?;
    let mut records = Vec::new();
    while let Some(record) = tape.next()? {
        records.push(record);
    }
    let end = tape.end();
    Ok((records, end))
}
