//! Where a tagged message ends, decided from its first five bytes.
//!
//! A declared length is refused or believed before a byte of the body is read, so that nothing is ever allocated in
//! proportion to a mere declaration (RX-03), and a body that is larger than the caller's buffer can be streamed.

use super::error::FrameError;

/// Tag and length word.
pub const HEADER: usize = 5;

/// The longest message that PostgreSQL accepts, its length word included (`PQ_LARGE_MESSAGE_LIMIT`, pqformat.h).
pub const MAX_LENGTH: u32 = 0x3fff_fffe;

/// The longest body of messages that hold a name or two (`PQ_SMALL_MESSAGE_LIMIT`, libpq.h).
const MAX_SMALL: u32 = 10_000;

/// Declares an enum of tags with its byte on the wire, both ways, from one list.
macro_rules! tags {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $byte:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every tag.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The byte on the wire.
            pub const fn byte(self) -> u8 {
                match self { $(Self::$variant => $byte,)+ }
            }

            /// The tag of this byte, if there is one.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

tags! {
    /// What a client may send.
    FrontendTag {
        /// Bind.
        Bind = b'B',
        /// Close.
        Close = b'C',
        /// CopyData.
        CopyData = b'd',
        /// CopyDone.
        CopyDone = b'c',
        /// CopyFail.
        CopyFail = b'f',
        /// Describe.
        Describe = b'D',
        /// Execute.
        Execute = b'E',
        /// Flush.
        Flush = b'H',
        /// FunctionCall.
        FunctionCall = b'F',
        /// Parse.
        Parse = b'P',
        /// PasswordMessage, SASLInitialResponse and SASLResponse, which share a tag.
        Password = b'p',
        /// Query.
        Query = b'Q',
        /// Sync.
        Sync = b'S',
        /// Terminate.
        Terminate = b'X',
    }
}

tags! {
    /// What a server may send.
    BackendTag {
        /// Every Authentication message.
        Authentication = b'R',
        /// BackendKeyData.
        BackendKeyData = b'K',
        /// BindComplete.
        BindComplete = b'2',
        /// CloseComplete.
        CloseComplete = b'3',
        /// CommandComplete.
        CommandComplete = b'C',
        /// CopyData.
        CopyData = b'd',
        /// CopyDone.
        CopyDone = b'c',
        /// CopyInResponse.
        CopyInResponse = b'G',
        /// CopyOutResponse.
        CopyOutResponse = b'H',
        /// CopyBothResponse.
        CopyBothResponse = b'W',
        /// DataRow.
        DataRow = b'D',
        /// EmptyQueryResponse.
        EmptyQueryResponse = b'I',
        /// ErrorResponse.
        ErrorResponse = b'E',
        /// FunctionCallResponse.
        FunctionCallResponse = b'V',
        /// NegotiateProtocolVersion.
        NegotiateProtocolVersion = b'v',
        /// NoData.
        NoData = b'n',
        /// NoticeResponse.
        NoticeResponse = b'N',
        /// NotificationResponse.
        NotificationResponse = b'A',
        /// ParameterDescription.
        ParameterDescription = b't',
        /// ParameterStatus.
        ParameterStatus = b'S',
        /// ParseComplete.
        ParseComplete = b'1',
        /// PortalSuspended.
        PortalSuspended = b's',
        /// ReadyForQuery.
        ReadyForQuery = b'Z',
        /// RowDescription.
        RowDescription = b'T',
    }
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// From the StartupMessage to the first ReadyForQuery.
    Authentication,
    /// After it.
    Ready,
}

/// Bounds on the bodies of messages, in bytes. What is not here has a fixed bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Query and Parse.
    pub statement: u32,
    /// Bind and FunctionCall: parameters.
    pub parameters: u32,
    /// CopyData from a client.
    pub copy_in: u32,
    /// DataRow, CopyData and FunctionCallResponse from a target.
    pub row: u32,
    /// ErrorResponse, NoticeResponse, ParameterStatus and RowDescription from a target in a session.
    pub report: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { statement: 1 << 20, parameters: 64 << 20, copy_in: 64 << 20, row: MAX_LENGTH - 4, report: 1 << 20 }
    }
}

impl Limits {
    /// The bound for a client's message, or `None` if it may not come in this phase.
    const fn frontend(&self, tag: FrontendTag, phase: Phase) -> Option<u32> {
        use FrontendTag as Tag;
        match phase {
            Phase::Authentication => match tag {
                // PostgreSQL's own bound for a token (`PG_MAX_AUTH_TOKEN_LENGTH`, auth.h).
                Tag::Password => Some(65_535),
                _ => None,
            },
            Phase::Ready => match tag {
                Tag::Query | Tag::Parse => Some(self.statement),
                Tag::Bind | Tag::FunctionCall => Some(self.parameters),
                Tag::CopyData => Some(self.copy_in),
                Tag::Close | Tag::Describe | Tag::Execute | Tag::CopyFail => Some(MAX_SMALL),
                Tag::CopyDone | Tag::Flush | Tag::Sync | Tag::Terminate => Some(0),
                Tag::Password => None,
            },
        }
    }

