//! Feeding the index from the journal.

use std::collections::HashMap;

use model::effect::{Effect, Object};
use model::event::{Entry, Event};
use model::id::{ApprovalId, Digest, RequestId, SessionId};
use model::subject::Subject;
use rusqlite::{OptionalExtension, Transaction, params};

use super::codec::{count, number, time, to_json};
use super::names::Names;
use super::{Sqlite, transact};
use crate::Error;

mod answers;
mod facets;
mod requests;
pub(super) mod runs;

use facets::Facets;
use requests::{Ending, Open};
use runs::Runs;

/// Every table of the index that holds entries.
pub(super) const TABLES: [&str; 20] = [
    "progress",
    "columns",
    "relations",
    "names",
    "session_behalf",
    "sessions",
    "seen",
    "subjects",
    "statements",
    "effects",
    "answers",
    "unproved",
    "rulings",
    "ruling_statements",
    "ruling_policies",
    "requests",
    "runs",
    "class_disclosures",
    "column_disclosures",
    "events",
];

impl Sqlite {
    /// Adds entries in one transaction.
    pub(super) fn feed(&self, entries: &[(u64, Entry)]) -> Result<(), Error> {
        transact(&mut self.index_connection(), |tx| {
            let done = position(tx)?;
            let mut feeder = Feeder::new(tx);
            let new = entries.iter().filter(|(at, _)| done.is_none_or(|done| *at > done));
            let mut last = done;
            for (at, entry) in new {
                feeder.entry(count(*at), entry)?;
                last = last.max(Some(*at));
            }
            feeder.finish()?;
            if let Some(last) = last {
                let sql = "INSERT INTO progress (one, position) VALUES (1, ?)
                           ON CONFLICT (one) DO UPDATE SET position = excluded.position";
                tx.execute(sql, [count(last)])?;
            }
            Ok(())
        })
    }

    /// How far the index goes.
    pub(super) fn fed_to(&self) -> Result<Option<u64>, Error> {
        self.records.position()
    }

    /// Empties the index.
    pub(super) fn forget(&self) -> Result<(), Error> {
        transact(&mut self.index_connection(), |tx| {
            // Sessions refer to names and subjects, columns to relations: looked at when all of it is gone.
            tx.execute_batch("PRAGMA defer_foreign_keys = ON")?;
            TABLES.iter().try_for_each(|table| tx.execute(&format!("DELETE FROM {table}"), []).map(|_| ()))?;
            Ok(())
        })
    }
}

pub(super) fn position(connection: &rusqlite::Connection) -> Result<Option<u64>, Error> {
    let sql = "SELECT position FROM progress";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0).map(number)).optional()?)
}

/// One transaction's work. What it looks up is remembered for as long.
struct Feeder<'a> {
    tx: &'a Transaction<'a>,
    names: Names<'a>,
    rulings: HashMap<Vec<u8>, i64>,
    /// The subject and target of sessions.
    sessions: HashMap<SessionId, (Option<i64>, Option<i64>)>,
    /// Decided in this transaction and not entered yet: most end in the same one, and are entered once.
    open: HashMap<RequestId, Open<'a>>,
    runs: Runs,
}

impl<'a> Feeder<'a> {
    fn new(tx: &'a Transaction<'a>) -> Self {
        let (rulings, sessions, open) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { tx, names: Names::new(tx), rulings, sessions, open, runs: Runs::default() }
    }
}

impl<'a> Feeder<'a> {
    fn entry(&mut self, position: i64, entry: &'a Entry) -> Result<(), Error> {
        let at = time(entry.at);
        match &entry.event {
            Event::SessionOpened { session, subject, target, database, source, application, .. } => {
                let place = [&**target, &**database, &source.to_string(), &**application];
                self.session_opened(position, at, *session, subject, place)
            }
            Event::SessionClosed { session, reason, tape } => self.session_closed(at, *session, reason, *tape),
            Event::Statement { id, target, database, text, effects, facts, output } => {
                let row = self.statement(*id, [target, database], text, effects)?;
                self.answers(row, output, effects, facts)
            }
            Event::Decided { request, .. } => self.decided(position, at, *request, &entry.event),
            Event::Completed { request, disclosure, error, millis } => {
                let ending = Ending { at, disclosure, error: error.as_deref(), millis: *millis };
                self.completed(position, *request, &ending)
            }
            Event::SessionRenewed { session, expires_at } => {
                let sql = "UPDATE sessions SET expires_at = ?2 WHERE id = ?1";
                let values = params![session.bits().cast_signed(), time(*expires_at)];
                self.tx.prepare_cached(sql)?.execute(values)?;
                self.event(position, at, &entry.event)
            }
            // What ran is found by its own request; a preparation ran nothing.
            Event::Prepared { .. } => Ok(()),
            other => self.event(position, at, other),
        }
    }

