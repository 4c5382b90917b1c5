//! State in SQLite: two files in one directory.
//!
//! `state.db` holds what cannot be made again (approvals, secrets, revisions) and is synced at every commit.
//! `index.db` holds the index for audit, which can be made again from the journal, so its commits need not be synced,
//! and feeding it never makes an approval wait.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::approval::{Answer, Asked, Consumed, Mode, Status};
use model::class::DataClass;
use model::event::Entry;
use model::id::{ApprovalId, Digest, ProposalId, RequestId, RevisionId, SessionId};
use model::revocation::{Revocation, Whose};
use model::subject::SubjectKey;
use model::time::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::broadcast;

use crate::approval::{AnswerError, Approval, AskError, AskedFor, Filter, Limits, Spending, Spent};
use crate::audit::{ClassReport, Disclosed, FoundEvent, FoundRequest, FoundSession, Search, SessionSearch};
use crate::history::KeptRevision;
use crate::issued::KeptCredential;
use crate::proposal::Proposal;
use crate::revision::RevisionText;
use crate::vault::{SealedSecret, SecretInfo, VaultChange};
use crate::window::{WindowRequest, WindowUse};
use crate::{Error, State};

mod approvals;
mod clock;
mod codec;
mod history;
mod index;
mod issued;
mod migrations;
mod names;
mod revocations;
mod rows;
mod search;
mod secrets;
mod spending;
mod used_once;

pub use search::Index;

/// How long a transaction waits for another process that holds the file before it fails.
const BUSY: Duration = Duration::from_secs(2);

/// How many changes of approvals a slow receiver may lag behind before it has to read them again.
const CHANGES: usize = 1024;

/// State in two SQLite files of one directory.
pub struct Sqlite {
    state: Mutex<Connection>,
    index: Mutex<Connection>,
    records: Index,
    changes: broadcast::Sender<ApprovalId>,
    clock: clock::Clock,
}

/// Removes the index of a directory that nobody has open: it is made again from the journal.
///
/// # Errors
/// If a file of it cannot be removed.
pub fn remove_index(directory: &Path) -> std::io::Result<()> {
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        match std::fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
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
        // Its pages come back to be written again for as long as they are filled: they stay in memory (KiB), and are
        // copied back from the log (pages) when they have been written many times.
        index.pragma_update(None, "cache_size", -8_192)?;
        index.pragma_update(None, "wal_autocheckpoint", 2_000)?;
        // It holds no secrets: those are in the other file.
        index.pragma_update(None, "secure_delete", false)?;
        // Statement journals of large transactions stay out of the file system.
        index.pragma_update(None, "temp_store", "MEMORY")?;
        migrations::apply(&mut index, "index.db", migrations::INDEX)?;
        let search = connect(&index_file)?;
        search.pragma_update(None, "query_only", true)?;
        let (changes, _) = broadcast::channel(CHANGES);
        Ok(Self {
            state: Mutex::new(state),
            index: Mutex::new(index),
            records: Index::of(search),
            changes,
            clock: clock::Clock::default(),
        })
    }

    /// Runs `work` in one transaction on the state; it is durable when this returns `Ok`.
    fn write<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        transact(&mut locked(&self.state), work)
    }

    /// The connection on which the index is fed.
    fn index_connection(&self) -> MutexGuard<'_, Connection> {
        locked(&self.index)
    }

    /// Wakes whoever waits for an approval. No receivers is not an error.
    fn changed(&self, id: ApprovalId) {
        let _ = self.changes.send(id);
    }
}

impl State for Sqlite {
    fn ask(&self, asked: &Asked, id: ApprovalId, limits: &Limits) -> Result<AskedFor, AskError> {
        match asked.mode {
            Mode::Hold | Mode::Ticket => self.put_question(asked, None, id, limits),
            Mode::Window => Err(AskError::Invalid("a window is asked for with its terms")),
        }
    }

    fn request_window(&self, window: &WindowRequest, id: ApprovalId, limits: &Limits) -> Result<AskedFor, AskError> {
        self.put_question(&window.asked(), Some(&window.terms), id, limits)
    }

    fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, Error> {
        self.write(|tx| rows::approval(tx, id))
    }

    fn approvals(&self, filter: &Filter) -> Result<Vec<Approval>, Error> {
        self.list_approvals(filter)
    }

    fn answer(
        &self,
        id: ApprovalId,
        answer: &Answer,
        on_behalf_of: &[SubjectKey],
        now: Timestamp,
    ) -> Result<Status, AnswerError> {
        self.take_answer(id, answer, on_behalf_of, now)
    }

    fn consume(&self, spending: &Spending<'_>) -> Result<Option<Consumed>, Error> {
        self.spend(spending)
    }

    fn consume_window(&self, usage: &WindowUse<'_>) -> Result<Option<Consumed>, Error> {
        self.spend_window(usage)
    }

    fn completed(&self, approval: ApprovalId, request: RequestId) -> Result<(), Error> {
        self.note_completed(approval, request)
    }

    fn unresolved(&self) -> Result<Vec<(ApprovalId, RequestId)>, Error> {
        self.list_unresolved()
    }

    fn mark_consumed(&self, spent: &[Spent]) -> Result<(), Error> {
        self.take_over(spent)
    }

    fn make_ticket(&self, id: ApprovalId) -> Result<bool, Error> {
        self.unbind(id)
    }

    fn withdraw(&self, id: ApprovalId, reason: &str, now: Timestamp) -> Result<bool, Error> {
        self.end(id, Status::Withdrawn, reason, now)
    }

