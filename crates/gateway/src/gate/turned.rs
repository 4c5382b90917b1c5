//! The ways out of a connection of HTTP that has turned to another protocol (RFC 9110, section 7.8): bytes to a target, bytes
//! to a caller. It is reached by an exchange alone, and only by an answer that says so: whatever else a target answers is an
//! answer, and leaves nothing behind (K8-09).

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ledger::Receipt;
use model::disclosure::Disclosure;
use policy::Permit;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use wire::spdy::{self, Frame};
use wire::websocket::{self, Close, Message, Opcode};

use super::channel::is_request;
use super::{Gone, Released};

/// What a peer says, to be read.
pub(crate) type Reads = ReadHalf<TokioIo<Upgraded>>;

/// The way to one side.
struct Writes {
    half: WriteHalf<TokioIo<Upgraded>>,
    /// Whether something was begun and not all of it has gone out: what follows would be taken for its rest.
    is_within: bool,
}

impl Writes {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if self.is_within {
            return Err(Gone::Closed);
        }
        self.is_within = true;
        self.half.write_all(bytes).await.map_err(|_| Gone::Closed)?;
        self.half.flush().await.map_err(|_| Gone::Closed)?;
        self.is_within = false;
        Ok(())
    }

    async fn close(&mut self) {
        let _ = self.half.shutdown().await;
    }
}

/// Takes a stream apart.
fn split(upgraded: Upgraded) -> (Reads, Writes) {
    let (reads, half) = tokio::io::split(TokioIo::new(upgraded));
    (reads, Writes { half, is_within: false })
}

/// The target's end of a stream.
pub(crate) struct TargetStream(Writes);

impl TargetStream {
    pub(super) fn new(upgraded: Upgraded) -> (Reads, Self) {
        let (reads, writes) = split(upgraded);
        (reads, Self(writes))
    }

    /// Sends to the target: the only function that does. What is not sent whole is the last.
    ///
    /// # Errors
    /// If the proofs are not about a request, or the target is gone.
    pub(crate) async fn send(&mut self, permit: Permit, receipt: &Receipt, bytes: &[u8]) -> Result<(), Gone> {
        is_request(&permit, receipt)?;
        self.0.write(bytes).await
    }

    /// Nothing more is sent.
    pub(crate) async fn close(&mut self) {
        self.0.close().await;
    }
}

/// In what something is shown to the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrap {
    /// None: it is said in a tunnel.
    Nothing,
    /// A message of WebSocket that is a text, or bytes.
    Message(Opcode),
    /// What is said with the end of a WebSocket, and the code of it.
    Close(u16),
    /// A message of WebSocket that begins with the number of a channel.
    Channel(u8),
    /// Content of a stream of SPDY; within messages of WebSocket, or not.
    Stream { number: u32, is_last: bool, is_within: bool },
}

/// What is said to the caller without content: of the target's there are numbers in it, which the protocol bounds.
#[derive(Clone, Debug)]
pub(crate) enum Bare {
    /// Whether it is there, by a number of Sluice's own.
    Ping(u32),
    /// That it was asked whether Sluice is there: what the caller said itself.
    Pong(Vec<u8>),
    /// The end of a WebSocket, without words.
    Close(u16),
    /// A frame of SPDY about a stream, without fields: those that came from the target are not passed on.
    Frame { frame: Control, is_within: bool },
}

/// A frame of SPDY that says nothing but numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// A stream of the caller's is taken.
    Reply { stream: u32, is_last: bool },
    /// A stream is over for the target.
    Last(u32),
    /// A stream ends at once.
    Reset { stream: u32, status: u32 },
    /// Whether it is there, or that it is.
    Ping(u32),
    /// No more streams are taken.
    GoAway { last: u32, status: u32 },
}

/// The caller's end of a stream.
pub(crate) struct ClientStream {
    writes: Writes,
    spdy: spdy::Writer,
}

impl ClientStream {
    pub(super) fn new(upgraded: Upgraded) -> (Reads, Self) {
        let (reads, writes) = split(upgraded);
        (reads, Self { writes, spdy: spdy::Writer::default() })
    }

    /// Shows something to the caller: the only function that does. Returns what it discloses. What is not sent whole is the
    /// last.
    ///
    /// # Errors
    /// If the caller is gone.
    pub(crate) async fn send(&mut self, released: Released, wrap: Wrap) -> Result<Disclosure, Gone> {
        let (content, disclosure) = released.masked.into_parts();
        let mut out = Vec::with_capacity(content.len().saturating_add(32));
        match wrap {
            Wrap::Nothing => return self.writes.write(&content).await.map(|()| disclosure),
            Wrap::Message(opcode) => websocket::begin(&mut out, opcode, content.len(), None),
            Wrap::Channel(channel) => {
                websocket::begin(&mut out, Opcode::Binary, content.len().saturating_add(1), None);
                out.push(channel);
            }
            Wrap::Stream { number, is_last, is_within } => {
                if is_within {
                    websocket::begin(&mut out, Opcode::Binary, content.len().saturating_add(8), None);
                }
                spdy::begin_data(&mut out, number, is_last, content.len());
            }
            Wrap::Close(code) => {
                let close = Close::new(code, &String::from_utf8_lossy(&content));
                websocket::write(&mut out, &Message::Close(Some(close)), None);
                return self.writes.write(&out).await.map(|()| disclosure);
            }
        }
        out.extend_from_slice(&content);
        self.writes.write(&out).await.map(|()| disclosure)
    }

    /// Says something without content.
    ///
    /// # Errors
    /// If the caller is gone.
    pub(crate) async fn say(&mut self, bare: Bare) -> Result<(), Gone> {
        let mut out = Vec::new();
        let message = match bare {
            Bare::Ping(number) => Message::Ping(number.to_be_bytes().to_vec()),
            Bare::Pong(content) => Message::Pong(content),
            Bare::Close(code) => Message::Close(Some(Close::new(code, ""))),
            Bare::Frame { frame, is_within } => {
                self.spdy.write(&mut out, &frame.written());
                if !is_within {
                    return self.writes.write(&out).await;
                }
                Message::Binary(std::mem::take(&mut out))
            }
        };
        websocket::write(&mut out, &message, None);
        self.writes.write(&out).await
    }

    /// Nothing more is said.
    pub(crate) async fn close(&mut self) {
        self.writes.close().await;
    }
}

/// The most that a reason is numbered by (SPDY/3.1, section 2.6.3 and 2.6.6).
const MOST_OF_A_RESET: u32 = 11;
const MOST_OF_A_GOAWAY: u32 = 2;

impl Control {
    fn written(self) -> Frame {
        match self {
            Self::Reply { stream, is_last } => Frame::Reply { stream, is_last, fields: Vec::new() },
            Self::Last(stream) => Frame::Data { stream, is_last: true, content: Vec::new() },
            Self::Reset { stream, status } => Frame::Reset { stream, status: status.min(MOST_OF_A_RESET) },
            Self::Ping(id) => Frame::Ping(id),
            Self::GoAway { last, status } => Frame::GoAway { last, status: status.min(MOST_OF_A_GOAWAY) },
        }
    }
}
