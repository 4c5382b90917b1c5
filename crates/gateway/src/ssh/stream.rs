//! A connection that can be cut off, whatever the library does with it, and that takes only so much before a login.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How many bytes a client may send before it has logged in: a few key exchanges, and a dozen tokens.
const BEFORE_LOGIN: usize = 512 * 1024;

/// How much may still be read; without end once somebody has logged in.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// That of a client that has not logged in.
    pub(super) fn before_login() -> Self {
        Self(Arc::new(AtomicUsize::new(BEFORE_LOGIN)))
    }

    fn endless() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// Somebody has logged in.
    pub(super) fn lift(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn took(&self, count: usize) {
        let spent = |left: usize| (left != usize::MAX).then(|| left.saturating_sub(count));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }
}

/// A connection that ends at a word.
pub(super) struct Severable {
    tcp: TcpStream,
    severed: Pin<Box<WaitForCancellationFutureOwned>>,
    budget: Budget,
}

impl Severable {
    /// Ends when `sever` is cancelled.
    pub(super) fn new(tcp: TcpStream, sever: CancellationToken) -> Self {
        Self::within(tcp, sever, Budget::endless())
    }

    /// Likewise, and reads nothing more once the budget is spent: at most one read more than there is in it.
    pub(super) fn within(tcp: TcpStream, sever: CancellationToken, budget: Budget) -> Self {
        Self { tcp, severed: Box::pin(sever.cancelled_owned()), budget }
    }

    fn poll_severed(&mut self, cx: &mut Context<'_>) -> Result<(), io::Error> {
        match self.severed.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Severable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_severed(cx)?;
        if self.budget.is_spent() {
            return Poll::Ready(Err(io::Error::other("more than a login takes was sent before one")));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.budget.took(buf.filled().len().saturating_sub(before));
        read
    }
}

impl AsyncWrite for Severable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_severed(cx)?;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
