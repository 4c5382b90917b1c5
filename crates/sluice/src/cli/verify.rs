//! `sluice audit verify`: from files and the public key alone. It needs no running Sluice and writes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::node::Layout;
use ledger::tape::TapeReader;
use ledger::{Reader, RealDisk, VerifyingKey};
use model::event::Event;
use model::id::{Digest, SessionId};

use super::failure::Failure;
use super::paths::ConfigArg;
use super::{put, show};

/// Verify a journal offline
#[derive(clap::Args)]
#[command(
    after_help = "A public key that was kept elsewhere proves more than the one beside the journal.\n\nExamples:\n  \
    sluice audit verify --data-dir /var/lib/sluice\n  \
    sluice audit verify --journal /backup/journal --key /safe/journal.pub"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// A data directory: its journal, its key and its tapes
    #[arg(long, value_name = "DIR", conflicts_with = "journal")]
    data_dir: Option<PathBuf>,
    /// A journal by itself
    #[arg(long, value_name = "DIR", requires = "key")]
    journal: Option<PathBuf>,
    /// The public key that the checkpoints are signed by
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Tapes to compare with what the journal says of them
    #[arg(long, value_name = "DIR")]
    tapes: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

struct Places {
    journal: PathBuf,
    key: PathBuf,
    tapes: Option<PathBuf>,
}

fn places(args: &Args) -> Result<Places, Failure> {
    if let (Some(journal), Some(key)) = (&args.journal, &args.key) {
        return Ok(Places { journal: journal.clone(), key: key.clone(), tapes: args.tapes.clone() });
    }
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => args.config.load()?.data_dir,
    };
    let layout = Layout::of(&data_dir);
    let key = args.key.clone().unwrap_or_else(|| layout.journal_public_key());
    let tapes = args.tapes.clone().or_else(|| Some(layout.tapes()).filter(|dir| dir.exists()));
    Ok(Places { journal: layout.journal(), key, tapes })
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let places = places(args)?;
    let unreadable =
        |path: &Path, error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(&places.key).map_err(|error| unreadable(&places.key, &error))?;
    let key: VerifyingKey = text.trim().parse().map_err(|error| unreadable(&places.key, &error))?;
    let report =
        ledger::verify(&RealDisk, &places.journal, &key).map_err(|error| unreadable(&places.journal, &error))?;
    let (tapes, tape_fault) = match (&places.tapes, report.is_good()) {
        (Some(dir), true) => verify_tapes(&places.journal, dir),
        (Some(_) | None, _) => (0, None),
    };
    let fault = report.fault.as_ref().map(ToString::to_string).or(tape_fault);
    if args.json {
        let entry = report.fault.as_ref().and_then(|fault| fault.place.entry);
        put(&show::json(&serde_json::json!({
            "good": fault.is_none(),
            "entries": report.entries,
            "checkpoints": report.checkpoints,
            "signed": report.signed,
            "root": Digest(report.root).to_string(),
            "tapes": tapes,
            "fault": fault,
            "entry": entry,
        })))?;
    }
    match fault {
        Some(fault) => Err(Failure::failed(format!("the record is DAMAGED: {fault}"))),
        None if args.json => Ok(()),
        None => put(&format!(
            "the record is whole: {} entries, {} of them signed by {} checkpoints; {tapes} tapes match\nroot {}\n",
            report.entries,
            report.signed,
            report.checkpoints,
            Digest(report.root)
        )),
    }
}

/// Compares each closed session's tape with the digest and length that the journal has of it.
fn verify_tapes(journal: &Path, tapes: &Path) -> (u64, Option<String>) {
    let mut reader = Reader::open(Arc::new(RealDisk), journal, 0);
    let mut verified = 0u64;
    loop {
        let (position, entry) = match reader.next() {
            Ok(Some(found)) => found,
            Ok(None) => return (verified, None),
            Err(error) => return (verified, Some(error.to_string())),
        };
        if let Event::SessionClosed { session, tape: Some(expected), .. } = entry.event {
            if let Err(fault) = verify_tape(tapes, session, expected) {
                return (verified, Some(format!("the tape of session {session} (entry {position}) {fault}")));
            }
            verified = verified.saturating_add(1);
        }
    }
}

fn verify_tape(tapes: &Path, session: SessionId, expected: (Digest, u64)) -> Result<(), String> {
    let read = TapeReader::open(&RealDisk, tapes, session).and_then(|mut tape| tape.digest());
    match read {
        Ok(found) if found == expected => Ok(()),
        Ok(_) => Err(String::from("is not the one that was recorded")),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
