//! `sluice issuers`: an issuer that is not believed any more, without a change of the configuration.

use std::time::Duration;

use serde_json::json;

use super::connect::Connect;
use super::failure::Failure;
use super::{put, put_line, show, subjects, time};

/// Believe an issuer no more, and lift that again
#[derive(clap::Subcommand)]
#[command(after_help = "Every session of its subjects ends at once. `sluice subjects list` shows what is revoked.\n\
    To remove an issuer for good, take its [[issuer]] out of sluice.toml: that holds at once, too.\n\nExamples:\n  \
    sluice issuers revoke corp --reason 'its signing key has leaked'\n  sluice issuers restore corp")]
pub(super) enum Command {
    /// Believe nobody because of it, until it is restored
    Revoke {
        #[command(flatten)]
        one: OneArgs,
        /// Only for so long
        #[arg(long = "for", value_name = "DURATION", value_parser = time::duration)]
        length: Option<Duration>,
    },
    /// Lift its revocation
    Restore(OneArgs),
}

/// Which one
#[derive(clap::Args)]
pub(super) struct OneArgs {
    /// Its alias in sluice.toml
    alias: String,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Revoke { one, length } => {
            let seconds = length.map(|length| length.as_secs());
            let body = json!({ "issuer": one.alias, "seconds": seconds, "reason": one.reason });
            let revoked = one.connect.client()?.post("/v1/revocations/issuer", &body)?;
            if one.json { put(&show::json(&revoked)) } else { put_line(&subjects::told(&revoked)) }
        }
        Command::Restore(one) => {
            let body = json!({ "issuer": one.alias, "reason": one.reason });
            let lifted = one.connect.client()?.post("/v1/revocations/lift", &body)?;
            if one.json {
                return put(&show::json(&lifted));
            }
            put_line(&format!("issuer {} is believed again; sessions that ended stay so", show::safe(&one.alias)))
        }
    }
}
