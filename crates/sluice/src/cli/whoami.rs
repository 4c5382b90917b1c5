//! `sluice whoami`

use super::connect::Connect;
use super::failure::Failure;
use super::{put, show};

/// Say who you are to Sluice, and what you may do
#[derive(clap::Args)]
#[command(after_help = "Example:\n  SLUICE_TOKEN=… sluice whoami --url http://127.0.0.1:7632")]
pub(super) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let who = args.connect.client()?.get("/v1/whoami", &[])?;
    if args.json {
        return put(&show::json(&who));
    }
    let rows = [
        ("you are", show::subject(&who, "/subject")),
        ("kind", show::text(&who, "/kind")),
        ("groups", show::joined(&who, "/groups")),
        ("on behalf of", show::subjects(&who, "/on_behalf_of")),
        ("until", show::moment(&who, "/expires_at")),
        ("you may", show::joined(&who, "/may")),
    ];
    put(&show::facts(&rows))
}
