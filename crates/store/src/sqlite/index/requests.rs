//! Requests in the index: decided, and ended.
//!
//! What is decided waits for its end until the transaction is over, so that a request of which both are at hand is
//! entered once, complete, and most share their row with others ([`super::runs`]). Whatever else happens to a request
//! (asked and then allowed, answered in several parts, ended later) is added to a row of its own.

use model::decision::{Denial, Outcome};
use model::disclosure::{Counts, Disclosure};
use model::event::{Event, Shown};
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use rusqlite::{OptionalExtension, ToSql, params};

use super::super::codec::{count, outcome_word, to_json};
use super::Feeder;
use crate::Error;

/// A decision as its row has it.
#[derive(Clone, Copy)]
pub(super) struct Open<'a> {
    pub(super) position: i64,
    pub(super) at: i64,
    pub(super) id: RequestId,
    /// Whether nothing of it is in the index: if something is, it has a row of its own.
    is_new: bool,
    pub(super) subject: Option<i64>,
    pub(super) target: Option<i64>,
    pub(super) ruling: Option<i64>,
    pub(super) behalf: Option<i64>,
    pub(super) decision: Decision<'a>,
}

/// What was decided.
#[derive(Clone, Copy)]
pub(super) struct Decision<'a> {
    pub(super) outcome: Outcome,
    pub(super) revision: RevisionId,
    pub(super) values: &'a [Shown],
    approval: Option<ApprovalId>,
    denial: Option<&'a Denial>,
    traceparent: Option<&'a str>,
}

impl Decision<'_> {
    /// Of a request that evidently ran, if the journal has no decision.
    const EVIDENT: Self = Self {
        outcome: Outcome::Allow,
        revision: RevisionId(0),
        values: &[],
        approval: None,
        denial: None,
        traceparent: None,
    };

    /// Whether it allows, and nothing of it is searched for but what many have in common.
    pub(super) fn is_plain(&self) -> bool {
        self.outcome == Outcome::Allow && self.approval.is_none() && self.denial.is_none() && self.traceparent.is_none()
    }

    fn shown(&self) -> Result<String, Error> {
        to_json(&self.values, "values")
    }

    fn denial(&self) -> Result<Option<String>, Error> {
        self.denial.map(|denial| to_json(denial, "a denial")).transpose()
    }
}

/// How a request ended, or a part of its answer.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) at: i64,
    pub(super) disclosure: &'a Disclosure,
    pub(super) error: Option<&'a str>,
    pub(super) millis: u64,
}

impl Ending<'_> {
    /// Whether it went well and gave away nothing of any class.
    pub(super) fn is_plain(&self) -> bool {
        let delivers = |counts: &Counts| *counts != Counts::default();
        self.error.is_none()
            && !self.disclosure.classes.values().any(delivers)
            && !self.disclosure.columns.values().any(delivers)
    }
}

impl<'a> Feeder<'a> {
    /// Takes a decision. A request that is decided again keeps its row and its time.
    pub(super) fn decided(&mut self, position: i64, at: i64, id: RequestId, event: &'a Event) -> Result<(), Error> {
        let Event::Decided {
            statements,
            values,
            outcome,
            policies,
            revision,
            approval,
            denial,
            on_behalf_of,
            traceparent,
            ..
        } = event
        else {
            return Ok(());
        };
        let may_be_known = self.on_its_own(id)?;
        let (subject, target) = self.whose(id.session)?;
        let open = Open {
            position,
            at,
            id,
            is_new: !may_be_known && !self.open.contains_key(&id),
            subject,
            target,
            ruling: Some(self.ruling(statements, policies)?),
            behalf: on_behalf_of.as_ref().map(|key| self.names.subject(key)).transpose()?,
            decision: Decision {
                outcome: *outcome,
                revision: *revision,
                values,
                approval: *approval,
                denial: denial.as_ref(),
                traceparent: traceparent.as_deref(),
            },
        };
        if let Some(earlier) = self.open.insert(id, open) {
            self.enter(&earlier, None)?;
        }
        Ok(())
    }

