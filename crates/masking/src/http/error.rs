//! Why a body cannot be delivered.

use model::error::ErrorKind;

/// Why a body, or a part of it, may not go out. Whoever gets one ends the answer: nothing further goes out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Unmaskable {
    /// Its media type is not one that is read, or there are several, and something may have to be hidden.
    #[error("the body's media type is not one that can be masked")]
    MediaType,
    /// Its characters are not in UTF-8 or in a character set that contains ASCII.
    #[error("the body's character set is not one that can be masked")]
    Charset,
    /// Its content coding is not one that is read, or there are too many.
    #[error("the body's content coding is not one that can be masked")]
    Coding,
    /// It does not decode, or ends too early.
    #[error("the body cannot be decoded by the content coding that it has")]
    Damaged,
    /// It is not what its media type says.
    #[error("the body is not what its media type says")]
    Malformed,
    /// It decodes to more than is allowed, or to more in proportion to what came.
    #[error("the body decodes to more than is allowed")]
    Inflated,
    /// It is nested deeper than is read.
    #[error("the body is nested deeper than is read")]
    TooDeep,
    /// A part that has to be known whole (an event, a row, a number) is longer than may be held.
    #[error("a part of the body is longer than may be held to be masked")]
    TooLong,
    /// It is a part of a body, or what changes one: a value could be asked for by pieces.
    #[error("a part of a body cannot be masked")]
    Partial,
    /// A value has no mask of its type, and the target is configured to refuse that.
    #[error("a value cannot be masked in its type, and the target is configured to refuse that")]
    Value,
}

impl Unmaskable {
    /// Whose doing it is.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::MediaType | Self::Charset | Self::Coding | Self::Partial | Self::Value => ErrorKind::Policy,
            Self::Damaged | Self::Malformed => ErrorKind::Target,
            Self::Inflated | Self::TooDeep | Self::TooLong => ErrorKind::Limit,
        }
    }

    /// What the caller is told.
    pub const fn client_message(self) -> &'static str {
        match self {
            Self::MediaType => {
                "the answer is of a media type that cannot be masked, and may hold what may not be shown"
            }
            Self::Charset => {
                "the answer is in a character set that cannot be masked, and may hold what may not be shown"
            }
            Self::Coding => "the answer has a content coding that cannot be masked, and may hold what may not be shown",
            Self::Partial => "the answer is a part of one, and may hold what may not be shown",
            Self::Value => "the answer holds a value that may not be shown and cannot be masked",
            Self::Damaged | Self::Malformed => "the target's answer was not understood and is withheld",
            Self::Inflated | Self::TooDeep | Self::TooLong => "the answer is larger than can be masked",
        }
    }
}
