//! The ways out of an exchange of HTTP: a request to a target, an answer to a caller. The library that speaks the protocol is
//! reached with either from here alone.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ledger::Receipt;
use model::disclosure::Disclosure;
use policy::Permit;
use tokio::sync::{mpsc, oneshot};

use super::channel::is_request;
use super::turned::{ClientStream, Reads, TargetStream};
use super::{GateError, Gone, Released};

/// A connection to a target, which one request is sent on, or several at a time.
pub(crate) enum TargetLine<B> {
    /// HTTP/1.1.
    One(http1::SendRequest<B>),
    /// HTTP/2.
    Two(http2::SendRequest<B>),
}

/// Why there is no answer.
pub(crate) enum NoAnswer<B> {
    /// The proofs do not fit.
    Gate(GateError),
    /// The connection had ended before anything of the request went out. Its body is as it was.
    NotSent(B),
    /// The target did not answer as it should.
    Broken(hyper::Error),
}

/// What a target answers that was asked for another protocol.
pub(crate) enum Turn {
    /// It turns to it: the head of what it says, and the stream from there on.
    Turned(Box<response::Parts>, Reads, TargetStream),
    /// It does not.
    Answered(Response<Incoming>),
}

impl<B> TargetLine<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Sends a request to the target, head and body: the only function that does. Returns the beginning of the answer.
    ///
    /// # Errors
    /// If the proofs are not about a request, or the target does not answer.
    pub(crate) async fn send(
        &mut self,
        permit: Permit,
        receipt: &Receipt,
        request: Request<B>,
    ) -> Result<Response<Incoming>, NoAnswer<B>> {
        is_request(&permit, receipt).map_err(NoAnswer::Gate)?;
        let answer = match self {
            Self::One(line) => line.try_send_request(request).await,
            Self::Two(line) => line.try_send_request(request).await,
        };
        answer.map_err(|mut error| match error.take_message() {
            Some(request) => NoAnswer::NotSent(request.into_body()),
            None => NoAnswer::Broken(error.into_error()),
        })
    }

    /// Sends a request that asks for another protocol: the only function by which one is got. The line is used up: where the
    /// target does not turn, nothing is left of it behind the answer (K8-09).
    ///
    /// # Errors
    /// As [`TargetLine::send`].
    pub(crate) async fn turn(
        mut self,
        permit: Permit,
        receipt: &Receipt,
        request: Request<B>,
    ) -> Result<Turn, NoAnswer<B>> {
        let answer = self.send(permit, receipt, request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Turn::Answered(answer));
        }
        let (parts, body) = answer.into_parts();
        let turned = hyper::upgrade::on(Response::from_parts(parts.clone(), body)).await;
        let (reads, stream) = TargetStream::new(turned.map_err(NoAnswer::Broken)?);
        Ok(Turn::Turned(Box::new(parts), reads, stream))
    }

    /// Whether a request can be sent now.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::One(line) => line.is_ready(),
            Self::Two(line) => line.is_ready(),
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::One(line) => line.is_closed(),
            Self::Two(line) => line.is_closed(),
        }
    }

    /// Whether it carries several requests at a time.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Two(_))
    }

    /// The same connection for another request, where it carries several.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Two(line) => Some(Self::Two(line.clone())),
        }
    }
}

/// What goes to the caller behind the head.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// The caller's end of an exchange.
pub(crate) struct ClientExchange {
    head: Option<oneshot::Sender<Response<AnswerBody>>>,
    frames: mpsc::Sender<Piece>,
    body: Option<AnswerBody>,
    /// Where the connection is once it has turned to another protocol.
    turning: Option<OnUpgrade>,
}

/// A connection that a caller was given by `CONNECT`, for Sluice to speak on as it does on one that was accepted.
pub(crate) type Carrying = TokioIo<Upgraded>;

/// How many pieces of an answer wait for the caller.
const WAITING: usize = 2;

