//! Spending approvals: at most once, whoever asks, however often, also after a restart.
//!
//! Each function is one immediate transaction: SQLite lets nobody else write from its first statement to its end. The
//! proof is made after the commit is on the disk, so a crash leaves either an approval that nobody used or a use that
//! is reported by `unresolved`, never a request that ran on an approval that is still open.

use model::approval::{Answer, Asked, Consumed, Mode, Status};
use model::decision::Need;
use model::id::{ApprovalId, Digest, RequestId};
use model::time::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::codec::{from_json, request, time, to_json};
use super::{Sqlite, approvals, rows};
use crate::Error;
use crate::approval::{Spending, Spent, all_met, canonical};
use crate::window::{Terms, WindowUse};

impl Sqlite {
    /// Spends a hold or ticket.
    pub(super) fn spend(&self, spending: &Spending<'_>) -> Result<Option<Consumed>, Error> {
        let spent = self.write(|tx| {
            let Some(id) = self.spendable(tx, spending)? else { return Ok(None) };
            let answers = agreeing_answers(tx, id)?;
            if !all_met(spending.needs, &answers) {
                return Err(Error::Corrupt("an approval that was agreed to"));
            }
            finish(tx, id)?;
            record_use(tx, id, spending.request, spending.now, true)?;
            Ok(Some((id, answers)))
        })?;
        Ok(spent.map(|(id, answers)| {
            self.clock.stopped(id);
            self.changed(id);
            attest(id, spending.digest, spending.request, answers)
        }))
    }

