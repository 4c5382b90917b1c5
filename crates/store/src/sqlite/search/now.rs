//! What was given of a class as a classification has it now, whatever was classified then.
//!
//! Values of a column that was classified then were counted, and the index has their number. Of others the journal has the
//! rows of the answer and what each row is made of: no more of them can have been given, and fewer if there were NULLs. Where
//! it is not proved what an answer is made of, or how it ended, what was given is unknown.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::effect::{ColumnName, TableName};
use model::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::codec::{number, subject, time};
use super::conditions::Conditions;
use crate::Error;
use crate::audit::{ClassReportNow, DisclosedNow, GivenNow, Now};

mod runs;

pub(super) use runs::Held;

/// How much of a column a row of a statement's answer holds at most; see `answers` in the index.
type Places = Option<i64>;

/// What carries a class now, in the numbers of the index.
pub(super) struct Reached {
    /// The columns and where: target, database, column.
    columns: Vec<(i64, i64, i64)>,
    /// The statements whose answers may hold values of them, which column (0 for any), and how much a row holds.
    statements: Vec<(i64, i64, Places)>,
    names: HashMap<i64, String>,
}

/// The requests that may have given something, a line for each column: two JSON lists come first, then two times.
const GIVEN: &str = "
    WITH reached AS MATERIALIZED (
        SELECT value ->> 0 AS statement, value ->> 1 AS column_id, value ->> 2 AS places FROM json_each(?1)),
    now AS MATERIALIZED (
        SELECT value ->> 0 AS target, value ->> 1 AS database, value ->> 2 AS column_id FROM json_each(?2)),
    given AS (
        SELECT c.request, c.clear, c.clear AS at_most, c.masked, 0 AS unknown
        FROM (SELECT DISTINCT column_id FROM now) n
        CROSS JOIN column_disclosures c ON c.column_id = n.column_id
        CROSS JOIN requests r ON r.id = c.request
        LEFT JOIN sessions s ON s.id = r.session
        WHERE r.at >= ?3 AND r.at < ?4
          AND (r.target IS NULL OR EXISTS (SELECT 1 FROM now m WHERE m.column_id = c.column_id
                                           AND m.target = r.target AND m.database = s.database))
        UNION ALL
        SELECT r.id, 0, CASE WHEN r.ended_at IS NULL THEN 0 ELSE coalesce(e.places * r.row_count, 0) END, 0,
               r.ended_at IS NULL OR e.places IS NULL
        FROM reached e
        CROSS JOIN ruling_statements q ON q.statement = e.statement
        CROSS JOIN requests r ON r.ruling = q.ruling
        WHERE r.at >= ?3 AND r.at < ?4 AND r.outcome = 'allow' AND (r.ended_at IS NULL OR r.row_count > 0)
          AND NOT EXISTS (SELECT 1 FROM column_disclosures c WHERE c.request = r.id AND c.column_id = e.column_id)
        UNION ALL
        SELECT r.id, 0, 0, 0, 1 FROM requests r
        WHERE r.ruling IS NULL AND r.row_count > 0 AND r.at >= ?3 AND r.at < ?4
          AND NOT EXISTS (SELECT 1 FROM column_disclosures c WHERE c.request = r.id)),
    each_request AS (
        SELECT request, sum(clear) AS clear, sum(at_most) AS at_most, sum(masked) AS masked, max(unknown) AS unknown
        FROM given GROUP BY request)";

/// What is added up of it.
const SUMS: &str = "coalesce(sum(g.clear), 0), coalesce(sum(g.at_most), 0), coalesce(sum(g.masked), 0),
    coalesce(sum(g.at_most > 0 OR g.masked > 0), 0), coalesce(sum(g.unknown), 0)";

impl Reached {
    /// Looks up what the class is on now.
    pub(super) fn find(connection: &Connection, now: &Now) -> Result<Self, Error> {
        let (mut columns, mut statements, mut names) = (Vec::new(), Vec::new(), HashMap::new());
        let known = known_columns(connection)?;
        for (target, database, place) in places(connection)? {
            let (classes, class) = (&now.classification, &now.class);
            if !classes.may_mark(&place.0, &place.1, None, class) {
                continue;
            }
            let mut here = Vec::new();
            let mut relations = BTreeSet::from([0]);
            for (id, relation, column) in &known {
                if classes.may_mark(&place.0, &place.1, Some(&column.table), class) {
                    relations.insert(*relation);
                }
                if *id < 0 {
                    continue;
                }
                if classes.marking(&place.0, &place.1, column).classes().any(|carried| carried == class) {
                    here.push(*id);
                    columns.push((target, database, *id));
                    names.insert(*id, column.to_string());
                }
            }
            statements.extend(made_of(connection, (target, database), &json(&here))?);
            statements.extend(unproved(connection, (target, database), &json(&relations))?);
        }
        // Of these the journal has nothing but that they ran.
        let sql = "SELECT id FROM statements WHERE target IS NULL";
        let lost: Vec<i64> = connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        statements.extend(lost.into_iter().map(|statement| (statement, 0, None)));
        Ok(Self { columns, statements, names })
    }

