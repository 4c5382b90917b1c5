//! Feeding the index from the journal.

use model::decision::{Denial, Outcome};
use model::disclosure::{Counts, Disclosure};
use model::effect::{Effect, Object};
use model::event::{Entry, Event, Shown};
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::subject::{Subject, SubjectKey};
use model::time::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::codec::{count, number, outcome_word, time, to_json};
use super::names::Names;
use super::{Sqlite, transact};
use crate::Error;

/// Every table of the index that holds entries.
pub(super) const TABLES: [&str; 15] = [
    "progress",
    "columns",
    "relations",
    "names",
    "session_behalf",
    "sessions",
    "subjects",
    "statements",
    "effects",
    "requests",
    "request_statements",
    "request_policies",
    "class_disclosures",
    "column_disclosures",
    "events",
];

impl Sqlite {
    /// Adds entries in one transaction.
    pub(super) fn feed(&self, entries: &[(u64, Entry)]) -> Result<(), Error> {
        transact(&mut self.index_connection(), |tx| {
            let done = position(tx)?;
            let mut feeder = Feeder { tx, names: Names::new(tx) };
            let new = entries.iter().filter(|(at, _)| done.is_none_or(|done| *at > done));
            let mut last = done;
            for (at, entry) in new {
                feeder.entry(count(*at), entry)?;
                last = last.max(Some(*at));
            }
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
        position(&self.search_connection())
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

fn position(connection: &rusqlite::Connection) -> Result<Option<u64>, Error> {
    let sql = "SELECT position FROM progress";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0).map(number)).optional()?)
}

struct Feeder<'a> {
    tx: &'a Transaction<'a>,
    names: Names<'a>,
}