    /// The bound for a target's message, or `None` if it may not come in this phase. What depends on the requests that
    /// were sent is [`super::pipeline`]'s to say.
    const fn backend(&self, tag: BackendTag, phase: Phase) -> Option<u32> {
        use BackendTag as Tag;
        match phase {
            Phase::Authentication => match tag {
                // libpq's bounds before it trusts the server (fe-connect.c PQconnectPoll).
                Tag::Authentication | Tag::NegotiateProtocolVersion => Some(2_000),
                Tag::ErrorResponse | Tag::NoticeResponse => Some(30_000),
                Tag::BackendKeyData => Some(4 + 256),
                Tag::ParameterStatus => Some(MAX_SMALL),
                Tag::ReadyForQuery => Some(1),
                _ => None,
            },
            Phase::Ready => match tag {
                Tag::DataRow | Tag::CopyData | Tag::FunctionCallResponse => Some(self.row),
                Tag::ErrorResponse | Tag::NoticeResponse | Tag::ParameterStatus => Some(self.report),
                Tag::RowDescription => Some(self.report),
                // A count and at most 65,535 ids or codes.
                Tag::ParameterDescription => Some(2 + 4 * 65_535),
                Tag::CopyInResponse | Tag::CopyOutResponse | Tag::CopyBothResponse => Some(3 + 2 * 65_535),
                // A name and a payload of less than 8,000 bytes (`NOTIFY_PAYLOAD_MAX_LENGTH`, async.c).
                Tag::CommandComplete | Tag::NotificationResponse => Some(MAX_SMALL),
                Tag::ReadyForQuery => Some(1),
                Tag::BindComplete | Tag::CloseComplete | Tag::ParseComplete | Tag::NoData => Some(0),
                Tag::CopyDone | Tag::EmptyQueryResponse | Tag::PortalSuspended => Some(0),
                Tag::Authentication | Tag::BackendKeyData | Tag::NegotiateProtocolVersion => None,
            },
        }
    }
}

/// The first five bytes of a message, believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<Tag> {
    /// What it is.
    pub tag: Tag,
    /// How many bytes follow the header; within the bound for this tag.
    pub body: usize,
}

impl<Tag: Copy> Header<Tag> {
    /// The length of the whole frame.
    pub const fn length(&self) -> usize {
        // Saturates nowhere: `body` is at most `MAX_LENGTH`.
        self.body.saturating_add(HEADER)
    }

    /// The frame at the start of `buffer`, where this header was read; `None` while it is incomplete.
    pub fn frame<'a>(&self, buffer: &'a [u8]) -> Option<Frame<'a, Tag>> {
        let bytes = buffer.get(..self.length())?;
        Some(Frame { tag: self.tag, body: bytes.get(HEADER..)?, bytes })
    }
}

/// A complete message, not yet looked into.
#[derive(Clone, Copy)]
pub struct Frame<'a, Tag> {
    /// What it is.
    pub tag: Tag,
    /// What follows the header.
    pub body: &'a [u8],
    /// All of it, for forwarding as it is once the body was parsed.
    pub bytes: &'a [u8],
}

/// Reads the header of the client's message at the start of `buffer`; `None` if more bytes are needed.
///
/// # Errors
/// [`FrameError`], as soon as the bytes that show it are there.
pub fn frontend(buffer: &[u8], phase: Phase, limits: &Limits) -> Result<Option<Header<FrontendTag>>, FrameError> {
    let Some(&byte) = buffer.first() else {
        return Ok(None);
    };
    let tag = FrontendTag::from_byte(byte).ok_or(FrameError::UnknownTag(byte))?;
    let limit = limits.frontend(tag, phase).ok_or(FrameError::WrongPhase(byte))?;
    let statement = matches!(tag, FrontendTag::Query | FrontendTag::Parse);
    let Some(length) = length_word(buffer) else {
        return Ok(None);
    };
    let body = believe(length, limit, |body| match statement {
        true => FrameError::StatementTooLarge { body, limit },
        false => FrameError::TooLarge { tag: byte, body, limit },
    })?;
    Ok(Some(Header { tag, body }))
}

/// Reads the header of the target's message at the start of `buffer`; `None` if more bytes are needed.
///
/// # Errors
/// [`FrameError`], as soon as the bytes that show it are there.
pub fn backend(buffer: &[u8], phase: Phase, limits: &Limits) -> Result<Option<Header<BackendTag>>, FrameError> {
    let Some(&byte) = buffer.first() else {
        return Ok(None);
    };
    let tag = BackendTag::from_byte(byte).ok_or(FrameError::UnknownTag(byte))?;
    let limit = limits.backend(tag, phase).ok_or(FrameError::WrongPhase(byte))?;
    let Some(length) = length_word(buffer) else {
        return Ok(None);
    };
    let body = believe(length, limit, |body| FrameError::TooLarge { tag: byte, body, limit })?;
    Ok(Some(Header { tag, body }))
}

fn length_word(buffer: &[u8]) -> Option<i32> {
    buffer.get(1..)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// The length of the body from a length word, which counts itself.
fn believe(length: i32, limit: u32, too_large: impl FnOnce(u32) -> FrameError) -> Result<usize, FrameError> {
    let body = u32::try_from(length).ok().and_then(|length| length.checked_sub(4)).ok_or(FrameError::Length(length))?;
    if body > limit.min(MAX_LENGTH - 4) {
        return Err(too_large(body));
    }
    usize::try_from(body).map_err(|_| too_large(body))
}

#[cfg(test)]
mod tests;
