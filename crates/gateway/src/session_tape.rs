//! The tape of a session: requests as the record may show them, answers as the caller saw them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ledger::Taped;
use ledger::tape::{Direction, Drawn, Ended, EndedPart, Kind, Lane, Part, Tape, TapeError, Track};
use masking::Masked;
use model::event::{Event, Shown};
use model::id::{Digest, RequestId, SessionId};
use model::secret::Secret;
use model::target::TapeMode;
use serde::Serialize;
use store::config::{PartLimits, TargetConfig};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock;
use crate::gate::Released;
use crate::node::Node;
use crate::recorder::Recorder;

/// The shortest time that the beginning or the end of a tape may take.
const AT_LEAST: Duration = Duration::from_secs(1);

/// How much of what callers say waits in memory to be written.
const MOST_WAITING: usize = 64 * 1024;

/// A tape, or none, by the target's mode.
pub(crate) struct SessionTape {
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

/// A request as the tape has it: one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    request: RequestId,
    statement: &'a str,
    values: Vec<Cow<'a, str>>,
}

impl SessionTape {
    /// Begins the tape of a session at a target. Whatever the disk does, it keeps nobody but this session waiting, and that
    /// for a while.
    ///
    /// # Errors
    /// Why the session cannot be recorded.
    pub(crate) async fn begin(node: &Arc<Node>, session: SessionId, target: &TargetConfig) -> Result<Self, String> {
        let tape = match target.tape {
            TapeMode::Off => None,
            TapeMode::Full | TapeMode::Requests => Some(create(node, session).await?),
        };
        tape.iter().for_each(|tape| node.live_tapes.enter(tape.live()));
        let cap = tape.as_ref().and(target.tape_cap).map(|cap| (cap, Arc::clone(&node.recorder)));
        let part = (target.tape_part, Instant::now());
        Ok(Self { tape, mode: target.tape, cap, part, tellers: Vec::new(), line: Vec::new() })
    }

    /// Whether the present part is long or old enough to end.
    fn is_due(&self) -> bool {
        let (limits, began) = self.part;
        self.tape.as_ref().is_some_and(|tape| {
            tape.is_part_begun() && (tape.part_length() >= limits.size || began.elapsed() >= limits.age)
        })
    }

