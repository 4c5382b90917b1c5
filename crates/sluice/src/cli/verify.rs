//! `sluice audit verify`: from files and the public key alone. It needs no running Sluice and writes nothing.

use std::path::{Path, PathBuf};

use gateway::node::Layout;
use gateway::threads::on_all_processors;
use ledger::tape::KeyStore;
use ledger::{Checkpoint, Disk, Keys, RealDisk, Trust, WitnessKey, Witnessed};
use model::id::Digest;
use model::secret::Secret;
use model::time::Timestamp;
use store::config::ArchiveConfig;

use super::failure::Failure;
use super::journal::{JournalArgs, Places, key_in, unreadable};
use super::{put, show};

mod tapes;

use tapes::{Place, Tapes};

/// Verify a journal offline
#[derive(clap::Args)]
#[command(
    after_help = "A public key that was kept elsewhere proves more than the one beside the journal, and a checkpoint that \
    was kept elsewhere\nshows whether the whole journal was exchanged for an older or another one. The latest is the file \
    journal/checkpoint.\nA witness's key proves that another machine saw the journal grow to that size, and at what time.\n\nExamples:\n  \
    sluice audit verify --config /etc/sluice/sluice.toml       (tapes in its archive as well)\n  \
    sluice audit verify --data-dir /var/lib/sluice\n  \
    sluice audit verify --journal /backup/journal --key /safe/journal.pub --checkpoint /safe/yesterday.checkpoint\n  \
    sluice audit verify --data-dir /var/lib/sluice --witness-key /safe/witness.pub\n  \
    sluice audit verify --tiles /srv/tlog --key /safe/journal.pub"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: JournalArgs,
    /// A checkpoint that was kept elsewhere: the journal must have grown from it; may be given several times
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The public key of a witness, or a file with it: it must have cosigned a checkpoint, beside the journal or given with
    /// --checkpoint; may be given several times
    #[arg(long, value_name = "KEY")]
    witness_key: Vec<String>,
    /// A directory that `sluice audit tiles` wrote, instead of a journal: verified by itself, with --key
    #[arg(long, value_name = "DIR", requires = "key", conflicts_with_all = ["journal", "data_dir", "checkpoint", "witness_key", "tapes"])]
    tiles: Option<PathBuf>,
    /// Tapes to compare with what the journal says of them
    #[arg(long, value_name = "DIR")]
    tapes: Option<PathBuf>,
    /// The keys of these tapes; keys/tapes of the data directory unless given
    #[arg(long, value_name = "DIR", requires = "tapes")]
    tape_keys: Option<PathBuf>,
    /// The key that opens them; keys/tape.key of the data directory unless given
    #[arg(long, value_name = "FILE")]
    tape_key: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if let (Some(dir), Some(key)) = (&args.tiles, &args.place.key) {
        return verify_tiles(dir, key, args.json);
    }
    let places = args.place.places()?;
    let Places { journal, key, data_dir } = &places;
    let keys = Keys::of(&RealDisk, journal, key).map_err(|error| unreadable(journal, &error))?;
    let kept = args.checkpoint.iter().map(|file| kept(file, &keys)).collect::<Result<Vec<_>, _>>()?;
    let witnesses = args.witness_key.iter().map(|key| witness_key(key)).collect::<Result<Vec<_>, _>>()?;
    let trust = Trust { key, kept: &kept, witnesses: &witnesses };
    let report = ledger::verify_with(&RealDisk, journal, trust, &on_all_processors)
        .map_err(|error| unreadable(journal, &error))?;
    let own = data_dir.as_deref().map(Layout::of);
    let own_tapes = || own.as_ref().map(Layout::tapes).filter(|dir| dir.exists());
    let tapes = match (args.tapes.clone().or_else(own_tapes), report.is_good()) {
        (Some(dir), true) => verify_tapes(args, &places, &dir, own.as_ref())?,
        (Some(_) | None, _) => Tapes::default(),
    };
    let told = tapes.told();
    let fault = report.fault.as_ref().map(ToString::to_string).or(tapes.fault);
    let unreached = tapes.unreached;
    if args.json {
        let entry = report.fault.as_ref().and_then(|fault| fault.place.entry);
        put(&show::json(&serde_json::json!({
            "good": fault.is_none() && unreached.is_none(),
            "entries": report.entries,
            "checkpoints": report.checkpoints,
            "signed": report.signed,
            "root": Digest(report.root).to_string(),
            "tapes": tapes.matching,
            "tape_parts": tapes.parts,
            "tapes_truncated": tapes.truncated,
            "tapes_removed": tapes.removed,
            "tapes_sealed": tapes.sealed,
            "tapes_away": tapes.away,
            "archive_unreached": unreached,
            "witnessed": report.witnessed.iter().map(|one| serde_json::json!({
                "witness": one.witness, "entries": one.size, "at": one.at,
            })).collect::<Vec<_>>(),
            "fault": fault,
            "entry": entry,
        })))?;
    }
    match (fault, unreached) {
        (Some(fault), _) => Err(Failure::failed(format!("the record is DAMAGED: {fault}"))),
        (None, Some(why)) => Err(Failure::failed(format!(
            "not all of the record was compared, of which nothing is damaged: {told}: {why}"
        ))),
        (None, None) if args.json => Ok(()),
        (None, None) => put(&format!(
            "the record is whole: {} entries, {} of them signed by {} checkpoints; {told}\nroot {}\n{}",
            report.entries,
            report.signed,
            report.checkpoints,
            Digest(report.root),
            report.witnessed.iter().map(cosigned).collect::<String>(),
        )),
    }
}

