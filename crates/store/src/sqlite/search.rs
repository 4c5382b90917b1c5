//! Searching the index.
//!
//! Every condition narrows `requests r`, or `runs r`, whose rows stand for many requests each ([`Rows`]). Those on the row
//! itself are plain. Those that go through another table can be answered from either side: from that table, if it names few
//! requests, or request by request, the newest first, if it names many; [`Conditions::through`] looks which. So a rare
//! relation and a popular one are both found at once.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use model::class::DataClass;
use model::decision::Outcome;
use model::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::codec::{number, subject, time};
use crate::Error;
use crate::audit::{
    ClassReport, ClassReportNow, Disclosed, DisclosedNow, FoundEvent, FoundRequest, FoundSession, Now, Search,
    SessionSearch,
};

mod conditions;
mod found;
mod now;
mod subjects;
mod unpacked;

pub(super) use conditions::Rows;
use conditions::{Conditions, Known, placeholders};
use now::Reached;

/// The index over one journal, to be asked and never changed: a long search does not stop it from being fed.
#[derive(Debug)]
pub struct Index(Mutex<Connection>);

impl Index {
    /// Opens the index of a data directory, whoever feeds it meanwhile.
    ///
    /// # Errors
    /// There is none, it cannot be read, or another version of Sluice made it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let file = directory.join("index.db");
        File::open(&file).map_err(|source| Error::File { path: file.display().to_string(), source })?;
        let opened = read_only(&file, "");
        // SQLite shares its log of what is new in a file beside. Where that cannot be made, as on a copy that may only be read,
        // and nobody has it open, nobody feeds the index; it is whole if there is no such log.
        let is_at_rest = || is_empty(&file.with_extension("db-wal")) && is_empty(&file.with_extension("db-shm"));
        let connection = match opened {
            Err(Error::Database(_)) if is_at_rest() => read_only(&file, "?immutable=1")?,
            opened => opened?,
        };
        Ok(Self(Mutex::new(connection)))
    }

    /// The connection, and one state of the index for all that is asked on it: it is fed meanwhile.
    fn reading<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let connection = self.connection();
        let at_once = connection.unchecked_transaction()?;
        ask(&at_once)
    }

    pub(super) const fn of(connection: Connection) -> Self {
        Self(Mutex::new(connection))
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        super::locked(&self.0)
    }

    /// The position of the last entry that is in it.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn position(&self) -> Result<Option<u64>, Error> {
        super::index::position(&self.connection())
    }

    /// Requests that match.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn search(&self, search: &Search) -> Result<Vec<FoundRequest>, Error> {
        self.reading(|connection| {
            let reached = search.now.as_ref().map(|now| Reached::find(connection, now)).transpose()?;
            let single = find_single(connection, search, reached.as_ref())?;
            let in_runs = unpacked::requests(connection, search, reached.as_ref())?;
            Ok(unpacked::newest(single, in_runs, search.limit))
        })
    }

    /// What the matching requests delivered of a class as it is now. [`Search::now`] is not looked at.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn disclosed_now(&self, now: &Now, search: &Search) -> Result<DisclosedNow, Error> {
        self.reading(|connection| {
            let Some(conditions) = of_requests(connection, search, Rows::Requests)? else {
                return Ok(DisclosedNow::default());
            };
            let reached = Reached::find(connection, now)?;
            let mut disclosed = reached.disclosed(connection, &conditions, (search.since, search.until))?;
            for (_, more) in reached.in_runs(connection, search)? {
                disclosed.add(more);
            }
            Ok(disclosed)
        })
    }

    /// What every subject was given of a class as it is now.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn report_now(&self, now: &Now, since: Option<Timestamp>) -> Result<Vec<ClassReportNow>, Error> {
        self.reading(|connection| Reached::find(connection, now)?.by_subject(connection, since))
    }

    /// What the matching requests delivered of a class.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn disclosed(&self, class: &DataClass, search: &Search) -> Result<Disclosed, Error> {
        self.reading(|connection| {
            let Some(conditions) = of_requests(connection, search, Rows::Requests)? else {
                return Ok(Disclosed::default());
            };
            let mut disclosed = match conditions.known.text(class.as_str())? {
                None => Disclosed::default(),
                Some(class) => {
                    let sql = format!(
                        "SELECT coalesce(sum(c.clear), 0), coalesce(sum(c.masked), 0), count(*)
                         FROM class_disclosures c CROSS JOIN requests r ON r.id = c.request
                         WHERE c.class = ? {} {}",
                        conditions.same_subject("c.subject"),
                        conditions.and()
                    );
                    let values = [vec![Value::from(class)], conditions.subjects(), conditions.values()].concat();
                    connection.prepare(&sql)?.query_row(params_from_iter(values), |row| {
                        let (clear, masked, requests) = (row.get(0)?, row.get(1)?, row.get(2)?);
                        Ok(Disclosed {
                            clear: number(clear),
                            masked: number(masked),
                            requests: number(requests),
                            unknown: 0,
                        })
                    })?
                }
            };
            let sql = format!("SELECT count(*) FROM requests r WHERE {UNKNOWN} {}", conditions.and());
            let unknown = connection
                .prepare(&sql)?
                .query_row(params_from_iter(conditions.values()), |row| row.get(0).map(number))?;
            disclosed.unknown = unknown;
            Ok(disclosed)
        })
    }

    /// What every subject read of a class.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn report(&self, class: &DataClass, since: Timestamp) -> Result<Vec<ClassReport>, Error> {
        self.reading(|connection| {
            let class = Known(connection).text(class.as_str())?.unwrap_or(-1);
            let sql = format!(
                "WITH counts AS (
                     SELECT subject, sum(clear) AS clear, sum(masked) AS masked, count(*) AS requests, 0 AS unknown
                     FROM class_disclosures WHERE class = ?1 AND at >= ?2 GROUP BY subject
                     UNION ALL
                     SELECT coalesce(r.subject, 0), 0, 0, 0, count(*) FROM requests r
                     WHERE {UNKNOWN} AND r.at >= ?2 GROUP BY r.subject)
                 SELECT s.issuer, s.sub, sum(clear), sum(masked), sum(requests), sum(unknown)
                 FROM counts LEFT JOIN subjects s ON s.id = counts.subject
                 GROUP BY counts.subject ORDER BY sum(clear) DESC, sum(masked) DESC, sum(unknown) DESC, s.issuer, s.sub"
            );
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map([class, time(since)], |row| {
                let (issuer, id): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
                let disclosed = Disclosed {
                    clear: number(row.get(2)?),
                    masked: number(row.get(3)?),
                    requests: number(row.get(4)?),
                    unknown: number(row.get(5)?),
                };
                Ok(ClassReport { subject: issuer.zip(id).map(|(issuer, id)| subject(issuer, id)), disclosed })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Sessions that match.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn sessions(&self, search: &SessionSearch) -> Result<Vec<FoundSession>, Error> {
        self.reading(|connection| {
            let mut conditions = Conditions::new(connection);
            if let Some(since) = search.since {
                conditions.plain("(s.closed_at IS NULL OR s.closed_at >= ?)", [Value::from(time(since))]);
            }
            if let Some(until) = search.until {
                conditions.plain("s.opened_at < ?", [Value::from(time(until))]);
            }
            if let Some(session) = search.session {
                conditions.plain("s.id = ?", [Value::from(session.bits().cast_signed())]);
            }
            if search.open_only {
                conditions.plain("s.closed_at IS NULL", []);
            }
            let is_possible = conditions.subject("s.subject", search.subject.as_deref())?
                && conditions.text("s.target", search.target.as_deref())?;
            if is_possible { found::sessions(connection, &conditions, search.limit) } else { Ok(Vec::new()) }
        })
    }

    /// Other events that match.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn events(&self, search: &Search) -> Result<Vec<FoundEvent>, Error> {
        self.reading(|connection| {
            let mut conditions = Conditions::new(connection);
            conditions.times("e.at", search.since, search.until);
            if let Some(session) = search.session {
                conditions.plain("e.session = ?", [Value::from(session.bits().cast_signed())]);
            }
            if let Some(approval) = search.approval {
                conditions.plain("e.approval = ?", [Value::from(approval.bits().cast_signed())]);
            }
            let is_possible = conditions.subject("e.subject", search.subject.as_deref())?
                && conditions.text("e.target", search.target.as_deref())?
                && conditions.text("e.secret", search.secret.as_deref())?;
            if is_possible { found::events(connection, &conditions, search.limit) } else { Ok(Vec::new()) }
        })
    }
}

/// Opens the file for reading, and sees that this version of Sluice knows it.
fn read_only(file: &Path, how: &str) -> Result<Connection, Error> {
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str(how);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(super::BUSY)?;
    super::migrations::expect(&connection, "index.db", super::migrations::INDEX)?;
    Ok(connection)
}

fn is_empty(file: &Path) -> bool {
    std::fs::metadata(file).map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |found| found.len() == 0)
}

