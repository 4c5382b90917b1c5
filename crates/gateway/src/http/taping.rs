//! What the tape has of an exchange: heads, bodies up to a length, and of all that passed its length and digest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL,
};
use ledger::tape::{Lane, Track};
use masking::Masked;
use masking::http::{Body, Head, Plan};
use model::id::RequestId;
use serde::Serialize;
use wire::websocket::Opcode;

use super::session::Session;
use super::upload::Carried;
use crate::gate::Released;
use crate::measure::{Measure, Measured};

/// What the tape has in place of a secret.
const SECRET: &str = "[secret]";

/// One exchange on its session's tape.
#[derive(Clone)]
pub(super) struct Taped(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    exchange: u32,
    /// How much of each body the tape holds.
    most: u64,
    input: Mutex<Input>,
    output: Mutex<Output>,
}

/// The body of the request, as far as the tape has it.
struct Input {
    /// `None` once nothing more of it is on the tape.
    body: Option<Body>,
    taped: u64,
}

/// The body of the answer.
struct Output {
    taped: u64,
    measure: Measure,
}

/// A message of WebSocket, as the tape has it.
#[derive(Serialize)]
struct Message {
    to: &'static str,
    opcode: u8,
    /// How long it is, as it goes on.
    bytes: usize,
    /// How much of it follows.
    taped: usize,
}

/// How an exchange ended, as the tape has it.
#[derive(Serialize)]
struct Ended<'a> {
    status: Option<u16>,
    error: Option<&'a str>,
    millis: u64,
    input: Option<Measured>,
    output: Option<Measured>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether what a field or a part of a query of this name says is kept from the tape.
fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 9] = ["token", "secret", "key", "passw", "dpop", "signature", "credential", "session", "code"];
    let name = name.to_ascii_lowercase();
    // Kubernetes' clients hand in a bearer token as a subprotocol of WebSocket.
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL].iter().any(|secret| name == secret.as_str())
        || WORDS.iter().any(|word| name.contains(word))
}

/// A path and a query as the tape has them.
fn shown_target(target: &str, plan: &Plan) -> Vec<u8> {
    let shown = match target.split_once('?') {
        None => target.to_owned(),
        Some((path, query)) => {
            let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}={SECRET}"),
                _ => pair.to_owned(),
            });
            format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
        }
    };
    // As the value of a field, which is searched by its content.
    let head = Head::new(plan, masking::http::Change::Same, [("location", shown.as_bytes())]);
    head.fields().next().map(|(_, value)| value.to_vec()).unwrap_or_default()
}

/// Whether so many bytes more fit on the tape.
fn room(most: u64, taped: u64, bytes: usize) -> bool {
    taped.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)) <= most
}

impl Taped {
    /// An exchange that begins; of its request's body the tape has what this plan lets be seen.
    pub(super) fn new(session: &Arc<Session>, exchange: u32, most: u64, fields: &HeaderMap, plan: &Plan) -> Self {
        let all = |name| fields.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
        let body = Body::new(&all(CONTENT_TYPE), &all(CONTENT_ENCODING), plan).ok();
        Self(Arc::new(Inner {
            session: Arc::clone(session),
            exchange,
            most,
            input: Mutex::new(Input { body, taped: 0 }),
            output: Mutex::new(Output { taped: 0, measure: Measure::default() }),
        }))
    }

    fn track(&self, lane: Lane) -> Track {
        Track { channel: self.0.exchange, lane }
    }

    /// Notes what was asked.
    pub(super) fn asked(
        &self,
        request: RequestId,
        shown: &str,
        (method, target): (&str, &str),
        fields: &HeaderMap,
        plan: &Plan,
    ) {
        let mut lines = format!("{method} ").into_bytes();
        lines.extend_from_slice(&shown_target(target, plan));
        lines.extend_from_slice(b" HTTP/1.1\r\n");
        let shown_fields = fields.iter().map(|(name, value)| {
            let value = if is_secret(name.as_str()) { SECRET.as_bytes() } else { value.as_bytes() };
            (name.as_str(), value)
        });
        lines.extend_from_slice(Head::new(plan, masking::http::Change::Same, shown_fields).into_masked().bytes());
        let mut tape = self.0.session.tape();
        tape.request_on(self.0.exchange, request, shown, &[]);
        // A tape that failed takes no answer, and no body.
        let _ = tape.note_on(self.track(Lane::Head), &lines);
    }

