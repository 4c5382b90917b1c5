//! `sluice sessions`

use std::time::Duration;

use control::replay::Line;
use model::id::SessionId;
use model::time::Timestamp;
use serde_json::{Value, json};

use super::connect::Connect;
use super::failure::Failure;
use super::listing::{Form, Span};
use super::{listing, put, put_line, show, time};

mod cast;
mod export;
mod grep;
mod har;
mod pace;
mod page;
mod play;
mod reel;
mod replay;
mod screen;
mod stage;
mod streams;
mod unprocessed;

/// See, replay and end sessions
#[derive(clap::Subcommand)]
#[command(
    after_help = "Examples:\n  sluice sessions list\n  sluice sessions history --subject order-service --since 24h\n  \
    sluice sessions replay 0123456789abc\n  sluice sessions replay 0123456789abc --at 10m --grep cards\n  \
    sluice sessions replay 0123456789abc --speed 4 --idle-limit 2s\n  \
    sluice sessions export 0123456789abc --format asciicast -o session.cast\n  \
    sluice sessions export 0123456789abc --format html --channel 2 -o session.html\n  \
    sluice sessions export 0123456789abc --format har -o session.har\n  \
    sluice sessions watch 0123456789abc\n  sluice sessions watch 0123456789abc --moderate\n  \
    sluice sessions kill 0123456789abc\n  \
    sluice sessions remove-tape 0123456789abc --reason \"request 4711 of the customer\""
)]
pub(super) enum Command {
    /// List live sessions
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        form: Form,
    },
    /// List sessions of the record that were open at the time given, the newest first
    History(HistoryArgs),
    /// Show one session
    Show(OneArgs),
    /// Show what passed, as the caller saw it. That you looked goes into the record
    Replay(play::ReplayArgs),
    /// Show what passes in a live session, as it passes. That you looked goes into the record
    Watch(play::WatchArgs),
    /// Write what passed for another tool. That you looked goes into the record
    Export(export::Args),
    /// Remove what passed for good, key and all; the record of it stays
    RemoveTape(RemoveArgs),
    /// End a session: what it runs is cancelled and rolled back
    Kill(OneArgs),
}

/// Which to list
#[derive(clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    form: Form,
}

/// Which one
#[derive(clap::Args)]
pub(super) struct OneArgs {
    /// The session
    id: SessionId,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Where to begin.
#[derive(Clone, Copy, Debug)]
enum At {
    After(Duration),
    Moment(control::time::Moment),
}

impl At {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(after) = time::duration(text) {
            return Ok(Self::After(after));
        }
        let wrong = |_| String::from("write a duration after the beginning such as 10m, or 2026-11-23T02:00:00Z");
        text.parse().map(Self::Moment).map_err(wrong)
    }

    fn moment(self, opened: Option<Timestamp>) -> control::time::Moment {
        match self {
            Self::Moment(moment) => moment,
            Self::After(after) => {
                let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                control::time::Moment(Timestamp(opened.unwrap_or_default().0.saturating_add(millis)))
            }
        }
    }
}

/// Which one, and why
#[derive(clap::Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Why, for the record
    #[arg(long)]
    reason: String,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { connect, form } => list(&connect, form),
        Command::History(args) => history(args),
        Command::Show(args) => one(&args),
        Command::Replay(args) => play::replay(&args),
        Command::Watch(args) => play::watch(&args),
        Command::Export(args) => export::run(&args),
        Command::RemoveTape(args) => remove(&args),
        Command::Kill(args) => kill(&args),
    }
}

fn list(connect: &Connect, form: Form) -> Result<(), Failure> {
    let live = connect.client()?.get("/v1/sessions", &[])?;
    let row = |session: &Value| {
        vec![
            show::text(session, "/session"),
            show::subject(session, "/subject"),
            show::subjects(session, "/on_behalf_of"),
            show::text(session, "/target"),
            show::text(session, "/database"),
            show::text(session, "/source"),
            show::moment(session, "/opened_at"),
            show::joined(session, "/awaits_observer"),
        ]
    };
    let headings = ["SESSION", "SUBJECT", "FOR", "TARGET", "DATABASE", "FROM", "SINCE", "AWAITS OBSERVER"];
    listing::print(&live, form, &headings, row)
}

