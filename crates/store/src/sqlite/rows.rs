//! Approvals, from their rows.

use std::collections::BTreeSet;

use model::approval::{Answer, Asked};
use model::id::ApprovalId;
use model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::codec::{from_json, mode, moment, request, status};
use crate::Error;
use crate::approval::{Approval, Use};
use crate::window::Terms;

/// An approval's id, from its column.
pub(super) const fn approval_id(stored: i64) -> ApprovalId {
    ApprovalId::from_bits(stored.cast_unsigned())
}

/// When an approval was asked for and when it ends, from a row with those columns.
pub(super) fn life(row: &Row<'_>) -> Result<(Timestamp, Timestamp), Error> {
    Ok((moment(row.get("asked_at")?), moment(row.get("expires_at")?)))
}

/// One approval, complete.
pub(super) fn approval(connection: &Connection, id: ApprovalId) -> Result<Option<Approval>, Error> {
    let sql = "SELECT status, mode, asked, window, ended FROM approvals WHERE id = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id.bits().cast_signed()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let text = |column| row.get::<_, String>(column);
    let optional = |column| row.get::<_, Option<String>>(column);
    let asked: Asked = from_json(&text("asked")?, "a question")?;
    Ok(Some(Approval {
        id,
        status: status(&text("status")?)?,
        asked: Asked { mode: mode(&text("mode")?)?, ..asked },
        window: optional("window")?.map(|window| from_json(&window, "a window's terms")).transpose()?,
        answers: answers(connection, id)?,
        uses: uses(connection, id)?,
        ended: optional("ended")?.map(|ended| from_json(&ended, "an end")).transpose()?,
    }))
}

/// Every answer to an approval, in order.
pub(super) fn answers(connection: &Connection, id: ApprovalId) -> Result<Vec<Answer>, Error> {
    let mut statement = connection.prepare_cached("SELECT answer FROM answers WHERE approval = ? ORDER BY number")?;
    let mut found = statement.query([id.bits().cast_signed()])?;
    let mut answers = Vec::new();
    while let Some(row) = found.next()? {
        answers.push(from_json(&row.get::<_, String>(0)?, "an answer")?);
    }
    Ok(answers)
}

/// Every identity of everybody who has agreed.
pub(super) fn people_who_agreed(connection: &Connection, id: ApprovalId) -> Result<BTreeSet<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT people FROM answers WHERE approval = ?")?;
    let mut found = statement.query([id.bits().cast_signed()])?;
    let mut people = BTreeSet::new();
    while let Some(row) = found.next()? {
        people.extend(from_json::<BTreeSet<String>>(&row.get::<_, String>(0)?, "people")?);
    }
    Ok(people)
}

/// A window's terms; `None` for anything else.
pub(super) fn terms(connection: &Connection, id: ApprovalId) -> Result<Option<Terms>, Error> {
    let sql = "SELECT window FROM approvals WHERE id = ? AND window IS NOT NULL";
    let stored: Option<String> =
        connection.prepare_cached(sql)?.query_row([id.bits().cast_signed()], |row| row.get(0)).optional()?;
    stored.map(|stored| from_json(&stored, "a window's terms")).transpose()
}

/// The latest thousand requests that an approval was spent on; only a window has more than one.
fn uses(connection: &Connection, id: ApprovalId) -> Result<Vec<Use>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT session, request, at, completed FROM uses WHERE approval = ? ORDER BY at DESC, request DESC LIMIT 1000",
    )?;
    let found = statement.query_map([id.bits().cast_signed()], |row| {
        Ok(Use { request: request(row.get(0)?, row.get(1)?), at: moment(row.get(2)?), completed: row.get(3)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
