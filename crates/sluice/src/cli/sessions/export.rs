//! Tapes for other tools: asciicast v2 (docs.asciinema.org/manual/asciicast/v2) and NDJSON.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use control::replay::Line;
use model::id::SessionId;
use model::time::Timestamp;

use super::replay::Player;
use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::journal::unreadable;

/// How wide a recording says that its terminal is, and how high.
const TERMINAL: (u16, u16) = (120, 40);

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
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut out = open(args.output.as_deref())?;
    let mut cast = Cast::new(args.id);
    args.connect.client()?.lines(&format!("/v1/sessions/{}/tape", args.id), |line| {
        let parsed: Line = super::parse(line)?;
        let text = match args.format {
            Format::Ndjson => super::compact(&parsed)?,
            Format::Asciicast => cast.line(parsed),
        };
        out.write_all(text.as_bytes()).map_err(not_written)
    })?;
    out.flush().map_err(not_written)
}

fn not_written(error: std::io::Error) -> Failure {
    Failure::failed(format!("the export cannot be written: {error}"))
}

fn open(path: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = path else { return Ok(Box::new(std::io::stdout().lock())) };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(Box::new(std::io::BufWriter::new(file.map_err(|error| unreadable(path, &error))?)))
}

/// A tape as an asciicast.
struct Cast {
    session: SessionId,
    began: Option<Timestamp>,
    player: Player,
}

impl Cast {
    fn new(session: SessionId) -> Self {
        Self { session, began: None, player: Player::default() }
    }

    /// The lines of the recording for a line of the tape, the header before the first.
    fn line(&mut self, line: Line) -> String {
        let at = line.at;
        let header = if self.began.is_none() { self.header(at) } else { String::new() };
        let began = *self.began.get_or_insert(at);
        let shown = self.player.play(line).replace('\n', "\r\n");
        if shown.is_empty() {
            return header;
        }
        let millis = at.0.saturating_sub(began.0);
        let moment = format!("{}.{:03}", millis / 1000, millis % 1000);
        format!("{header}[{moment}, \"o\", {}]\n", serde_json::Value::String(shown))
    }

    fn header(&self, began: Timestamp) -> String {
        let (width, height) = TERMINAL;
        let header = serde_json::json!({
            "version": 2,
            "width": width,
            "height": height,
            "timestamp": began.0 / 1000,
            "title": format!("Sluice session {}", self.session),
        });
        format!("{header}\n")
    }
}

#[cfg(test)]
mod tests {
    use control::replay::Event;

    use super::*;

    #[test]
    fn an_asciicast_has_a_header_and_moments_from_its_beginning() {
        let mut cast = Cast::new(SessionId::from_bits(77));
        let line = |at: u64, event: Event| Line { at: Timestamp(at), event };
        let request =
            Event::Request { request: "s.1".into(), statement: "SELECT '\u{1b}]0;x\u{7}'".into(), values: vec![] };
        let events = [
            line(1_795_406_400_000, request),
            line(1_795_406_400_050, Event::Row { values: vec![Some("1".into())] }),
            line(1_795_406_401_250, Event::Complete { tag: "SELECT 1".into() }),
        ];
        let text: String = events.into_iter().map(|line| cast.line(line)).collect();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["version"], &lines[0]["timestamp"]), (&2.into(), &1_795_406_400.into()));
        let moments: Vec<f64> = lines[1..].iter().map(|line| line[0].as_f64().unwrap()).collect();
        assert_eq!(moments, [0.0, 1.25]);
        let shown: String = lines[1..].iter().map(|line| line[2].as_str().unwrap()).collect();
        assert!(shown.contains("SELECT 1\r\n") && !shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    }
}
