//! `sluice audit prove-growth` and `check-growth`: that one checkpoint's journal grew from another's, shown to somebody who has
//! both and the public key alone. They need no running Sluice.

use std::path::{Path, PathBuf};

use ledger::witness::{Head, MAX_SUBMISSION, Submission, decide};
use ledger::{Checkpoint, RealDisk, VerifyingKey};

use super::failure::Failure;
use super::journal::{JournalArgs, Places, key_in, unreadable};
use super::{put, show};

/// Prove that the journal of one checkpoint grew from that of an older one
#[derive(clap::Args)]
#[command(
    after_help = "The proof is a text: the older size, the hashes of RFC 6962, and the newer checkpoint, as it is sent to \
    witnesses (c2sp.org/tlog-witness).\n\nExamples:\n  \
    sluice audit prove-growth /safe/checkpoint --data-dir /var/lib/sluice > growth\n  \
    sluice audit check-growth /safe/checkpoint growth --key /safe/journal.pub"
)]
pub(super) struct Args {
    /// The older checkpoint: a file that was kept
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The newer one, if it is not the journal's latest
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    #[command(flatten)]
    place: JournalArgs,
}

/// Check such a proof
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// The older checkpoint: a file that was kept
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The proof, with the newer checkpoint
    proof: PathBuf,
    /// The public key that both are signed by
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Places { journal, key, .. } = args.place.places()?;
    let old = checkpoint(&args.old, &key)?;
    let new = checkpoint(args.new.as_ref().unwrap_or(&journal.join("checkpoint")), &key)?;
    let proof = ledger::prove_consistency(&RealDisk, &journal, old.size(), new.size());
    let proof = proof.map_err(|error| unreadable(&journal, &error))?;
    if proof.hash != *old.root() || proof.root != *new.root() {
        return Err(Failure::failed(format!("{}: it did NOT grow from that checkpoint", journal.display())));
    }
    put(&Submission { old: old.size(), proof: proof.hashes, note: new.note().to_owned() }.text())
}

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let key = key_in(&args.key)?;
    let old = checkpoint(&args.old, &key)?;
    let proved = Submission::parse(read(&args.proof)?.as_bytes()).and_then(|submission| {
        let head = Head { size: old.size(), root: *old.root() };
        decide(&submission, std::slice::from_ref(&key), |_| Some(head))
    });
    let new = proved.map_err(|error| Failure::failed(format!("{} proves NOTHING: {error}", args.proof.display())))?;
    let (name, old, new) = (show::safe(key.name()), old.size(), new.size());
    put(&format!("the journal {name} of {new} entries grew from that of {old}\n"))
}

fn checkpoint(path: &Path, key: &VerifyingKey) -> Result<Checkpoint, Failure> {
    Checkpoint::open(read(path)?.as_bytes(), key).map_err(|error| unreadable(path, &error))
}

fn read(path: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let limit = u64::try_from(MAX_SUBMISSION).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(text)
}
