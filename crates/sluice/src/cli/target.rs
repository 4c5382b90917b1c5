//! `sluice target`

use std::path::PathBuf;
use std::sync::Arc;

use gateway::node::Node;
use gateway::postgres::{ExportError, examine};
use serde_json::Value;
use tokio::runtime::Builder;

use super::client::{Client, encode, with_query};
use super::connect::Connect;
use super::failure::Failure;
use super::listing::{self, Form};
use super::{log, put, put_line, serve, show};

mod scan;

/// See what Sluice knows of its targets
#[derive(clap::Subcommand)]
#[command(
    after_help = "Examples:\n  sluice target list\n  sluice target catalog --target shop --save revision/tests/shop.catalog"
)]
pub(super) enum Command {
    /// List targets: where they are, by what Sluice proves itself there, and when they were last reached
    #[command(after_help = "What is counted is since Sluice started.\n\nExample:\n  sluice target list")]
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        form: Form,
    },
    /// Read a database's structure once through the target that is configured, and save it for `sluice policy`
    #[command(
        after_help = "It holds names, types and the definitions of views; no row of any table of yours.\n\nExample:\n  \
        sluice target catalog --target shop --database shop --save revision/tests/shop.catalog"
    )]
    Catalog(CatalogArgs),
    /// Look for ways past Sluice at a target; exit 1 if there is a serious one
    #[command(
        after_help = "It looks with Sluice's own credential and changes nothing. What it found goes into the record.\n\n\
        Example:\n  sluice target doctor payments"
    )]
    Doctor(DoctorArgs),
    /// Propose classes for the columns of a database, from names, types and a sample of values
    #[command(
        after_help = "Sluice reads the sample with its own credential, in transactions that cannot write, and keeps and shows no\n\
        value. What is classified already is left out. What is not sure stands in comments. An interrupt cancels it.\n\n\
        Examples:\n  sluice target scan payments\n  sluice target scan payments --rows 500 --write proposed.toml"
    )]
    Scan(scan::Args),
}

/// Which target
#[derive(clap::Args)]
pub(super) struct DoctorArgs {
    /// The target
    target: String,
    #[command(flatten)]
    connect: Connect,
    /// The target's database; its first unless given
    #[arg(long)]
    database: Option<String>,
    /// Without a Sluice that runs, as the configuration has the target; nobody else may have its journal open
    #[arg(long)]
    offline: bool,
    /// For programs
    #[arg(long)]
    json: bool,
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
    match command {
        Command::List { connect, form } => list(connect, *form),
        Command::Catalog(args) => catalog(args),
        Command::Doctor(args) => doctor(args),
        Command::Scan(args) => scan::run(args),
    }
}

fn list(connect: &Connect, form: Form) -> Result<(), Failure> {
    let found = connect.client()?.get("/v1/targets", &[])?;
    let headings = ["NAME", "PROTOCOL", "AT", "CREDENTIAL", "REACHED", "TOOK", "FAILED", "WHY"];
    listing::print(&found, form, &headings, |target| {
        let took = target.pointer("/contact/reached/millis").map_or_else(String::new, |millis| format!("{millis} ms"));
        vec![
            show::text(target, "/name"),
            show::text(target, "/protocol"),
            format!("{}:{}", show::text(target, "/host"), show::number(target, "/port")),
            show::text(target, "/credential"),
            show::moment(target, "/contact/reached/at"),
            took,
            show::moment(target, "/contact/failed/at"),
            form.cut(&show::text(target, "/contact/failed/reason"), 60),
        ]
    })
}

fn catalog(args: &CatalogArgs) -> Result<(), Failure> {
    let database = args.database.as_ref().unwrap_or(&args.target);
    let mut text = read_catalog(&args.connect.client()?, &args.target, database)?;
    if args.users_part {
        text = text.lines().filter(|line| !line.starts_with("system ")).map(|line| format!("{line}\n")).collect();
    }
    let Some(path) = &args.save else { return put(&text) };
    std::fs::write(path, &text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    put_line(&format!("{} has {} lines", show::safe(&path.display().to_string()), text.lines().count()))
}

fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let report = if args.offline { examined_here(args)? } else { examined_there(args)? };
    if args.json {
        put(&show::json(&report))?;
    } else {
        tell_of(&report)?;
    }
    let is_serious = |finding: &&Value| show::text(finding, "/severity") == "serious";
    match show::list(&report, "/findings").iter().filter(is_serious).count() {
        0 => Ok(()),
        1 => Err(Failure::failed("there is a way past Sluice")),
        count => Err(Failure::failed(format!("there are {count} ways past Sluice"))),
    }
}

/// What the Sluice that runs finds.
fn examined_there(args: &DoctorArgs) -> Result<Value, Failure> {
    let asked: Vec<_> = args.database.iter().map(|database| ("database", database.clone())).collect();
    let path = format!("/v1/targets/{}/doctor", encode(&args.target));
    args.connect.client()?.post(&with_query(&path, &asked), &Value::Null)
}

/// What this process finds.
fn examined_here(args: &DoctorArgs) -> Result<Value, Failure> {
    let config = args.connect.config()?;
    let _budget = log::start(&config.log)?;
    let node = Node::open(config).map_err(|error| Failure::failed(serve::start_error(&error)))?;
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let examining = Arc::clone(&node);
    let examined = runtime.block_on(gateway::alone(node, async move {
        examine(&examining, &args.target, args.database.as_deref()).await
    }));
    let report = examined.map_err(|error| match error {
        ExportError::Unknown => Failure::failed("there is no such target or database"),
        ExportError::Unavailable => Failure::failed("the target cannot be examined; the log says why"),
    })?;
    serde_json::to_value(report).map_err(Failure::failed)
}

/// Each finding with what to do about it, and what could not be looked at.
fn tell_of(report: &Value) -> Result<(), Failure> {
    let findings = show::list(report, "/findings");
    for finding in findings {
        let part = |name| show::safe(&show::text(finding, name));
        put_line(&format!(
            "{:8} {}: {}\n         {}",
            part("/severity"),
            part("/check"),
            part("/what"),
            part("/advice")
        ))?;
    }
    if findings.is_empty() {
        put_line("nothing was found")?;
    }
    for unchecked in show::list(report, "/unchecked") {
        put_line(&format!("not looked at: {}", show::safe(unchecked.as_str().unwrap_or_default())))?;
    }
    Ok(())
}

/// The catalog of a database, as the Sluice that runs reads it.
pub(super) fn read_catalog(client: &Client, target: &str, database: &str) -> Result<String, Failure> {
    let path = format!("/v1/targets/{}/catalog", encode(target));
    let answer = client.get(&path, &[("database", database.to_owned())])?;
    let text = answer.get("catalog").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Failure::failed("what answers there is not Sluice's admin API"))
}
