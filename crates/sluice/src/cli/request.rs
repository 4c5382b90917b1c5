//! `sluice request`: a window, asked for ahead.

use std::time::Duration;

use serde_json::json;

use super::connect::Connect;
use super::failure::Failure;
use super::{put, put_line, show, time};

/// Ask ahead for a time-boxed window
#[derive(clap::Args)]
#[command(
    after_help = "Who has to agree is for policy to say; `sluice approvals show` tells how far it is.\n\nExample:\n  \
    sluice request --target payments --database payments --verb delete --table public.payments \\\n    \
    --for 30m --reason 'INC-42: remove the duplicates'"
)]
pub(super) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The target
    #[arg(long)]
    target: String,
    /// The target's database; its name unless given
    #[arg(long)]
    database: Option<String>,
    /// What it covers: insert, update, delete, truncate, maintain, ddl, grant, opaque; any number of times
    #[arg(long = "verb", required = true, value_name = "VERB")]
    verbs: Vec<String>,
    /// The only tables that it covers, as schema.table; any number of times
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", value_parser = time::duration)]
    length: Duration,
    /// Why: the approver reads it
    #[arg(long)]
    reason: String,
    /// Cover an UPDATE or DELETE without a condition too
    #[arg(long)]
    unbounded: bool,
    /// At most so many requests
    #[arg(long, value_name = "N")]
    max_uses: Option<u32>,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let body = json!({
        "target": args.target,
        "database": args.database.as_ref().unwrap_or(&args.target),
        "verbs": args.verbs,
        "tables": args.tables,
        "seconds": args.length.as_secs(),
        "reason": args.reason,
        "unbounded": args.unbounded,
        "max_uses": args.max_uses,
    });
    let asked = args.connect.client()?.post("/v1/windows", &body)?;
    if args.json {
        return put(&show::json(&asked));
    }
    let needs = show::list(&asked, "/needs");
    let groups: Vec<String> = needs.iter().map(|need| show::joined(need, "/groups")).collect();
    put_line(&format!(
        "{} is {}; it needs the agreement of {}",
        show::safe(&show::text(&asked, "/id")),
        show::safe(&show::text(&asked, "/status")),
        show::safe(&groups.join(" and of "))
    ))
}