    fn spendable(&self, tx: &Transaction<'_>, spending: &Spending<'_>) -> Result<Option<ApprovalId>, Error> {
        let needs = to_json(&canonical(spending.needs), "needs")?;
        let mut statement = tx.prepare_cached(
            "SELECT id, asked_at, expires_at FROM approvals
             WHERE digest = ?1 AND needs = ?2 AND status = 'approved'
               AND (mode = 'ticket' OR mode = 'hold' AND session = ?3)
             ORDER BY mode, asked_at, id", // holds first
        )?;
        let session = spending.session.bits().cast_signed();
        let mut found = statement.query(params![spending.digest.0, needs, session])?;
        while let Some(row) = found.next()? {
            let id = rows::approval_id(row.get("id")?);
            if !self.clock.is_over(id, rows::life(row)?, spending.now) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Uses a window.
    pub(super) fn spend_window(&self, usage: &WindowUse<'_>) -> Result<Option<Consumed>, Error> {
        let used = self.write(|tx| {
            for (id, terms) in self.open_windows(tx, usage)? {
                let uses = count_uses(tx, id)?;
                if terms.max_uses.is_some_and(|most| uses >= most)
                    || !record_use(tx, id, usage.request, usage.now, false)?
                {
                    continue;
                }
                if terms.max_uses.is_some_and(|most| uses.saturating_add(1) >= most) {
                    finish(tx, id)?;
                }
                return Ok(Some((id, agreeing_answers(tx, id)?)));
            }
            Ok::<_, Error>(None)
        })?;
        Ok(used.map(|(id, answers)| {
            self.changed(id);
            attest(id, usage.digest, usage.request, answers)
        }))
    }

    fn open_windows(&self, tx: &Transaction<'_>, usage: &WindowUse<'_>) -> Result<Vec<(ApprovalId, Terms)>, Error> {
        let mut statement = tx.prepare_cached(
            "SELECT id, asked_at, expires_at, asked, window FROM approvals
             WHERE subject = ?1 AND target = ?2 AND mode = 'window' AND status = 'approved'
             ORDER BY expires_at, id",
        )?;
        let mut found = statement.query(params![usage.subject.to_string(), usage.target])?;
        let mut open = Vec::new();
        while let Some(row) = found.next()? {
            let id = rows::approval_id(row.get("id")?);
            let (asked, terms) = window(row)?;
            if !self.clock.is_over(id, rows::life(row)?, usage.now) && covers(&asked, &terms, usage) {
                open.push((id, terms));
            }
        }
        Ok(open)
    }
}

/// Whether a window was agreed to for such a request.
fn covers(asked: &Asked, terms: &Terms, usage: &WindowUse<'_>) -> bool {
    let agreed = canonical(&asked.needs);
    asked.subject == *usage.subject
        && asked.on_behalf_of == usage.on_behalf_of
        && *asked.target == *usage.target
        && *asked.database == *usage.database
        && !usage.needs.is_empty()
        && canonical(usage.needs).iter().all(|need: &Need| agreed.contains(need))
        && terms.scope.session.is_none_or(|session| session == usage.session)
        && terms.scope.covers(usage.effects)
}

fn window(row: &Row<'_>) -> Result<(Asked, Terms), Error> {
    let asked = from_json(&row.get::<_, String>("asked")?, "a question")?;
    Ok((asked, from_json(&row.get::<_, String>("window")?, "a window's terms")?))
}

fn agreeing_answers(tx: &Transaction<'_>, id: ApprovalId) -> Result<Vec<Answer>, Error> {
    let mut answers = rows::answers(tx, id)?;
    answers.retain(|answer| answer.approve);
    Ok(answers)
}

/// Moves an approval from approved to consumed.
fn finish(tx: &Transaction<'_>, id: ApprovalId) -> Result<(), Error> {
    let changed = tx
        .prepare_cached("UPDATE approvals SET status = 'consumed' WHERE id = ? AND status = 'approved'")?
        .execute([id.bits().cast_signed()])?;
    if changed == 1 { Ok(()) } else { Err(Error::Corrupt("an approval that can be spent")) }
}

/// Writes down a use; returns whether this request had not used the window before. A second use of anything but a window
/// is an error: a unique index refuses it.
fn record_use(
    tx: &Transaction<'_>,
    id: ApprovalId,
    request: RequestId,
    now: Timestamp,
    once: bool,
) -> Result<bool, Error> {
    let (session, number) = (request.session.bits().cast_signed(), request.number.cast_signed());
    let sql = "INSERT INTO uses (approval, session, request, at, once, completed) VALUES (?, ?, ?, ?, ?, 0)
               ON CONFLICT (approval, session, request) DO NOTHING";
    let added = tx.prepare_cached(sql)?.execute(params![id.bits().cast_signed(), session, number, time(now), once])?;
    if once && added == 0 {
        return Err(Error::Corrupt("an approval that can be spent"));
    }
    Ok(added > 0)
}

fn count_uses(tx: &Transaction<'_>, id: ApprovalId) -> Result<u32, Error> {
    let sql = "SELECT count(*) FROM uses WHERE approval = ?";
    Ok(tx.prepare_cached(sql)?.query_row([id.bits().cast_signed()], |row| row.get(0))?)
}

/// The one place where a proof of spending is made.
#[expect(clippy::disallowed_methods, reason = "called after the transaction that spent it was committed")]
const fn attest(id: ApprovalId, digest: Digest, request: RequestId, answers: Vec<Answer>) -> Consumed {
    Consumed::attest(id, digest, request, answers)
}

impl Sqlite {
    /// Notes that a spent approval's request ended.
    pub(super) fn note_completed(&self, approval: ApprovalId, request: RequestId) -> Result<(), Error> {
        let (session, number) = (request.session.bits().cast_signed(), request.number.cast_signed());
        self.write(|tx| {
            tx.execute(
                "UPDATE uses SET completed = 1 WHERE approval = ? AND session = ? AND request = ?",
                params![approval.bits().cast_signed(), session, number],
            )?;
            Ok(())
        })
    }

    /// Lists what was spent and did not end.
    pub(super) fn list_unresolved(&self) -> Result<Vec<(ApprovalId, RequestId)>, Error> {
        self.write(|tx| {
            let sql = "SELECT approval, session, request FROM uses WHERE completed = 0 ORDER BY at, approval";
            let mut statement = tx.prepare(sql)?;
            let found = statement
                .query_map([], |row| Ok((rows::approval_id(row.get(0)?), request(row.get(1)?, row.get(2)?))))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Takes over from the journal what was spent.
    pub(super) fn take_over(&self, spent: &[Spent]) -> Result<(), Error> {
        self.write(|tx| spent.iter().try_for_each(|spent| take_over_one(tx, spent)))
    }
}

fn take_over_one(tx: &Transaction<'_>, spent: &Spent) -> Result<(), Error> {
    let id = spent.approval.bits().cast_signed();
    let (session, number) = (spent.request.session.bits().cast_signed(), spent.request.number.cast_signed());
    let once = approvals::mode_of(tx, spent.approval)? != Some(Mode::Window);
    tx.prepare_cached(
        "INSERT OR IGNORE INTO uses (approval, session, request, at, once, completed) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![id, session, number, time(spent.at), once, spent.completed])?;
    if spent.completed {
        let sql = "UPDATE uses SET completed = 1 WHERE approval = ? AND session = ? AND request = ?";
        tx.prepare_cached(sql)?.execute(params![id, session, number])?;
    }
    let used_up = match rows::terms(tx, spent.approval)? {
        None => once,
        Some(terms) => terms.max_uses.is_some_and(|most| count_uses(tx, spent.approval).is_ok_and(|uses| uses >= most)),
    };
    if used_up {
        approvals::set_status(tx, spent.approval, Status::Consumed, "", spent.at)?;
    }
    Ok(())
}
