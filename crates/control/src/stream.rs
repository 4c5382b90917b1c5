//! A tape as a streamed answer: read on a blocking thread, as fast as the caller takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::access::Caller;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use gateway::node::Node;
use http_body::Frame;
use tokio::sync::mpsc;

use crate::replay::{Line, Tape};

/// How many pieces wait for a slow caller.
pub(crate) const AHEAD: usize = 8;
/// About how long a piece is, in bytes.
pub(crate) const PIECE: usize = 64 * 1024;
/// How long a caller may take nothing before the tape is closed.
pub(crate) const STALLED: Duration = Duration::from_secs(60);

/// The pieces of an answer as they come, for as long as whoever asked is believed.
struct Pieces {
    next: mpsc::Receiver<Bytes>,
    node: Arc<Node>,
    caller: Caller,
}

/// Whoever asked is not believed any more: the answer breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the credential has ended or was revoked")]
struct NoLongerBelieved;

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = NoLongerBelieved;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = ready!(self.next.poll_recv(context));
        // When it goes out, however long it has waited for the one before.
        let is_believed = self.caller.standing(&self.node).is_some();
        Poll::Ready(next.map(|bytes| if is_believed { Ok(Frame::data(bytes)) } else { Err(NoLongerBelieved) }))
    }
}

/// The lines of a tape, one JSON object each.
pub(crate) fn lines(node: Arc<Node>, caller: Caller, tape: Tape) -> Response {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let runtime = tokio::runtime::Handle::current();
    node.tasks.spawn_blocking(move || {
        let send = |piece: Vec<u8>| {
            runtime.block_on(tokio::time::timeout(STALLED, sender.send(piece.into()))).is_ok_and(|sent| sent.is_ok())
        };
        play(tape, send);
    });
    response(node, caller, receiver)
}

/// An answer of pieces that come, for as long as `caller` is believed.
pub(crate) fn response(node: Arc<Node>, caller: Caller, next: mpsc::Receiver<Bytes>) -> Response {
    let mut response = Body::new(Pieces { next, node, caller }).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// Writes until the tape ends or nobody takes it any more.
fn play(mut tape: Tape, send: impl Fn(Vec<u8>) -> bool) {
    let mut piece = Vec::new();
    loop {
        let lines: Vec<Line> = tape.next_lines();
        let is_over = lines.is_empty();
        lines.iter().for_each(|line| put(&mut piece, line));
        if (piece.len() >= PIECE || is_over) && !piece.is_empty() && !send(std::mem::take(&mut piece)) {
            return;
        }
        if is_over {
            return;
        }
    }
}

/// Writes a line behind others.
pub(crate) fn put(piece: &mut Vec<u8>, line: &Line) {
    // Writing to memory does not fail.
    if serde_json::to_writer(&mut *piece, line).is_ok() {
        piece.push(b'\n');
    }
}
