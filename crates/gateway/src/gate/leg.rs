//! One side of a session: a stream with its bytes in and its bytes out.
//!
//! A session owns two legs and never blocks on one while the other could move: [`Leg::poll_io`] writes what waits and
//! reads what came, so that a pipelining client and a target with a full buffer cannot wait for each other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// How much room there is for what one read brings in, at least.
pub(in crate::gate) const READ_CHUNK: usize = 16 * 1024;

/// And as long as reads fill the room that they have.
const READ_MOST: usize = 128 * 1024;

/// How much is read of a peer whose message was refused by its length.
const LINGER: usize = 16 * 1024 * 1024;

/// Past this many bytes waiting to go out, the other side is not read any more.
pub(crate) const HIGH_WATER: usize = 256 * 1024;

/// A connection in clear or inside TLS, of either side.
pub(crate) enum Stream {
    /// In clear.
    Plain(TcpStream),
    /// TLS, Sluice being the server.
    Server(Box<tokio_rustls::server::TlsStream<Early>>),
    /// TLS, Sluice being the client.
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A connection of which some bytes were read already: the ClientHello of a direct TLS connection.
pub(crate) struct Early {
    tcp: TcpStream,
    pub(in crate::gate) early: BytesMut,
}

impl Early {
    /// A connection, and the bytes that come first. The buffer goes once it is empty: it would stay as long as the session.
    pub(crate) fn new(tcp: TcpStream, early: BytesMut) -> Self {
        Self { tcp, early: if early.is_empty() { BytesMut::new() } else { early } }
    }
}

impl AsyncRead for Early {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.split_to(count));
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Early {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Stream {
    /// Whether anything came on the connection since a read found nothing.
    fn poll_came(&self, cx: &mut Context<'_>) -> Poll<()> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Server(stream) => &stream.get_ref().0.tcp,
            Self::Client(stream) => stream.get_ref().0,
        };
        // What is wrong with it, the read says that follows.
        tcp.poll_read_ready(cx).map(drop)
    }
}

macro_rules! on_stream {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => $body,
            Stream::Server($stream) => $body,
            Stream::Client($stream) => $body,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// What a leg did when it was polled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Bytes came in.
    Read,
    /// The peer closed its side.
    Closed,
}

/// A stream, what was read from it and not yet taken, and what waits to be written to it.
pub(crate) struct Leg {
    pub(in crate::gate) stream: Stream,
    /// Bytes read and not yet taken.
    pub(crate) inbox: BytesMut,
    pub(in crate::gate) outbox: BytesMut,
    unflushed: bool,
    chunk: usize,
    /// Whether the last read found nothing.
    drained: bool,
    /// Whether there is no room to read into before something comes: inbox and stream are empty.
    resting: bool,
}

impl Leg {
    /// Wraps a stream; `early` are bytes that were already read from it.
    pub(crate) fn new(stream: Stream, early: BytesMut) -> Self {
        let outbox = BytesMut::new();
        Self { stream, inbox: early, outbox, unflushed: false, chunk: READ_CHUNK, drained: false, resting: false }
    }

    /// Bytes that wait to be written.
    pub(crate) fn backlog(&self) -> usize {
        self.outbox.len()
    }

    /// Puts bytes in the queue. Only this module calls it, with the proofs in hand.
    pub(in crate::gate) fn enqueue(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    /// Writes what can be written and, if `read`, reads what has come. Ready when bytes came in or the peer closed.
    pub(crate) fn poll_io(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<io::Result<Moved>> {
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        if !read {
            return Poll::Pending;
        }
        self.poll_read(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Moved>> {
        if self.resting && self.stream.poll_came(cx).is_pending() {
            return Poll::Pending;
        }
        self.inbox.reserve(self.chunk);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.inbox);
        self.drained = read.is_pending();
        match read {
            Poll::Pending => {
                if self.resting {
                    // A part of a TLS record came, or nothing after all.
                    self.inbox = BytesMut::new();
                }
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Moved::Closed)),
            Poll::Ready(Ok(count)) => {
                self.resting = false;
                let most = if count >= self.chunk { self.chunk.saturating_mul(2) } else { self.chunk / 2 };
                self.chunk = most.clamp(READ_CHUNK, READ_MOST);
                Poll::Ready(Ok(Moved::Read))
            }
        }
    }

    /// Gives back the buffers that are empty. The next read has one again when something has come.
    pub(crate) fn rest(&mut self) {
        if self.outbox.is_empty() {
            self.outbox = BytesMut::new();
        }
        // What TLS has in clear already, no event on the connection tells of.
        if self.inbox.is_empty() && self.drained {
            self.inbox = BytesMut::new();
            self.chunk = READ_CHUNK;
            self.resting = true;
        }
    }

    /// Writes and flushes what waits; ready when nothing waits any more.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.outbox) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.outbox.advance(written),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => self.unflushed = false,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything that waits. Cancel safe: what was not written stays queued.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_drain(cx)).await
    }

    /// Waits for more bytes from the peer, writing what waits meanwhile. Cancel safe.
    pub(crate) async fn read_more(&mut self) -> io::Result<Moved> {
        std::future::poll_fn(|cx| self.poll_io(cx, true)).await
    }

    /// Writes everything that waits and closes this side.
    pub(crate) async fn close(&mut self) {
        let _ = self.drain().await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
    }

    /// Reads on and throws away what the peer was still sending when its side was closed: a close with something unread is
    /// a reset, which can take our last words with it. Whoever calls bounds the time.
    pub(crate) async fn linger(&mut self) {
        let mut left = LINGER;
        while left > 0 {
            self.inbox.clear();
            match self.read_more().await {
                Ok(Moved::Read) => left = left.saturating_sub(self.inbox.len()),
                Ok(Moved::Closed) | Err(_) => return,
            }
        }
    }

    /// The connection in clear and what was read of it, when nothing waits to be written: for the step to TLS.
    pub(crate) fn into_plain(self) -> Option<(TcpStream, BytesMut)> {
        match self.stream {
            Stream::Plain(tcp) if self.outbox.is_empty() => Some((tcp, self.inbox)),
            Stream::Plain(_) | Stream::Server(_) | Stream::Client(_) => None,
        }
    }
}
