//! WebSocket (RFC 6455): messages of both sides, from bytes and to bytes.
//!
//! Extensions are never negotiated here, so every reserved bit and opcode is a violation. A message that came in fragments is
//! one [`Message`]; a control frame that came between them comes out before it. What is read is written anew: a message is one
//! frame again.
//!
//! ```
//! use wire::websocket::{Message, Reader, Side, write};
//!
//! let mut bytes = Vec::new();
//! write(&mut bytes, &Message::Text("hello".into()), Some([1, 2, 3, 4]));
//! let mut reader = Reader::new(Side::Client, 1024);
//! reader.push(&bytes);
//! assert_eq!(reader.message(), Ok(Some(Message::Text("hello".into()))));
//! ```

mod handshake;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;

use model::error::ErrorKind;

pub use handshake::{Handshake, HandshakeError, is_token};
pub use reader::Reader;
pub use writer::{Opcode, begin, write};

/// The longest content of a control frame (section 5.5).
pub const MOST_OF_A_CONTROL: usize = 125;

/// The longest reason of a close: two bytes of a control frame are its code.
pub const MOST_OF_A_REASON: usize = MOST_OF_A_CONTROL - 2;

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The client: its frames are masked.
    Client,
    /// The server: its frames are not.
    Server,
}

/// What one side says.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A question whether the other side is there.
    Ping(Vec<u8>),
    /// The answer to that, or a sign of life.
    Pong(Vec<u8>),
    /// Nothing more follows from this side.
    Close(Option<Close>),
}

/// Why a side closes.
#[derive(Clone, PartialEq, Eq)]
pub struct Close {
    /// A code that may be sent (section 7.4).
    pub code: u16,
    /// For people, up to [`MOST_OF_A_REASON`] bytes.
    pub reason: String,
}

/// Content belongs in no log line.
impl fmt::Debug for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(out, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(out, "Binary({} bytes)", bytes.len()),
            Self::Ping(bytes) => write!(out, "Ping({} bytes)", bytes.len()),
            Self::Pong(bytes) => write!(out, "Pong({} bytes)", bytes.len()),
            Self::Close(close) => write!(out, "Close({close:?})"),
        }
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {} bytes", self.code, self.reason.len())
    }
}

impl Close {
    /// One with this code, the reason cut to what fits.
    pub fn new(code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(MOST_OF_A_REASON);
        while !reason.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        Self { code, reason: reason.get(..end).unwrap_or_default().to_owned() }
    }
}

/// Codes of a close (section 7.4.1).
pub mod code {
    /// All was said.
    pub const NORMAL: u16 = 1000;
    /// A server stops, or nobody said anything for too long.
    pub const GOING_AWAY: u16 = 1001;
    /// The protocol was not kept.
    pub const PROTOCOL: u16 = 1002;
    /// What came cannot be taken for its type.
    pub const UNSUPPORTED: u16 = 1003;
    /// What came is not of its type, as text that is not UTF-8.
    pub const NOT_TEXT: u16 = 1007;
    /// It is not allowed.
    pub const POLICY: u16 = 1008;
    /// A message is too long.
    pub const TOO_LONG: u16 = 1009;
    /// The server failed.
    pub const INTERNAL: u16 = 1011;
}

/// Whether a close may carry this code.
pub const fn is_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A side does not keep the protocol: nothing more of it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Violation {
    /// A reserved bit, without an extension that gives it a meaning.
    #[error("a frame has a reserved bit")]
    Reserved,
    /// An opcode that is reserved.
    #[error("a frame has an unknown opcode")]
    Opcode,
    /// A client's frame without a mask, or a server's with one.
    #[error("a frame is masked as it must not be")]
    Mask,
    /// A length that is not in its shortest form, or larger than one can be.
    #[error("a frame's length is malformed")]
    Length,
    /// A control frame in pieces, or longer than [`MOST_OF_A_CONTROL`].
    #[error("a control frame is fragmented or too long")]
    Control,
    /// A piece of a message that did not begin, or a message inside another.
    #[error("a message's pieces are out of order")]
    Fragment,
    /// A message or what is collected of it is longer than is read.
    #[error("a message is longer than is read")]
    TooLong,
    /// A text, or the reason of a close, is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// A close of one byte, or with a code that may not be sent.
    #[error("a close is malformed")]
    Close,
    /// Something behind a close.
    #[error("something follows a close")]
    AfterClose,
}

impl Violation {
    /// Always the sender's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }

    /// The code that it is closed with.
    pub const fn code(&self) -> u16 {
        match self {
            Self::NotText => code::NOT_TEXT,
            Self::TooLong => code::TOO_LONG,
            _ => code::PROTOCOL,
        }
    }
}
