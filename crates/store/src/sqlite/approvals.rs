//! Approvals: asking, answering, ending. Spending is in `spending`.

use std::collections::BTreeSet;

use model::approval::{Answer, Asked, Mode, Status};
use model::id::{ApprovalId, SessionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::codec::{mode, mode_word, status, time, to_json};
use super::{Sqlite, rows};
use crate::Error;
use crate::approval::{
    AnswerError, Approval, AskError, AskedFor, Ended, Filter, Limits, OUTDATED, all_met, canonical, may_answer, people,
    status_word,
};
use crate::window::Terms;

const HOUR: u64 = 3_600_000;

impl Sqlite {
    /// Puts a question, or finds the open one that asks the same.
    pub(super) fn put_question(
        &self,
        asked: &Asked,
        terms: Option<&Terms>,
        id: ApprovalId,
        limits: &Limits,
    ) -> Result<AskedFor, AskError> {
        if asked.needs.is_empty() {
            return Err(AskError::Invalid("nobody could agree to it"));
        }
        if asked.expires_at <= asked.asked_at {
            return Err(AskError::Invalid("it has ended before it was asked"));
        }
        let mut outdated = Vec::new();
        let mut found = self.write(|tx| {
            outdated = withdraw_outdated(tx, asked)?;
            if let Some(open) = self.same_question(tx, asked)? {
                return Ok(open);
            }
            check_limits(tx, asked, limits)?;
            insert(tx, asked, terms, id)?;
            let (mode, status) = (asked.mode, Status::Pending);
            Ok::<_, AskError>(AskedFor { id, mode, status, is_new: true, outdated: Vec::new() })
        })?;
        outdated.iter().for_each(|id| self.changed(*id));
        found.outdated = outdated;
        if found.is_new {
            self.clock.started(id, asked.expires_at.millis_since(asked.asked_at));
            self.changed(id);
        }
        Ok(found)
    }

    /// The open question of the same subject for the same thing, which a retry joins instead of asking anew.
    fn same_question(&self, tx: &Transaction<'_>, asked: &Asked) -> Result<Option<AskedFor>, Error> {
        let mut statement = tx.prepare_cached(
            "SELECT id, mode, status, asked_at, expires_at FROM approvals
             WHERE digest = ?1 AND subject = ?2 AND status IN ('pending', 'approved')
               AND (mode = 'ticket' AND ?3 <> 'window' OR mode = ?3 AND (mode = 'window' OR session = ?4))
             ORDER BY asked_at, id",
        )?;
        let (subject, session) = (asked.subject.to_string(), asked.request.session.bits().cast_signed());
        let mut found = statement.query(params![asked.digest.0, subject, mode_word(asked.mode), session])?;
        while let Some(row) = found.next()? {
            let id = rows::approval_id(row.get("id")?);
            if self.clock.is_over(id, rows::life(row)?, asked.asked_at) {
                continue;
            }
            let (mode, status) = (mode(&row.get::<_, String>("mode")?)?, status(&row.get::<_, String>("status")?)?);
            return Ok(Some(AskedFor { id, mode, status, is_new: false, outdated: Vec::new() }));
        }
        Ok(None)
    }

    /// Takes one person's answer.
    pub(super) fn take_answer(
        &self,
        id: ApprovalId,
        answer: &Answer,
        on_behalf_of: &[SubjectKey],
        now: Timestamp,
    ) -> Result<Status, AnswerError> {
        let status = self.write(|tx| {
            let approval = rows::approval(tx, id)?.ok_or(AnswerError::NotFound)?;
            let counted = rows::people_who_agreed(tx, id)?;
            let life = (approval.asked.asked_at, approval.asked.expires_at);
            let people = people(&answer.approver, on_behalf_of);
            check_answer(&approval, answer, &people, &counted)?;
            if self.clock.is_over(id, life, now) {
                return Err(AnswerError::Expired);
            }
            insert_answer(tx, id, answer, &people)?;
            let mut answers = approval.answers;
            answers.push(answer.clone());
            let status = match answer.approve {
                false => Status::Denied,
                true if all_met(&approval.asked.needs, &answers) => Status::Approved,
                true => Status::Pending,
            };
            let reason = answer.reason.as_deref().unwrap_or("denied");
            set_status(tx, id, status, reason, now)?;
            Ok(status)
        })?;
        if status == Status::Denied {
            self.clock.stopped(id);
        }
        self.changed(id);
        Ok(status)
    }

    /// Lists approvals, the newest first.
    pub(super) fn list_approvals(&self, filter: &Filter) -> Result<Vec<Approval>, Error> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id FROM approvals
                 WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR subject = ?2) AND (?3 IS NULL OR target = ?3)
                   AND asked_at >= ?4
                 ORDER BY asked_at DESC, id LIMIT ?5",
            )?;
            let since = filter.since.map_or(0, time);
            let subject = filter.subject.as_ref().map(SubjectKey::to_string);
            let limit = super::limit(filter.limit);
            let ids = statement
                .query_map(
                    params![filter.status.map(status_word), subject, filter.target.as_deref(), since, limit],
                    |row| row.get(0),
                )?
                .collect::<Result<Vec<i64>, _>>()?;
            ids.into_iter().filter_map(|id| rows::approval(tx, rows::approval_id(id)).transpose()).collect()
        })
    }

    /// Ends one open approval.
    pub(super) fn end(&self, id: ApprovalId, status: Status, reason: &str, now: Timestamp) -> Result<bool, Error> {
        let ended = self.write(|tx| set_status(tx, id, status, reason, now))?;
        if ended {
            self.clock.stopped(id);
            self.changed(id);
        }
        Ok(ended)
    }

    /// Ends every open hold of a session.
    pub(super) fn end_holds(&self, session: SessionId, reason: &str, now: Timestamp) -> Result<Vec<ApprovalId>, Error> {
        self.end_all(Status::Withdrawn, reason, now, |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id FROM approvals WHERE session = ? AND mode = 'hold' AND status IN ('pending', 'approved')",
            )?;
            let ids = statement.query_map([session.bits().cast_signed()], |row| row.get(0).map(rows::approval_id))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
    }

    /// Ends every open approval whose time is over by either clock.
    pub(super) fn end_expired(&self, now: Timestamp) -> Result<Vec<ApprovalId>, Error> {
        self.end_all(Status::Expired, "its time was over", now, |tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id, asked_at, expires_at FROM approvals WHERE status IN ('pending', 'approved')",
            )?;
            let mut found = statement.query([])?;
            let mut over = Vec::new();
            while let Some(row) = found.next()? {
                let id = rows::approval_id(row.get("id")?);
                if self.clock.is_over(id, rows::life(row)?, now) {
                    over.push(id);
                }
            }
            Ok(over)
        })
    }

    fn end_all(
        &self,
        status: Status,
        reason: &str,
        now: Timestamp,
        which: impl FnOnce(&Transaction<'_>) -> Result<Vec<ApprovalId>, Error>,
    ) -> Result<Vec<ApprovalId>, Error> {
        let ended = self.write(|tx| {
            let ids = which(tx)?;
            for id in &ids {
                set_status(tx, *id, status, reason, now)?;
            }
            Ok::<_, Error>(ids)
        })?;
        for id in &ended {
            self.clock.stopped(*id);
            self.changed(*id);
        }
        Ok(ended)
    }

    /// Turns an open hold into a ticket.
    pub(super) fn unbind(&self, id: ApprovalId) -> Result<bool, Error> {
        let turned = self.write(|tx| {
            tx.execute(
                "UPDATE approvals SET mode = 'ticket'
                 WHERE id = ? AND mode = 'hold' AND status IN ('pending', 'approved')",
                [id.bits().cast_signed()],
            )
        })?;
        if turned > 0 {
            self.changed(id);
        }
        Ok(turned > 0)
    }
}

