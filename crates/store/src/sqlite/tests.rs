//! State against real files.

use std::path::Path;
use std::sync::Arc;

use model::approval::{Answer, Asked, Mode, Status};
use model::decision::Need;
use model::event::Event;
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use rusqlite::Connection;

use super::{Sqlite, locked};
use crate::approval::{AnswerError, Limits, Spending};
use crate::{Error, State};

mod approvals;
mod history;
mod index;
mod now;
mod people;
mod property;
mod revocations;
mod runs;
mod used_once;
mod windows;

pub(super) const T: Timestamp = Timestamp(1_795_406_400_000);
pub(super) const MINUTE: u64 = 60_000;

pub(super) fn key(text: &str) -> SubjectKey {
    let (issuer, id) = text.split_once('|').unwrap();
    SubjectKey { issuer: issuer.into(), id: id.into() }
}

pub(super) fn session(bits: u64) -> SessionId {
    SessionId::from_bits(bits)
}

/// That a session was opened at a target's database, on behalf of nobody.
pub(super) fn opened(bits: u64, subject: &str, (target, database): (&str, &str)) -> Event {
    opened_for(bits, subject, &[], (target, database))
}

/// Likewise with the delegation behind it.
pub(super) fn opened_for(bits: u64, subject: &str, on_behalf_of: &[&str], (target, database): (&str, &str)) -> Event {
    Event::SessionOpened {
        session: session(bits),
        subject: Subject {
            key: key(subject),
            kind: SubjectKind::Service,
            groups: vec![],
            on_behalf_of: on_behalf_of.iter().map(|name| key(name)).collect(),
            expires_at: T.plus_millis(5 * MINUTE),
            binding: Binding::Bearer,
            token_id: None,
            credential: model::subject::Credential::default(),
        },
        target: target.into(),
        database: database.into(),
        source: "10.0.0.7".parse().unwrap(),
        application: "app".into(),
        revision: RevisionId(1),
    }
}

pub(super) fn need(policy: &str, groups: &[&str], quorum: u8) -> Need {
    let groups = groups.iter().map(|group| Arc::from(*group)).collect();
    Need { policy: policy.into(), policy_digest: Digest([7; 32]), groups, quorum }
}

pub(super) fn asked(mode: Mode, digest: u8, request: RequestId) -> Asked {
    Asked {
        request,
        subject: key("svc|order-service"),
        on_behalf_of: vec![key("corp|alice")],
        target: "payments".into(),
        database: "payments".into(),
        statement: String::from("DELETE FROM payments WHERE id = $1"),
        parameters: vec![String::from("7")],
        effects: vec![String::from("delete table public.payments")],
        estimated_rows: Some(1),
        reason: None,
        needs: vec![need("prod-delete", &["dba"], 1)],
        digest: Digest([digest; 32]),
        mode,
        revision: RevisionId(1),
        asked_at: T,
        expires_at: T.plus_millis(15 * MINUTE),
    }
}

pub(super) fn yes(who: &str, groups: &[&str]) -> Answer {
    let groups = groups.iter().map(|group| Arc::from(*group)).collect();
    Answer { approver: key(who), groups, approve: true, reason: None, at: T }
}

pub(super) fn no(who: &str, groups: &[&str]) -> Answer {
    Answer { approve: false, reason: Some(String::from("not today")), ..yes(who, groups) }
}

pub(super) fn spending<'a>(asked: &'a Asked, request: RequestId) -> Spending<'a> {
    Spending { digest: asked.digest, needs: &asked.needs, session: request.session, request, now: T.plus_millis(1) }
}

/// Asks for a ticket and has Bob of the `dba`s agree.
pub(super) fn approved(state: &Sqlite, asked: &Asked, bits: u64) -> ApprovalId {
    let id = ApprovalId::from_bits(bits);
    assert!(state.ask(asked, id, &Limits::default()).unwrap().is_new);
    assert_eq!(state.answer(id, &yes("corp|bob", &["dba"]), &[], asked.asked_at).unwrap(), Status::Approved);
    id
}

pub(super) fn status(state: &Sqlite, id: ApprovalId) -> Status {
    state.approval(id).unwrap().unwrap().status
}

#[test]
fn an_empty_directory_becomes_state_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    drop(Sqlite::open(directory.path()).unwrap());
    let state = Sqlite::open(directory.path()).unwrap();
    assert_eq!(state.approval(ApprovalId::from_bits(1)).unwrap(), None);
    assert_eq!(state.indexed_to().unwrap(), None);
    let mode = state.write(|tx| tx.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))).unwrap();
    let synchronous = state.write(|tx| tx.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))).unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    state.next_revision(Digest([1; 32]), T).unwrap();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
}

fn newer(directory: &Path, file: &str) -> Error {
    drop(Sqlite::open(directory).unwrap());
    let connection = Connection::open(directory.join(file)).unwrap();
    connection.execute("INSERT INTO migrations (number, name) VALUES (99, 'later')", []).unwrap();
    drop(connection);
    Sqlite::open(directory).map(|_| ()).unwrap_err()
}

#[test]
fn a_later_schema_is_refused_and_named() {
    for file in ["state.db", "index.db"] {
        let directory = tempfile::tempdir().unwrap();
        let error = newer(directory.path(), file);
        assert!(matches!(error, Error::NewerSchema { found: 99, .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("{file} has schema 99")), "{error}");
    }
}

#[test]
fn what_is_not_a_database_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state.db"), [b'x'; 4096]).unwrap();
    assert!(Sqlite::open(directory.path()).is_err());
    assert!(Sqlite::open(&directory.path().join("missing")).is_err());
}

#[test]
fn a_revision_keeps_its_number_until_something_changes() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(directory.path()).unwrap();
    let next = |state: &Sqlite, byte| state.next_revision(Digest([byte; 32]), T).unwrap().0;
    assert_eq!([next(&state, 1), next(&state, 1), next(&state, 2), next(&state, 1)], [1, 1, 2, 3]);
    drop(state);
    let state = Sqlite::open(directory.path()).unwrap();
    assert_eq!([next(&state, 1), next(&state, 4)], [3, 4]);
}