impl ClientExchange {
    /// One that nothing was answered in, and where its answer begins.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Response<AnswerBody>>) {
        let (head, begins) = oneshot::channel();
        let (frames, waiting) = mpsc::channel(WAITING);
        let body = AnswerBody { waiting, next: None, is_over: false };
        (Self { head: Some(head), frames, body: Some(body), turning: None }, begins)
    }

    /// Its connection may turn to another protocol.
    pub(crate) fn may_turn(&mut self, turning: OnUpgrade) {
        self.turning = Some(turning);
    }

    /// Answers that the connection turns to another protocol, with these fields, which are in lines: the only function that
    /// does. Returns the stream from there on, and what the fields disclose.
    ///
    /// # Errors
    /// If an answer began already, the lines are no fields, the connection cannot turn, or the caller is gone.
    pub(crate) async fn turn(&mut self, released: Released) -> Result<(Reads, ClientStream, Disclosure), Gone> {
        let (turned, disclosure) = self.leave(StatusCode::SWITCHING_PROTOCOLS, released).await?;
        let (reads, stream) = ClientStream::new(turned);
        Ok((reads, stream, disclosure))
    }

    /// Answers that the caller is connected to what it asked for by `CONNECT` (RFC 9110, section 9.3.6): the only function that
    /// lets it speak to a target so. Otherwise as [`ClientExchange::turn`].
    ///
    /// # Errors
    /// As [`ClientExchange::turn`].
    pub(crate) async fn connect(&mut self, released: Released) -> Result<(Reads, ClientStream, Disclosure), Gone> {
        let (turned, disclosure) = self.leave(StatusCode::OK, released).await?;
        let (reads, stream) = ClientStream::new(turned);
        Ok((reads, stream, disclosure))
    }

    /// Answers likewise, and returns the connection, on which it is Sluice that the caller speaks to: what it asks there is
    /// answered by exchanges of their own.
    ///
    /// # Errors
    /// As [`ClientExchange::turn`].
    pub(crate) async fn carry(&mut self, released: Released) -> Result<Carrying, Gone> {
        let (turned, _) = self.leave(StatusCode::OK, released).await?;
        Ok(TokioIo::new(turned))
    }

    /// Gives the answer behind which the connection is no longer one of HTTP.
    async fn leave(&mut self, status: StatusCode, released: Released) -> Result<(Upgraded, Disclosure), Gone> {
        let turning = self.turning.take().ok_or(GateError::Mismatch)?;
        let disclosure = self.begin_alone(status, released)?;
        let turned = turning.await.map_err(|_| Gone::Closed)?;
        Ok((turned, disclosure))
    }

    /// Waits until the caller is not there any more. Cancel safe.
    pub(crate) async fn gone(&mut self) {
        match &mut self.head {
            Some(head) => head.closed().await,
            None => self.frames.closed().await,
        }
    }

    /// Whether the answer has begun.
    pub(crate) const fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Begins the answer with its status and its fields, which are in lines: the only function that does. Returns what it
    /// discloses.
    ///
    /// # Errors
    /// If it began already, the lines are no fields, or the caller is gone.
    pub(crate) fn begin(&mut self, status: StatusCode, released: Released) -> Result<Disclosure, Gone> {
        let (bytes, disclosure) = released.masked.into_parts();
        let (Some(head), Some(body)) = (self.head.take(), self.body.take()) else {
            return Err(GateError::Mismatch.into());
        };
        let fields = read_fields(&bytes).ok_or(GateError::Mismatch)?;
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = (status, fields);
        head.send(response).map(|()| disclosure).map_err(|_| Gone::Closed)
    }

    /// Likewise, where nothing comes behind the fields: the caller is told with them that the answer is whole.
    ///
    /// # Errors
    /// As [`ClientExchange::begin`].
    pub(crate) fn begin_alone(&mut self, status: StatusCode, released: Released) -> Result<Disclosure, Gone> {
        if let Some(body) = &mut self.body {
            body.is_over = true;
        }
        self.begin(status, released)
    }

    /// Goes on with a piece of the body: the only function that does. Waits for the caller to take what came before.
    /// Returns what it discloses.
    ///
    /// # Errors
    /// If the caller is gone.
    pub(crate) async fn send(&mut self, released: Released) -> Result<Disclosure, Gone> {
        let (bytes, disclosure) = released.masked.into_parts();
        if !bytes.is_empty() {
            self.frames.send(Piece::Data(bytes.into())).await.map_err(|_| Gone::Closed)?;
        }
        Ok(disclosure)
    }

    /// Gives the fields behind the body, in lines as those in front of it.
    ///
    /// # Errors
    /// If they are none, or the caller is gone.
    pub(crate) async fn send_trailers(&mut self, released: Released) -> Result<Disclosure, Gone> {
        let (bytes, disclosure) = released.masked.into_parts();
        let fields = read_fields(&bytes).ok_or(GateError::Mismatch)?;
        self.frames.send(Piece::Trailers(fields)).await.map(|()| disclosure).map_err(|_| Gone::Closed)
    }

    /// The answer is whole. Without this the caller is told that it is not.
    pub(crate) async fn end(self) {
        let _ = self.frames.send(Piece::End).await;
    }
}

