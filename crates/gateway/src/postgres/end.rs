//! Why a session ends: for the journal, and for the client.

use model::id::SessionId;

use super::refusal::Told;

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The client said goodbye or went away.
    Client(&'static str),
    /// The client broke the protocol.
    Violation { sqlstate: &'static str, message: String },
    /// The target went away or broke its protocol.
    Target(&'static str),
    /// The credential expired.
    Expired,
    /// The caller is not believed any more: the true reason.
    Revoked(String),
    /// An administrator or the process ended it.
    Administrator(&'static str),
    /// The answer could not be recorded or masked.
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
            Self::Client(reason) | Self::Target(reason) | Self::Administrator(reason) => reason,
            Self::Withheld(reason) | Self::Internal(reason) => reason,
            Self::Violation { message, .. } | Self::Revoked(message) => message,
            Self::Expired => "the credential expired",
            Self::Idle => "nothing happened for too long",
        }
    }

    /// What the client is told, if it is still there.
    pub(super) fn told(&self, session: SessionId) -> Option<Told> {
        let (sqlstate, message, hint) = match self {
            Self::Client(_) => return None,
            Self::Violation { sqlstate, message } => (*sqlstate, message.clone(), ""),
            Self::Target(_) => (
                "08006",
                "the connection to the target was lost".to_owned(),
                "Connect again; if it lasts, tell your operator.",
            ),
            Self::Expired => (
                "57P01",
                "the token has expired".to_owned(),
                "Connect with a new token, or renew in time with SET sluice.token = '…'.",
            ),
            Self::Revoked(_) => (
                "57P01",
                "the identity of this session is no longer accepted".to_owned(),
                "Connect with a new token; if it is refused, ask your operator.",
            ),
            Self::Administrator(reason) => ("57P01", (*reason).to_owned(), "Connect again."),
            Self::Withheld(reason) => ("58030", (*reason).to_owned(), "Tell your operator."),
            Self::Idle => ("57P05", "nothing happened for too long".to_owned(), "Connect again."),
            Self::Internal(_) => ("XX000", "internal error".to_owned(), "Tell your operator, giving the session id."),
        };
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Some(Told { sqlstate, message, detail: Some(format!("Session {session}.")), hint })
    }
}