fn cosigned(one: &Witnessed) -> String {
    let at = Timestamp(one.at.saturating_mul(1000));
    format!("{} entries cosigned by {} at {at}\n", one.size, show::safe(&one.witness))
}

/// A key as it stands, or a file with one.
fn witness_key(text: &str) -> Result<WitnessKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let content = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    content.trim().parse().map_err(|error| unreadable(path, &error))
}

fn verify_tiles(dir: &Path, key: &Path, as_json: bool) -> Result<(), Failure> {
    let report = ledger::verify_tiles(&RealDisk, dir, &key_in(key)?);
    if as_json {
        let (entries, root) = match &report {
            Ok(report) => (Some(report.entries), Some(Digest(report.root).to_string())),
            Err(_) => (None, None),
        };
        let fault = report.as_ref().err();
        put(&show::json(&serde_json::json!({
            "good": report.is_ok(),
            "entries": entries,
            "root": root,
            "fault": fault.map(ToString::to_string),
            "file": fault.map(|fault| fault.file.as_str()),
        })))?;
    }
    match report {
        Err(fault) => Err(Failure::failed(format!("the tiles are DAMAGED: {fault}"))),
        Ok(_) if as_json => Ok(()),
        Ok(report) => put(&format!("the tiles are whole: {} entries\nroot {}\n", report.entries, Digest(report.root))),
    }
}

fn kept(file: &Path, keys: &Keys) -> Result<Checkpoint, Failure> {
    let note = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
    keys.open(&note).map_err(|error| unreadable(file, &error))
}

/// Compares tapes, those in the archive included, where the configuration names one.
fn verify_tapes(args: &Args, places: &Places, dir: &Path, own: Option<&Layout>) -> Result<Tapes, Failure> {
    let keys = tape_keys(args, own)?;
    let verify = |disk: &dyn Disk, has_archive| {
        Tapes::verify(&places.journal, &Place { disk, dir, keys: keys.as_ref(), has_archive })
    };
    let Some(archive) = archive_of(args, places.data_dir.as_deref())? else { return Ok(verify(&RealDisk, false)) };
    let failed = |error: &dyn std::error::Error| Failure::caused("the archive", error);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    match gateway::archive::offline_disk(&archive, runtime.handle()) {
        Ok(disk) => Ok(verify(disk.as_ref(), true)),
        // Its secret is in the vault, or for others to read: what is here can be compared all the same.
        Err(gateway::archive::ArchiveError::Secret(_)) => Ok(verify(&RealDisk, false)),
        Err(error) => Err(failed(&error)),
    }
}

/// The archive of the configuration that was named, or of the one in this directory if that is about what is verified.
fn archive_of(args: &Args, data_dir: Option<&Path>) -> Result<Option<ArchiveConfig>, Failure> {
    let config = &args.place.config;
    if config.config.is_some() {
        return Ok(config.load()?.archive);
    }
    let (Some(found), Some(data_dir)) = (config.existing(), data_dir) else { return Ok(None) };
    match super::paths::load(&found) {
        Ok(config) if is_same(&config.data_dir, data_dir) => Ok(config.archive),
        Ok(_) => Ok(None),
        Err(_) => {
            let shown = found.display();
            super::tell(&format!("warning: {shown} has mistakes, so that no archive is known: see sluice check"));
            Ok(None)
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// The keys of tapes, where one opens them.
fn tape_keys(args: &Args, own: Option<&Layout>) -> Result<Option<KeyStore>, Failure> {
    let dir = args.tape_keys.clone().or_else(|| own.map(Layout::tape_keys));
    let file = args.tape_key.clone().or_else(|| own.map(|own| own.key("tape.key")).filter(|file| file.exists()));
    let (Some(dir), Some(file)) = (dir, file) else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
    let key: Digest = text.trim().parse().map_err(|error| unreadable(&file, &error))?;
    KeyStore::new(&dir, &Secret::new(key.0)).map(Some).map_err(|error| unreadable(&file, &error))
}