    fn lists(&self) -> [Value; 2] {
        [Value::from(json(&self.statements)), Value::from(json(&self.columns))]
    }

    /// Narrows a search to requests that may have given something.
    pub(super) fn narrow(&self, conditions: &mut Conditions<'_>) -> Result<(), Error> {
        let listing = "SELECT q.id FROM ruling_statements s JOIN requests q ON q.ruling = s.ruling
                       WHERE s.statement IN (SELECT value ->> 0 FROM json_each(?))
                         AND q.outcome = 'allow' AND (q.ended_at IS NULL OR q.row_count > 0)
                       UNION ALL SELECT q.id FROM json_each(?) j
                       CROSS JOIN column_disclosures c ON c.column_id = j.value ->> 2
                       CROSS JOIN requests q ON q.id = c.request LEFT JOIN sessions s ON s.id = q.session
                       WHERE q.target IS NULL OR q.target = j.value ->> 0 AND s.database = j.value ->> 1
                       UNION ALL SELECT id FROM requests WHERE ruling IS NULL AND row_count > 0";
        let exists = "(r.outcome = 'allow' AND (r.ended_at IS NULL OR r.row_count > 0) AND r.ruling IN
                       (SELECT ruling FROM ruling_statements
                        WHERE statement IN (SELECT value ->> 0 FROM json_each(?)))
                      OR EXISTS (SELECT 1 FROM json_each(?) j
                                 CROSS JOIN column_disclosures c ON c.request = r.id AND c.column_id = j.value ->> 2
                                 WHERE r.target IS NULL OR r.target = j.value ->> 0 AND s.database = j.value ->> 1)
                      OR r.ruling IS NULL AND r.row_count > 0)";
        conditions.through(listing, exists, self.lists())
    }

    /// What all requests that match gave together.
    pub(super) fn disclosed(
        &self,
        connection: &Connection,
        conditions: &Conditions<'_>,
        times: (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<DisclosedNow, Error> {
        let sql = format!(
            "{GIVEN} SELECT {SUMS} FROM each_request g CROSS JOIN requests r ON r.id = g.request WHERE TRUE {}",
            numbered(&conditions.and())
        );
        let values = self.values(times).into_iter().chain(conditions.values());
        Ok(connection.prepare(&sql)?.query_row(params_from_iter(values), |row| sums(row, 0))?)
    }

    /// What each subject was given.
    pub(super) fn by_subject(
        &self,
        connection: &Connection,
        since: Option<Timestamp>,
    ) -> Result<Vec<ClassReportNow>, Error> {
        let sql = format!(
            "{GIVEN} SELECT s.issuer, s.sub, {SUMS}
             FROM each_request g CROSS JOIN requests r ON r.id = g.request LEFT JOIN subjects s ON s.id = r.subject
             GROUP BY r.subject ORDER BY sum(g.at_most) DESC, sum(g.masked) DESC, sum(g.unknown) DESC, s.issuer, s.sub"
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map(params_from_iter(self.values((since, None))), |row| {
            let (issuer, id): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
            Ok(ClassReportNow {
                subject: issuer.zip(id).map(|(issuer, id)| subject(issuer, id)),
                disclosed: sums(row, 2)?,
            })
        })?;
        let lines = rows.collect::<Result<_, _>>()?;
        self.with_runs(connection, since, lines)
    }

    fn values(&self, (since, until): (Option<Timestamp>, Option<Timestamp>)) -> Vec<Value> {
        let times = [since.map_or(i64::MIN, time), until.map_or(i64::MAX, time)];
        self.lists().into_iter().chain(times.map(Value::from)).collect()
    }

    /// What one request gave.
    pub(super) fn given(&self, connection: &Connection, request: i64) -> Result<GivenNow, Error> {
        let mut given = GivenNow::default();
        let Run { ended, rows, target, database, statements } = Run::of(connection, request)?;
        let is_here = |at: &(i64, i64, i64)| target.is_none_or(|target| (target, database) == (at.0, Some(at.1)));
        let carried: BTreeSet<i64> = self.columns.iter().filter(|at| is_here(at)).map(|at| at.2).collect();
        let counted = counted(connection, request)?;
        let mut columns = BTreeSet::new();
        for (column, (clear, masked)) in counted.iter().filter(|(column, _)| carried.contains(column)) {
            given.clear = given.clear.saturating_add(*clear);
            given.clear_at_most = given.clear_at_most.saturating_add(*clear);
            given.masked = given.masked.saturating_add(*masked);
            columns.insert(*column);
        }
        for (_, column, places) in self.statements.iter().filter(|(statement, ..)| statements.contains(statement)) {
            if counted.contains_key(column) || ended && rows == 0 {
                continue;
            }
            columns.insert(*column);
            match places.filter(|_| ended) {
                Some(places) => {
                    given.clear_at_most = given.clear_at_most.saturating_add(number(places).saturating_mul(rows));
                }
                None => given.unknown = true,
            }
        }
        given.unknown |= statements.is_empty() && counted.is_empty() && rows > 0;
        given.columns = columns.iter().filter_map(|column| self.names.get(column).cloned()).collect();
        Ok(given)
    }
}

/// Conditions are written with plain question marks; after numbered ones these go on from the highest.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    (5_usize..).zip(parts).fold(first, |sql, (at, part)| format!("{sql}?{at}{part}"))
}

fn sums(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<DisclosedNow> {
    let at = |place: usize| row.get::<_, i64>(from.saturating_add(place)).map(number);
    Ok(DisclosedNow { clear: at(0)?, clear_at_most: at(1)?, masked: at(2)?, requests: at(3)?, unknown: at(4)? })
}

fn json<T: serde::Serialize>(list: &T) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| String::from("[]"))
}

