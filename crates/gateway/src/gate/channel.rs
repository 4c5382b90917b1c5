//! The ways out of a session that has channels (RFC 4254): the library that speaks the protocol is reached from here alone.

use std::net::IpAddr;

use bytes::Bytes;
use ledger::Receipt;
use model::disclosure::Disclosure;
use policy::{Permit, ProtocolAct};
use russh::{ChannelReadHalf, ChannelWriteHalf, Disconnect, Sig, client, server};

use super::{GateError, PermitKind, Released, check};

/// The code of standard error among extended data (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// Why something did not go out on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Gone {
    /// The proofs do not fit.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The peer, or the channel, is not there any more.
    #[error("the channel is closed")]
    Closed,
    /// The target does not open the channel.
    #[error("the target opens no such channel")]
    NotOpened,
}

/// A terminal's size, in characters and in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// What goes to the target's end of a channel.
#[derive(Debug)]
pub(crate) enum ToTarget {
    /// A line to run.
    Exec(Vec<u8>),
    /// A shell.
    Shell,
    /// A subsystem.
    Subsystem(String),
    /// A terminal, before it is used.
    Terminal { name: String, size: Size, modes: Vec<(russh::Pty, u32)> },
    /// An environment variable.
    Environment { name: String, value: String },
    /// That the agent of the caller may be asked from there.
    Agent,
    /// What the caller wrote.
    Data(Bytes),
    /// The caller's terminal has another size.
    Size(Size),
    /// A signal for what runs.
    Signal(Sig),
    /// The caller writes nothing more.
    Eof,
    /// The channel is closed.
    Close,
}

impl ToTarget {
    /// Whether it carries nothing that the caller wrote, so that it needs no request of its own.
    const fn is_bare(&self) -> bool {
        matches!(self, Self::Eof | Self::Close)
    }
}

/// What a connection is opened to, beyond the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// An address and port, as the target reaches it; and whose connection it is.
    Tcp { address: IpAddr, port: u32, originator: (IpAddr, u32) },
    /// A socket of the target's file system.
    Socket(String),
}

/// A connection that is logged in at a target.
pub(crate) struct TargetConnection<H: client::Handler>(client::Handle<H>);

impl<H: client::Handler> TargetConnection<H> {
    /// Takes one that has logged in with the target's own credential.
    pub(crate) const fn new(handle: client::Handle<H>) -> Self {
        Self(handle)
    }

    /// Whether it has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Opens a session channel, on which nothing runs yet.
    pub(crate) async fn open_session(&self, permit: Permit, receipt: &Receipt) -> Result<TargetChannel, Gone> {
        check(&permit, receipt)?;
        if permit.kind() != PermitKind::Protocol(ProtocolAct::StartUp) {
            return Err(GateError::Mismatch.into());
        }
        opened(self.0.channel_open_session().await)
    }

    /// Opens a connection from the target onward.
    pub(crate) async fn open_onward(&self, permit: Permit, receipt: &Receipt, to: Way) -> Result<TargetChannel, Gone> {
        is_request(&permit, receipt)?;
        opened(match to {
            Way::Tcp { address, port, originator: (from, from_port) } => {
                let (address, from) = (address.to_string(), from.to_string());
                self.0.channel_open_direct_tcpip(address, port, from, from_port).await
            }
            Way::Socket(path) => self.0.channel_open_direct_streamlocal(path).await,
        })
    }

    /// Has the target listen at an address; the port that it chose where 0 was asked for.
    pub(crate) async fn listen(
        &self,
        permit: Permit,
        receipt: &Receipt,
        address: &str,
        port: u32,
    ) -> Result<u32, Gone> {
        is_request(&permit, receipt)?;
        self.0.tcpip_forward(address, port).await.map_err(|_| Gone::NotOpened)
    }

    /// Has the target listen at a socket of its file system.
    pub(crate) async fn listen_at(&self, permit: Permit, receipt: &Receipt, path: &str) -> Result<(), Gone> {
        is_request(&permit, receipt)?;
        self.0.streamlocal_forward(path).await.map_err(|_| Gone::NotOpened)
    }

    /// Has it listen no more.
    pub(crate) async fn listen_no_more(&self, address: &str, port: u32) -> Result<(), Gone> {
        self.0.cancel_tcpip_forward(address, port).await.map_err(|_| Gone::Closed)
    }

    /// Has it listen no more at a socket.
    pub(crate) async fn listen_no_more_at(&self, path: &str) -> Result<(), Gone> {
        self.0.cancel_streamlocal_forward(path).await.map_err(|_| Gone::Closed)
    }

    /// Says goodbye.
    pub(crate) async fn close(&self) {
        let _ = self.0.disconnect(Disconnect::ByApplication, "", "").await;
    }
}