impl Feeder<'_> {
    fn entry(&mut self, position: i64, entry: &Entry) -> Result<(), Error> {
        let at = time(entry.at);
        match &entry.event {
            Event::SessionOpened { session, subject, target, database, source, application, .. } => {
                let place = [&**target, &**database, &source.to_string(), &**application];
                self.session_opened(position, at, *session, subject, place)
            }
            Event::SessionClosed { session, reason, tape } => self.session_closed(at, *session, reason, *tape),
            Event::Statement { id, text, effects, .. } => self.statement(*id, text, effects),
            Event::Decided {
                request,
                statements,
                values,
                outcome,
                policies,
                revision,
                approval,
                denial,
                on_behalf_of,
                traceparent,
            } => {
                let decision = Decision {
                    outcome: *outcome,
                    revision: *revision,
                    approval: *approval,
                    denial: denial.as_ref(),
                    on_behalf_of: on_behalf_of.as_ref(),
                    traceparent: traceparent.as_deref(),
                    values,
                };
                let row = self.decided(position, at, *request, &decision)?;
                self.request_statements(row, statements)?;
                policies.iter().try_for_each(|policy| self.request_policy(row, policy))
            }
            Event::Completed { request, disclosure, error, millis } => {
                self.completed(position, entry.at, *request, disclosure, error.as_deref(), *millis)
            }
            Event::SessionRenewed { session, expires_at } => {
                let sql = "UPDATE sessions SET expires_at = ?2 WHERE id = ?1";
                let values = params![session.bits().cast_signed(), time(*expires_at)];
                self.tx.prepare_cached(sql)?.execute(values)?;
                self.event(position, at, &entry.event)
            }
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
        for (place, actor) in (0i64..).zip(&subject.on_behalf_of) {
            let actor = self.names.subject(actor)?;
            let sql = "INSERT OR IGNORE INTO session_behalf (session, place, subject) VALUES (?, ?, ?)";
            self.tx.prepare_cached(sql)?.execute([id, place, actor])?;
        }
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

    fn statement(&mut self, id: Digest, text: &str, effects: &[Effect]) -> Result<(), Error> {
        let sql = "INSERT INTO statements (digest, text) VALUES (?, ?)
                   ON CONFLICT (digest) DO UPDATE SET text = excluded.text RETURNING id";
        let row: i64 = self.tx.prepare_cached(sql)?.query_row(params![id.0, text], |row| row.get(0))?;
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
        Ok(())
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

    /// Enters a decision and returns the request's row. A request that is decided again (asked, then allowed) keeps its
    /// row and its time.
    fn decided(&mut self, position: i64, at: i64, id: RequestId, decision: &Decision<'_>) -> Result<i64, Error> {
        let (subject, target) = self.whose(id.session)?;
        let behalf = decision.on_behalf_of.map(|key| self.names.subject(key)).transpose()?;
        let asked = decision.outcome == Outcome::Ask;
        Ok(self
            .tx
            .prepare_cached(
                "INSERT INTO requests (id, at, session, number, subject, target, outcome, was_asked, revision, approval,
                                       behalf, shown, denial, traceparent)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (session, number) DO UPDATE SET
                     outcome = excluded.outcome, was_asked = max(was_asked, excluded.was_asked),
                     revision = excluded.revision, approval = coalesce(excluded.approval, approval),
                     behalf = coalesce(excluded.behalf, behalf), shown = excluded.shown, denial = excluded.denial,
                     traceparent = coalesce(excluded.traceparent, traceparent)
                 RETURNING id",
            )?
            .query_row(
                params![
                    position,
                    at,
                    id.session.bits().cast_signed(),
                    id.number.cast_signed(),
                    subject,
                    target,
                    outcome_word(decision.outcome),
                    asked,
                    count(decision.revision.0),
                    decision.approval.map(|approval| approval.bits().cast_signed()),
                    behalf,
                    to_json(&decision.values, "values")?,
                    decision.denial.map(|denial| to_json(denial, "a denial")).transpose()?,
                    decision.traceparent
                ],
                |row| row.get(0),
            )?)
    }

    /// The subject and target of a session, if the journal had its opening.
    fn whose(&self, session: SessionId) -> Result<(Option<i64>, Option<i64>), Error> {
        let found = self
            .tx
            .prepare_cached("SELECT subject, target FROM sessions WHERE id = ?")?
            .query_row([session.bits().cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    fn request_statements(&self, request: i64, statements: &[Digest]) -> Result<(), Error> {
        for (place, digest) in (0i64..).zip(statements) {
            let sql = "INSERT INTO statements (digest) VALUES (?)
                       ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest RETURNING id";
            let statement: i64 = self.tx.prepare_cached(sql)?.query_row([digest.0], |row| row.get(0))?;
            let sql = "INSERT OR IGNORE INTO request_statements (request, place, statement) VALUES (?, ?, ?)";
            self.tx.prepare_cached(sql)?.execute([request, place, statement])?;
        }
        Ok(())
    }

    fn request_policy(&mut self, request: i64, policy: &str) -> Result<(), Error> {
        let policy = self.names.text(policy)?;
        let sql = "INSERT OR IGNORE INTO request_policies (request, policy) VALUES (?, ?)";
        self.tx.prepare_cached(sql)?.execute([request, policy])?;
        Ok(())
    }

    /// Enters the end of a request. What answered in several parts adds up.
    fn completed(
        &mut self,
        position: i64,
        at: Timestamp,
        id: RequestId,
        disclosure: &Disclosure,
        error: Option<&str>,
        millis: u64,
    ) -> Result<(), Error> {
        let (row, decided_at, subject) = self.row_of(position, at, id)?;
        self.tx
            .prepare_cached(
                "UPDATE requests SET ended_at = ?2, row_count = coalesce(row_count, 0) + ?3,
                     bytes = coalesce(bytes, 0) + ?4, millis = ?5, error = coalesce(?6, error)
                 WHERE id = ?1",
            )?
            .execute(params![row, time(at), count(disclosure.rows), count(disclosure.bytes), count(millis), error])?;
        for (class, counts) in &disclosure.classes {
            let class = self.names.text(class.as_str())?;
            let key = [class, subject.unwrap_or(0), decided_at, row];
            self.disclosed("class_disclosures (class, subject, at, request, clear, masked)", &key, *counts)?;
        }
        for (column, counts) in &disclosure.columns {
            let column = self.names.column(column)?;
            self.disclosed("column_disclosures (request, column_id, clear, masked)", &[row, column], *counts)?;
        }
        Ok(())
    }

    fn disclosed(&self, table: &str, key: &[i64], counts: Counts) -> Result<(), Error> {
        let places = vec!["?"; key.len().saturating_add(2)].join(", ");
        let sql = format!(
            "INSERT INTO {table} VALUES ({places})
             ON CONFLICT DO UPDATE SET clear = clear + excluded.clear, masked = masked + excluded.masked"
        );
        let values = key.iter().copied().chain([count(counts.clear), count(counts.masked)]);
        self.tx.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(values))?;
        Ok(())
    }

    /// A request's row, its time and its subject. If the journal lacks its decision, it evidently ran.
    fn row_of(&mut self, position: i64, at: Timestamp, id: RequestId) -> Result<(i64, i64, Option<i64>), Error> {
        let key = [id.session.bits().cast_signed(), id.number.cast_signed()];
        let sql = "SELECT id, at, subject FROM requests WHERE session = ? AND number = ?";
        let found = self
            .tx
            .prepare_cached(sql)?
            .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some(found) = found {
            return Ok(found);
        }
        let row = self.decided(position, time(at), id, &Decision::MISSING)?;
        Ok((row, time(at), self.whose(id.session)?.0))
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

/// What a decision says of a request.
struct Decision<'a> {
    outcome: Outcome,
    revision: RevisionId,
    approval: Option<ApprovalId>,
    denial: Option<&'a Denial>,
    on_behalf_of: Option<&'a SubjectKey>,
    traceparent: Option<&'a str>,
    values: &'a [Shown],
}

impl Decision<'_> {
    const MISSING: Self = Self {
        outcome: Outcome::Allow,
        revision: RevisionId(0),
        approval: None,
        denial: None,
        on_behalf_of: None,
        traceparent: None,
        values: &[],
    };
}

/// What an event can be found by.
#[derive(Default)]
struct Facets<'a> {
    session: Option<SessionId>,
    subject: Option<&'a SubjectKey>,
    target: Option<&'a str>,
    approval: Option<ApprovalId>,
    secret: Option<&'a str>,
}

impl<'a> Facets<'a> {
    fn of(event: &'a Event) -> Self {
        let none = Self::default();
        match event {
            Event::SessionRefused { session, .. } | Event::SessionRenewed { session, .. } => {
                Self { session: Some(*session), ..none }
            }
            Event::ApprovalAsked { approval, asked } => Self {
                session: Some(asked.request.session),
                subject: Some(&asked.subject),
                target: Some(&asked.target),
                approval: Some(*approval),
                ..none
            },
            Event::ApprovalAnswered { approval, answer } => {
                Self { subject: Some(&answer.approver), approval: Some(*approval), ..none }
            }
            Event::ApprovalConsumed { approval, request } | Event::OutcomeUnknown { approval, request } => {
                Self { session: Some(request.session), approval: Some(*approval), ..none }
            }
            Event::ApprovalEnded { approval, .. } => Self { approval: Some(*approval), ..none },
            Event::BreakGlass { request, subject, .. } => {
                Self { session: Some(request.session), subject: Some(subject), ..none }
            }
            Event::SecretUsed { session, target, reference } => {
                Self { session: *session, target: Some(target), secret: Some(reference), ..none }
            }
            Event::AdminAction { subject, .. } => Self { subject: Some(subject), ..none },
            Event::OwnStatement { session, target, .. } => Self { session: *session, target: Some(target), ..none },
            Event::Gap { session, .. } => Self { session: *session, ..none },
            _ => none,
        }
    }
}