/// A target and a database, by number and by name.
type Place = (i64, i64, (String, String));

/// Every target and database where something ran.
fn places(connection: &Connection) -> Result<Vec<Place>, Error> {
    let sql = "SELECT p.target, p.database, t.text, d.text
               FROM (SELECT DISTINCT target, database FROM statements WHERE target IS NOT NULL) p
               JOIN names t ON t.id = p.target JOIN names d ON d.id = p.database";
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?))))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Every column that was ever named: its number, its relation's, its name; and every relation, with a column -1.
fn known_columns(connection: &Connection) -> Result<Vec<(i64, i64, ColumnName)>, Error> {
    let sql = "SELECT c.id, t.id, t.schema, t.name, c.name FROM relations t JOIN columns c ON c.relation = t.id
               UNION ALL SELECT -1, id, schema, name, '' FROM relations";
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| {
        let table = TableName::new(row.get::<_, String>(2)?, row.get::<_, String>(3)?);
        Ok((row.get(0)?, row.get(1)?, ColumnName::new(table, row.get::<_, String>(4)?)))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn made_of(
    connection: &Connection,
    (target, database): (i64, i64),
    columns: &str,
) -> Result<Vec<(i64, i64, Places)>, Error> {
    let sql = "SELECT a.statement, a.column_id, a.places FROM json_each(?1) j
               CROSS JOIN answers a ON a.column_id = j.value CROSS JOIN statements s ON s.id = a.statement
               WHERE s.target = ?2 AND s.database = ?3";
    let mut statement = connection.prepare(sql)?;
    let found = statement
        .query_map(rusqlite::params![columns, target, database], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn unproved(
    connection: &Connection,
    (target, database): (i64, i64),
    relations: &str,
) -> Result<Vec<(i64, i64, Places)>, Error> {
    let sql = "SELECT DISTINCT u.statement FROM json_each(?1) j
               CROSS JOIN unproved u ON u.relation = j.value CROSS JOIN statements s ON s.id = u.statement
               WHERE s.target = ?2 AND s.database = ?3";
    let mut statement = connection.prepare(sql)?;
    let found =
        statement.query_map(rusqlite::params![relations, target, database], |row| Ok((row.get(0)?, 0, None)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// How many values of each column a request gave in clear and masked, as far as it was counted.
fn counted(connection: &Connection, request: i64) -> Result<BTreeMap<i64, (u64, u64)>, Error> {
    let sql = "SELECT column_id, clear, masked FROM column_disclosures WHERE request = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([request], |row| Ok((row.get(0)?, (number(row.get(1)?), number(row.get(2)?)))))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// How a request ran.
struct Run {
    ended: bool,
    rows: u64,
    /// Where; `None` if the journal lacks its session's opening.
    target: Option<i64>,
    database: Option<i64>,
    statements: BTreeSet<i64>,
}

impl Run {
    fn of(connection: &Connection, request: i64) -> Result<Self, Error> {
        let sql = "SELECT q.statement FROM requests r JOIN ruling_statements q ON q.ruling = r.ruling WHERE r.id = ?";
        let mut statement = connection.prepare_cached(sql)?;
        let statements = statement.query_map([request], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let sql = "SELECT r.ended_at IS NOT NULL, coalesce(r.row_count, 0), r.target, s.database
                   FROM requests r LEFT JOIN sessions s ON s.id = r.session WHERE r.id = ?";
        Ok(connection.prepare_cached(sql)?.query_row([request], |row| {
            let rows = row.get(1).map(number)?;
            Ok(Self { ended: row.get(0)?, rows, target: row.get(2)?, database: row.get(3)?, statements })
        })?)
    }
}
