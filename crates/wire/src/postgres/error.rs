//! What can be wrong with bytes. No error carries content: numbers, tags and names of fields only.

use model::error::ErrorKind;

use super::frame::{BackendTag, FrontendTag};

pub use crate::sender::Sender;

/// `protocol_violation`.
pub const PROTOCOL_VIOLATION: &str = "08P01";
/// `program_limit_exceeded`.
pub const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
/// `feature_not_supported`.
pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
/// `character_not_in_repertoire`.
pub const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";

/// Another protocol, recognised by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Foreign {
    /// An HTTP request, or the HTTP/2 preface.
    Http,
    /// An SSH banner.
    Ssh,
    /// A PROXY protocol header, version 1 or 2.
    Proxy,
    /// A TLS `ClientHello` where none may be: inside TLS, or after an SSLRequest was refused.
    Tls,
}

/// The first packet of a connection is refused. The connection closes; there is nothing to resynchronise on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartupError {
    /// Another protocol.
    #[error("this port speaks PostgreSQL, not {}", match .0 {
        Foreign::Http => "HTTP",
        Foreign::Ssh => "SSH",
        Foreign::Proxy => "the PROXY protocol",
        Foreign::Tls => "TLS inside this connection",
    })]
    Foreign(Foreign),
    /// The declared length is outside what PostgreSQL allows (8 to 10,004 bytes).
    #[error("invalid length of startup packet: {0} bytes")]
    Length(u32),
    /// A major version other than 3.
    #[error("unsupported frontend protocol {major}.{minor}: Sluice supports 3.0 to 3.2")]
    Version {
        /// Major number.
        major: u16,
        /// Minor number.
        minor: u16,
    },
    /// A second SSLRequest or GSSENCRequest, or one inside TLS.
    #[error("encryption was asked for twice")]
    Repeated,
    /// Bytes behind an SSLRequest or GSSENCRequest that came before the answer to it (CVE-2021-23214).
    #[error("unencrypted data behind an encryption request")]
    DataBehindRequest,
    /// Not a list of NUL-terminated names and values with a NUL at its end.
    #[error("invalid layout of startup packet")]
    Layout,
    /// A name or value is not UTF-8.
    #[error("startup parameters have to be UTF-8")]
    NotUtf8,
    /// A name occurs twice.
    #[error("a startup parameter occurs twice")]
    Duplicate,
}

impl StartupError {
    /// The SQLSTATE that a client is told.
    pub const fn sqlstate(&self) -> &'static str {
        match self {
            Self::Version { .. } => FEATURE_NOT_SUPPORTED,
            Self::NotUtf8 => CHARACTER_NOT_IN_REPERTOIRE,
            Self::Foreign(_) | Self::Length(_) | Self::Repeated => PROTOCOL_VIOLATION,
            Self::DataBehindRequest | Self::Layout | Self::Duplicate => PROTOCOL_VIOLATION,
        }
    }

    /// Whether an ErrorResponse may be written before closing: never to another protocol, which could take it for an
    /// answer, nor in front of an encryption request.
    pub const fn may_answer(&self) -> bool {
        match self {
            Self::Foreign(_) | Self::Length(_) | Self::DataBehindRequest => false,
            Self::Version { .. } | Self::Repeated | Self::Layout | Self::NotUtf8 | Self::Duplicate => true,
        }
    }

    /// Always the client's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }
}

/// The header of a frame is refused. The connection closes: where the next message begins is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// No message has this tag.
    #[error("invalid message type {0:#04x}")]
    UnknownTag(u8),
    /// The message exists but not in this phase.
    #[error("message type {0:#04x} is not allowed here")]
    WrongPhase(u8),
    /// The length word does not even count itself.
    #[error("invalid message length {0}")]
    Length(i32),
    /// Longer than the bound for this type.
    #[error("message {tag:#04x} of {body} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Its tag.
        tag: u8,
        /// The declared length of its body.
        body: u32,
        /// The bound.
        limit: u32,
    },
    /// A Query or Parse longer than the bound for statements.
    #[error("statement of {body} bytes exceeds the limit of {limit} bytes")]
    StatementTooLarge {
        /// The declared length of its body.
        body: u32,
        /// The bound.
        limit: u32,
    },
}

