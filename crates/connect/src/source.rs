//! Where an identity comes from: each way is a module.

pub mod assertion;
pub mod client;
pub mod file;
pub mod workload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::secret::Secret;

use crate::issuer::IssuerError;
use crate::login::kept::KeptLogin;
use crate::token::Token;

use self::client::ClientCredentials;
use self::workload::Workload;

/// How often a file is looked at again. It is small, and on this machine.
const FILE_AGE: Duration = Duration::from_secs(1);

/// Where tokens come from.
pub enum Source {
    /// A file that somebody else keeps fresh, such as a projected service account token of Kubernetes.
    File(PathBuf),
    /// A value of the environment, which lasts as long as it lasts.
    Value(Secret<String>),
    /// An issuer, to which this program proves who it is (RFC 6749, section 4.4).
    Client(Box<ClientCredentials>),
    /// The agent of a workload.
    Workload(Workload),
    /// The login of a person.
    Login(Arc<KeptLogin>),
}

impl Source {
    /// The next token.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, now: SystemTime) -> Result<Token, IssuerError> {
        match self {
            Self::File(path) => file::read(path).map(|token| Token::new(token, None, now)),
            Self::Value(value) => Ok(Token::new(value.expose().clone(), None, now)),
            Self::Client(client) => client.token(now).await,
            Self::Workload(workload) => workload.token(now).await,
            Self::Login(login) => login.token(now).await,
        }
    }

    /// When to ask again after this token.
    pub(crate) fn next_at(&self, token: &Token, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::File(_) => now.checked_add(FILE_AGE),
            // The environment of a process does not change.
            Self::Value(_) => None,
            Self::Client(_) | Self::Workload(_) | Self::Login(_) => Some(token.renew_at()),
        }
    }

    /// What it is called in the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "token file",
            Self::Value(_) => "token of the environment",
            Self::Client(_) => "client credentials",
            Self::Workload(_) => "Workload API",
            Self::Login(_) => "login",
        }
    }
}
