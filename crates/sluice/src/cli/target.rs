//! `sluice target`

use std::path::PathBuf;

use serde_json::Value;

use super::client::{Client, encode};
use super::connect::Connect;
use super::failure::Failure;
use super::{put, put_line, show};

/// See what Sluice knows of its targets
#[derive(clap::Subcommand)]
#[command(after_help = "Example:\n  sluice target catalog --target shop --save revision/tests/shop.catalog")]
pub(super) enum Command {
    /// Read a database's structure once through the target that is configured, and save it for `sluice policy`
    #[command(
        after_help = "It holds names, types and the definitions of views; no row of any table of yours.\n\nExample:\n  \
        sluice target catalog --target shop --database shop --save revision/tests/shop.catalog"
    )]
    Catalog(CatalogArgs),
}

/// Which database, and where to
#[derive(clap::Args)]
pub(super) struct CatalogArgs {
    #[command(flatten)]
    connect: Connect,
    /// The target
    #[arg(long)]
    target: String,
    /// The target's database; its name unless given
    #[arg(long)]
    database: Option<String>,
    /// Where to; printed unless given
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Leave out what the server ships: a small file, which stands on what PostgreSQL 15 ships
    #[arg(long)]
    users_part: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Catalog(args) = command;
    let database = args.database.as_ref().unwrap_or(&args.target);
    let mut text = read_catalog(&args.connect.client()?, &args.target, database)?;
    if args.users_part {
        text = text.lines().filter(|line| !line.starts_with("system ")).map(|line| format!("{line}\n")).collect();
    }
    let Some(path) = &args.save else { return put(&text) };
    std::fs::write(path, &text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    put_line(&format!("{} has {} lines", show::safe(&path.display().to_string()), text.lines().count()))
}

/// The catalog of a database, as the Sluice that runs reads it.
pub(super) fn read_catalog(client: &Client, target: &str, database: &str) -> Result<String, Failure> {
    let path = format!("/v1/targets/{}/catalog", encode(target));
    let answer = client.get(&path, &[("database", database.to_owned())])?;
    let text = answer.get("catalog").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Failure::failed("what answers there is not Sluice's admin API"))
}