    /// Takes a request out of the run that it is in, if one; says whether the index may have had it.
    fn on_its_own(&mut self, id: RequestId) -> Result<bool, Error> {
        let may_be_known = self.runs.may_know(self.tx, id)?;
        if may_be_known {
            self.runs.take_out(self.tx, id)?;
        }
        Ok(may_be_known)
    }

    /// Takes the end of a request. What answered in several parts adds up.
    pub(super) fn completed(&mut self, position: i64, id: RequestId, ending: &Ending<'_>) -> Result<(), Error> {
        let (row, at, subject) = match self.open.remove(&id) {
            Some(open) if self.shares_a_row(&open, ending)? => return Ok(()),
            Some(open) => (self.enter(&open, Some(ending))?, open.at, open.subject),
            None => self.ended(position, id, ending)?,
        };
        let delivered = |counts: &Counts| *counts != Counts::default();
        for (class, counts) in ending.disclosure.classes.iter().filter(|(_, counts)| delivered(counts)) {
            let class = self.names.text(class.as_str())?;
            let key = [class, subject.unwrap_or(0), at, row];
            self.enter_disclosed("class_disclosures (class, subject, at, request, clear, masked)", &key, *counts)?;
        }
        for (column, counts) in ending.disclosure.columns.iter().filter(|(_, counts)| delivered(counts)) {
            let column = self.names.column(column)?;
            self.enter_disclosed("column_disclosures (request, column_id, clear, masked)", &[row, column], *counts)?;
        }
        Ok(())
    }

    /// Whether what is decided and has ended went into a run: then there is nothing else to enter.
    fn shares_a_row(&mut self, open: &Open<'a>, ending: &Ending<'_>) -> Result<bool, Error> {
        Ok(open.is_new && self.runs.take(self.tx, open, ending)?)
    }

