//! `sluice audit tiles`: the journal as static files that other tools read. It needs no running Sluice.

use std::path::PathBuf;

use ledger::RealDisk;

use super::failure::Failure;
use super::journal::{JournalArgs, Places};
use super::put;

/// Write the journal as static files for other tools
#[derive(clap::Args)]
#[command(
    after_help = "The files are those of c2sp.org/tlog-tiles: checkpoint, tile/… and tile/entries/…. Any web server can \
    serve them. Run it again to bring them up to the latest checkpoint; it goes on where it ended. They hold all that the \
    journal holds: show them to nobody who may not see that.\n\nExamples:\n  \
    sluice audit tiles /srv/tlog --data-dir /var/lib/sluice\n  \
    sluice audit tiles /srv/tlog --journal /backup/journal --key /safe/journal.pub\n  \
    sluice audit verify --tiles /srv/tlog --key /safe/journal.pub"
)]
pub(super) struct Args {
    /// Where to write them
    dir: PathBuf,
    #[command(flatten)]
    place: JournalArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Places { journal, key, .. } = args.place.places()?;
    let exported = ledger::export(&RealDisk, &journal, &key, &args.dir).map_err(Failure::failed)?;
    let size = exported.checkpoint.size();
    put(&format!("{size} entries, {} of them new\n", size.saturating_sub(exported.before)))
}
