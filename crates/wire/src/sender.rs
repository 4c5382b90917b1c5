//! Whose bytes they were.

use model::error::ErrorKind;

/// Whose bytes they were; it decides whose fault an error is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sender {
    /// A client of Sluice.
    Client,
    /// The target.
    Target,
}

impl Sender {
    /// The kind of every protocol error in what this side sent.
    pub const fn error_kind(self) -> ErrorKind {
        match self {
            Self::Client => ErrorKind::Client,
            Self::Target => ErrorKind::Target,
        }
    }
}