impl FrameError {
    /// The SQLSTATE that a client is told when it was the sender.
    pub const fn sqlstate(&self) -> &'static str {
        match self {
            Self::StatementTooLarge { .. } => PROGRAM_LIMIT_EXCEEDED,
            Self::UnknownTag(_) | Self::WrongPhase(_) | Self::Length(_) | Self::TooLarge { .. } => PROTOCOL_VIOLATION,
        }
    }

    /// Whose doing it is.
    pub const fn kind(&self, sender: Sender) -> ErrorKind {
        match self {
            Self::StatementTooLarge { .. } | Self::TooLarge { .. } => ErrorKind::Limit,
            Self::UnknownTag(_) | Self::WrongPhase(_) | Self::Length(_) => sender.error_kind(),
        }
    }
}

/// The body of a frame is not what its tag says. The connection closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// It ends within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// Bytes are left after the last field: also what an embedded NUL in a string comes to.
    #[error("{0} bytes are left after the last field of the message")]
    Trailing(usize),
    /// A length is negative and not the -1 of NULL.
    #[error("invalid length {0} of a value")]
    ValueLength(i32),
    /// A format code other than 0 (text) and 1 (binary).
    #[error("invalid format code {0}")]
    Format(i16),
    /// There are neither no, nor one, nor as many format codes as values.
    #[error("{formats} format codes for {values} values")]
    FormatCount {
        /// Number of codes.
        formats: u16,
        /// Number of values.
        values: u16,
    },
    /// A code that the protocol does not know.
    #[error("invalid {field} {value}")]
    Code {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// A method of authentication that Sluice does not speak (Kerberos, GSSAPI, SSPI, SCM).
    #[error("unsupported authentication request {0}")]
    UnsupportedAuthentication(i32),
    /// Text that has to be UTF-8 is not.
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    NotUtf8,
}

impl MessageError {
    /// The SQLSTATE that a client is told when it was the sender.
    pub const fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotUtf8 => CHARACTER_NOT_IN_REPERTOIRE,
            Self::UnsupportedAuthentication(_) => FEATURE_NOT_SUPPORTED,
            Self::Truncated | Self::Trailing(_) | Self::ValueLength(_) => PROTOCOL_VIOLATION,
            Self::Format(_) | Self::FormatCount { .. } | Self::Code { .. } => PROTOCOL_VIOLATION,
        }
    }

    /// Whose doing it is.
    pub const fn kind(&self, sender: Sender) -> ErrorKind {
        sender.error_kind()
    }
}

/// A message cannot be written. Nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// It would be longer than PostgreSQL accepts.
    #[error("a message of {0} bytes exceeds what the protocol allows")]
    TooLarge(usize),
    /// More elements than the count field can say.
    #[error("{0} elements exceed what the protocol allows")]
    TooMany(usize),
    /// A NUL inside a string would end it early.
    #[error("a string has a NUL byte in it")]
    EmbeddedNul,
    /// A report field whose code is NUL, which would end the report early.
    #[error("a report field has no code")]
    ReportCode,
}

impl EncodeError {
    /// A bound was reached, or Sluice tried to write what cannot be written.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge(_) | Self::TooMany(_) => ErrorKind::Limit,
            Self::EmbeddedNul | Self::ReportCode => ErrorKind::Internal,
        }
    }
}

/// The target sent what it may not send now. Its connection is destroyed: which request a reply belongs to is no longer
/// known (SM-07).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// A message that answers a request, and nothing is owed.
    #[error("the target sent {0:?} though nothing was asked")]
    Unsolicited(BackendTag),
    /// The oldest request cannot be answered with this message at this point.
    #[error("the target answered {request:?} with {reply:?}")]
    OutOfPlace {
        /// What was asked.
        request: FrontendTag,
        /// What came.
        reply: BackendTag,
    },
    /// A message of the start-up phase in a session.
    #[error("the target sent {0:?} after start-up")]
    AfterStartup(BackendTag),
    /// CopyBothResponse: only replication uses it, which Sluice refuses.
    #[error("the target began replication")]
    Replication,
    /// Anything after a FATAL error.
    #[error("the target sent {0:?} after a fatal error")]
    AfterFatal(BackendTag),
}

impl Violation {
    /// Always the target's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Target
    }
}