/// An open question for the same thing under other policies can no longer be spent: it would only mislead approvers.
fn withdraw_outdated(tx: &Transaction<'_>, asked: &Asked) -> Result<Vec<ApprovalId>, Error> {
    let needs = to_json(&canonical(&asked.needs), "needs")?;
    let mut statement = tx.prepare_cached(
        "SELECT id FROM approvals
         WHERE digest = ?1 AND subject = ?2 AND needs <> ?3 AND status IN ('pending', 'approved')",
    )?;
    let found = statement.query_map(params![asked.digest.0, asked.subject.to_string(), needs], |row| {
        row.get(0).map(rows::approval_id)
    })?;
    let outdated = found.collect::<Result<Vec<_>, _>>()?;
    for id in &outdated {
        set_status(tx, *id, Status::Withdrawn, OUTDATED, asked.asked_at)?;
    }
    Ok(outdated)
}

fn check_limits(tx: &Transaction<'_>, asked: &Asked, limits: &Limits) -> Result<(), AskError> {
    let subject = asked.subject.to_string();
    let now = time(asked.asked_at);
    let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<u32, rusqlite::Error> {
        tx.prepare_cached(sql)?.query_row(values, |row| row.get(0))
    };
    let pending = "SELECT count(*) FROM approvals WHERE status = 'pending' AND expires_at > ?1";
    if count(pending, &[&now])? >= limits.pending_total {
        return Err(AskError::TooMany(limits.pending_total));
    }
    let of_subject = "SELECT count(*) FROM approvals WHERE subject = ?1 AND status = 'pending' AND expires_at > ?2";
    let asked_lately = "SELECT count(*) FROM approvals WHERE subject = ?1 AND asked_at > ?2";
    let hour_ago = now.saturating_sub(super::codec::count(HOUR));
    for (sql, since, limit) in
        [(of_subject, now, limits.pending_per_subject), (asked_lately, hour_ago, limits.hourly_per_subject)]
    {
        if count(sql, &[&subject, &since])? >= limit {
            return Err(AskError::TooManyOfSubject { subject: asked.subject.clone(), limit });
        }
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, asked: &Asked, terms: Option<&Terms>, id: ApprovalId) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO approvals (id, digest, subject, target, session, mode, status, asked_at, expires_at, needs, asked,
                                window)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        id.bits().cast_signed(),
        asked.digest.0,
        asked.subject.to_string(),
        &*asked.target,
        asked.request.session.bits().cast_signed(),
        mode_word(asked.mode),
        time(asked.asked_at),
        time(asked.expires_at),
        to_json(&canonical(&asked.needs), "needs")?,
        to_json(asked, "a question")?,
        terms.map(|terms| to_json(terms, "a window's terms")).transpose()?,
    ])?;
    Ok(())
}

