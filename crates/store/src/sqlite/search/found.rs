//! What was found, from its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::class::DataClass;
use model::disclosure::Counts;
use model::effect::{ColumnName, TableName};
use model::id::{RevisionId, SessionId};
use model::subject::SubjectKey;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::codec::{digest, from_json, moment, number, outcome, request, subject};
use super::super::{limit, rows};
use super::conditions::{Conditions, Rows};
use crate::Error;
use crate::audit::{Closed, Completion, FoundEvent, FoundRequest, FoundSession, FoundStatement};

/// Runs a query with conditions and a limit, and reads its rows.
fn query<T>(
    connection: &Connection,
    sql: &str,
    conditions: &Conditions<'_>,
    most: u32,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare(sql)?;
    let mut values = conditions.values();
    values.push(Value::from(limit(most)));
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Requests, the newest first.
pub(super) fn requests(
    connection: &Connection,
    conditions: &Conditions<'_>,
    most: u32,
) -> Result<Vec<FoundRequest>, Error> {
    query(connection, &requests_sql(conditions), conditions, most, |row| request_from(connection, row))
}

/// The query for requests.
pub(super) fn requests_sql(conditions: &Conditions<'_>) -> String {
    format!("{} WHERE TRUE {} ORDER BY r.at DESC, r.id DESC LIMIT ?", with_names(Rows::Requests), conditions.and())
}

/// Rows of requests with what their numbers stand for.
pub(super) fn with_names(rows: Rows) -> String {
    format!(
        "SELECT r.*, u.issuer, u.sub, b.issuer AS behalf_issuer, b.sub AS behalf_sub, t.text AS target_name,
                d.text AS database_name
         FROM {rows} r
         LEFT JOIN subjects u ON u.id = r.subject
         LEFT JOIN subjects b ON b.id = r.behalf
         LEFT JOIN names t ON t.id = r.target
         LEFT JOIN sessions s ON s.id = r.session
         LEFT JOIN names d ON d.id = s.database"
    )
}

fn request_from(connection: &Connection, row: &Row<'_>) -> Result<FoundRequest, Error> {
    let id: i64 = row.get("id")?;
    let session: i64 = row.get("session")?;
    let ruling: Option<i64> = row.get("ruling")?;
    let (shown, denial): (String, Option<String>) = (row.get("shown")?, row.get("denial")?);
    Ok(FoundRequest {
        position: number(id),
        at: moment(row.get("at")?),
        request: request(session, row.get("number")?),
        subject: key(row, "issuer", "sub")?,
        on_behalf_of: on_behalf_of(connection, session, row)?,
        target: row.get("target_name")?,
        database: row.get("database_name")?,
        outcome: outcome(&row.get::<_, String>("outcome")?)?,
        was_asked: row.get("was_asked")?,
        policies: policies(connection, ruling)?,
        denial: denial.map(|denial| from_json(&denial, "a denial")).transpose()?,
        revision: RevisionId(number(row.get("revision")?)),
        approval: row.get::<_, Option<i64>>("approval")?.map(rows::approval_id),
        statements: statements(connection, ruling)?,
        values: from_json(&shown, "values")?,
        traceparent: row.get("traceparent")?,
        completion: completion(connection, id, row)?,
        now: None,
    })
}

/// The request's own user, then the session's chain.
pub(super) fn on_behalf_of(connection: &Connection, session: i64, row: &Row<'_>) -> Result<Vec<SubjectKey>, Error> {
    let own = key(row, "behalf_issuer", "behalf_sub")?;
    Ok(own.into_iter().chain(chain(connection, session)?).collect())
}

/// A subject, if the row has one.
pub(super) fn key(row: &Row<'_>, issuer: &str, id: &str) -> Result<Option<SubjectKey>, Error> {
    let (issuer, id): (Option<String>, Option<String>) = (row.get(issuer)?, row.get(id)?);
    Ok(issuer.zip(id).map(|(issuer, id)| subject(issuer, id)))
}

fn completion(connection: &Connection, id: i64, row: &Row<'_>) -> Result<Option<Completion>, Error> {
    let Some(ended_at) = row.get::<_, Option<i64>>("ended_at")? else { return Ok(None) };
    let count = |column| row.get::<_, Option<i64>>(column).map(|stored| number(stored.unwrap_or(0)));
    Ok(Some(Completion {
        at: moment(ended_at),
        rows: count("row_count")?,
        bytes: count("bytes")?,
        millis: count("millis")?,
        error: row.get("error")?,
        classes: classes(connection, id)?,
        columns: columns(connection, id)?,
    }))
}

/// Reads all rows of a query with one number in it.
fn each<T>(
    connection: &Connection,
    sql: &str,
    id: i64,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Error> {
    Ok(connection.prepare_cached(sql)?.query_map([id], read)?.collect::<Result<_, _>>()?)
}

fn chain(connection: &Connection, session: i64) -> Result<Vec<SubjectKey>, Error> {
    let sql = "SELECT s.issuer, s.sub FROM session_behalf b JOIN subjects s ON s.id = b.subject
               WHERE b.session = ? ORDER BY b.place";
    each(connection, sql, session, |row| Ok(subject(row.get(0)?, row.get(1)?)))
}

/// The policies of a ruling.
pub(super) fn policies(connection: &Connection, ruling: Option<i64>) -> Result<Vec<String>, Error> {
    let Some(ruling) = ruling else { return Ok(Vec::new()) };
    let sql = "SELECT n.text FROM ruling_policies p JOIN names n ON n.id = p.policy WHERE p.ruling = ? ORDER BY 1";
    each(connection, sql, ruling, |row| row.get(0))
}

/// The statements of a ruling.
pub(super) fn statements(connection: &Connection, ruling: Option<i64>) -> Result<Vec<FoundStatement>, Error> {
    let Some(ruling) = ruling else { return Ok(Vec::new()) };
    let sql = "SELECT s.id, s.digest, s.text FROM ruling_statements q JOIN statements s ON s.id = q.statement
               WHERE q.ruling = ? ORDER BY q.place";
    let found: Vec<(i64, Vec<u8>, Option<String>)> =
        each(connection, sql, ruling, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let lines = "SELECT line FROM effects WHERE statement = ? AND line IS NOT NULL ORDER BY place";
    found
        .into_iter()
        .map(|(id, stored, text)| {
            let effects = each(connection, lines, id, |row| row.get(0))?;
            Ok(FoundStatement { id: digest(&stored)?, text, effects })
        })
        .collect()
}

fn classes(connection: &Connection, request: i64) -> Result<BTreeMap<DataClass, Counts>, Error> {
    let sql = "SELECT n.text, c.clear, c.masked FROM class_disclosures c JOIN names n ON n.id = c.class
               WHERE c.request = ?";
    let found = each(connection, sql, request, |row| {
        let counts = Counts { clear: number(row.get(1)?), masked: number(row.get(2)?) };
        Ok((DataClass::new(row.get::<_, String>(0)?), counts))
    })?;
    Ok(found.into_iter().collect())
}

fn columns(connection: &Connection, request: i64) -> Result<BTreeMap<ColumnName, Counts>, Error> {
    let sql = "SELECT t.schema, t.name, n.name, c.clear, c.masked
               FROM column_disclosures c JOIN columns n ON n.id = c.column_id JOIN relations t ON t.id = n.relation
               WHERE c.request = ?";
    let found = each(connection, sql, request, |row| {
        let table = TableName::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        let counts = Counts { clear: number(row.get(3)?), masked: number(row.get(4)?) };
        Ok((ColumnName::new(table, row.get::<_, String>(2)?), counts))
    })?;
    Ok(found.into_iter().collect())
}

/// Sessions, the newest first.
pub(super) fn sessions(
    connection: &Connection,
    conditions: &Conditions<'_>,
    most: u32,
) -> Result<Vec<FoundSession>, Error> {
    let sql = format!(
        "SELECT s.*, u.issuer, u.sub, t.text AS target_name, d.text AS database_name,
                (SELECT count(*) FROM requests r WHERE r.session = s.id)
                + (SELECT coalesce(sum(r.count), 0) FROM runs r WHERE r.session = s.id) AS requests
         FROM sessions s
         JOIN subjects u ON u.id = s.subject
         JOIN names t ON t.id = s.target
         JOIN names d ON d.id = s.database
         WHERE TRUE {} ORDER BY s.opened_at DESC, s.position DESC LIMIT ?",
        conditions.and()
    );
    query(connection, &sql, conditions, most, |row| session_from(connection, row))
}

fn session_from(connection: &Connection, row: &Row<'_>) -> Result<FoundSession, Error> {
    let id: i64 = row.get("id")?;
    let source: String = row.get("source")?;
    Ok(FoundSession {
        session: SessionId::from_bits(id.cast_unsigned()),
        subject: subject(row.get("issuer")?, row.get("sub")?),
        on_behalf_of: chain(connection, id)?,
        target: row.get("target_name")?,
        database: row.get("database_name")?,
        source: source.parse().map_err(|_| Error::Corrupt("an address"))?,
        application: row.get("application")?,
        opened_at: moment(row.get("opened_at")?),
        expires_at: moment(row.get("expires_at")?),
        requests: number(row.get("requests")?),
        closed: closed(row)?,
    })
}

fn closed(row: &Row<'_>) -> Result<Option<Closed>, Error> {
    let Some(at) = row.get::<_, Option<i64>>("closed_at")? else { return Ok(None) };
    let stored: Option<Vec<u8>> = row.get("tape")?;
    let bytes: Option<i64> = row.get("tape_bytes")?;
    let tape = stored.map(|stored| digest(&stored)).transpose()?.zip(bytes.map(number));
    let reason: Option<String> = row.get("reason")?;
    Ok(Some(Closed { at: moment(at), reason: reason.unwrap_or_default(), tape }))
}

/// Other events, the newest first.
pub(super) fn events(
    connection: &Connection,
    conditions: &Conditions<'_>,
    most: u32,
) -> Result<Vec<FoundEvent>, Error> {
    let sql = format!(
        "SELECT e.position, e.at, e.event FROM events e WHERE TRUE {} ORDER BY e.at DESC, e.position DESC LIMIT ?",
        conditions.and()
    );
    query(connection, &sql, conditions, most, |row| {
        let event: String = row.get("event")?;
        Ok(FoundEvent {
            position: number(row.get("position")?),
            at: moment(row.get("at")?),
            event: Arc::new(from_json(&event, "an event")?),
        })
    })
}
