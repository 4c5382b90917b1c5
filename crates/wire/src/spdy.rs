//! SPDY/3.1 frames (chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1), as far as Kubernetes speaks it: streams inside
//! one connection, each opened with a few fields.
//!
//! Fields are compressed by one zlib stream for each direction, so that whoever reads one frame has to have read all before
//! it ([`Reader`]), and whoever passes frames on writes the fields anew ([`Writer`]). Flow control is not spoken: the library
//! that Kubernetes uses at both ends has none, and what is said of it is read and left out.

mod fields;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;

use model::error::ErrorKind;

pub use reader::Reader;
pub use writer::{Writer, begin_data};

/// The most bytes of a frame's content.
pub const MOST_OF_A_FRAME: usize = 1024 * 1024;
/// The most fields of one frame, and the most bytes of all of them.
pub const MOST_FIELDS: usize = 64;
/// See [`MOST_FIELDS`].
pub const MOST_OF_FIELDS: usize = 16 * 1024;

/// A field: its name in lower case, and its value.
pub type Field = (Box<str>, Box<str>);

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// A stream is opened (`SYN_STREAM`).
    Open {
        /// Which.
        stream: u32,
        /// Whether nothing follows from this side.
        is_last: bool,
        /// What is said of it.
        fields: Vec<Field>,
    },
    /// The other side takes it (`SYN_REPLY`).
    Reply {
        /// Which.
        stream: u32,
        /// Whether nothing follows from this side.
        is_last: bool,
        /// What is said of it.
        fields: Vec<Field>,
    },
    /// More fields of a stream (`HEADERS`).
    Fields {
        /// Which.
        stream: u32,
        /// Whether nothing follows from this side.
        is_last: bool,
        /// What is said of it.
        fields: Vec<Field>,
    },
    /// A stream ends at once (`RST_STREAM`).
    Reset {
        /// Which.
        stream: u32,
        /// Why.
        status: u32,
    },
    /// A question whether the other side is there, or the answer to one.
    Ping(u32),
    /// No more streams are taken (`GOAWAY`).
    GoAway {
        /// The last that was.
        last: u32,
        /// Why.
        status: u32,
    },
    /// Settings or windows, which are left out.
    Ignored,
    /// Content of a stream.
    Data {
        /// Which.
        stream: u32,
        /// Whether nothing follows from this side.
        is_last: bool,
        /// The content.
        content: Vec<u8>,
    },
}

/// Content and the values of fields belong in no log line.
impl fmt::Debug for Frame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { stream, is_last, fields } => write!(out, "Open({stream}, {is_last}, {} fields)", fields.len()),
            Self::Reply { stream, is_last, fields } => write!(out, "Reply({stream}, {is_last}, {})", fields.len()),
            Self::Fields { stream, is_last, fields } => write!(out, "Fields({stream}, {is_last}, {})", fields.len()),
            Self::Reset { stream, status } => write!(out, "Reset({stream}, {status})"),
            Self::Ping(id) => write!(out, "Ping({id})"),
            Self::GoAway { last, status } => write!(out, "GoAway({last}, {status})"),
            Self::Ignored => write!(out, "Ignored"),
            Self::Data { stream, is_last, content } => {
                write!(out, "Data({stream}, {is_last}, {} bytes)", content.len())
            }
        }
    }
}

/// Reasons of a reset (section 2.6.3).
pub mod reset {
    /// The stream is not known, or the frame does not fit it.
    pub const PROTOCOL_ERROR: u32 = 1;
    /// The stream is not taken.
    pub const REFUSED_STREAM: u32 = 3;
    /// The stream is given up.
    pub const CANCEL: u32 = 5;
}

/// A side does not keep the protocol: nothing more of it is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Violation {
    /// Another version than 3.
    #[error("a frame is of another version")]
    Version,
    /// A type that is not defined, or that nobody sends.
    #[error("a frame is of an unknown type")]
    Type,
    /// Flags that are not defined.
    #[error("a frame has unknown flags")]
    Flags,
    /// A length that does not fit its type.
    #[error("a frame's length is malformed")]
    Length,
    /// Content of more than [`MOST_OF_A_FRAME`].
    #[error("a frame is longer than is read")]
    TooLong,
    /// The stream's number is zero or has a bit that is reserved.
    #[error("a frame names no stream")]
    Stream,
    /// Fields that cannot be decompressed, or are not what they have to be.
    #[error("the fields of a frame are malformed")]
    Fields,
    /// More fields than are read.
    #[error("a frame has more fields than are read")]
    TooManyFields,
}

impl Violation {
    /// Always the sender's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }
}
