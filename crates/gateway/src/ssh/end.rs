//! Why a session ends: for the journal, and for the client.

use model::id::SessionId;
use russh::Disconnect;

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The client said goodbye or went away.
    Client(&'static str),
    /// The client broke the protocol.
    Violation(&'static str),
    /// The target cannot be reached or logged in to: the true reason.
    Target(String),
    /// The credential expired.
    Expired,
    /// The caller is not believed any more: the true reason.
    Revoked(String),
    /// An administrator or the process ended it.
    Administrator(&'static str),
    /// What was to be shown could not be recorded or masked.
    Withheld(&'static str),
    /// Nothing happened for too long.
    Idle,
    /// A defect of Sluice.
    Internal(&'static str),
}

impl End {
    /// The reason for the journal.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Client(reason) | Self::Violation(reason) | Self::Administrator(reason) => reason,
            Self::Withheld(reason) | Self::Internal(reason) => reason,
            Self::Target(reason) | Self::Revoked(reason) => reason,
            Self::Expired => "the credential expired",
            Self::Idle => "nothing happened for too long",
        }
    }

    /// What the client is told as the connection ends (RFC 4253, section 11.1).
    pub(super) fn told(&self, session: SessionId) -> (Disconnect, String) {
        let (code, message) = match self {
            Self::Client(_) => (Disconnect::ByApplication, ""),
            Self::Violation(reason) => (Disconnect::ProtocolError, *reason),
            Self::Target(_) => (
                Disconnect::ServiceNotAvailable,
                "the target cannot be reached. Try again in a moment; if it lasts, tell your operator.",
            ),
            Self::Expired => (Disconnect::ByApplication, "the credential has expired. Connect with a new one."),
            Self::Revoked(_) => (
                Disconnect::ByApplication,
                "the identity of this session is no longer accepted. Connect with a new credential; if it is refused, ask \
                 your operator.",
            ),
            Self::Administrator(reason) => (Disconnect::ByApplication, *reason),
            Self::Withheld(reason) => (Disconnect::ByApplication, *reason),
            Self::Idle => (Disconnect::ByApplication, "nothing happened for too long. Connect again."),
            Self::Internal(_) => (Disconnect::ByApplication, "internal error. Tell your operator."),
        };
        (code, format!("sluice: {message} Session {session}."))
    }
}