    fn session_opened(
        &mut self,
        position: i64,
        at: i64,
        session: SessionId,
        subject: &Subject,
        [target, database, source, application]: [&str; 4],
    ) -> Result<(), Error> {
        let id = session.bits().cast_signed();
        let (key, target, database) =
            (self.names.subject(&subject.key)?, self.names.text(target)?, self.names.text(database)?);
        self.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO sessions (id, position, opened_at, subject, target, database, source,
                                                 application, expires_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![id, position, at, key, target, database, source, application, time(subject.expires_at)])?;
        self.seen(key, at, subject)?;
        self.sessions.remove(&session);
        for (place, actor) in (0i64..).zip(&subject.on_behalf_of) {
            let actor = self.names.subject(actor)?;
            let sql = "INSERT OR IGNORE INTO session_behalf (session, place, subject) VALUES (?, ?, ?)";
            self.tx.prepare_cached(sql)?.execute([id, place, actor])?;
        }
        Ok(())
    }

    /// Who the subject was then, unless it is known who it was later.
    fn seen(&self, key: i64, at: i64, subject: &Subject) -> Result<(), Error> {
        let sql = "INSERT INTO seen (subject, at, kind, groups) VALUES (?, ?, ?, ?)
                   ON CONFLICT (subject) DO UPDATE SET at = excluded.at, kind = excluded.kind, groups = excluded.groups
                   WHERE excluded.at >= seen.at";
        let (kind, groups) = (to_json(&subject.kind, "a kind of subject")?, to_json(&subject.groups, "groups")?);
        self.tx.prepare_cached(sql)?.execute(params![key, at, kind, groups])?;
        Ok(())
    }

    fn session_closed(
        &self,
        at: i64,
        session: SessionId,
        reason: &str,
        tape: Option<(Digest, u64)>,
    ) -> Result<(), Error> {
        let (digest, bytes) = tape.map(|(digest, bytes)| (digest.0, count(bytes))).unzip();
        self.tx
            .prepare_cached("UPDATE sessions SET closed_at = ?, reason = ?, tape = ?, tape_bytes = ? WHERE id = ?")?
            .execute(params![at, reason, digest, bytes, session.bits().cast_signed()])?;
        Ok(())
    }

    /// Takes what explains a statement, and returns its row.
    fn statement(
        &mut self,
        id: Digest,
        [target, database]: [&str; 2],
        text: &str,
        effects: &[Effect],
    ) -> Result<i64, Error> {
        let (target, database) = (self.names.text(target)?, self.names.text(database)?);
        let sql = "INSERT INTO statements (digest, text, target, database) VALUES (?, ?, ?, ?)
                   ON CONFLICT (digest) DO UPDATE SET text = excluded.text, target = excluded.target,
                       database = excluded.database RETURNING id";
        let values = params![id.0, text, target, database];
        let row: i64 = self.tx.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        let mut place = 0;
        for effect in effects {
            let (relation, column) = match &effect.object {
                Object::Table(table, _) => (Some(self.names.relation(table)?), None),
                Object::Column(column, _) => {
                    (Some(self.names.relation(&column.table)?), Some(self.names.column(column)?))
                }
                _ => (None, None),
            };
            self.effect(row, &mut place, effect, Some(effect.to_string()), (relation, column))?;
            if let Some(column) = &effect.with {
                let second = (Some(self.names.relation(&column.table)?), Some(self.names.column(column)?));
                self.effect(row, &mut place, effect, None, second)?;
            }
        }
        Ok(row)
    }

    fn effect(
        &self,
        statement: i64,
        place: &mut i64,
        effect: &Effect,
        line: Option<String>,
        (relation, column): (Option<i64>, Option<i64>),
    ) -> Result<(), Error> {
        self.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO effects (statement, place, verb, line, relation, column_id)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![statement, *place, effect.verb.as_str(), line, relation, column])?;
        *place = place.saturating_add(1);
        Ok(())
    }

    fn event(&mut self, position: i64, at: i64, event: &Event) -> Result<(), Error> {
        let facets = Facets::of(event);
        let subject = facets.subject.map(|subject| self.names.subject(subject)).transpose()?;
        let target = facets.target.map(|target| self.names.text(target)).transpose()?;
        let secret = facets.secret.map(|secret| self.names.text(secret)).transpose()?;
        let (session, approval) = (facets.session.map(SessionId::bits), facets.approval.map(ApprovalId::bits));
        self.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO events (position, at, session, subject, target, approval, secret, event)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                position,
                at,
                session.map(u64::cast_signed),
                subject,
                target,
                approval.map(u64::cast_signed),
                secret,
                to_json(event, "an event")?
            ])?;
        Ok(())
    }
}
