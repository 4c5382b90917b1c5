//! `sluice target scan`: what the columns of a target may be classified as.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::super::client::{Client, encode, with_query};
use super::super::connect::Connect;
use super::super::failure::Failure;
use super::super::{put, put_line, show, tell};

/// How long between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(300);

/// What to scan
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The target
    target: String,
    #[command(flatten)]
    connect: Connect,
    /// The target's database; its first unless given
    #[arg(long)]
    database: Option<String>,
    /// How many rows of each table are looked at, 1 to 1000; 200 unless given
    #[arg(long, value_name = "ROWS")]
    rows: Option<u32>,
    /// Write the lines for classification.toml to a file of their own; printed unless given
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let mut asked: Vec<_> = args.database.iter().map(|database| ("database", database.clone())).collect();
    asked.extend(args.rows.map(|rows| ("rows", rows.to_string())));
    let path = with_query(&format!("/v1/targets/{}/scan", encode(&args.target)), &asked);
    let report = finished(&client, client.post(&path, &Value::Null)?)?;
    if let Some(path) = &args.write {
        let text = show::text(&report, "/fragment");
        // Never over a classification that is in force.
        let mut file =
            std::fs::File::create_new(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        file.write_all(text.as_bytes()).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    if args.json {
        return put(&show::json(&report));
    }
    tell_of(&report, args.write.is_none())
}

/// Waits for the end of a scan; an interrupt cancels it.
fn finished(client: &Client, begun: Value) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let mut interrupt = runtime.block_on(async { signal(SignalKind::interrupt()) }).map_err(Failure::failed)?;
    let path = format!("/v1/scans/{}", encode(&show::text(&begun, "/id")));
    let (mut scan, shown) = (begun, std::io::stderr().is_terminal());
    loop {
        let state = show::text(&scan, "/state");
        if shown {
            let (done, all) = (show::number(&scan, "/done"), show::number(&scan, "/relations"));
            // Where progress cannot be shown there is nobody to be told so.
            let _ = match state.as_str() {
                "running" => write!(std::io::stderr(), "\r{done} of {all} tables\x1b[K"),
                _ => write!(std::io::stderr(), "\r\x1b[K"),
            };
        }
        match state.as_str() {
            "running" => {}
            "done" => return Ok(scan.get("report").cloned().unwrap_or_default()),
            "cancelled" => return Err(Failure::failed("the scan was cancelled")),
            _ => return Err(Failure::Failed(show::text(&scan, "/error"))),
        }
        if runtime.block_on(interrupted(&mut interrupt)) {
            client.post(&format!("{path}/cancel"), &Value::Null)?;
        }
        scan = client.get(&path, &[])?;
    }
}

/// Waits a little; says whether somebody wants it to end.
async fn interrupted(interrupt: &mut Signal) -> bool {
    tokio::time::timeout(LOOK, interrupt.recv()).await.is_ok()
}

fn tell_of(report: &Value, with_lines: bool) -> Result<(), Failure> {
    let number = |name| show::number(report, name);
    tell(&format!(
        "{} columns of {} tables, {} of them classified already; {} values were looked at, and none is kept",
        number("/columns"),
        number("/relations"),
        number("/classified"),
        number("/values"),
    ));
    if report.get("cut") == Some(&Value::Bool(true)) {
        tell("there are more columns than are looked at: not all of them were");
    }
    let proposals = show::list(report, "/proposals");
    if proposals.is_empty() {
        tell("nothing is proposed");
    } else {
        let row = |one: &Value| {
            ["/column", "/type", "/class", "/confidence"]
                .map(|name| show::text(one, name))
                .into_iter()
                .chain([show::list(one, "/because")
                    .iter()
                    .map(|why| show::text(why, ""))
                    .collect::<Vec<_>>()
                    .join("; ")])
                .collect()
        };
        let rows: Vec<Vec<String>> = proposals.iter().map(row).collect();
        tell(&format!("\n{}", show::table(&["COLUMN", "TYPE", "CLASS", "CONFIDENCE", "BECAUSE"], &rows)));
    }
    for one in show::list(report, "/contradictions") {
        let part = |name| show::safe(&show::text(one, name));
        tell(&format!("contradiction: {}: {}", part("/column"), part("/what")));
    }
    for one in show::list(report, "/unsampled") {
        let part = |name| show::safe(&show::text(one, name));
        tell(&format!("no values of {}: {}", part("/relation"), part("/why")));
    }
    if with_lines && !proposals.is_empty() {
        // The lines hide nothing: see their maker.
        return put_line(show::text(report, "/fragment").trim_end());
    }
    Ok(())
}
