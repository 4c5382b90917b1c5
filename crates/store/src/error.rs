//! How state fails.

use model::error::ErrorKind;

/// State could not be read or written. Whoever gets one refuses what it was about to do: no error stands for an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database refused or failed.
    #[error("the state database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The data directory or a file in it cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database was written by a later version of Sluice. Start that version, or restore a backup.
    #[error("{file} has schema {found}, this version of Sluice knows {known}: use the version that wrote it")]
    NewerSchema {
        /// Which file.
        file: &'static str,
        /// The schema's number in the file.
        found: u32,
        /// The newest number that is known here.
        known: u32,
    },
    /// The index was made by an earlier version of Sluice, and is only read here.
    #[error("{file} has schema {found}, this version of Sluice needs {known}: run sluice audit reindex")]
    OlderSchema {
        /// Which file.
        file: &'static str,
        /// The schema's number in the file.
        found: u32,
        /// The number that is needed here.
        known: u32,
    },
    /// There is no room for more of it.
    #[error("the state database has no room for more of {0}")]
    Full(&'static str),
    /// A row does not hold what was written.
    #[error("the state database holds something that is not {0}")]
    Corrupt(&'static str),
}

impl Error {
    /// Whose doing it is: always Sluice's own.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }

    /// What a caller may be told.
    pub const fn client_message(&self) -> &'static str {
        "state is not available, try again later"
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Box::new(error))
    }
}
