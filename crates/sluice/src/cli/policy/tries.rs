//! `sluice policy try`: what the Sluice that runs says of a draft or a proposal, before anybody is bound by it.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use control::time::Moment;
use model::id::ProposalId;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::super::client::Client;
use super::super::connect::Connect;
use super::super::failure::Failure;
use super::super::{put, show, tell, time};
use super::{drafts, proposals};

/// How often it is asked how far the simulation is.
const ASK: Duration = Duration::from_millis(300);

/// Try a draft or a proposal at the Sluice that runs: mistakes, cases, and which decisions would change
#[derive(clap::Args)]
#[command(
    after_help = "With --since the requests of the journal are heard again, which takes admin:audit; Ctrl-C cancels it. \
    Exit code 1 if there is a mistake or a case fails.\n\nExamples:\n  sluice policy try candidate\n  \
    sluice policy try candidate --since 24h\n  sluice policy try --proposal prp-0123456789abc --since 7d"
)]
pub(in crate::cli) struct Args {
    /// A revision as it is to be
    #[arg(required_unless_present = "proposal", conflicts_with = "proposal")]
    dir: Option<PathBuf>,
    /// Or a proposal
    #[arg(long, value_name = "ID")]
    proposal: Option<ProposalId>,
    /// Simulate requests since then: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<Moment>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let files = match (&args.dir, args.proposal) {
        (Some(dir), _) => drafts::read(&client, dir)?.files,
        (None, Some(id)) => files_of(&client, id)?,
        (None, None) => return Err(Failure::Usage(String::from("say what to try: a directory, or --proposal ID"))),
    };
    let examined = client.post("/v1/policy/test", &json!({ "files": files }))?;
    let is_right = show::list(&examined, "/mistakes").is_empty();
    let simulated = match args.since.filter(|_| is_right) {
        Some(since) => Some(simulate(&client, &files, since)?),
        None => None,
    };
    if args.json {
        put(&show::json(&json!({ "examined": examined, "simulated": simulated })))?;
    } else {
        put(&mistakes(&examined))?;
        put(&format!("cases: {}\n", show::safe(&proposals::cases(&examined))))?;
        put(&simulated.as_ref().map(report).unwrap_or_default())?;
    }
    let failed = show::number(&examined, "/failed");
    if is_right && failed == 0 { Ok(()) } else { Err(Failure::Failed(String::from("it cannot come into force so"))) }
}

fn files_of(client: &Client, id: ProposalId) -> Result<Value, Failure> {
    let found = client.get(&format!("/v1/proposals/{id}"), &[])?;
    Ok(found.pointer("/files").cloned().unwrap_or_default())
}

fn mistakes(examined: &Value) -> String {
    let mistake = |one: &Value| {
        let place = ["/file", "/line", "/column"].map(|part| show::text(one, part)).join(":");
        format!("{}: {}\n", show::safe(&place), show::safe(&show::text(one, "/message")))
    };
    show::list(examined, "/mistakes").iter().map(mistake).collect()
}

/// Waits for the end of a simulation; what interrupts this cancels it.
fn simulate(client: &Client, files: &Value, since: Moment) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let mut interrupt = runtime.block_on(async { signal(SignalKind::interrupt()) }).map_err(Failure::failed)?;
    let begun = client.post("/v1/policy/simulations", &json!({ "files": files, "since": since.to_string() }))?;
    let path = format!("/v1/policy/simulations/{}", show::text(&begun, "/id"));
    loop {
        let found = client.get(&path, &[("limit", String::from("500"))])?;
        match show::text(&found, "/status").as_str() {
            "running" => progress(&found),
            "done" => return Ok(found),
            "cancelled" => return Err(Failure::Failed(String::from("the simulation was cancelled"))),
            _ => return Err(Failure::failed(show::text(&found, "/failure"))),
        }
        if runtime.block_on(interrupted(&mut interrupt)) {
            client.post(&format!("{path}/cancel"), &json!({}))?;
        }
    }
}

async fn interrupted(interrupt: &mut Signal) -> bool {
    tokio::time::timeout(ASK, interrupt.recv()).await.is_ok()
}

/// For whoever watches.
fn progress(found: &Value) {
    if std::io::stderr().is_terminal() {
        tell(&format!("read {} of {} entries", show::number(found, "/read"), show::number(found, "/entries")));
    }
}

fn report(found: &Value) -> String {
    let count = |name: &str| show::number(found, &format!("/counts/{name}"));
    let mut out = format!(
        "{} requests and {} new sessions; {} requests and {} sessions would go otherwise\n",
        count("requests"),
        count("sessions"),
        count("changed_requests"),
        count("changed_sessions")
    );
    if count("unexplained") > 0 {
        let unexplained = count("unexplained");
        out.push_str(&format!("{unexplained} requests were not looked at: the journal does not explain them\n"));
    }
    let rows: Vec<Vec<String>> = show::list(found, "/changes").iter().map(row).collect();
    if !rows.is_empty() {
        out.push_str(&show::table(&["COUNT", "SUBJECT", "TARGET", "CHANGE", "SUCH AS", "STATEMENT"], &rows));
    }
    let more = show::number(found, "/different").saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    if more > 0 {
        out.push_str(&format!("and {more} more kinds of change: see the console\n"));
    }
    out
}

fn row(change: &Value) -> Vec<String> {
    let text = |place: &str| show::text(change, place);
    let statement = show::cut(&text("/statement"), 80);
    vec![
        text("/count"),
        show::subject(change, "/subject"),
        text("/target"),
        text("/change"),
        text("/such_as"),
        statement,
    ]
}
