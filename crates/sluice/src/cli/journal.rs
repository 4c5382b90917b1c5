//! Where a journal is that is read without a running Sluice, and the key that its checkpoints are signed by.

use std::path::{Path, PathBuf};

use gateway::node::Layout;
use ledger::VerifyingKey;

use super::failure::Failure;
use super::paths::ConfigArg;

/// Which journal
#[derive(clap::Args)]
pub(super) struct JournalArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// A data directory: its journal, its key and its tapes
    #[arg(long, value_name = "DIR", conflicts_with = "journal")]
    data_dir: Option<PathBuf>,
    /// A journal by itself
    #[arg(long, value_name = "DIR", requires = "key")]
    journal: Option<PathBuf>,
    /// The public key that the checkpoints are signed by
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
}

/// What was named, or what the configuration names.
pub(super) struct Places {
    pub(super) journal: PathBuf,
    pub(super) key: VerifyingKey,
    /// Unless it is a journal by itself.
    pub(super) data_dir: Option<PathBuf>,
}

impl JournalArgs {
    pub(super) fn places(&self) -> Result<Places, Failure> {
        if let (Some(journal), Some(key)) = (&self.journal, &self.key) {
            return Ok(Places { journal: journal.clone(), key: key_in(key)?, data_dir: None });
        }
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => self.config.load()?.data_dir,
        };
        let layout = Layout::of(&data_dir);
        let key = self.key.clone().unwrap_or_else(|| layout.journal_public_key());
        Ok(Places { journal: layout.journal(), key: key_in(&key)?, data_dir: Some(data_dir) })
    }
}

pub(super) fn key_in(path: &Path) -> Result<VerifyingKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    text.trim().parse().map_err(|error| unreadable(path, &error))
}

pub(super) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
