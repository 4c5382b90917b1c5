//! `sluice notify`: the channels by which approvers are told.

use serde_json::json;

use super::connect::Connect;
use super::failure::Failure;
use super::listing::{self, Form};
use super::{put, put_line, show};

/// See the channels by which approvers are told, and try them out
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:\n  sluice notify list\n  sluice notify test dba-slack")]
pub(super) enum Command {
    /// List the channels, and how they are
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        form: Form,
    },
    /// Send a message by one channel that says that it is a test
    Test {
        /// The channel's name
        name: String,
        #[command(flatten)]
        connect: Connect,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { connect, form } => {
            let found = connect.client()?.get("/v1/notify", &[])?;
            let headings = ["NAME", "KIND", "RUNNING", "WAITING", "SENT", "FAILURES", "ANSWERS REFUSED"];
            let fields = ["/name", "/kind", "/is_running", "/waiting", "/sent", "/failures", "/answers_refused"];
            listing::print(&found, form, &headings, |channel| {
                fields.iter().map(|field| show::text(channel, field)).collect()
            })
        }
        Command::Test { name, connect, json } => {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                return Err(Failure::Usage(
                    "a channel's name is of a-z, 0-9, - and _: see `sluice notify list`".into(),
                ));
            }
            let sent = connect.client()?.post(&format!("/v1/notify/{name}/test"), &json!({}))?;
            if json { put(&show::json(&sent)) } else { put_line(&format!("{name} took the message")) }
        }
    }
}
