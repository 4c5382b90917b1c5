//! The tape of a session: requests as the record may show them, answers as the caller saw them.

use std::borrow::Cow;
use std::sync::Arc;

use ledger::tape::{Ended, Kind, LiveTape, Tape, TapeError};
use masking::{Masked, RevealAsk};
use model::decision::Reveal;
use model::event::{Event, Shown};
use model::id::RequestId;
use model::target::TapeMode;
use serde::Serialize;
use store::config::PartLimits;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::analysed::Analysed;
use super::session::Session;
use crate::clock;
use crate::gate::Released;
use crate::recorder::Recorder;

/// A tape, or none, by the target's mode.
pub(super) struct SessionTape {
    tape: Option<Tape>,
    mode: TapeMode,
    /// How long it may become before it holds requests alone, and where that is said.
    cap: Option<(u64, Arc<Recorder>)>,
    /// When a part of it ends, and when the present one began.
    part: (PartLimits, Instant),
    /// Those who have the journal told of parts that ended.
    tellers: Vec<JoinHandle<()>>,
    line: Vec<u8>,
}

/// What is left of a tape to be finished.
pub(super) struct Rest {
    pub(super) tape: Tape,
    pub(super) tellers: Vec<JoinHandle<()>>,
}

/// A request as the tape has it: one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    request: RequestId,
    statement: &'a str,
    values: Vec<Cow<'a, str>>,
}

impl SessionTape {
    /// Takes the tape, which is there unless the mode is off.
    pub(super) fn new(
        tape: Option<Tape>,
        mode: TapeMode,
        cap: Option<(u64, Arc<Recorder>)>,
        limits: PartLimits,
    ) -> Self {
        Self { tape, mode, cap, part: (limits, Instant::now()), tellers: Vec::new(), line: Vec::new() }
    }

    /// Whether the present part is long or old enough to end.
    pub(super) fn is_due(&self) -> bool {
        let (limits, began) = self.part;
        self.tape.as_ref().is_some_and(|tape| {
            tape.is_part_begun() && (tape.part_length() >= limits.size || began.elapsed() >= limits.age)
        })
    }

    /// When the present part is old enough to end, if anything is on it.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let (limits, began) = self.part;
        self.tape.as_ref().filter(|tape| tape.is_part_begun()).map(|_| began + limits.age)
    }

    /// Goes on in the next part; what ended and what goes on, if there is a tape.
    ///
    /// # Errors
    /// If the disk fails: then the tape takes nothing more.
    pub(super) fn rotate(&mut self, is_fresh: bool) -> Result<Option<(Ended, LiveTape)>, TapeError> {
        let Some(tape) = &mut self.tape else { return Ok(None) };
        self.part.1 = Instant::now();
        let ended = tape.rotate(clock::now(), is_fresh)?;
        Ok(Some((ended, tape.live())))
    }

    /// The end of the tape waits for this.
    pub(super) fn is_told_by(&mut self, teller: JoinHandle<()>) {
        self.tellers.retain(|teller| !teller.is_finished());
        self.tellers.push(teller);
    }

    /// Notes a request. It is written with its answer, in front of it.
    pub(super) fn request(&mut self, request: RequestId, statement: &str, values: &[Shown]) {
        let Some(tape) = &mut self.tape else { return };
        let values = values.iter().map(shown_text).collect();
        self.line.clear();
        // Writing to memory does not fail, and a tape that failed before says so when the answer comes.
        if serde_json::to_writer(&mut self.line, &Line { request, statement, values }).is_ok() {
            self.line.push(b'\n');
            let _ = tape.precede(Kind::FromClient, clock::now(), &[&self.line]);
        }
    }

    /// Writes an answer, after the requests that wait, and releases it.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be delivered.
    pub(super) fn answer(&mut self, masked: Masked) -> Result<Released, &'static str> {
        let Some(tape) = &mut self.tape else { return Ok(Released::untaped(masked)) };
        let failed = |_| "the tape cannot be written";
        let over = self.cap.take_if(|(cap, _)| self.mode == TapeMode::Full && tape.length() >= *cap);
        if let Some((cap, recorder)) = over {
            let reason: Arc<str> = format!("it reached its cap of {cap} bytes").into();
            tape.declare_cut(clock::now(), &format!("the answers from here on: {reason}")).map(drop).map_err(failed)?;
            recorder.note(Event::TapeCut { session: tape.session(), length: tape.length(), reason });
            self.mode = TapeMode::Requests;
        }
        if self.mode != TapeMode::Full {
            tape.flush().map_err(failed)?;
            return Ok(Released::untaped(masked));
        }
        let taped = tape.record(Kind::ToClient, clock::now(), &[masked.bytes()]).map_err(failed)?;
        Released::join(masked, &taped).map_err(|_| "the tape holds something else")
    }

    /// Gives back the room of what is not in use.
    pub(super) fn rest(&mut self) {
        self.line = Vec::new();
        self.tape.iter_mut().for_each(Tape::rest);
    }

    /// Gives out the tape, to be finished. A request without an answer is on it as well.
    pub(super) fn end(&mut self) -> Option<Rest> {
        self.tape.take().map(|tape| Rest { tape, tellers: std::mem::take(&mut self.tellers) })
    }
}

/// A value for people.
pub(super) fn shown_text(shown: &Shown) -> Cow<'_, str> {
    match shown {
        Shown::Null => "NULL".into(),
        Shown::Clear(text) => text.into(),
        Shown::Masked(class) => format!("[{class}]").into(),
        Shown::Length(bytes) => format!("[{bytes} bytes]").into(),
    }
}

impl Session {
    /// The text with the constants masked that may belong to classified columns or are secrets, and without what its
    /// comments say, which may be anything.
    pub(super) fn masked_text(&self, analysed: &Analysed) -> Arc<str> {
        Arc::clone(analysed.masked.get_or_init(|| self.mask_text(analysed).into()))
    }

    fn mask_text(&self, analysed: &Analysed) -> String {
        let labels = self.labels();
        let mut nothing = |_: RevealAsk<'_>| Reveal::Masked(None);
        let mut out = String::with_capacity(analysed.text.len());
        let mut at = 0;
        for statement in &analysed.statements {
            let context = masking::postgres::Context { mentions: &statement.mentions, labels: &labels };
            for literal in &statement.literals {
                let (Some(before), Some(text)) =
                    (analysed.text.get(at..literal.start), analysed.text.get(literal.start..literal.end))
                else {
                    continue;
                };
                out.push_str(&effects::postgres::without_comments(before));
                let value = text.trim_matches('\'').as_bytes();
                let shown = masking::postgres::shown(Some(value), false, &literal.role, context, &mut nothing);
                match shown {
                    Shown::Clear(_) | Shown::Null => out.push_str(text),
                    Shown::Masked(_) | Shown::Length(_) => out.push_str(&shown_text(&shown)),
                }
                at = literal.end;
            }
            if statement.is_opaque() && statement.literals.is_empty() {
                // What was not understood may hold anything.
                return format!("[{} bytes that were not understood]", analysed.text.len());
            }
        }
        out.push_str(&effects::postgres::without_comments(analysed.text.get(at..).unwrap_or_default()));
        out
    }
}
