//! `sluice audit prove` and `check-proof`: one entry, shown to somebody who has the public key alone. They need no running
//! Sluice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::{EntryProof, Reader, RealDisk};
use model::event::Entry;
use model::id::RequestId;
use serde_json::json;

use super::failure::Failure;
use super::journal::{JournalArgs, Places, key_in, unreadable};
use super::{put, show};

/// Prove that an entry is in the journal
#[derive(clap::Args)]
#[command(
    after_help = "The proof is a text (c2sp.org/tlog-proof) that holds the entry, its place in the tree and the first \
    checkpoint that covers it.\nWhoever has the public key can check it: with `sluice audit check-proof`, or with tools of \
    others.\n\nExamples:\n  \
    sluice audit prove 01JD8F-… --data-dir /var/lib/sluice > request.tlog-proof\n  \
    sluice audit prove --entry 4711 --journal /backup/journal --key /safe/journal.pub\n  \
    sluice audit check-proof request.tlog-proof --key /safe/journal.pub"
)]
pub(super) struct Args {
    /// The request whose decision is proved, as refusals and `sluice audit search` name it
    #[arg(required_unless_present = "entry", conflicts_with = "entry")]
    request: Option<RequestId>,
    /// The entry by its place in the journal
    #[arg(long, value_name = "N")]
    entry: Option<u64>,
    #[command(flatten)]
    place: JournalArgs,
}

/// Check a proof, and show the entry that it is about
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// The proof; - for standard input
    proof: PathBuf,
    /// The public key that the checkpoint is signed by
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Places { journal, key, .. } = args.place.places()?;
    let index = match (args.entry, args.request) {
        (Some(index), _) => index,
        (None, Some(request)) => decision_of(&journal, request)?,
        (None, None) => return Err(Failure::failed("neither a request nor an entry is named")),
    };
    let proof = ledger::prove_entry(&RealDisk, &journal, &key, index).map_err(|error| unreadable(&journal, &error))?;
    put(&proof.text())
}

/// The first entry about a request: its decision.
fn decision_of(journal: &Path, request: RequestId) -> Result<u64, Failure> {
    let mut reader = Reader::open(Arc::new(RealDisk), journal, 0);
    loop {
        match reader.next().map_err(|error| unreadable(journal, &error))? {
            Some((index, entry)) if ledger::request_of(&entry.event) == Some(request) => return Ok(index),
            Some(_) => {}
            None => return Err(Failure::failed(format!("the journal has no request {request}"))),
        }
    }
}

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let key = key_in(&args.key)?;
    let text = if args.proof.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&args.proof)
    };
    let text = text.map_err(|error| unreadable(&args.proof, &error))?;
    let proof = EntryProof::open(&text, &key)
        .map_err(|error| Failure::failed(format!("{} proves NOTHING: {error}", args.proof.display())))?;
    let entry: Option<Entry> = ledger::decode(&proof.entry).ok();
    let shown = entry.as_ref().map_or_else(|| json!(null), |entry| json!(entry));
    if args.json {
        return put(&show::json(&json!({
            "good": true,
            "entry": proof.index,
            "signed": proof.checkpoint.size(),
            "log": key.name(),
            "content": shown,
        })));
    }
    put(&format!(
        "entry {} is in the journal {}, in its first {} entries as they were signed\n{}\n",
        proof.index,
        show::safe(key.name()),
        proof.checkpoint.size(),
        show::json(&shown).trim_end()
    ))
}
