//! `sluice policy simulate`: what a revision would have done with the requests that the journal has.
//!
//! It reads the journal's statement entries, never a tape. Both revisions are asked anew about each request, so that
//! what is shown is the difference between the two and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use control::rehearsal::{Change, Replay, Side};
use control::time::Moment;
use gateway::node::Layout;
use ledger::{Reader, RealDisk};
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::paths::ConfigArg;
use super::super::{put, show, time};

/// Replay journaled requests against a candidate revision; list what would change
#[derive(clap::Args)]
#[command(
    after_help = "The reasons that callers gave and the target's estimates are not in the record: where a policy reads\n\
    them, they count as absent. Exit code 0 whether or not something changes.\n\nExamples:\n  \
    sluice policy simulate --since 24h candidate\n  \
    sluice policy simulate --since 7d --catalog shop=shop.catalog candidate\n  \
    sluice policy simulate --data-dir /backup/sluice --against revision --since 30d candidate"
)]
pub(in crate::cli) struct Args {
    /// The candidate revision
    dir: PathBuf,
    /// Requests since then: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since, default_value = "24h")]
    since: Moment,
    /// The revision to compare with; that of the configuration unless given
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// The data directory whose journal is read; that of the configuration unless given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A target's saved catalog, which says what views and partitions carry; any number of times
    #[arg(long = "catalog", value_name = "TARGET=FILE", value_parser = catalog_of)]
    catalogs: Vec<(String, PathBuf)>,
    /// For programs
    #[arg(long)]
    json: bool,
}

fn catalog_of(text: &str) -> Result<(String, PathBuf), String> {
    let (target, file) = text.split_once('=').ok_or("write TARGET=FILE, such as shop=shop.catalog")?;
    Ok((target.to_owned(), PathBuf::from(file)))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = match (&args.against, &args.data_dir) {
        (Some(_), Some(_)) => None,
        _ => Some(args.config.load()?),
    };
    let against = args.against.clone().or_else(|| config.as_ref().map(|config| config.revision_dir.clone()));
    let data_dir = args.data_dir.clone().or_else(|| config.as_ref().map(|config| config.data_dir.clone()));
    let (Some(against), Some(data_dir)) = (against, data_dir) else {
        return Err(Failure::Usage(String::from("say which journal and revision: --config FILE")));
    };
    let (present, candidate) = (super::revision(&against)?, super::revision(&args.dir)?);
    let mut catalogs = BTreeMap::new();
    for (target, path) in &args.catalogs {
        catalogs.insert(target.clone(), super::test::catalog(path)?);
    }
    let mut replay = Replay::new(args.since.0, Side::new(&present, &catalogs), Side::new(&candidate, &catalogs));
    let journal = Layout::of(&data_dir).journal();
    let mut reader = Reader::open(Arc::new(RealDisk), &journal, 0);
    while let Some((_, entry)) =
        reader.next().map_err(|error| Failure::failed(format!("{}: {error}", journal.display())))?
    {
        replay.take(entry);
    }
    report(&replay, args.json)
}

fn report(replay: &Replay<'_>, as_json: bool) -> Result<(), Failure> {
    let counts = replay.counts;
    let changes = replay.changes();
    if as_json {
        let changes: Vec<Value> = changes.iter().map(|change| change_json(change)).collect();
        return put(&show::json(&json!({
            "requests": counts.requests,
            "sessions": counts.sessions,
            "changed_requests": counts.changed_requests,
            "changed_sessions": counts.changed_sessions,
            "unexplained": counts.unexplained,
            "changes": changes,
        })));
    }
    let mut out = format!(
        "{} requests and {} new sessions; {} requests and {} sessions would go otherwise\n",
        counts.requests, counts.sessions, counts.changed_requests, counts.changed_sessions
    );
    if counts.unexplained > 0 {
        out.push_str(&format!(
            "{} requests were not looked at: the journal does not have their statements or session\n",
            counts.unexplained
        ));
    }
    if !changes.is_empty() {
        let row = |change: &&Change| {
            vec![
                change.count.to_string(),
                change.subject.to_string(),
                change.target.to_string(),
                change.what.clone(),
                change.example.clone(),
                show::cut(&change.text, 80),
            ]
        };
        let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
        out.push_str(&format!(
            "\n{}",
            show::table(&["COUNT", "SUBJECT", "TARGET", "CHANGE", "SUCH AS", "STATEMENT"], &rows)
        ));
    }
    put(&out)
}

fn change_json(change: &Change) -> Value {
    json!({
        "count": change.count,
        "subject": change.subject.to_string(),
        "target": change.target,
        "change": change.what,
        "such_as": change.example,
        "statement": change.text,
    })
}
