//! `sluice audit repair`: sets aside what a power cut left behind what is signed, while Sluice is stopped.

use super::failure::Failure;
use super::paths::DataDirArg;
use super::{put, show};

/// Set aside damaged bytes at the journal's end that are not signed yet
#[derive(clap::Args)]
#[command(
    after_help = "For a Sluice that does not start because its journal is damaged behind what is signed: a power cut can \
    leave bytes that never reached the disk, with later ones that did. From the first damaged byte on, all is put into a \
    file beside it, FILE.BYTE.aside, and an entry of the journal names it with its SHA-256. If the power failed, no entry at \
    level power is among it; if it was anything else, some may be: then keep the disk as it is, and find out. What is signed \
    is never touched: if that is damaged, nothing is done, and `sluice audit verify` says where.\n\nExamples:\n  \
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
    let torn = |torn: &ledger::Torn| {
        format!("{} was torn: {} bytes from {} on were cut off\n", show::safe(&torn.file), torn.bytes, torn.offset)
    };
    let torn: String = recovery.torn.iter().map(torn).collect();
    if recovery.set_aside.is_empty() {
        return put(&format!("{torn}nothing had to be set aside; the journal has {} entries\n", recovery.entries));
    }
    let line = |aside: &ledger::SetAside| {
        let (torn, digest, whole) = (&aside.torn, aside.digest, aside.whole);
        let (file, kept) = (show::safe(&torn.file), show::safe(&aside.kept));
        let from = format!("{file}: {} bytes from {} on, with {whole} whole entries", torn.bytes, torn.offset);
        format!("{from}, are in {kept} now (SHA-256 {digest})\n")
    };
    let lines: String = recovery.set_aside.iter().map(line).collect();
    put(&format!("{torn}{lines}the journal has {} entries, and one for each line above\n", recovery.entries))
}
