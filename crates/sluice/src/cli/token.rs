//! `sluice token`, and the token that the command line makes for itself.

use std::sync::Arc;
use std::time::Duration;

use gateway::clock;
use gateway::node::{LOCAL_AUDIENCE, LOCAL_ISSUER_URL, Layout, local_key};
use identity::Claims;
use model::secret::Secret;

use super::failure::Failure;
use super::paths::ConfigArg;
use super::{put_line, time};

mod exchange;
mod inspect;

/// Whom a token of the local key names unless told otherwise.
pub(super) const ADMIN: &str = "admin";
/// The group that `sluice init` gives all administration to.
pub(super) const ADMIN_GROUP: &str = "sluice-admin";
/// The longest life that Sluice believes in its own tokens.
const LONGEST: Duration = Duration::from_secs(3600);

/// Make a short-lived token with Sluice's own key
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "The token is good on this Sluice alone. Groups other than sluice-admin are named \
    `sluice|GROUP` in policies.\n\nExamples:\n  \
    sluice token --config sluice.toml > admin.token\n  \
    PGPASSWORD=$(sluice token --subject loadtest --group orders --for 1h) psql …")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigArg,
    /// Whom it names, as `sluice|SUBJECT`
    #[arg(long, default_value = ADMIN)]
    subject: String,
    /// A group, any number of times
    #[arg(long = "group", default_value = ADMIN_GROUP, value_name = "GROUP")]
    groups: Vec<String>,
    /// How long it lives, at most 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = time::duration, default_value = "15m")]
    life: Duration,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say which check a token passes, and which it fails
    Inspect(inspect::Args),
    /// Get a short-lived token or database password for the token that you have
    Exchange(exchange::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Some(Command::Inspect(args)) => return inspect::run(args),
        Some(Command::Exchange(args)) => return exchange::run(args),
        None => {}
    }
    let config = args.config.load()?;
    if args.life > LONGEST || args.life.is_zero() {
        return Err(Failure::Usage(String::from("a token lives at least 1s and at most 1h")));
    }
    let groups: Vec<Arc<str>> = args.groups.iter().map(|group| group.as_str().into()).collect();
    let token = mint(&Layout::of(&config.data_dir), &args.subject, &groups, args.life)?;
    put_line(token.expose())
}

/// Signs a token with the key in the data directory, which is made if there is none.
pub(super) fn mint(
    layout: &Layout,
    subject: &str,
    groups: &[Arc<str>],
    life: Duration,
) -> Result<Secret<String>, Failure> {
    let key = local_key(layout).map_err(Failure::failed)?;
    let token_id = format!("{:016x}", clock::random_bits().map_err(Failure::failed)?);
    let claims = Claims {
        issuer: LOCAL_ISSUER_URL,
        audience: LOCAL_AUDIENCE,
        subject,
        groups,
        lifetime: life.as_secs(),
        token_id: &token_id,
    };
    Ok(key.sign(&claims, clock::now()))
}