/// A request that may have run and of whose end nothing is known.
const UNKNOWN: &str = "r.ended_at IS NULL AND r.outcome = 'allow'";

/// Requests that match and have rows of their own.
fn find_single(
    connection: &Connection,
    search: &Search,
    reached: Option<&Reached>,
) -> Result<Vec<FoundRequest>, Error> {
    let Some(mut conditions) = of_requests(connection, search, Rows::Requests)? else { return Ok(Vec::new()) };
    if let Some(reached) = reached {
        reached.narrow(&mut conditions)?;
        let mut found = found::requests(connection, &conditions, search.limit)?;
        for request in &mut found {
            request.now = Some(reached.given(connection, super::codec::count(request.position))?);
        }
        return Ok(found);
    }
    if let Some(class) = &search.class {
        let Some(class) = conditions.known.text(class.as_str())? else {
            conditions.plain(UNKNOWN, []);
            return found::requests(connection, &conditions, search.limit);
        };
        conditions.through(
            &format!(
                "SELECT request FROM class_disclosures WHERE class = ?
                 UNION ALL SELECT id FROM requests r WHERE {UNKNOWN}"
            ),
            &format!(
                "(EXISTS (SELECT 1 FROM class_disclosures c WHERE c.request = r.id AND c.class = ?)
                  OR ({UNKNOWN}))"
            ),
            [Value::from(class)],
        )?;
    }
    found::requests(connection, &conditions, search.limit)
}

