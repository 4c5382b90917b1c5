//! How values of the vocabulary are stored in columns.

use std::sync::Arc;

use model::approval::{Mode, Status};
use model::decision::Outcome;
use model::id::{Digest, RequestId, SessionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::approval::status_word;

/// A moment, in order; SQLite's integers end at half of ours, some hundred million years from now.
pub(crate) fn time(at: Timestamp) -> i64 {
    count(at.0)
}

/// The moment that [`time`] stored.
pub(crate) fn moment(stored: i64) -> Timestamp {
    Timestamp(u64::try_from(stored).unwrap_or(0))
}

/// A count; saturates.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The count that [`count`] stored.
pub(crate) fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// A request, from its two columns.
pub(crate) const fn request(session: i64, number: i64) -> RequestId {
    SessionId::from_bits(session.cast_unsigned()).request(number.cast_unsigned())
}

/// A digest, from its column.
pub(crate) fn digest(stored: &[u8]) -> Result<Digest, Error> {
    stored.try_into().map(Digest).map_err(|_| Error::Corrupt("a digest"))
}

/// A subject, from its columns.
pub(crate) fn subject(issuer: String, id: String) -> SubjectKey {
    SubjectKey { issuer: Arc::from(issuer), id: Arc::from(id) }
}

/// A value as a document.
pub(crate) fn to_json<T: Serialize>(value: &T, what: &'static str) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|_| Error::Corrupt(what))
}

/// The value that [`to_json`] stored.
pub(crate) fn from_json<T: DeserializeOwned>(stored: &str, what: &'static str) -> Result<T, Error> {
    serde_json::from_str(stored).map_err(|_| Error::Corrupt(what))
}

/// The word for a mode.
pub(crate) const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Hold => "hold",
        Mode::Ticket => "ticket",
        Mode::Window => "window",
    }
}

/// The mode that a word stands for.
pub(crate) fn mode(word: &str) -> Result<Mode, Error> {
    let modes = [Mode::Hold, Mode::Ticket, Mode::Window];
    modes.into_iter().find(|mode| mode_word(*mode) == word).ok_or(Error::Corrupt("a mode"))
}

/// The status that a word stands for.
pub(crate) fn status(word: &str) -> Result<Status, Error> {
    use Status::{Approved, Consumed, Denied, Expired, Pending, Withdrawn};
    let all = [Pending, Approved, Denied, Withdrawn, Expired, Consumed];
    all.into_iter().find(|status| status_word(*status) == word).ok_or(Error::Corrupt("a status"))
}

/// The word for an outcome.
pub(crate) const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Ask => "ask",
    }
}

/// The outcome that a word stands for.
pub(crate) fn outcome(word: &str) -> Result<Outcome, Error> {
    let all = [Outcome::Allow, Outcome::Deny, Outcome::Ask];
    all.into_iter().find(|outcome| outcome_word(*outcome) == word).ok_or(Error::Corrupt("an outcome"))
}