fn history(args: HistoryArgs) -> Result<(), Failure> {
    let found = args.connect.client()?.get("/v1/sessions/history", &args.span.query())?;
    let row = |session: &Value| {
        vec![
            show::text(session, "/session"),
            show::subject(session, "/subject"),
            show::text(session, "/target"),
            show::text(session, "/source"),
            show::moment(session, "/opened_at"),
            show::moment(session, "/closed/at"),
            show::text(session, "/requests"),
            show::text(session, "/closed/reason"),
        ]
    };
    let headings = ["SESSION", "SUBJECT", "TARGET", "FROM", "OPENED", "CLOSED", "REQUESTS", "ENDED BY"];
    listing::print(&found, args.form, &headings, row)
}

fn one(args: &OneArgs) -> Result<(), Failure> {
    let session = args.connect.client()?.get(&format!("/v1/sessions/{}", args.id), &[])?;
    if args.json {
        return put(&show::json(&session));
    }
    let part = part(&session);
    let is_live = session.pointer("/live").is_some_and(Value::is_object);
    put(&show::facts(&[
        ("session", args.id.to_string()),
        ("state", String::from(if is_live { "live" } else { "over" })),
        ("subject", show::subject(part, "/subject")),
        ("on behalf of", show::subjects(part, "/on_behalf_of")),
        ("target", format!("{} / {}", show::text(part, "/target"), show::text(part, "/database"))),
        ("from", show::text(part, "/source")),
        ("calls itself", show::text(part, "/application")),
        ("opened", show::moment(part, "/opened_at")),
        ("token until", show::moment(part, "/expires_at")),
        ("requests", show::text(part, "/requests")),
        ("closed", show::moment(part, "/closed/at")),
        ("ended by", show::text(part, "/closed/reason")),
        ("tape's digest", show::text(part, "/closed/tape/0")),
    ]))
}

fn kill(args: &OneArgs) -> Result<(), Failure> {
    let told = args.connect.client()?.post(&format!("/v1/sessions/{}/kill", args.id), &json!({}))?;
    if args.json { put(&show::json(&told)) } else { put_line(&format!("{} was told to end", args.id)) }
}

fn parse(line: &str) -> Result<Line, Failure> {
    serde_json::from_str(line).map_err(|_| Failure::failed("what answers there is not Sluice's admin API"))
}

/// One line of JSON.
fn compact(line: &Line) -> Result<String, Failure> {
    let value = serde_json::to_value(line).map_err(|error| Failure::failed(error.to_string()))?;
    let text: String = show::json(&value).lines().map(str::trim_start).collect();
    Ok(text + "\n")
}

fn remove(args: &RemoveArgs) -> Result<(), Failure> {
    let path = format!("/v1/sessions/{}/tape/remove", args.one.id);
    let told = args.one.connect.client()?.post(&path, &json!({ "reason": args.reason }))?;
    if args.one.json { put(&show::json(&told)) } else { put_line(&format!("the tape of {} is gone", args.one.id)) }
}

/// What the record tells of a session, or else the list of live ones.
fn part(session: &Value) -> &Value {
    let record = session.get("record").filter(|record| record.is_object());
    record.or_else(|| session.get("live")).unwrap_or(&Value::Null)
}

/// Whose session it is.
fn heading(id: SessionId, session: &Value) -> String {
    format!(
        "session {id}: {} at {} / {} from {}\n",
        show::safe(&show::subject(session, "/subject")),
        show::safe(&show::text(session, "/target")),
        show::safe(&show::text(session, "/database")),
        show::safe(&show::text(session, "/source")),
    )
}
