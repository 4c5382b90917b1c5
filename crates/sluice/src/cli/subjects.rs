//! `sluice subjects`: who is no longer believed.

use std::time::Duration;

use serde_json::{Value, json};

use super::change::ChangeArgs;
use super::connect::Connect;
use super::failure::Failure;
use super::listing::{self, Form};
use super::{show, time};

/// Believe subjects or single tokens no more, and lift that again
#[derive(clap::Subcommand)]
#[command(after_help = "Live sessions end at once; what they run is cancelled and rolled back.\n\nExamples:\n  \
    sluice subjects revoke 'corp|order-service' --reason 'token in a public log'\n  \
    sluice subjects revoke 'corp|jane' --for 8h\n  \
    sluice subjects revoke 'corp|jane' --barred --reason 'left the company'\n  \
    sluice subjects revoke --token-id 'corp|0190b3f2-7d4e'\n  \
    sluice subjects list\n  sluice subjects restore 'corp|jane'")]
pub(super) enum Command {
    /// Believe nothing that was issued to a subject until now; what is issued later is believed
    Revoke(RevokeArgs),
    /// List what is revoked: subjects, tokens and issuers, the latest first
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        form: Form,
    },
    /// Lift every revocation of a subject or a token
    Restore(RestoreArgs),
}

/// Whose credentials
#[derive(clap::Args)]
pub(super) struct Whose {
    /// The subject, as alias|id; also where it stands behind a caller
    #[arg(required_unless_present = "token_id", conflicts_with = "token_id", value_name = "ALIAS|ID")]
    subject: Option<String>,
    /// One token, as alias|jti
    #[arg(long, value_name = "ALIAS|JTI")]
    token_id: Option<String>,
}

impl Whose {
    fn name(&self) -> &str {
        self.subject.as_deref().or(self.token_id.as_deref()).unwrap_or_default()
    }
}

/// Whom, and for how long
#[derive(clap::Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    whose: Whose,
    /// Refuse the subject whatever it presents, until it is restored
    #[arg(long, conflicts_with_all = ["for", "token_id"])]
    barred: bool,
    /// Refuse the subject whatever it presents, for so long
    #[arg(id = "for", long = "for", value_name = "DURATION", value_parser = time::duration, conflicts_with = "token_id")]
    length: Option<Duration>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Whom
#[derive(clap::Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Revoke(args) => revoke(args),
        Command::List { connect, form } => list(connect, *form),
        Command::Restore(args) => restore(args),
    }
}

fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let body = json!({
        "subject": args.whose.subject, "token_id": args.whose.token_id, "barred": args.barred,
        "seconds": args.length.map(|length| length.as_secs()), "reason": args.change.reason,
    });
    args.change.post("/v1/revocations", &body, told)
}

fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let whose = &args.whose;
    let body = json!({ "subject": whose.subject, "token_id": whose.token_id, "reason": args.change.reason });
    let told = |_: &Value| format!("{} is believed again; sessions that ended stay so", show::safe(whose.name()));
    args.change.post("/v1/revocations/lift", &body, told)
}

fn list(connect: &Connect, form: Form) -> Result<(), Failure> {
    let found = connect.client()?.get("/v1/revocations", &[])?;
    let row = |revocation: &Value| {
        vec![
            show::text(revocation, "/whose"),
            extent(revocation),
            show::moment(revocation, "/at"),
            show::moment(revocation, "/until"),
            show::subject(revocation, "/by"),
            form.cut(&show::text(revocation, "/reason"), 60),
        ]
    };
    listing::print(&found, form, &["WHOSE", "WHAT", "SINCE", "UNTIL", "BY", "WHY"], row)
}

/// What of them is revoked, for people.
fn extent(revocation: &Value) -> String {
    match show::text(revocation, "/extent").as_str() {
        "issued" => String::from("issued before"),
        "all" => String::from("all"),
        "disabled" => String::from("all (disabled by its issuer)"),
        _ => format!("all groups but [{}]", show::joined(revocation, "/groups")),
    }
}

/// What became of it, for people.
pub(super) fn told(revoked: &Value) -> String {
    let whose = show::safe(&show::text(revoked, "/whose"));
    match (show::text(revoked, "/extent").as_str(), revoked.pointer("/until").is_some_and(Value::is_u64)) {
        ("issued", _) => format!("{whose}: what was issued until now is believed no more"),
        (_, true) => format!("{whose} is believed no more until {}", show::moment(revoked, "/until")),
        (_, false) => format!("{whose} is believed no more until it is restored"),
    }
}
