//! `sluice audit reindex`: the index of searches, made anew from the journal.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use super::failure::Failure;
use super::paths::DataDirArg;
use super::put;

/// Make the index of searches anew
#[derive(clap::Args)]
#[command(
    after_help = "The journal is the record; the index is a copy for searching, and may be lost. Sluice follows the \
    journal by itself: this is for an\nindex that is damaged or was made by a newer version, and for a copy of a journal that \
    has none. Stop Sluice first.\n\nExamples:\n  \
    sluice audit reindex\n  sluice audit reindex --data-dir /var/lib/sluice"
)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let data_dir = args.data_dir.path()?;
    let began = Instant::now();
    let shown = std::io::stderr().is_terminal();
    let entries = gateway::indexer::rebuild(&data_dir, |entries| {
        if shown {
            // Only a sign of life.
            let _ = write!(std::io::stderr(), "\r{entries} entries");
        }
    });
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let entries = entries.map_err(|error| Failure::caused(data_dir.display(), &error))?;
    put(&format!("{entries} entries indexed in {:.1} s\n", began.elapsed().as_secs_f64()))
}
