//! `sluice policy revisions` and `diff`: what was in force, and what changed.

use serde_json::Value;

use super::super::connect::Connect;
use super::super::failure::Failure;
use super::super::listing::{self, Form};
use super::super::{put, show};

/// List the revisions that are or were in force, the newest first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sluice policy revisions\n  sluice policy revisions --csv")]
pub(in crate::cli) struct RevisionsArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    form: Form,
}

/// Show what differs between two revisions
#[derive(clap::Args)]
#[command(after_help = "Of targets, callers' keys and descriptions of interfaces it says only that they differ.\n\n\
    Examples:\n  sluice policy diff 7\n  sluice policy diff 7 --against 3")]
pub(in crate::cli) struct DiffArgs {
    /// The number of the revision after
    revision: u64,
    /// The number of the one before; the last before it unless given
    #[arg(long, value_name = "NUMBER")]
    against: Option<u64>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn revisions(args: &RevisionsArgs) -> Result<(), Failure> {
    let found = args.connect.client()?.get("/v1/revisions", &[])?;
    listing::print(&found, args.form, &["REVISION", "SINCE", "DIGEST", "PROPOSAL", "BY"], |kept| {
        let digest = show::text(kept, "/digest");
        let by =
            if kept.pointer("/by").is_some_and(Value::is_object) { show::subject(kept, "/by") } else { String::new() };
        let digest = if args.form.is_table() { digest.chars().take(16).collect() } else { digest };
        vec![show::text(kept, "/revision"), show::moment(kept, "/at"), digest, show::text(kept, "/proposal"), by]
    })
}

pub(super) fn diff(args: &DiffArgs) -> Result<(), Failure> {
    let against = args.against.map(|against| ("against", against.to_string()));
    let query: Vec<_> = against.into_iter().collect();
    let found = args.connect.client()?.get(&format!("/v1/revisions/{}/diff", args.revision), &query)?;
    if args.json {
        return put(&show::json(&found));
    }
    match show::list(&found, "/files") {
        [] => put("nothing differs\n"),
        files => put(&files.iter().map(file).collect::<String>()),
    }
}

/// One file of a diff, for people. What is in it is escaped: it can neither drive a terminal nor look like something else.
pub(super) fn file(file: &Value) -> String {
    let (path, what) = (show::text(file, "/path"), show::text(file, "/what"));
    let diff = show::text(file, "/diff");
    if diff.is_empty() {
        return format!("{} {}; its text is not shown\n", show::safe(&path), show::safe(&what));
    }
    diff.lines().map(|line| format!("{}\n", show::safe(line))).collect()
}
