//! Tapes for other tools: asciicast v2, a page for a browser, HAR, and NDJSON.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use control::replay::Line;
use model::id::SessionId;

use super::cast::Cast;
use super::har::Har;
use super::pace::Spool;
use super::page::Page;
use super::reel::Scene;
use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::journal::unreadable;

/// Which session, and how
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The session
    id: SessionId,
    #[command(flatten)]
    connect: Connect,
    /// For which tool
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// What passed on this channel of an SSH session; unless given, for asciicast and html the first that has a terminal,
    /// else all that passed
    #[arg(long, value_name = "NUMBER")]
    channel: Option<u32>,
    /// In an asciicast, what the caller wrote as well: also what no screen showed, such as passwords
    #[arg(long)]
    with_input: bool,
    /// To this file, which must not be there, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The form of what is exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// One JSON object a line
    Ndjson,
    /// For asciinema and other players
    Asciicast,
    /// A page that plays it in a browser, without a network
    Html,
    /// For browsers and whatever else reads exchanges of HTTP
    Har,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut out = open(args.output.as_deref())?;
    match args.format {
        Format::Ndjson => lines(args, &mut |line| {
            let is_wanted = line.channel.is_none() || args.channel.is_none() || line.channel == args.channel;
            if is_wanted { out.write_all(super::compact(&line)?.as_bytes()).map_err(not_written) } else { Ok(()) }
        })?,
        Format::Har => exchanges(args, &mut out)?,
        Format::Asciicast | Format::Html => record(args, &mut out)?,
    }
    out.flush().map_err(not_written)
}

/// Writes the exchanges of HTTP that are over, each once it is.
fn exchanges(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let mut har = Har::new(args.id, args.channel);
    out.write_all(har.begin().as_bytes()).map_err(not_written)?;
    lines(args, &mut |line| out.write_all(har.line(line).as_bytes()).map_err(not_written))?;
    out.write_all(har.finish().as_bytes()).map_err(not_written)
}

/// Hands on the lines of the tape as they come.
fn lines(args: &Args, take: &mut dyn FnMut(Line) -> Result<(), Failure>) -> Result<(), Failure> {
    let path = format!("/v1/sessions/{}/tape", args.id);
    args.connect.client()?.lines(&path, |line| take(super::parse(line)?))
}

/// Writes it as what one sees, which needs a look at the tape before: what there is to see.
fn record(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let spooled = |error: std::io::Error| Failure::failed(format!("the tape cannot be kept meanwhile: {error}"));
    let mut spool = Spool::new().map_err(spooled)?;
    lines(args, &mut |line| spool.put(super::compact(&line)?.trim_end()).map_err(spooled))?;
    let parsed = |line: std::io::Result<String>| super::parse(&line.map_err(spooled)?);
    let scene = Scene::find(args.channel, spool.again().map_err(spooled)?.map(parsed))?;
    let all = spool.again().map_err(spooled)?.map(parsed);
    if args.format == Format::Asciicast {
        let mut cast = Cast::new(args.id, scene, args.with_input);
        for line in all {
            out.write_all(cast.line(line?).as_bytes()).map_err(not_written)?;
        }
        return Ok(());
    }
    let mut page = Page::new(args.id, scene);
    for line in all {
        page.line(line?);
    }
    out.write_all(page.finish().as_bytes()).map_err(not_written)
}

fn not_written(error: std::io::Error) -> Failure {
    Failure::failed(format!("the export cannot be written: {error}"))
}

fn open(path: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = path else { return Ok(Box::new(std::io::stdout().lock())) };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(Box::new(std::io::BufWriter::new(file.map_err(|error| unreadable(path, &error))?)))
}