/// Whether a search may find anything in runs: only what was allowed, ended and disclosed nothing is in one.
fn may_be_in_runs(search: &Search) -> bool {
    search.class.is_none()
        && search.approval.is_none()
        && search.trace.is_none()
        && !search.unknown_only
        && search.outcome.is_none_or(|outcome| outcome == Outcome::Allow)
}

/// The conditions of a search, without its class; `None` if something that it names is not in the index at all.
fn of_requests<'a>(connection: &'a Connection, search: &Search, rows: Rows) -> Result<Option<Conditions<'a>>, Error> {
    let mut conditions = Conditions::new(connection);
    match rows {
        Rows::Requests => {
            conditions.times("r.at", search.since, search.until);
            on_the_row(&mut conditions, search);
        }
        Rows::Runs => unpacked::on_the_run(&mut conditions, search),
    }
    let is_possible = conditions.subject("r.subject", search.subject.as_deref())?
        && conditions.text("r.target", search.target.as_deref())?
        && delegation(&mut conditions, search, rows)?
        && policy(&mut conditions, search, rows)?
        && secret(&mut conditions, search, rows)?
        && statements(&mut conditions, search, rows)?;
    Ok(is_possible.then_some(conditions))
}

fn on_the_row(conditions: &mut Conditions<'_>, search: &Search) {
    if let Some(session) = search.session {
        conditions.plain("r.session = ?", [Value::from(session.bits().cast_signed())]);
    }
    if let Some(request) = search.request {
        let key = [request.session.bits().cast_signed(), request.number.cast_signed()];
        conditions.plain("r.session = ? AND r.number = ?", key.map(Value::from));
    }
    if let Some(approval) = search.approval {
        conditions.plain("r.approval = ?", [Value::from(approval.bits().cast_signed())]);
    }
    if let Some(trace) = &search.trace {
        // Just what the index is over.
        let is_of = "r.traceparent IS NOT NULL AND substr(r.traceparent, 4, 32) = ?";
        conditions.plain(is_of, [Value::from(trace.clone())]);
    }
    // Written out, so that SQLite sees that a partial index has exactly these.
    match search.outcome {
        Some(Outcome::Allow) => conditions.plain("r.outcome = 'allow'", []),
        Some(Outcome::Deny) => conditions.plain("r.outcome = 'deny'", []),
        Some(Outcome::Ask) => conditions.plain("r.was_asked = 1", []),
        None => {}
    }
    if search.unknown_only {
        conditions.plain(UNKNOWN, []);
    }
}

fn delegation(conditions: &mut Conditions<'_>, search: &Search, rows: Rows) -> Result<bool, Error> {
    let Some(name) = &search.on_behalf_of else { return Ok(true) };
    let subjects = conditions.known.subjects(name)?;
    if subjects.is_empty() {
        return Ok(false);
    }
    let places = placeholders(subjects.len());
    conditions.through(
        &format!(
            "SELECT id FROM {rows} WHERE behalf IN ({places})
             UNION ALL SELECT q.id FROM session_behalf b JOIN {rows} q ON q.session = b.session
                   WHERE b.subject IN ({places})"
        ),
        &format!(
            "(r.behalf IN ({places})
              OR EXISTS (SELECT 1 FROM session_behalf b WHERE b.session = r.session AND b.subject IN ({places})))"
        ),
        [subjects.clone(), subjects].concat(),
    )?;
    Ok(true)
}