/// The rules for people: see [`crate::State::answer`].
fn check_answer(
    approval: &Approval,
    answer: &Answer,
    people: &BTreeSet<String>,
    counted: &BTreeSet<String>,
) -> Result<(), AnswerError> {
    let revokes = approval.status == Status::Approved && !answer.approve;
    if approval.status != Status::Pending && !revokes {
        return Err(AnswerError::NotOpen(approval.status));
    }
    let asked = &approval.asked;
    if !crate::approval::people(&asked.subject, &asked.on_behalf_of).is_disjoint(people) {
        return Err(AnswerError::OwnRequest);
    }
    if !asked.needs.iter().any(|need| may_answer(need, &answer.groups)) {
        return Err(AnswerError::NotAnApprover);
    }
    if answer.approve && !counted.is_disjoint(people) {
        return Err(AnswerError::AlreadyAnswered);
    }
    Ok(())
}

fn insert_answer(
    tx: &Transaction<'_>,
    id: ApprovalId,
    answer: &Answer,
    people: &BTreeSet<String>,
) -> Result<(), Error> {
    tx.prepare_cached("INSERT INTO answers (approval, people, answer) VALUES (?, ?, ?)")?.execute(params![
        id.bits().cast_signed(),
        to_json(people, "people")?,
        to_json(answer, "an answer")?
    ])?;
    Ok(())
}

/// Moves an open approval on; returns whether it was open. What has ended never changes again.
pub(super) fn set_status(
    tx: &Transaction<'_>,
    id: ApprovalId,
    status: Status,
    reason: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let ended = match status {
        Status::Pending | Status::Approved | Status::Consumed => None,
        Status::Denied | Status::Withdrawn | Status::Expired => {
            Some(to_json(&Ended { at: now, reason: reason.to_owned() }, "an end")?)
        }
    };
    let changed = tx
        .prepare_cached(
            "UPDATE approvals SET status = ?2, ended = ?3 WHERE id = ?1 AND status IN ('pending', 'approved')",
        )?
        .execute(params![id.bits().cast_signed(), status_word(status), ended])?;
    Ok(changed > 0)
}

/// How an approval is waited for; `None` if state does not know it.
pub(super) fn mode_of(tx: &Transaction<'_>, id: ApprovalId) -> Result<Option<Mode>, Error> {
    let word: Option<String> = tx
        .prepare_cached("SELECT mode FROM approvals WHERE id = ?")?
        .query_row([id.bits().cast_signed()], |row| row.get(0))
        .optional()?;
    word.map(|word| mode(&word)).transpose()
}
