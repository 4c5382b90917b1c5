//! The tape of a session: requests as the record may show them, answers as the caller saw them.

use ledger::tape::{Kind, Tape};
use masking::{Masked, RevealAsk};
use model::decision::Reveal;
use model::event::Shown;
use model::id::{Digest, RequestId};
use model::target::TapeMode;

use super::analysed::Analysed;
use super::session::Session;
use crate::clock;
use crate::gate::Released;

/// A tape, or none, by the target's mode.
pub(super) struct SessionTape {
    tape: Option<Tape>,
    mode: TapeMode,
    /// A request's record waits for the next write: it has to be on the tape before its answer is.
    request: Vec<u8>,
}

impl SessionTape {
    /// Takes the tape, which is there unless the mode is off.
    pub(super) const fn new(tape: Option<Tape>, mode: TapeMode) -> Self {
        Self { tape, mode, request: Vec::new() }
    }

    /// Notes a request, to be written with its answer.
    pub(super) fn request(&mut self, request: RequestId, text: &str, values: &[Shown]) {
        if self.tape.is_none() {
            return;
        }
        let values: Vec<String> = values.iter().map(shown_text).collect();
        let line = serde_json::json!({ "request": request, "statement": text, "values": values });
        self.request.extend_from_slice(line.to_string().as_bytes());
        self.request.push(b'\n');
    }

    /// Writes an answer, after the requests that wait, and releases it.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be delivered.
    pub(super) fn answer(&mut self, masked: Masked) -> Result<Released, &'static str> {
        let Some(tape) = &mut self.tape else { return Ok(Released::untaped(masked)) };
        let failed = |_| "the tape cannot be written";
        if !self.request.is_empty() {
            let _taped = tape.record(Kind::FromClient, clock::now(), &[&self.request]).map_err(failed)?;
            self.request.clear();
        }
        if self.mode != TapeMode::Full {
            return Ok(Released::untaped(masked));
        }
        let taped = tape.record(Kind::ToClient, clock::now(), &[masked.bytes()]).map_err(failed)?;
        Released::join(masked, &taped).map_err(|_| "the tape holds something else")
    }

    /// Closes the tape and says its digest and length.
    pub(super) fn finish(&mut self) -> Option<(Digest, u64)> {
        let mut tape = self.tape.take()?;
        if !self.request.is_empty() {
            // A request without an answer; the journal has it in any case.
            let _ = tape.record(Kind::FromClient, clock::now(), &[&self.request]);
        }
        tape.finish(clock::now()).ok()
    }
}

/// A value for people.
pub(super) fn shown_text(shown: &Shown) -> String {
    match shown {
        Shown::Null => "NULL".into(),
        Shown::Clear(text) => text.clone(),
        Shown::Masked(class) => format!("[{class}]"),
        Shown::Length(bytes) => format!("[{bytes} bytes]"),
    }
}

impl Session {
    /// The text with the constants masked that may belong to classified columns.
    pub(super) fn masked_text(&self, analysed: &Analysed) -> String {
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
                out.push_str(before);
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
        out.push_str(analysed.text.get(at..).unwrap_or_default());
        out
    }
}