    /// Notes a piece of the request's body.
    ///
    /// # Errors
    /// If it cannot be recorded: then nothing more of it may go on.
    pub(super) fn came(&self, bytes: &[u8]) -> Result<(), &'static str> {
        let mut input = locked(&self.0.input);
        let Some(body) = &mut input.body else { return Ok(()) };
        let masked = body.push(bytes).ok();
        self.note(&mut input, masked)
    }

    /// The request's body is over.
    fn all_came(&self) {
        let mut input = locked(&self.0.input);
        let masked = input.body.as_mut().and_then(|body| body.end().ok());
        // Whether it could be written is seen when the tape ends.
        let _ = self.note(&mut input, masked);
        input.body = None;
    }

    fn note(&self, input: &mut Input, masked: Option<Masked>) -> Result<(), &'static str> {
        let left = self.0.most.saturating_sub(input.taped);
        let bytes = masked.as_ref().map(Masked::bytes).unwrap_or_default();
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let taped = bytes.get(..fits).unwrap_or_default();
        if !taped.is_empty() {
            self.0.session.tape().note_on(self.track(Lane::Input), taped)?;
        }
        input.taped = input.taped.saturating_add(u64::try_from(fits).unwrap_or(u64::MAX));
        if masked.is_none() || fits < bytes.len() {
            input.body = None;
        }
        Ok(())
    }

    /// Puts the head of the answer on the tape, and releases its fields.
    ///
    /// # Errors
    /// If it cannot be written: then nothing may be delivered.
    pub(super) fn head(&self, status: StatusCode, fields: Masked) -> Result<Released, &'static str> {
        let first = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
        self.0.session.tape().answer_behind(first.as_bytes(), self.track(Lane::Head), fields)
    }

    /// Puts the fields behind the body on the tape, and releases them.
    ///
    /// # Errors
    /// As [`Taped::head`].
    pub(super) fn trailers(&self, fields: Masked) -> Result<Released, &'static str> {
        self.0.session.tape().answer_behind(b"\r\n", self.track(Lane::Head), fields)
    }

    /// Puts a piece of the answer's body on the tape, as long as there is room for it, and releases it.
    ///
    /// # Errors
    /// As [`Taped::head`].
    pub(super) fn answer(&self, masked: Masked) -> Result<Released, &'static str> {
        let mut output = locked(&self.0.output);
        let length = u64::try_from(masked.bytes().len()).unwrap_or(u64::MAX);
        output.measure.add(masked.bytes());
        let mut tape = self.0.session.tape();
        if output.taped.saturating_add(length) > self.0.most {
            // Nothing behind a piece that is left out is on the tape either.
            output.taped = self.0.most;
            return tape.leave_out(masked);
        }
        output.taped = output.taped.saturating_add(length);
        tape.answer_on(self.track(Lane::Output), masked)
    }

    /// Notes a message of the caller's, of so many bytes; its content as it may be seen, as long as there is room for it.
    ///
    /// # Errors
    /// If it cannot be recorded: then nothing more of it may go on.
    pub(super) fn message_came(&self, opcode: Opcode, bytes: usize, shown: Option<&[u8]>) -> Result<(), &'static str> {
        let mut input = locked(&self.0.input);
        // What a request's body may hold is no message's.
        input.body = None;
        let shown = shown.filter(|shown| room(self.0.most, input.taped, shown.len())).unwrap_or_default();
        input.taped = input.taped.saturating_add(u64::try_from(shown.len()).unwrap_or(u64::MAX));
        let message = Message { to: "target", opcode: opcode.code(), bytes, taped: shown.len() };
        self.0.session.tape().note_message(self.0.exchange, &message, shown)
    }

    /// Puts a message for the caller on the tape, as long as there is room for it, and releases it.
    ///
    /// # Errors
    /// As [`Taped::head`].
    pub(super) fn message(&self, opcode: Opcode, masked: Masked) -> Result<Released, &'static str> {
        let mut output = locked(&self.0.output);
        let bytes = masked.bytes().len();
        output.measure.add(masked.bytes());
        let fits = room(self.0.most, output.taped, bytes);
        let taped = if fits { bytes } else { 0 };
        output.taped = output.taped.saturating_add(u64::try_from(taped).unwrap_or(u64::MAX));
        let message = Message { to: "caller", opcode: opcode.code(), bytes, taped };
        self.0.session.tape().message_on(self.0.exchange, &message, masked, fits)
    }

    /// Notes what the caller says in a stream.
    ///
    /// # Errors
    /// As [`Taped::message_came`].
    pub(super) fn typed(&self, track: Track, shown: &[u8]) -> Result<(), &'static str> {
        locked(&self.0.input).body = None;
        self.0.session.tape().note_on(track, shown)
    }

    /// Puts what a stream shows on the tape, or its digest alone, and releases it.
    ///
    /// # Errors
    /// As [`Taped::head`].
    pub(super) fn streamed(&self, track: Track, masked: Masked, is_taped: bool) -> Result<Released, &'static str> {
        let mut output = locked(&self.0.output);
        output.measure.add(masked.bytes());
        let mut tape = self.0.session.tape();
        if is_taped { tape.answer_on(track, masked) } else { tape.leave_out(masked) }
    }

    /// Notes how it ended: what of the bodies is not on the tape is told by its length and digest.
    pub(super) fn ended(&self, status: Option<StatusCode>, error: Option<&str>, began: Instant, carried: &Carried) {
        self.all_came();
        let output = locked(&self.0.output);
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ended = Ended {
            status: status.map(|status| status.as_u16()),
            error,
            millis,
            input: carried.measured(),
            output: (!output.measure.is_empty()).then(|| output.measure.clone().finish()),
        };
        let mut tape = self.0.session.tape();
        tape.line_on(self.0.exchange, Lane::End, &ended);
        // Nothing else may follow for a long time.
        let _ = tape.flush();
    }
}