    /// When the present part is old enough to end, if anything is on it.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let (limits, began) = self.part;
        self.tape.as_ref().filter(|tape| tape.is_part_begun()).map(|_| began + limits.age)
    }

    /// Goes on in the next part, if it is time for that: what ended is synced, told to the journal and packed while the session
    /// goes on. `is_fresh` says that nothing is under way. A tape that cannot go on takes nothing more: the session ends with
    /// what it has to record next.
    pub(crate) fn rotate(&mut self, node: &Arc<Node>, is_fresh: bool) {
        if !self.is_due() {
            return;
        }
        let Some(tape) = &mut self.tape else { return };
        self.part.1 = Instant::now();
        match crate::threads::may_block(!node.recorder.is_quick(), || tape.rotate(clock::now(), is_fresh)) {
            Ok(ended) => {
                node.live_tapes.enter(tape.live());
                self.tellers.retain(|teller| !teller.is_finished());
                self.tellers.push(tell(node, ended));
            }
            Err(error) => tracing::error!(session = %tape.session(), %error, "a tape cannot go on in a next part"),
        }
    }

    /// Notes a request. It is written with its answer, in front of it.
    pub(crate) fn request(&mut self, request: RequestId, statement: &str, values: &[Shown]) {
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
    pub(crate) fn answer(&mut self, masked: Masked) -> Result<Released, &'static str> {
        self.release(masked, |tape, bytes| tape.record(Kind::ToClient, clock::now(), &[bytes]))
    }

    /// As [`SessionTape::request`], on a channel of several.
    pub(crate) fn request_on(&mut self, channel: u32, request: RequestId, statement: &str, values: &[Shown]) {
        let values = values.iter().map(shown_text).collect();
        self.line_on(channel, Lane::Requests, &Line { request, statement, values });
    }

    /// Notes something of a channel as a line of JSON, written with what is recorded next. A tape that failed says so then.
    pub(crate) fn line_on(&mut self, channel: u32, lane: Lane, line: &impl Serialize) {
        self.line.clear();
        if serde_json::to_writer(&mut self.line, line).is_ok() {
            self.line.push(b'\n');
            let line = std::mem::take(&mut self.line);
            let _ = self.note_on(Track { channel, lane }, &line);
            self.line = line;
        }
    }

    /// Notes what came from the caller on a channel. It is written with what is recorded next, or once there is enough of it.
    ///
    /// # Errors
    /// If it cannot be written: then nothing more may go on.
    pub(crate) fn note_on(&mut self, track: Track, bytes: &[u8]) -> Result<(), &'static str> {
        let is_content = matches!(track.lane, Lane::Input | Lane::Output | Lane::Error | Lane::Messages);
        if is_content {
            self.keep_to_cap()?;
        }
        let Some(tape) = &mut self.tape else { return Ok(()) };
        if self.mode != TapeMode::Full && is_content {
            return Ok(());
        }
        tape.precede_on(Direction::FromClient, track, clock::now(), &[bytes]).map_err(failed)?;
        if tape.waiting() < MOST_WAITING { Ok(()) } else { tape.flush().map_err(failed) }
    }

    /// As [`SessionTape::answer_on`], with a line in front of it that goes another way to the caller.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be delivered.
    pub(crate) fn answer_behind(
        &mut self,
        line: &[u8],
        track: Track,
        masked: Masked,
    ) -> Result<Released, &'static str> {
        if self.mode == TapeMode::Full
            && let Some(tape) = &mut self.tape
        {
            tape.precede_on(Direction::ToClient, track, clock::now(), &[line]).map_err(failed)?;
        }
        self.answer_on(track, masked)
    }

    /// Releases what is left out of the tape, which says so elsewhere: what waits is written first.
    ///
    /// # Errors
    /// If that cannot be written: then nothing may be delivered.
    pub(crate) fn leave_out(&mut self, masked: Masked) -> Result<Released, &'static str> {
        self.flush()?;
        Ok(Released::untaped(masked))
    }

    /// As [`SessionTape::answer`], on a channel of several.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be delivered.
    pub(crate) fn answer_on(&mut self, track: Track, masked: Masked) -> Result<Released, &'static str> {
        self.release(masked, |tape, bytes| tape.record_on(Direction::ToClient, track, clock::now(), &[bytes]))
    }

    /// Notes a message of the caller's on a channel: what is told of it, and as much of it as is given.
    ///
    /// # Errors
    /// As [`SessionTape::note_on`].
    pub(crate) fn note_message(
        &mut self,
        channel: u32,
        told: &impl Serialize,
        content: &[u8],
    ) -> Result<(), &'static str> {
        self.line_on(channel, Lane::Messages, told);
        self.note_on(Track { channel, lane: Lane::Input }, content)
    }

    /// As [`SessionTape::answer_on`], of a message of which this is told in front of it.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be delivered.
    pub(crate) fn message_on(
        &mut self,
        channel: u32,
        told: &impl Serialize,
        masked: Masked,
        is_taped: bool,
    ) -> Result<Released, &'static str> {
        if self.mode == TapeMode::Full
            && let Some(tape) = &mut self.tape
            && let Ok(mut line) = serde_json::to_vec(told)
        {
            line.push(b'\n');
            let track = Track { channel, lane: Lane::Messages };
            tape.precede_on(Direction::ToClient, track, clock::now(), &[&line]).map_err(failed)?;
        }
        if is_taped { self.answer_on(Track { channel, lane: Lane::Output }, masked) } else { self.leave_out(masked) }
    }

    /// Whether whoever reads it sees what the caller sees.
    pub(crate) const fn shows_answers(&self) -> bool {
        self.tape.is_some() && matches!(self.mode, TapeMode::Full)
    }

    /// Writes what waits, so that nothing more is delivered than what is on the tape.
    ///
    /// # Errors
    /// If it cannot be written: then nothing may be delivered.
    pub(crate) fn flush(&mut self) -> Result<(), &'static str> {
        self.tape.as_mut().map_or(Ok(()), |tape| tape.flush().map_err(failed))
    }

    /// Once it is as long as it may become, it says so, and holds requests alone.
    fn keep_to_cap(&mut self) -> Result<(), &'static str> {
        let Some(tape) = &mut self.tape else { return Ok(()) };
        let over = self.cap.take_if(|(cap, _)| self.mode == TapeMode::Full && tape.length() >= *cap);
        let Some((cap, recorder)) = over else { return Ok(()) };
        let reason: Arc<str> = format!("it reached its cap of {cap} bytes").into();
        tape.declare_cut(clock::now(), &format!("the content from here on: {reason}")).map(drop).map_err(failed)?;
        recorder.note(Event::TapeCut { session: tape.session(), length: tape.length(), reason });
        self.mode = TapeMode::Requests;
        Ok(())
    }

    fn release(
        &mut self,
        masked: Masked,
        record: impl FnOnce(&mut Tape, &[u8]) -> Result<Taped, TapeError>,
    ) -> Result<Released, &'static str> {
        self.keep_to_cap()?;
        let Some(tape) = &mut self.tape else { return Ok(Released::untaped(masked)) };
        if self.mode != TapeMode::Full {
            tape.flush().map_err(failed)?;
            return Ok(Released::untaped(masked));
        }
        let taped = record(tape, masked.bytes()).map_err(failed)?;
        Released::join(masked, &taped).map_err(|_| "the tape holds something else")
    }

    /// Gives back the room of what is not in use.
    pub(crate) fn rest(&mut self) {
        self.line = Vec::new();
        self.tape.iter_mut().for_each(Tape::rest);
    }

    /// Gives out the tape, to be finished; nothing more is put on it.
    pub(crate) fn take(&mut self) -> Self {
        let (tape, tellers) = (self.tape.take(), std::mem::take(&mut self.tellers));
        Self { tape, mode: self.mode, cap: None, part: self.part, tellers, line: Vec::new() }
    }

    /// Ends the tape and syncs it; its digest and length, if there is one. A request without an answer is on it as well. A disk
    /// that fails or does not answer leaves a tape that is read as truncated, and the journal says so.
    pub(crate) async fn finish(&mut self, node: &Arc<Node>) -> Option<(Digest, u64)> {
        let tape = self.tape.take()?;
        let (session, part, tellers) = (tape.session(), tape.part(), std::mem::take(&mut self.tellers));
        let finish = node.tasks.spawn_blocking(move || tape.finish(clock::now()));
        // The journal knows all parts before it knows the end.
        let all = async {
            for teller in tellers {
                let _ = teller.await;
            }
            finish.await
        };
        let finished = tokio::time::timeout(node.config.journal.wait_deadline.max(AT_LEAST), all).await;
        if let Ok(Ok(Ok(finished))) = finished {
            pack(node, session, part);
            return Some(finished);
        }
        node.recorder.gap(session, "the tape could not be finished");
        None
    }
}

