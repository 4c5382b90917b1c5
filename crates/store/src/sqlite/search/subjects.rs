//! Who opened sessions, and what their requests named.

use model::effect::{ColumnName, TableName};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::codec::{from_json, moment, subject};
use super::super::limit;
use super::Index;
use crate::Error;
use crate::audit::{FoundSubject, SubjectSearch};

impl Index {
    /// Those who opened sessions, in the order of their names.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn subjects(&self, search: &SubjectSearch) -> Result<Vec<FoundSubject>, Error> {
        self.reading(|connection| subjects(connection, search))
    }

    /// The relations that requests in a database of a target named, and their columns; at most so many of each.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn relations_of(
        &self,
        target: &str,
        database: &str,
        most: u32,
    ) -> Result<(Vec<TableName>, Vec<ColumnName>), Error> {
        self.reading(|connection| {
            let sql = "SELECT id FROM names WHERE text = ?";
            let known = |text: &str| connection.prepare_cached(sql)?.query_row([text], |row| row.get(0)).optional();
            let (Some(target), Some(database)): (Option<i64>, Option<i64>) = (known(target)?, known(database)?) else {
                return Ok((Vec::new(), Vec::new()));
            };
            let of = "FROM statements s JOIN effects e ON e.statement = s.id";
            let place = "WHERE s.target = ? AND s.database = ?";
            let tables = format!(
                "SELECT DISTINCT r.schema, r.name {of} JOIN relations r ON r.id = e.relation {place}
                 ORDER BY r.schema, r.name LIMIT ?"
            );
            let columns = format!(
                "SELECT DISTINCT r.schema, r.name, c.name {of} JOIN columns c ON c.id = e.column_id
                 JOIN relations r ON r.id = c.relation {place} ORDER BY r.schema, r.name, c.name LIMIT ?"
            );
            let values = params![target, database, limit(most)];
            let mut statement = connection.prepare(&tables)?;
            let tables = statement.query_map(values, table)?.collect::<Result<_, _>>()?;
            let mut statement = connection.prepare(&columns)?;
            let column = |row: &Row<'_>| Ok(ColumnName::new(table(row)?, row.get::<_, String>(2)?));
            let columns = statement.query_map(values, column)?.collect::<Result<_, _>>()?;
            Ok((tables, columns))
        })
    }
}

fn table(row: &Row<'_>) -> rusqlite::Result<TableName> {
    Ok(TableName::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?))
}

fn subjects(connection: &Connection, search: &SubjectSearch) -> Result<Vec<FoundSubject>, Error> {
    // Whoever only stands behind a session, or was acted upon, has opened none.
    let sql = "SELECT u.issuer, u.sub, n.at, n.kind, n.groups,
                      (SELECT max(s.opened_at) FROM sessions s WHERE s.subject = u.id) AS opened
               FROM subjects u LEFT JOIN seen n ON n.subject = u.id
               WHERE (u.issuer, u.sub) > (?1, ?2)
                 AND (?3 = '' OR instr(lower(u.issuer || '|' || u.sub), lower(?3)) > 0)
                 AND EXISTS (SELECT 1 FROM sessions s WHERE s.subject = u.id)
               ORDER BY u.issuer, u.sub LIMIT ?4";
    let (issuer, id) = search.after.as_ref().map_or(("", ""), |key| (&*key.issuer, &*key.id));
    let text = search.text.as_deref().unwrap_or_default();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params![issuer, id, text, limit(search.limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(of(row)?);
    }
    Ok(found)
}

fn of(row: &Row<'_>) -> Result<FoundSubject, Error> {
    let (kind, groups): (Option<String>, Option<String>) = (row.get("kind")?, row.get("groups")?);
    let opened: Option<i64> = row.get("opened")?;
    let at: Option<i64> = row.get("at")?;
    Ok(FoundSubject {
        subject: subject(row.get("issuer")?, row.get("sub")?),
        kind: kind.map(|kind| from_json(&kind, "a kind of subject")).transpose()?,
        groups: groups.map(|groups| from_json(&groups, "groups")).transpose()?,
        seen_at: moment(at.max(opened).unwrap_or(0)),
    })
}
