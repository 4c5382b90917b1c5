//! The way to a target that a caller is connected to by `CONNECT`, so that nobody sees what passes.

use ledger::Receipt;
use policy::Permit;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::channel::is_request;
use super::{GateError, Gone};

/// What a target says, to be read.
pub(crate) type TunnelReads = OwnedReadHalf;

/// The target's end of a tunnel.
pub(crate) struct TargetTunnel(OwnedWriteHalf);

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    /// The proofs do not fit.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The target does not take the connection.
    #[error("cannot connect: {0}")]
    Io(#[from] std::io::Error),
}

impl TargetTunnel {
    /// Connects to a target: the only function by which a tunnel begins.
    ///
    /// # Errors
    /// If the proofs are not about a request, or the target does not take the connection.
    pub(crate) async fn open(
        permit: Permit,
        receipt: &Receipt,
        place: (&str, u16),
    ) -> Result<(TunnelReads, Self), NotOpened> {
        is_request(&permit, receipt)?;
        let stream = TcpStream::connect(place).await?;
        stream.set_nodelay(true)?;
        let (reads, writes) = stream.into_split();
        Ok((reads, Self(writes)))
    }

    /// Sends to the target: the only function that does.
    ///
    /// # Errors
    /// If the proofs are not about a request, or the target is gone.
    pub(crate) async fn send(&mut self, permit: Permit, receipt: &Receipt, bytes: &[u8]) -> Result<(), Gone> {
        is_request(&permit, receipt)?;
        self.0.write_all(bytes).await.map_err(|_| Gone::Closed)
    }

    /// Nothing more is sent.
    pub(crate) async fn close(&mut self) {
        let _ = self.0.shutdown().await;
    }
}
