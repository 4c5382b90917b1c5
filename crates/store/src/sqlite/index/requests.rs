//! Requests in the index: decided, and ended.

use model::decision::{Denial, Outcome};
use model::disclosure::{Counts, Disclosure};
use model::event::Shown;
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::super::codec::{count, outcome_word, time, to_json};
use super::Feeder;
use crate::Error;

/// What a decision says of a request.
pub(super) struct Decision<'a> {
    pub(super) outcome: Outcome,
    pub(super) revision: RevisionId,
    pub(super) approval: Option<ApprovalId>,
    pub(super) denial: Option<&'a Denial>,
    pub(super) on_behalf_of: Option<&'a SubjectKey>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) values: &'a [Shown],
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

impl Feeder<'_> {
    /// Enters a decision and returns the request's row. A request that is decided again (asked, then allowed) keeps its
    /// row and its time.
    pub(super) fn decided(
        &mut self,
        position: i64,
        at: i64,
        id: RequestId,
        decision: &Decision<'_>,
    ) -> Result<i64, Error> {
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

    /// Enters what a request runs.
    pub(super) fn request_statements(&self, request: i64, statements: &[Digest]) -> Result<(), Error> {
        for (place, digest) in (0i64..).zip(statements) {
            let sql = "INSERT INTO statements (digest) VALUES (?)
                       ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest RETURNING id";
            let statement: i64 = self.tx.prepare_cached(sql)?.query_row([digest.0], |row| row.get(0))?;
            let sql = "INSERT OR IGNORE INTO request_statements (request, place, statement) VALUES (?, ?, ?)";
            self.tx.prepare_cached(sql)?.execute([request, place, statement])?;
        }
        Ok(())
    }

    /// Enters a policy that decided a request.
    pub(super) fn request_policy(&mut self, request: i64, policy: &str) -> Result<(), Error> {
        let policy = self.names.text(policy)?;
        let sql = "INSERT OR IGNORE INTO request_policies (request, policy) VALUES (?, ?)";
        self.tx.prepare_cached(sql)?.execute([request, policy])?;
        Ok(())
    }

    /// Enters the end of a request. What answered in several parts adds up.
    pub(super) fn completed(
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
        let delivered = |counts: &Counts| *counts != Counts::default();
        for (class, counts) in disclosure.classes.iter().filter(|(_, counts)| delivered(counts)) {
            let class = self.names.text(class.as_str())?;
            let key = [class, subject.unwrap_or(0), decided_at, row];
            self.disclosed("class_disclosures (class, subject, at, request, clear, masked)", &key, *counts)?;
        }
        for (column, counts) in disclosure.columns.iter().filter(|(_, counts)| delivered(counts)) {
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
}