/// Whether the proofs let something of a caller's go out.
pub(super) fn is_request(permit: &Permit, receipt: &Receipt) -> Result<(), GateError> {
    check(permit, receipt)?;
    match permit.kind() {
        PermitKind::Request | PermitKind::Continuation => Ok(()),
        PermitKind::Preparation | PermitKind::Protocol(_) | PermitKind::Own(_) => Err(GateError::Mismatch),
    }
}

fn opened(channel: Result<russh::Channel<client::Msg>, russh::Error>) -> Result<TargetChannel, Gone> {
    match channel {
        Ok(channel) => Ok(TargetChannel::new(channel.split())),
        Err(russh::Error::ChannelOpenFailure(_)) => Err(Gone::NotOpened),
        Err(_) => Err(Gone::Closed),
    }
}

/// The target's end of a channel.
#[derive(Debug)]
pub(crate) struct TargetChannel(ChannelWriteHalf<client::Msg>);

impl TargetChannel {
    /// Takes a channel that is open. What comes on it is taken where the library calls back; its own queue would keep the
    /// whole connection waiting.
    pub(crate) fn new((read, write): (ChannelReadHalf, ChannelWriteHalf<client::Msg>)) -> Self {
        drop(read);
        Self(write)
    }

    /// Which of its connection's channels it is.
    pub(crate) fn id(&self) -> russh::ChannelId {
        self.0.id()
    }

    /// Sends to the target: the only function that does. Waits for room in the target's window.
    ///
    /// # Errors
    /// If the proofs are not about this, or the channel is gone.
    pub(crate) async fn send(&self, permit: Permit, receipt: &Receipt, what: ToTarget) -> Result<(), Gone> {
        check(&permit, receipt)?;
        if matches!(permit.kind(), PermitKind::Protocol(_)) && !what.is_bare() {
            return Err(GateError::Mismatch.into());
        }
        let channel = &self.0;
        let sent = match what {
            ToTarget::Exec(line) => channel.exec(true, line).await,
            ToTarget::Shell => channel.request_shell(true).await,
            ToTarget::Subsystem(name) => channel.request_subsystem(true, name).await,
            ToTarget::Terminal { name, size, modes } => {
                let Size { columns, rows, width, height } = size;
                channel.request_pty(false, &name, columns, rows, width, height, &modes).await
            }
            ToTarget::Environment { name, value } => channel.set_env(false, name, value).await,
            ToTarget::Agent => channel.agent_forward(false).await,
            ToTarget::Data(bytes) => channel.data_bytes(bytes).await,
            ToTarget::Size(Size { columns, rows, width, height }) => {
                channel.window_change(columns, rows, width, height).await
            }
            ToTarget::Signal(signal) => channel.signal(signal).await,
            ToTarget::Eof => channel.eof().await,
            ToTarget::Close => channel.close().await,
        };
        sent.map_err(|_| Gone::Closed)
    }
}

/// What of a channel something is shown on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Standard output, or the terminal.
    Output,
    /// Standard error.
    Error,
}

/// The client's end of a channel.
#[derive(Debug)]
pub(crate) struct ClientChannel(ChannelWriteHalf<server::Msg>);

impl ClientChannel {
    /// Takes a channel that was accepted. What comes on it is taken where the library calls back.
    pub(crate) fn new((read, write): (ChannelReadHalf, ChannelWriteHalf<server::Msg>)) -> Self {
        drop(read);
        Self(write)
    }

    /// Takes a channel that Sluice opened at the client, with what it reads: the library does not call back before somebody can
    /// know its number.
    pub(crate) fn with_reader(
        (read, write): (ChannelReadHalf, ChannelWriteHalf<server::Msg>),
    ) -> (Self, ChannelReadHalf) {
        (Self(write), read)
    }

    /// Which of its connection's channels it is.
    pub(crate) fn id(&self) -> russh::ChannelId {
        self.0.id()
    }

    /// Sends to the client: the only function that does. Waits for room in the client's window. Returns what it discloses.
    pub(crate) async fn send(&self, released: Released, lane: Lane) -> Result<Disclosure, Gone> {
        let (bytes, disclosure) = released.masked.into_parts();
        let sent = match lane {
            Lane::Output => self.0.data_bytes(bytes).await,
            Lane::Error => self.0.extended_data_bytes(STDERR, bytes).await,
        };
        sent.map(|()| disclosure).map_err(|_| Gone::Closed)
    }

    /// How what ran ended.
    pub(crate) async fn exit(&self, status: u32) {
        let _ = self.0.exit_status(status).await;
    }

    /// Nothing more is shown.
    pub(crate) async fn eof(&self) {
        let _ = self.0.eof().await;
    }

    /// The channel is closed.
    pub(crate) async fn close(&self) {
        let _ = self.0.close().await;
    }
}
