//! `sluice policy unused`: permits that decided nothing, and the policies without them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::rehearsal::{Change, Counts, Replay, Side, Unused, Usage, without};
use control::time::Moment;
use gateway::node::Layout;
use gateway::revision::{Checked, check_with};
use ledger::{Reader, RealDisk};
use model::event::Entry;
use serde_json::{Value, json};
use store::revision::{ChangeableFile, Wanted};

use super::super::failure::Failure;
use super::super::paths::ConfigArg;
use super::super::{put, show, tell, time};

/// Say which permits decided nothing; write policies without them
#[derive(clap::Args)]
#[command(
    after_help = "It reads the journal's files, and asks the policies anew who was let in and what was seen. What the journal cannot\n\
    tell of, such as permits of the admin API, is never called unused. The policies without the unused permits are\n\
    tried on the same requests as with `sluice policy simulate`; they are written only if nothing would go otherwise.\n\n\
    Examples:\n  sluice policy unused --since 30d\n  sluice policy unused --since 90d --write candidate"
)]
pub(in crate::cli) struct Args {
    /// Requests since then: 30d, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since, default_value = "30d")]
    since: Moment,
    /// The revision; that of the configuration unless given
    #[arg(long, value_name = "DIR")]
    revision: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// The data directory whose journal is read; that of the configuration unless given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write the policy files that change to this new directory
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = match (&args.revision, &args.data_dir) {
        (Some(_), Some(_)) => None,
        _ => Some(args.config.load()?),
    };
    let revision = args.revision.clone().or_else(|| config.as_ref().map(|config| config.revision_dir.clone()));
    let data_dir = args.data_dir.clone().or_else(|| config.as_ref().map(|config| config.data_dir.clone()));
    let (Some(revision), Some(data_dir)) = (revision, data_dir) else {
        return Err(Failure::Usage(String::from("say which journal and revision: --config FILE")));
    };
    let (present, catalogs) = (super::revision(&revision)?, BTreeMap::new());
    let mut usage = Usage::new(args.since.0, &present, Side::new(&present, &catalogs));
    each(&data_dir, |entry| usage.take(entry))?;
    let found = usage.found();
    let ids: BTreeSet<Arc<str>> = found.unused.iter().map(|permit| Arc::clone(&permit.id)).collect();
    let candidate = without(&files(&revision)?, &ids);
    let (counts, changes) = tried(args, &data_dir, &revision, &present, &candidate)?;
    let changes: Vec<&Change> = changes.iter().collect();
    if args.json {
        put(&show::json(&as_json(&found, &candidate, counts, &changes)))?;
    } else {
        put(&as_text(&found, counts, &changes))?;
    }
    match &args.write {
        None => Ok(()),
        Some(_) if !changes.is_empty() => Err(Failure::failed("nothing is written, as something would go otherwise")),
        Some(dir) => write(dir, &candidate),
    }
}

/// Every entry of a journal, in order.
fn each(data_dir: &Path, mut take: impl FnMut(Entry)) -> Result<(), Failure> {
    let journal = Layout::of(data_dir).journal();
    let mut reader = Reader::open(Arc::new(RealDisk), &journal, 0);
    while let Some((_, entry)) =
        reader.next().map_err(|error| Failure::failed(format!("{}: {error}", journal.display())))?
    {
        take(entry);
    }
    Ok(())
}

/// The policy files of a revision, by their names.
fn files(revision: &Path) -> Result<Vec<(String, String)>, Failure> {
    let dir = revision.join("policies");
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(|error| failed(&dir, error))? {
        let path = entry.map_err(|error| failed(&dir, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".cedar"));
        if let Some(name) = name {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            found.push((name.to_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}

/// What would go otherwise with these files in place of those that are there.
fn tried(
    args: &Args,
    data_dir: &Path,
    revision: &Path,
    present: &Checked,
    candidate: &BTreeMap<String, String>,
) -> Result<(Counts, Vec<Change>), Failure> {
    let mut wanted = Wanted::new();
    for (name, text) in candidate {
        let file: ChangeableFile = format!("policies/{name}").parse().map_err(Failure::failed)?;
        wanted.insert(file, Some(text.clone()));
    }
    let candidate = check_with(revision, &wanted).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failure::Failed(format!("the policies without them are not right\n{}", told.join("\n")))
    })?;
    let catalogs = BTreeMap::new();
    let mut replay = Replay::new(args.since.0, Side::new(present, &catalogs), Side::new(&candidate, &catalogs));
    each(data_dir, |entry| replay.take(entry))?;
    Ok((replay.counts, replay.changes().into_iter().cloned().collect()))
}

/// Writes files to a directory that is not there yet.
fn write(dir: &Path, files: &BTreeMap<String, String>) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    std::fs::create_dir(dir).map_err(|error| failed(dir, error))?;
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    tell(&format!("{} files are in {}", files.len(), show::safe(&dir.display().to_string())));
    Ok(())
}

fn as_json(found: &Unused, files: &BTreeMap<String, String>, counts: Counts, changes: &[&Change]) -> Value {
    json!({
        "usage": found,
        "files": files,
        "simulated": { "requests": counts.requests, "sessions": counts.sessions, "unexplained": counts.unexplained,
            "changed_requests": counts.changed_requests, "changed_sessions": counts.changed_sessions },
        "changes": changes.iter().map(|change| json!({
            "count": change.count,
            "subject": change.subject.to_string(),
            "target": change.target,
            "change": change.what,
        })).collect::<Vec<_>>(),
    })
}

fn as_text(found: &Unused, counts: Counts, changes: &[&Change]) -> String {
    let mut out =
        format!("{} requests and {} sessions since {}\n", found.requests, found.sessions, show::instant(found.since));
    if let Some(first) = found.known_since {
        out.push_str(&format!("the record begins at {}: nothing is known of what was before\n", show::instant(first)));
    }
    if found.gaps > 0 {
        out.push_str(&format!("the record has {} gaps: what happened then is not known\n", found.gaps));
    }
    if found.unexplained > 0 {
        let count = found.unexplained;
        out.push_str(&format!(
            "statements of {count} requests were forgotten, as there are too many: what they let be seen is not known\n"
        ));
    }
    let row = |permit: &control::rehearsal::Permit, what: &str| {
        let last = permit.last.map(show::instant).unwrap_or_default();
        vec![permit.id.to_string(), permit.principal.clone(), what.to_owned(), permit.count.to_string(), last]
    };
    let unused = found.unused.iter().map(|permit| row(permit, "unused"));
    let not_told = found.not_told.iter().map(|permit| row(permit, "not told by the record"));
    let used = found.used.iter().map(|permit| row(permit, "used"));
    let rows: Vec<Vec<String>> = unused.chain(not_told).chain(used).collect();
    out.push_str(&format!("\n{}", show::table(&["PERMIT", "TO", "", "COUNT", "LAST"], &rows)));
    out.push_str(&format!(
        "\nwithout the unused: {} requests and {} sessions of {} and {} would go otherwise\n",
        counts.changed_requests, counts.changed_sessions, counts.requests, counts.sessions
    ));
    if counts.unexplained > 0 {
        out.push_str(&format!("{} requests were not tried: the journal does not explain them\n", counts.unexplained));
    }
    for change in changes {
        let (subject, what) = (change.subject.to_string(), &change.what);
        out.push_str(&format!("{}  {}  {}\n", show::safe(&subject), show::safe(&change.target), show::safe(what)));
    }
    out
}
