//! Requests that share a row: found by the row, then unpacked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use model::decision::Outcome;
use model::event::Shown;
use model::id::RevisionId;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::codec::{moment, number, request, time};
use super::super::index::runs::{LONGEST, Member, members};
use super::super::limit;
use super::conditions::{Conditions, Rows};
use super::now::{Held, Reached};
use super::{found, may_be_in_runs, of_requests};
use crate::Error;
use crate::audit::{Completion, FoundRequest, Search};

/// The conditions on the row. Some of its requests may not meet them, which [`is_meant`] looks at.
pub(super) fn on_the_run(conditions: &mut Conditions<'_>, search: &Search) {
    if let Some(since) = search.since {
        conditions.plain("r.last_at >= ?", [Value::from(time(since))]);
    }
    if let Some(until) = search.until {
        // The second says the same of what has an index.
        let until = time(until);
        let bounds = [Value::from(until), Value::from(until.saturating_add(LONGEST))];
        conditions.plain("r.first_at < ? AND r.last_at < ?", bounds);
    }
    if let Some(session) = search.session {
        conditions.plain("r.session = ?", [Value::from(session.bits().cast_signed())]);
    }
    if let Some(request) = search.request {
        let (session, number) = (request.session.bits().cast_signed(), request.number.cast_signed());
        let bounds = [session, number, number].map(Value::from);
        conditions.plain("r.session = ? AND r.last_number >= ? AND r.first_number <= ?", bounds);
    }
}

/// Whether a request of a row that meets the conditions meets them itself.
pub(super) fn is_meant(search: &Search, member: &Member<Vec<Shown>>) -> bool {
    search.since.is_none_or(|since| member.at >= time(since))
        && search.until.is_none_or(|until| member.at < time(until))
        && search.request.is_none_or(|request| member.number == request.number.cast_signed())
        // What delivered no row gave nothing.
        && (search.now.is_none() || member.rows > 0)
}

/// The query for runs: those that went on longest first.
pub(super) fn runs_sql(conditions: &Conditions<'_>) -> String {
    format!("{} WHERE TRUE {} ORDER BY r.last_at DESC", found::with_names(Rows::Runs), conditions.and())
}

/// The newest requests in runs, at least as many as are to be found, the newest first.
pub(super) fn requests(
    connection: &Connection,
    search: &Search,
    reached: Option<&Reached>,
) -> Result<Vec<FoundRequest>, Error> {
    let Some(mut conditions) = of_requests(connection, search, Rows::Runs)?.filter(|_| may_be_in_runs(search)) else {
        return Ok(Vec::new());
    };
    if let Some(reached) = reached {
        reached.narrow_runs(&mut conditions);
    }
    let held = reached.map(|reached| reached.rulings(connection)).transpose()?;
    let wanted = usize::try_from(limit(search.limit)).unwrap_or(usize::MAX);
    let mut statement = connection.prepare(&runs_sql(&conditions))?;
    let mut rows = statement.query(params_from_iter(conditions.values()))?;
    let (mut runs, mut found) = (Vec::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let last_at: i64 = row.get("last_at")?;
        // All that follow were decided before what is found already.
        let oldest = found.last_key_value().map(|(Reverse((at, _)), _): (&Place, _)| *at);
        if found.len() >= wanted && oldest.is_none_or(|oldest| oldest > last_at) {
            break;
        }
        let meant = members(&row.get::<_, Vec<u8>>("members")?)?.into_iter().filter(|member| is_meant(search, member));
        found.extend(meant.map(|member| (Reverse((member.at, member.position)), (runs.len(), member))));
        while found.len() > wanted {
            found.pop_last();
        }
        runs.push(Run::of(connection, row, held.as_ref())?);
    }
    let unpacked = found.into_values().map(|(run, member)| runs.get(run).map(|run| run.unpack(member)));
    Ok(unpacked.flatten().collect())
}

/// When a request was decided and where that stands in the journal: the newest first.
type Place = Reverse<(i64, i64)>;

/// The newest of both.
pub(super) fn newest(single: Vec<FoundRequest>, in_runs: Vec<FoundRequest>, most: u32) -> Vec<FoundRequest> {
    if in_runs.is_empty() {
        return single;
    }
    let mut all = [single, in_runs].concat();
    all.sort_by_key(|request| Reverse((request.at, request.position)));
    all.truncate(usize::try_from(limit(most)).unwrap_or(usize::MAX));
    all
}

/// A run, as one of its requests, which differ in what [`Self::unpack`] fills in; and what each row of their answers holds
/// of what is looked for now.
struct Run(FoundRequest, Option<Held>);

impl Run {
    fn of(connection: &Connection, row: &Row<'_>, held: Option<&HashMap<i64, Held>>) -> Result<Self, Error> {
        let (session, ruling): (i64, Option<i64>) = (row.get("session")?, row.get("ruling")?);
        let held = held.map(|held| ruling.and_then(|ruling| held.get(&ruling)).cloned().unwrap_or_default());
        let common = FoundRequest {
            position: 0,
            at: moment(0),
            request: request(session, 0),
            subject: found::key(row, "issuer", "sub")?,
            on_behalf_of: found::on_behalf_of(connection, session, row)?,
            target: row.get("target_name")?,
            database: row.get("database_name")?,
            outcome: Outcome::Allow,
            was_asked: false,
            policies: found::policies(connection, ruling)?,
            denial: None,
            revision: RevisionId(number(row.get("revision")?)),
            approval: None,
            statements: found::statements(connection, ruling)?,
            values: Vec::new(),
            traceparent: None,
            completion: None,
            now: None,
        };
        Ok(Self(common, held))
    }

    fn unpack(&self, member: Member<Vec<Shown>>) -> FoundRequest {
        FoundRequest {
            position: number(member.position),
            at: moment(member.at),
            request: self.0.request.session.request(member.number.cast_unsigned()),
            values: member.values,
            completion: Some(Completion {
                at: moment(member.ended_at),
                rows: number(member.rows),
                bytes: number(member.bytes),
                millis: number(member.millis),
                error: None,
                classes: BTreeMap::new(),
                columns: BTreeMap::new(),
            }),
            now: self.1.as_ref().map(|held| held.given(number(member.rows))),
            ..self.0.clone()
        }
    }
}
