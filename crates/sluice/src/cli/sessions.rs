//! `sluice sessions`

use control::replay::Line;
use model::id::SessionId;
use serde_json::{Value, json};

use super::connect::Connect;
use super::failure::Failure;
use super::listing::Form;
use super::{listing, put, put_line, show, time};

mod replay;

/// See, replay and end sessions
#[derive(clap::Subcommand)]
#[command(
    after_help = "Examples:\n  sluice sessions list\n  sluice sessions history --subject order-service --since 24h\n  \
    sluice sessions replay 0123456789abc\n  sluice sessions kill 0123456789abc"
)]
pub(super) enum Command {
    /// List live sessions
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        form: Form,
    },
    /// List sessions of the record, the newest first
    History(HistoryArgs),
    /// Show one session
    Show(OneArgs),
    /// Show what passed, as the caller saw it. That you looked goes into the record
    Replay(OneArgs),
    /// End a session: what it runs is cancelled and rolled back
    Kill(OneArgs),
}

/// Which to list
#[derive(clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    connect: Connect,
    /// Open at that time or later: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<control::time::Moment>,
    /// Opened before then
    #[arg(long, value_parser = time::since)]
    until: Option<control::time::Moment>,
    /// By this subject: alias|id, or an id of any issuer's
    #[arg(long)]
    subject: Option<String>,
    /// At this target
    #[arg(long)]
    target: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: u32,
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

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { connect, form } => list(&connect, form),
        Command::History(args) => history(args),
        Command::Show(args) => one(&args),
        Command::Replay(args) => play(&args),
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
        ]
    };
    listing::print(&live, form, &["SESSION", "SUBJECT", "FOR", "TARGET", "DATABASE", "FROM", "SINCE"], row)
}

fn history(args: HistoryArgs) -> Result<(), Failure> {
    let query = listing::query([
        ("limit", Some(args.limit.to_string())),
        ("since", args.since.map(|since| since.to_string())),
        ("until", args.until.map(|until| until.to_string())),
        ("subject", args.subject),
        ("target", args.target),
    ]);
    let found = args.connect.client()?.get("/v1/sessions/history", &query)?;
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

fn play(args: &OneArgs) -> Result<(), Failure> {
    let client = args.connect.client()?;
    if !args.json
        && let Ok(session) = client.get(&format!("/v1/sessions/{}", args.id), &[])
    {
        put(&heading(args.id, part(&session)))?;
    }
    let mut player = replay::Player::default();
    client.lines(&format!("/v1/sessions/{}/tape", args.id), |line| {
        let unreadable = |_| Failure::failed("what answers there is not Sluice's admin API");
        if args.json {
            let value: Value = serde_json::from_str(line).map_err(unreadable)?;
            return put_line(&show::json(&value).lines().map(str::trim_start).collect::<String>());
        }
        put(&player.play(serde_json::from_str::<Line>(line).map_err(unreadable)?))
    })
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