fn policy(conditions: &mut Conditions<'_>, search: &Search, rows: Rows) -> Result<bool, Error> {
    let Some(name) = &search.policy else { return Ok(true) };
    let Some(policy) = conditions.known.text(name)? else { return Ok(false) };
    conditions.through(
        &format!("SELECT q.id FROM ruling_policies p JOIN {rows} q ON q.ruling = p.ruling WHERE p.policy = ?"),
        "EXISTS (SELECT 1 FROM ruling_policies p WHERE p.ruling = r.ruling AND p.policy = ?)",
        [Value::from(policy)],
    )?;
    Ok(true)
}

fn secret(conditions: &mut Conditions<'_>, search: &Search, rows: Rows) -> Result<bool, Error> {
    let Some(name) = &search.secret else { return Ok(true) };
    let Some(secret) = conditions.known.text(name)? else { return Ok(false) };
    conditions.through(
        &format!("SELECT q.id FROM events e JOIN {rows} q ON q.session = e.session WHERE e.secret = ?"),
        "EXISTS (SELECT 1 FROM events e WHERE e.session = r.session AND e.secret = ?)",
        [Value::from(secret)],
    )?;
    Ok(true)
}

/// The conditions on what a request runs. Statements are few, requests many: the statements are picked first.
fn statements(conditions: &mut Conditions<'_>, search: &Search, rows: Rows) -> Result<bool, Error> {
    let by_effect = search.table.is_some() || !search.columns.is_empty() || search.verb.is_some();
    if !by_effect && search.statement.is_none() && search.text.is_none() {
        return Ok(true);
    }
    let mut picked = Vec::new();
    let mut values = Vec::new();
    if by_effect {
        let (sql, of_effect) = effects(conditions.known, search)?;
        picked.push(format!("s.id IN ({sql})"));
        values.extend(of_effect);
    }
    if let Some(statement) = search.statement {
        picked.push(String::from("s.digest = ?"));
        values.push(Value::from(statement.0.to_vec()));
    }
    if let Some(text) = &search.text {
        picked.push(String::from("instr(lower(s.text), lower(?)) > 0"));
        values.push(Value::from(text.clone()));
    }
    let chosen =
        conditions.known.ids(&format!("SELECT s.id FROM statements s WHERE {}", picked.join(" AND ")), values)?;
    if chosen.is_empty() {
        return Ok(false);
    }
    let places = placeholders(chosen.len());
    conditions.through(
        &format!(
            "SELECT q.id FROM ruling_statements s JOIN {rows} q ON q.ruling = s.ruling WHERE s.statement IN ({places})"
        ),
        &format!("EXISTS (SELECT 1 FROM ruling_statements s WHERE s.ruling = r.ruling AND s.statement IN ({places}))"),
        chosen,
    )?;
    Ok(true)
}

/// The statements with a certain effect. What nobody understood may have touched any relation, so opaque statements are
/// found with each.
fn effects(known: Known<'_>, search: &Search) -> Result<(String, Vec<Value>), Error> {
    let mut parts = Vec::new();
    let mut values = Vec::new();
    if let Some(table) = &search.table {
        let relations = known.relations(table)?;
        parts.push(format!("(e.relation IN ({}) OR e.verb = 'opaque')", placeholders(relations.len())));
        values.extend(relations);
    }
    if !search.columns.is_empty() {
        let columns = known.columns(&search.columns)?;
        parts.push(format!("(e.column_id IN ({}) OR e.verb = 'opaque')", placeholders(columns.len())));
        values.extend(columns);
    }
    if let Some(verb) = search.verb {
        parts.push(String::from("e.verb = ?"));
        values.push(Value::from(verb.as_str().to_owned()));
    }
    Ok((format!("SELECT e.statement FROM effects e WHERE {}", parts.join(" AND ")), values))
}

#[cfg(test)]
impl Index {
    /// How SQLite would answer a search, one step a line.
    pub(super) fn plan(&self, search: &Search, rows: Rows) -> Vec<String> {
        let connection = self.connection();
        let conditions = of_requests(&connection, search, rows).unwrap().unwrap();
        let (sql, values) = match rows {
            Rows::Requests => {
                (found::requests_sql(&conditions), [conditions.values(), vec![Value::from(100)]].concat())
            }
            Rows::Runs => (unpacked::runs_sql(&conditions), conditions.values()),
        };
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get("detail")).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }
}