fn failed(_: TapeError) -> &'static str {
    "the tape cannot be written"
}

async fn create(node: &Arc<Node>, session: SessionId) -> Result<Tape, String> {
    let no_key = |error: clock::NoRandomness| error.to_string();
    let drawn = Drawn { key: Secret::new(clock::random().map_err(no_key)?), nonce: clock::random().map_err(no_key)? };
    let making = Arc::clone(node);
    let create = node.tasks.spawn_blocking(move || {
        let seal = Some((&*making.tape_keys, &drawn));
        Tape::create(making.disk(), &making.layout().tapes(), session, clock::now(), seal)
    });
    let created = tokio::time::timeout(node.config.journal.wait_deadline.max(AT_LEAST), create).await;
    let created = created.map_err(|_| "the disk does not answer".to_owned())?;
    created.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// A value for people.
pub(crate) fn shown_text(shown: &Shown) -> Cow<'_, str> {
    match shown {
        Shown::Null => "NULL".into(),
        Shown::Clear(text) => text.into(),
        Shown::Masked(class) => format!("[{class}]").into(),
        Shown::Length(bytes) => format!("[{bytes} bytes]").into(),
    }
}

/// Makes a part that ended last, and has the journal know it.
fn tell(node: &Arc<Node>, ended: Ended) -> JoinHandle<()> {
    let telling = Arc::clone(node);
    node.tasks.spawn_blocking(move || {
        let session = ended.session();
        match ended.sync() {
            Ok(EndedPart { part, digest, length }) => {
                telling.recorder.note(Event::TapePartEnded { session, part: part.number(), digest, length });
                pack(&telling, session, part);
            }
            Err(error) => tracing::error!(%session, %error, "a part of a tape cannot be synced: it takes nothing more"),
        }
    })
}

/// Rewrites a part that ended to a fraction of its size; its digest stays the same.
fn pack(node: &Arc<Node>, session: SessionId, part: Part) {
    let packing = Arc::clone(node);
    node.tasks.spawn_blocking(move || {
        // Whoever has it already compresses it whole.
        let Some(alone) = packing.packing.claim(session, part) else { return };
        let (dir, disk, keys) = (packing.layout().tapes(), packing.disk(), Some(&*packing.tape_keys));
        if let Err(error) = ledger::tape::compress(disk.as_ref(), &dir, session, part, keys) {
            tracing::warn!(%session, %part, %error, "a part of a tape stays uncompressed");
        }
        drop(alone);
        if let Some(archive) = &packing.archive {
            archive.look();
        }
    });
}
