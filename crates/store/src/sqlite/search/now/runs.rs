//! What was given by requests that share a row: of none was any value counted, all ended, and each ran the same.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::subject::SubjectKey;
use model::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::super::super::codec::{number, subject, time};
use super::super::super::index::runs::members;
use super::super::conditions::{Conditions, Rows};
use super::super::unpacked::is_meant;
use super::super::{may_be_in_runs, of_requests};
use super::{Reached, json};
use crate::Error;
use crate::audit::{ClassReportNow, DisclosedNow, GivenNow, Search};

/// What each row of an answer holds of what is looked for.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Held {
    /// At most so many values.
    places: u64,
    /// Whether there may be more that nobody can count.
    is_unproved: bool,
    /// Of which columns.
    columns: BTreeSet<String>,
}

impl Held {
    /// What a request with so many rows gave.
    pub(in super::super) fn given(&self, rows: u64) -> GivenNow {
        GivenNow {
            columns: self.columns.iter().cloned().collect(),
            clear: 0,
            clear_at_most: self.places.saturating_mul(rows),
            masked: 0,
            unknown: self.is_unproved && rows > 0,
        }
    }

    /// What requests gave of which so many had rows, and so many in all.
    const fn given_together(&self, answered: u64, rows: u64) -> DisclosedNow {
        DisclosedNow {
            clear: 0,
            clear_at_most: self.places.saturating_mul(rows),
            masked: 0,
            requests: if self.places > 0 { answered } else { 0 },
            unknown: if self.is_unproved { answered } else { 0 },
        }
    }
}

/// What runs gave, by the number of their subject.
type Given = BTreeMap<Option<i64>, DisclosedNow>;

impl Reached {
    /// Narrows a search to runs that may have given something.
    pub(in super::super) fn narrow_runs(&self, conditions: &mut Conditions<'_>) {
        let [statements, _] = self.lists();
        conditions.plain(
            "r.ruling IN (SELECT ruling FROM ruling_statements
                          WHERE statement IN (SELECT value ->> 0 FROM json_each(?)))",
            [statements],
        );
    }

    /// What each row of an answer holds, by ruling.
    pub(in super::super) fn rulings(&self, connection: &Connection) -> Result<HashMap<i64, Held>, Error> {
        let [statements, _] = self.lists();
        let sql = "SELECT DISTINCT q.ruling, e.value ->> 0, e.value ->> 1, e.value ->> 2 FROM json_each(?) e
                   CROSS JOIN ruling_statements q ON q.statement = e.value ->> 0";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([statements])?;
        let mut held: HashMap<i64, Held> = HashMap::new();
        while let Some(row) = rows.next()? {
            let line = held.entry(row.get(0)?).or_default();
            line.columns.extend(self.names.get(&row.get(2)?).cloned());
            match row.get::<_, Option<i64>>(3)? {
                Some(places) => line.places = line.places.saturating_add(number(places)),
                None => line.is_unproved = true,
            }
        }
        Ok(held)
    }

    /// What the matching requests in runs gave, by subject.
    pub(in super::super) fn in_runs(&self, connection: &Connection, search: &Search) -> Result<Given, Error> {
        let rulings = self.rulings(connection)?;
        let conditions = of_requests(connection, search, Rows::Runs)?;
        let Some(conditions) = conditions.filter(|_| may_be_in_runs(search) && !rulings.is_empty()) else {
            return Ok(Given::new());
        };
        let mut given = Given::new();
        let mut add = |row: &Row<'_>, answered, rows| -> Result<(), Error> {
            let held = rulings.get(&row.get(1)?).cloned().unwrap_or_default();
            given.entry(row.get(0)?).or_default().add(held.given_together(answered, rows));
            Ok(())
        };
        let from = "FROM runs r WHERE r.ruling IN (SELECT value FROM json_each(?))";
        // Where all of a run is meant, what it adds up to is in its row.
        let whole = "(? AND r.first_at >= ? AND r.last_at < ?)";
        let mut values = vec![
            Value::from(json(&rulings.keys().collect::<Vec<_>>())),
            Value::from(search.request.is_none()),
            Value::from(search.since.map_or(i64::MIN, time)),
            Value::from(search.until.map_or(i64::MAX, time)),
        ];
        values.extend(conditions.values());
        let sums = "r.subject, r.ruling, sum(r.answered), sum(r.row_count)";
        let sql = format!("SELECT {sums} {from} AND {whole} {} GROUP BY 1, 2", conditions.and());
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values.clone()))?;
        while let Some(row) = rows.next()? {
            add(row, number(row.get(2)?), number(row.get(3)?))?;
        }
        let sql = format!("SELECT r.subject, r.ruling, r.members {from} AND NOT {whole} {}", conditions.and());
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            for member in members(&row.get::<_, Vec<u8>>(2)?)?.iter().filter(|member| is_meant(search, member)) {
                add(row, u64::from(member.rows > 0), number(member.rows))?;
            }
        }
        Ok(given)
    }

    /// Adds what requests in runs gave to the lines of a report.
    pub(super) fn with_runs(
        &self,
        connection: &Connection,
        since: Option<Timestamp>,
        mut lines: Vec<ClassReportNow>,
    ) -> Result<Vec<ClassReportNow>, Error> {
        let given = self.in_runs(connection, &Search { since, ..Search::default() })?;
        for (id, more) in given.into_iter().filter(|(_, more)| *more != DisclosedNow::default()) {
            let subject = id.map(|id| subject_of(connection, id)).transpose()?.flatten();
            match lines.iter_mut().find(|line| line.subject == subject) {
                Some(line) => line.disclosed.add(more),
                None => lines.push(ClassReportNow { subject, disclosed: more }),
            }
        }
        lines.sort_by_cached_key(|line| {
            let DisclosedNow { clear_at_most, masked, unknown, .. } = line.disclosed;
            let subject = line.subject.as_ref().map(|key| (key.issuer.to_string(), key.id.to_string()));
            (Reverse((clear_at_most, masked, unknown)), subject)
        });
        Ok(lines)
    }
}

fn subject_of(connection: &Connection, id: i64) -> Result<Option<SubjectKey>, Error> {
    let sql = "SELECT issuer, sub FROM subjects WHERE id = ?";
    let read = |row: &Row<'_>| Ok(subject(row.get(0)?, row.get(1)?));
    Ok(connection.prepare_cached(sql)?.query_row([id], read).optional()?)
}