    /// Enters what is decided and has not ended, and what runs there are.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let open = std::mem::take(&mut self.open);
        open.values().try_for_each(|open| self.enter(open, None).map(|_| ()))?;
        self.runs.finish(self.tx)
    }

    /// Enters a decision, with its end if it is at hand, and returns the request's row.
    fn enter(&mut self, open: &Open<'_>, ending: Option<&Ending<'_>>) -> Result<i64, Error> {
        self.runs.knows(open.id);
        let entered = self
            .tx
            .prepare_cached(
                "INSERT INTO requests (id, at, session, number, subject, target, ruling, outcome, was_asked, revision,
                                       approval, behalf, shown, denial, traceparent, ended_at, row_count, bytes, millis,
                                       error)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (session, number) DO NOTHING",
            )?
            .execute(params![
                open.position,
                open.at,
                open.id.session.bits().cast_signed(),
                open.id.number.cast_signed(),
                open.subject,
                open.target,
                open.ruling,
                outcome_word(open.decision.outcome),
                open.decision.outcome == Outcome::Ask,
                count(open.decision.revision.0),
                open.decision.approval.map(|approval| approval.bits().cast_signed()),
                open.behalf,
                open.decision.shown()?,
                open.decision.denial()?,
                open.decision.traceparent,
                ending.map(|ending| ending.at),
                ending.map(|ending| count(ending.disclosure.rows)),
                ending.map(|ending| count(ending.disclosure.bytes)),
                ending.map(|ending| count(ending.millis)),
                ending.and_then(|ending| ending.error),
            ])?;
        if entered == 1 {
            return Ok(open.position);
        }
        let row = self.decide_again(open)?;
        ending.map_or(Ok(()), |ending| self.end_row(row, ending))?;
        Ok(row)
    }

    /// Brings the row of a request that was decided before up to date.
    fn decide_again(&self, open: &Open<'_>) -> Result<i64, Error> {
        let values: [&dyn ToSql; 11] = [
            &open.id.session.bits().cast_signed(),
            &open.id.number.cast_signed(),
            &open.ruling,
            &outcome_word(open.decision.outcome),
            &(open.decision.outcome == Outcome::Ask),
            &count(open.decision.revision.0),
            &open.decision.approval.map(|approval| approval.bits().cast_signed()),
            &open.behalf,
            &open.decision.shown()?,
            &open.decision.denial()?,
            &open.decision.traceparent,
        ];
        let sql = "UPDATE requests SET ruling = ?3, outcome = ?4, was_asked = max(was_asked, ?5), revision = ?6,
                       approval = coalesce(?7, approval), behalf = coalesce(?8, behalf), shown = ?9, denial = ?10,
                       traceparent = coalesce(?11, traceparent)
                   WHERE session = ?1 AND number = ?2 RETURNING id";
        Ok(self.tx.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Adds an end to the row of a request; returns the row, its time and its subject.
    fn ended(&mut self, position: i64, id: RequestId, ending: &Ending<'_>) -> Result<(i64, i64, Option<i64>), Error> {
        self.on_its_own(id)?;
        let found = self.row_of(position, id, ending.at)?;
        self.end_row(found.0, ending)?;
        Ok(found)
    }

    fn end_row(&self, row: i64, ending: &Ending<'_>) -> Result<(), Error> {
        let Ending { at, disclosure, error, millis } = *ending;
        self.tx
            .prepare_cached(
                "UPDATE requests SET ended_at = ?2, row_count = coalesce(row_count, 0) + ?3,
                     bytes = coalesce(bytes, 0) + ?4, millis = ?5, error = coalesce(?6, error)
                 WHERE id = ?1",
            )?
            .execute(params![row, at, count(disclosure.rows), count(disclosure.bytes), count(millis), error])?;
        Ok(())
    }

    /// The subject and target of a session, if the journal had its opening.
    fn whose(&mut self, session: SessionId) -> Result<(Option<i64>, Option<i64>), Error> {
        if let Some(known) = self.sessions.get(&session) {
            return Ok(*known);
        }
        let found = self
            .tx
            .prepare_cached("SELECT subject, target FROM sessions WHERE id = ?")?
            .query_row([session.bits().cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .unwrap_or_default();
        self.sessions.insert(session, found);
        Ok(found)
    }

    /// The number of what is run and the policies that decided it.
    fn ruling(&mut self, statements: &[Digest], policies: &[impl AsRef<str>]) -> Result<i64, Error> {
        let mut key: Vec<u8> = statements.iter().flat_map(|digest| digest.0).collect();
        for policy in policies {
            key.push(0);
            key.extend_from_slice(policy.as_ref().as_bytes());
        }
        if let Some(known) = self.rulings.get(&key) {
            return Ok(*known);
        }
        let sql = "SELECT id FROM rulings WHERE key = ?";
        let found = self.tx.prepare_cached(sql)?.query_row([&key], |row| row.get(0)).optional()?;
        let id = match found {
            Some(id) => id,
            None => self.new_ruling(&key, statements, policies)?,
        };
        self.rulings.insert(key, id);
        Ok(id)
    }

    fn new_ruling(&mut self, key: &[u8], statements: &[Digest], policies: &[impl AsRef<str>]) -> Result<i64, Error> {
        let sql = "INSERT INTO rulings (key) VALUES (?)";
        let ruling = self.tx.prepare_cached(sql)?.insert([key])?;
        for (place, digest) in (0i64..).zip(statements) {
            let sql = "INSERT INTO statements (digest) VALUES (?)
                       ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest RETURNING id";
            let statement: i64 = self.tx.prepare_cached(sql)?.query_row([digest.0], |row| row.get(0))?;
            let sql = "INSERT INTO ruling_statements (ruling, place, statement) VALUES (?, ?, ?)";
            self.tx.prepare_cached(sql)?.execute([ruling, place, statement])?;
        }
        for policy in policies {
            let policy = self.names.text(policy.as_ref())?;
            let sql = "INSERT OR IGNORE INTO ruling_policies (ruling, policy) VALUES (?, ?)";
            self.tx.prepare_cached(sql)?.execute([ruling, policy])?;
        }
        Ok(ruling)
    }

    fn enter_disclosed(&self, table: &str, key: &[i64], counts: Counts) -> Result<(), Error> {
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
    fn row_of(&mut self, position: i64, id: RequestId, at: i64) -> Result<(i64, i64, Option<i64>), Error> {
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
        let (subject, target) = self.whose(id.session)?;
        let decision = Decision::EVIDENT;
        let evident = Open { position, at, id, is_new: false, subject, target, ruling: None, behalf: None, decision };
        Ok((self.enter(&evident, None)?, at, subject))
    }
}
