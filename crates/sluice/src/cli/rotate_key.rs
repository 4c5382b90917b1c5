//! `sluice audit rotate-key`: another key for the journal's checkpoints, while Sluice is stopped.

use super::failure::Failure;
use super::paths::DataDirArg;
use super::{put, show};

/// Change the key that signs the journal
#[derive(clap::Args)]
#[command(
    after_help = "Stop Sluice first. The change is an entry of the journal, signed by both keys, so that `sluice audit \
    verify` follows it from the old key to the new one and back. Give the new journal.pub to whoever keeps the old one, \
    and to each witness as another --log. If it is broken off, run it again, or start Sluice: what was begun is brought to \
    its end.\n\nExamples:\n  \
    sluice audit rotate-key\n  sluice audit rotate-key --data-dir /var/lib/sluice"
)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let data_dir = args.data_dir.path()?;
    let rotated = gateway::node::rotate_key(&data_dir);
    let rotated = rotated.map_err(|error| Failure::failed(format!("{}: {error}", data_dir.display())))?;
    let (old, new) = (show::safe(&rotated.old.to_string()), show::safe(&rotated.new.to_string()));
    let how = match rotated.checkpoint {
        Some(checkpoint) => format!("the first {} entries are signed by it", checkpoint.size()),
        None => String::from("an earlier change was brought to its end"),
    };
    put(&format!("the journal's key was changed; {how}\nold {old}\nnew {new}\n"))
}
