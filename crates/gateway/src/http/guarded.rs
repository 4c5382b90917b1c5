//! A connection of HTTP/1.1 as the library is let read it: what readers may read differently is answered, and not read
//! (SM-13).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::header::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::http::strict::{Strict, StrictError};

/// The field of the head that stands for one that did not pass. A caller that sends it is refused, and nobody else.
const REFUSED: &str = "sluice-misframed";

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;

/// Lets all pass that comes, once something else than HTTP is spoken on the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Freedom(Arc<AtomicBool>);

impl Freedom {
    /// From here on. To be called before the client is told.
    pub(super) fn grant(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is granted.
    pub(super) fn is_granted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A stream that is looked at as it is read.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    strict: Strict,
    freedom: Freedom,
    piece: Box<[u8]>,
    /// What may be read, and how much of it was.
    passed: Vec<u8>,
    read: usize,
}

impl<S> Guarded<S> {
    /// One whose heads have at most so many bytes.
    pub(super) fn new(stream: S, most_of_a_head: usize, freedom: Freedom) -> Self {
        let (piece, passed) = (vec![0; PIECE].into_boxed_slice(), Vec::new());
        Self { stream, strict: Strict::new(most_of_a_head), freedom, piece, passed, read: 0 }
    }

    /// Gives what may be read, as far as there is room; whether there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let waiting = self.passed.get(self.read..).unwrap_or_default();
        let given = waiting.get(..waiting.len().min(buf.remaining())).unwrap_or_default();
        buf.put_slice(given);
        self.read = self.read.saturating_add(given.len());
        let gave = !given.is_empty();
        if self.read >= self.passed.len() {
            self.passed.clear();
            self.read = 0;
        }
        gave
    }

    /// Takes what was read.
    fn take(&mut self, length: usize) -> io::Result<()> {
        let piece = self.piece.get(..length).unwrap_or_default();
        match self.strict.push(piece, &mut self.passed) {
            Ok(()) => Ok(()),
            Err(error) if self.strict.refused_head() => {
                self.passed.extend_from_slice(&stand_in(error));
                Ok(())
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// A head that the library reads in place of one that did not pass, and that says why.
fn stand_in(error: StrictError) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{REFUSED}: {error}\r\n\r\n").into_bytes()
}

/// Why the head did not pass that this one stands for.
pub(super) fn misframed(fields: &HeaderMap) -> Option<String> {
    fields.get(REFUSED).map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned())
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.freedom.is_granted() {
            // What was held back was no head.
            this.strict.free();
            this.take(0)?;
        }
        while buf.remaining() > 0 && !this.give(buf) {
            let mut piece = ReadBuf::new(&mut this.piece);
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut piece))?;
            let length = piece.filled().len();
            if length == 0 {
                return Poll::Ready(Ok(()));
            }
            this.take(length)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_read_is_what_came_or_stands_for_it() {
        let (mut client, server) = duplex(64);
        let mut guarded = Guarded::new(server, 1024, Freedom::default());
        let good = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let bad = b"GET / HTTP/1.1\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let sending = tokio::spawn(async move {
            client.write_all(good).await.unwrap();
            client.write_all(bad).await.unwrap();
        });
        let mut all = Vec::new();
        guarded.read_to_end(&mut all).await.unwrap();
        sending.await.unwrap();
        let rest = all.strip_prefix(good).unwrap();
        assert_eq!(rest, stand_in(StrictError::LineEnd));
        let mut fields = HeaderMap::new();
        assert_eq!(misframed(&fields), None);
        fields.insert(REFUSED, "why".parse().unwrap());
        assert_eq!(misframed(&fields).as_deref(), Some("why"));
    }

    #[tokio::test]
    async fn a_body_that_is_not_framed_breaks_off_and_freedom_lets_all_pass() {
        let (mut client, server) = duplex(1024);
        let mut guarded = Guarded::new(server, 1024, Freedom::default());
        client.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc").await.unwrap();
        let mut all = Vec::new();
        let error = loop {
            let mut piece = [0; 8];
            match guarded.read(&mut piece).await {
                Ok(length) => all.extend_from_slice(&piece[..length]),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let (mut client, server) = duplex(1024);
        let freedom = Freedom::default();
        let mut guarded = Guarded::new(server, 1024, freedom.clone());
        freedom.grant();
        client.write_all(b"\x81\n\0").await.unwrap();
        drop(client);
        let mut all = Vec::new();
        guarded.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"\x81\n\0");
    }
}
