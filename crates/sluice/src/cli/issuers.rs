//! `sluice issuers`: an issuer that is not believed any more, without a change of the configuration.

use std::time::Duration;

use serde_json::{Value, json};

use super::change::ChangeArgs;
use super::failure::Failure;
use super::{show, subjects, time};

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
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Revoke { one, length } => {
            let seconds = length.map(|length| length.as_secs());
            let body = json!({ "issuer": one.alias, "seconds": seconds, "reason": one.change.reason });
            one.change.post("/v1/revocations/issuer", &body, subjects::told)
        }
        Command::Restore(one) => {
            let body = json!({ "issuer": one.alias, "reason": one.change.reason });
            let whose = show::safe(&one.alias);
            let told = |_: &Value| format!("issuer {whose} is believed again; sessions that ended stay so");
            one.change.post("/v1/revocations/lift", &body, told)
        }
    }
}
