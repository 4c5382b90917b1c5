//! Why a message was not taken.

use std::time::Duration;

use gateway::fetch::{Answer, FetchError};
use gateway::sinks::{self, Pace};
use store::credential::CredentialError;

/// Why a message was not taken. Nothing of it, of a URL or of a secret is in here: it is logged and shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// As events are not taken.
    #[error(transparent)]
    Sent(#[from] sinks::Failure),
    /// A secret is there and is not of the form that it must have.
    #[error("{0}")]
    Secret(String),
    /// The receiver answers, and that it did not do it.
    #[error("the answer is {0}")]
    Said(String),
    /// State does not answer.
    #[error(transparent)]
    State(#[from] store::Error),
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        Self::Sent(error.into())
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Sent(error.into())
    }
}

impl Failure {
    /// How long to wait after so many failures and this one.
    pub(super) fn wait(&self, failures: u32, pace: &Pace) -> Duration {
        let doubled = sinks::doubled(failures, pace);
        match self {
            Self::Sent(failure) => {
                let asked = failure.asked_to_wait().unwrap_or_default().min(pace.longest_wait);
                doubled.max(asked)
            }
            Self::Said(_) => pace.refused_wait.min(doubled.saturating_mul(4)),
            Self::Secret(_) | Self::State(_) => doubled,
        }
    }
}

/// What an answer says of what was posted.
pub(super) fn judge(answer: &Answer) -> Result<(), Failure> {
    Ok(sinks::judge(answer)?)
}
