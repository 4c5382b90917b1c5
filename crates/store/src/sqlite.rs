//! State in SQLite: two files in one directory.
//!
//! `state.db` holds what cannot be made again (approvals, secrets, revisions) and is synced at every commit.
//! `index.db` holds the index for audit, which can be made again from the journal, so its commits need not be synced,
//! and feeding it never makes an approval wait.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::ApprovalId;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::broadcast;

use crate::Error;

mod migrations;

/// How long a transaction waits for another process that holds the file before it fails.
const BUSY: Duration = Duration::from_secs(2);

/// How many changes of approvals a slow receiver may lag behind before it has to read them again.
const CHANGES: usize = 1024;

/// State in two SQLite files of one directory.
pub struct Sqlite {
    state: Mutex<Connection>,
    index: Mutex<Connection>,
    /// Only reads: a long search does not stop the index from being fed.
    search: Mutex<Connection>,
    changes: broadcast::Sender<ApprovalId>,
}

impl Sqlite {
    /// Opens the state in `directory`, which must exist, and brings its schema up to date.
    ///
    /// # Errors
    /// A file cannot be used, or was written by a later version of Sluice.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let (state_file, index_file) = (directory.join("state.db"), directory.join("index.db"));
        let mut state = connect(&state_file)?;
        state.pragma_update(None, "synchronous", "FULL")?;
        migrations::apply(&mut state, "state.db", migrations::STATE)?;
        let mut index = connect(&index_file)?;
        index.pragma_update(None, "synchronous", "NORMAL")?;
        migrations::apply(&mut index, "index.db", migrations::INDEX)?;
        let search = connect(&index_file)?;
        search.pragma_update(None, "query_only", true)?;
        let (changes, _) = broadcast::channel(CHANGES);
        Ok(Self { state: Mutex::new(state), index: Mutex::new(index), search: Mutex::new(search), changes })
    }

    /// Runs `work` in one transaction on the state; it is durable when this returns `Ok`.
    pub(crate) fn write<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        transact(&mut locked(&self.state), work)
    }

    /// The connection on which the index is fed.
    pub(crate) fn index_connection(&self) -> MutexGuard<'_, Connection> {
        locked(&self.index)
    }

    /// The connection on which the index is searched.
    pub(crate) fn search_connection(&self) -> MutexGuard<'_, Connection> {
        locked(&self.search)
    }

    /// Wakes whoever waits for an approval. No receivers is not an error.
    pub(crate) fn changed(&self, id: ApprovalId) {
        let _ = self.changes.send(id);
    }
}

/// A thread that panicked inside a transaction left it rolled back, so the connection is good.
fn locked(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One write transaction. It takes the write lock at once: whoever reads in it decides on what nobody else changes.
pub(crate) fn transact<T, E>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<rusqlite::Error>,
{
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn connect(file: &Path) -> Result<Connection, Error> {
    create_private(file).map_err(|source| Error::File { path: file.display().to_string(), source })?;
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted from the vault is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Creates the file, for its owner alone; SQLite gives its companions (`-wal`, `-shm`) the same mode.
fn create_private(file: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(|_| ())
}

#[cfg(test)]
mod tests;
