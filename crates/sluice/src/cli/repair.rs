//! `sluice audit repair`: sets aside what a power cut left behind what is signed, while Sluice is stopped.

use super::failure::Failure;
use super::paths::DataDirArg;
use super::{put, show};

/// Set aside damaged bytes at the journal's end that are not signed yet
#[derive(clap::Args)]
#[command(
    after_help = "For a Sluice that does not start because its journal is damaged behind what is signed: a power cut can \
    leave bytes that never reached the disk, with later ones that did. From the first damaged byte on, all is put into a \
    file beside it, FILE.BYTE.aside, and an entry of the journal names it with its SHA-256. No entry at level power is among \
    it. What is signed is never touched: if that is damaged, nothing is done, and `sluice audit verify` says \
    where.\n\nExamples:\n  \
    sluice audit repair\n  sluice audit repair --data-dir /var/lib/sluice"
)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let data_dir = args.data_dir.path()?;
    let recovery = gateway::node::repair(&data_dir);
    let recovery = recovery.map_err(|error| Failure::failed(format!("{}: {error}", data_dir.display())))?;
    if recovery.set_aside.is_empty() {
        return put(&format!("nothing had to be set aside; the journal has {} entries\n", recovery.entries));
    }
    let line = |aside: &ledger::SetAside| {
        let (torn, digest) = (&aside.torn, aside.digest);
        let (file, kept) = (show::safe(&torn.file), show::safe(&aside.kept));
        format!("{file}: {} bytes from {} on are in {kept} now (SHA-256 {digest})\n", torn.bytes, torn.offset)
    };
    let lines: String = recovery.set_aside.iter().map(line).collect();
    put(&format!("{lines}the journal has {} entries, and one for each line above\n", recovery.entries))
}
