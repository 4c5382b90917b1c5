//! What can be wrong with SFTP. No error carries content: numbers and names of fields only.

use model::error::ErrorKind;

use super::response::StatusCode;
use crate::sender::Sender;

/// The length of a packet is refused. The channel closes: where the next packet begins is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// A packet without even its type.
    #[error("an SFTP packet has no content")]
    Empty,
    /// Longer than the bound.
    #[error("an SFTP packet of {length} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The declared length, without the length word.
        length: u32,
        /// The bound.
        limit: u32,
    },
}

impl FrameError {
    /// Whose doing it is.
    pub const fn kind(&self, sender: Sender) -> ErrorKind {
        match self {
            Self::Empty => sender.error_kind(),
            Self::TooLarge { .. } => ErrorKind::Limit,
        }
    }
}

/// A packet is not what its type says, or has no type that may come from this side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    /// No packet of version 3 that this side may send has this type.
    #[error("unknown SFTP packet type {0}")]
    Type(u8),
    /// It ends within a field.
    #[error("the SFTP packet ends within a field")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("{0} bytes are left after the last field of the SFTP packet")]
    Trailing(usize),
    /// A NUL in a path, a name or a text: some peers would end it there.
    #[error("{0} has a NUL byte in it")]
    EmbeddedNul(&'static str),
    /// A handle of more than 256 bytes (section 6.2).
    #[error("a handle of {0} bytes exceeds the 256 that the protocol allows")]
    HandleTooLong(usize),
    /// Flags that version 3 does not know: they decide which fields follow, or what an open does.
    #[error("unknown {field} {bits:#x}")]
    Flags {
        /// Which field.
        field: &'static str,
        /// The unknown ones.
        bits: u32,
    },
    /// A name occurs twice in a list.
    #[error("{0} occurs twice")]
    Duplicate(&'static str),
    /// A list of 32-bit numbers whose length is no multiple of four.
    #[error("a list of numbers has {0} bytes")]
    Numbers(usize),
    /// A version that cannot be spoken: below 3 from a client, other than 3 from a target.
    #[error("unsupported SFTP version {0}")]
    Version(u32),
}

impl PacketError {
    /// What a client is told when it was the sender and the packet had an id ([`super::Packet::id`]).
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Type(_) => StatusCode::OperationUnsupported,
            Self::Truncated | Self::Trailing(_) | Self::EmbeddedNul(_) | Self::HandleTooLong(_) => {
                StatusCode::BadMessage
            }
            Self::Flags { .. } | Self::Duplicate(_) | Self::Numbers(_) | Self::Version(_) => StatusCode::BadMessage,
        }
    }

    /// Whose doing it is.
    pub const fn kind(&self, sender: Sender) -> ErrorKind {
        sender.error_kind()
    }
}

/// A packet cannot be written. Nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// It would be longer than any peer accepts ([`super::frame::MAX_LENGTH`]).
    #[error("an SFTP packet of {0} bytes exceeds what peers accept")]
    TooLarge(usize),
    /// More elements than a count can say.
    #[error("{0} elements exceed what the protocol allows")]
    TooMany(usize),
}

impl EncodeError {
    /// A bound was reached.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Limit
    }
}
