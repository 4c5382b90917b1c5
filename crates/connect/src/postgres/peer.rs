//! One side of a connection while it is set up: a stream, and what came but was not taken yet.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much may wait: the largest message of a login is a token of 64 KiB.
const MOST: usize = 128 << 10;

pub(super) struct Peer<S> {
    pub(super) stream: S,
    pub(super) inbox: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, inbox: BytesMut::new() }
    }

    /// Reads what comes next. Cancel safe.
    pub(super) async fn read_more(&mut self) -> io::Result<()> {
        if self.inbox.len() >= MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
        }
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    pub(super) fn taken(&mut self, length: usize) {
        self.inbox.advance(length);
    }
}