    fn withdraw_session(&self, session: SessionId, reason: &str, now: Timestamp) -> Result<Vec<ApprovalId>, Error> {
        self.end_holds(session, reason, now)
    }

    fn expire(&self, now: Timestamp) -> Result<Vec<ApprovalId>, Error> {
        self.end_expired(now)
    }

    fn subscribe(&self) -> broadcast::Receiver<ApprovalId> {
        self.changes.subscribe()
    }

    fn index(&self, entries: &[(u64, Entry)]) -> Result<(), Error> {
        self.feed(entries)
    }

    fn indexed_to(&self) -> Result<Option<u64>, Error> {
        self.fed_to()
    }

    fn reindex(&self) -> Result<(), Error> {
        self.forget()
    }

    fn records(&self) -> &Index {
        &self.records
    }

    fn search(&self, search: &Search) -> Result<Vec<FoundRequest>, Error> {
        self.records.search(search)
    }

    fn disclosed(&self, class: &DataClass, search: &Search) -> Result<Disclosed, Error> {
        self.records.disclosed(class, search)
    }

    fn report(&self, class: &DataClass, since: Timestamp) -> Result<Vec<ClassReport>, Error> {
        self.records.report(class, since)
    }

    fn sessions(&self, search: &SessionSearch) -> Result<Vec<FoundSession>, Error> {
        self.records.sessions(search)
    }

    fn events(&self, search: &Search) -> Result<Vec<FoundEvent>, Error> {
        self.records.events(search)
    }

    fn put_sealed(&self, name: &str, sealed: &SealedSecret, by: &str, now: Timestamp) -> Result<(), Error> {
        self.store_sealed(name, sealed, by, now)
    }

    fn sealed(&self, name: &str) -> Result<Option<SealedSecret>, Error> {
        self.load_sealed(name)
    }

    fn secrets(&self) -> Result<Vec<SecretInfo>, Error> {
        self.list_secrets()
    }

    fn remove_sealed(&self, name: &str, by: &str, now: Timestamp) -> Result<bool, Error> {
        self.delete_sealed(name, by, now)
    }

    fn vault_check(&self, first: &SealedSecret, by: &str, now: Timestamp) -> Result<SealedSecret, Error> {
        self.check_value(first, by, now)
    }

    fn vault_changes(&self) -> Result<Vec<VaultChange>, Error> {
        self.list_vault_changes()
    }

    fn vault_changes_recorded(&self, last: u64) -> Result<(), Error> {
        self.forget_vault_changes(last)
    }

    fn keep_credential(&self, issued: &KeptCredential) -> Result<(), Error> {
        self.insert_credential(issued)
    }

    fn issued_credentials(&self, now: Timestamp) -> Result<Vec<KeptCredential>, Error> {
        self.list_credentials(now)
    }

    fn drop_credentials(&self, digests: &[Digest]) -> Result<(), Error> {
        self.delete_credentials(digests)
    }

    fn drop_ended_credentials(&self, now: Timestamp) -> Result<(), Error> {
        self.sweep_credentials(now)
    }

    fn use_once(&self, digest: &Digest, ends_at: Timestamp, now: Timestamp) -> Result<bool, Error> {
        self.note_use(digest, ends_at, now)
    }

    fn put_revocation(&self, revocation: &Revocation) -> Result<(), Error> {
        self.store_revocation(revocation)
    }

    fn remove_revocations(&self, whose: &Whose, kind: Option<&str>) -> Result<(), Error> {
        self.delete_revocations(whose, kind)
    }

    fn revocations(&self) -> Result<Vec<Revocation>, Error> {
        self.list_revocations()
    }

    fn has_security_event(&self, issuer: &str, id: &str) -> Result<bool, Error> {
        self.knows_security_event(issuer, id)
    }

    fn take_security_event(&self, issuer: &str, id: &str, until: Timestamp) -> Result<bool, Error> {
        self.note_security_event(issuer, id, until)
    }

    fn sweep_revocations(&self, now: Timestamp) -> Result<(), Error> {
        self.forget_what_is_over(now)
    }

    fn next_revision(&self, digest: Digest, now: Timestamp) -> Result<RevisionId, Error> {
        self.number_of_revision(digest, now)
    }

    fn keep_revision(&self, revision: RevisionId, files: &[RevisionText]) -> Result<(), Error> {
        self.put_revision_files(revision, files)
    }

    fn revisions(&self) -> Result<Vec<KeptRevision>, Error> {
        self.list_revisions()
    }

    fn revision_files(&self, revision: RevisionId) -> Result<Option<Vec<RevisionText>>, Error> {
        self.files_of_revision(revision)
    }

    fn propose(&self, proposal: &Proposal, now: Timestamp) -> Result<bool, Error> {
        self.insert_proposal(proposal, now)
    }

    fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, Error> {
        self.find_proposal(id)
    }

    fn proposals(&self) -> Result<Vec<Proposal>, Error> {
        self.list_proposals()
    }

    fn change_proposal(&self, proposal: &Proposal) -> Result<bool, Error> {
        self.replace_proposal(proposal)
    }
}

/// How many rows a caller asked for.
fn limit(asked: u32) -> u32 {
    if asked == 0 { 100 } else { asked }
}

/// A thread that panicked inside a transaction left it rolled back, so the connection is good.
fn locked(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One write transaction. It takes the write lock at once: whoever reads in it decides on what nobody else changes.
fn transact<T, E>(connection: &mut Connection, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
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