/// The body of an answer, as the library takes it.
pub(crate) struct AnswerBody {
    waiting: mpsc::Receiver<Piece>,
    /// What was taken already.
    next: Option<Piece>,
    is_over: bool,
}

/// An answer ends before it is whole.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer is cut off")]
pub(crate) struct Cut;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = match self.next.take() {
            Some(piece) => Some(piece),
            None => std::task::ready!(self.waiting.poll_recv(cx)),
        };
        match piece {
            Some(Piece::Data(bytes)) => {
                // The last piece says that it is the last, if that is known already: no frame comes behind it then.
                match self.waiting.try_recv() {
                    Ok(Piece::End) => self.is_over = true,
                    other => self.next = other.ok(),
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Piece::Trailers(fields)) => Poll::Ready(Some(Ok(Frame::trailers(fields)))),
            Some(Piece::End) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            None => {
                self.is_over = true;
                Poll::Ready(Some(Err(Cut)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

/// Reads fields as they are on the tape: a line for each.
fn read_fields(mut rest: &[u8]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let line = rest.get(..end)?;
        rest = rest.get(end.checked_add(2)?..)?;
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (line.get(..colon)?, line.get(colon.checked_add(1)?..)?);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        fields.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    rest.is_empty().then_some(fields)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use masking::http::own;

    use super::*;

    async fn next(body: &mut AnswerBody) -> Option<Result<Frame<Bytes>, Cut>> {
        poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    fn released(text: &str) -> Released {
        Released::untaped(own(text))
    }

    #[tokio::test]
    async fn an_answer_is_over_only_if_it_was_ended() {
        for is_ended in [true, false] {
            let (mut client, begins) = ClientExchange::new();
            client.begin(StatusCode::OK, released("a: b\r\nc: d: e\r\n")).unwrap();
            let (parts, mut body) = begins.await.unwrap().into_parts();
            assert_eq!((&parts.headers["a"], &parts.headers["c"]), (&"b".parse().unwrap(), &"d: e".parse().unwrap()));
            client.send(released("piece")).await.unwrap();
            match is_ended {
                true => client.end().await,
                false => drop(client),
            }
            assert_eq!(next(&mut body).await.unwrap().unwrap().into_data().unwrap(), "piece");
            match next(&mut body).await {
                None => assert!(is_ended && body.is_end_stream()),
                Some(Err(Cut)) => assert!(!is_ended),
                Some(Ok(_)) => panic!("there is more"),
            }
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_over_when_it_begins() {
        let (mut client, begins) = ClientExchange::new();
        client.begin_alone(StatusCode::OK, released("a: b\r\n")).unwrap();
        let mut body = begins.await.unwrap().into_body();
        assert!(client.has_begun() && body.is_end_stream());
        client.end().await;
        assert!(next(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn an_answer_begins_once_and_with_fields() {
        let (mut client, begins) = ClientExchange::new();
        client.begin(StatusCode::OK, released("")).unwrap();
        assert!(client.has_begun());
        assert_eq!(client.begin(StatusCode::OK, released("")), Err(Gone::Gate(GateError::Mismatch)));
        drop(begins);
        client.gone().await;
        for lines in ["no field\r\n", "a: b", "a b: c\r\n", "a: \u{1}\r\n"] {
            let (mut client, _begins) = ClientExchange::new();
            assert_eq!(
                client.begin(StatusCode::OK, released(lines)),
                Err(Gone::Gate(GateError::Mismatch)),
                "{lines:?}"
            );
        }
    }
}
