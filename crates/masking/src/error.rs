//! Why an answer cannot be delivered.

use model::error::ErrorKind;

/// Why a message of an answer is refused. Whoever gets one ends the answer: there is no pass-through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MaskError {
    /// The message does not have the shape that the protocol, or its own description, gives it.
    #[error("the target's answer does not have the shape that it was described with")]
    Malformed,
    /// `on_unmaskable = refuse`, and the value has no mask of its type.
    #[error("a value cannot be masked in its type, and the target is configured to refuse that")]
    Unmaskable,
    /// One row is larger than may be held to be masked.
    #[error("a row is larger than can be masked")]
    TooLarge,
    /// A message of this type does not pass this way.
    #[error("a message of type {0:#04x} may not pass unmasked")]
    Unexpected(u8),
}

impl MaskError {
    /// Whose doing it is.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Malformed | Self::Unexpected(_) => ErrorKind::Target,
            Self::Unmaskable => ErrorKind::Policy,
            Self::TooLarge => ErrorKind::Limit,
        }
    }

    /// What the caller is told.
    pub const fn client_message(self) -> &'static str {
        match self {
            Self::Malformed | Self::Unexpected(_) => "the target's answer was not understood and is withheld",
            Self::Unmaskable => "the answer holds a value that may not be shown and cannot be masked",
            Self::TooLarge => "the answer holds a row that is too large to be masked",
        }
    }
}
