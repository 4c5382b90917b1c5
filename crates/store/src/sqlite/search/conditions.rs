//! The conditions of a search, as SQL with its values kept apart: no text of a caller ever becomes SQL.

use model::effect::ColumnName;
use model::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::super::codec::time;
use crate::Error;

/// From how many requests on a table is not asked for all that it names.
const MANY: i64 = 20_000;

/// So many question marks.
pub(super) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Where requests are: `r` in every condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Rows {
    /// Each in a row of its own.
    Requests,
    /// Many in a row.
    Runs,
}

impl std::fmt::Display for Rows {
    /// The name of the table.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Requests => "requests",
            Self::Runs => "runs",
        })
    }
}

/// The numbers of what the index knows by name.
#[derive(Clone, Copy)]
pub(super) struct Known<'a>(pub(super) &'a Connection);

impl Known<'_> {
    /// The number of a text.
    pub(super) fn text(self, text: &str) -> Result<Option<i64>, Error> {
        let sql = "SELECT id FROM names WHERE text = ?";
        Ok(self.0.prepare_cached(sql)?.query_row([text], |row| row.get(0)).optional()?)
    }

    /// The subjects that `alias|id`, or an id alone, names.
    pub(super) fn subjects(self, name: &str) -> Result<Vec<Value>, Error> {
        let (issuer, id) = name.split_once('|').unwrap_or_default();
        let sql = "SELECT id FROM subjects WHERE sub = ? UNION SELECT id FROM subjects WHERE sub = ? AND issuer = ?";
        self.ids(sql, [name, id, issuer].map(|text| Value::from(text.to_owned())))
    }

    /// The relations that `schema.name`, or a name alone, names.
    pub(super) fn relations(self, name: &str) -> Result<Vec<Value>, Error> {
        let sql = "SELECT id FROM relations WHERE name = ?1 OR schema || '.' || name = ?1";
        self.ids(sql, [Value::from(name.to_owned())])
    }

    /// Those of the columns that the index knows.
    pub(super) fn columns(self, columns: &[ColumnName]) -> Result<Vec<Value>, Error> {
        let sql = "SELECT c.id FROM columns c JOIN relations t ON t.id = c.relation
                   WHERE t.schema = ? AND t.name = ? AND c.name = ?";
        let mut found = Vec::new();
        for column in columns {
            let parts = [&column.table.schema, &column.table.name, &column.name];
            found.extend(self.ids(sql, parts.map(|text| Value::from(text.to_string())))?);
        }
        Ok(found)
    }

    /// The first column of a query's rows.
    pub(super) fn ids(self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<Value>, Error> {
        let mut statement = self.0.prepare(sql)?;
        let found = statement.query_map(params_from_iter(values), |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

/// Conditions that all hold.
pub(super) struct Conditions<'a> {
    pub(super) known: Known<'a>,
    parts: Vec<String>,
    values: Vec<Value>,
    subjects: Vec<Value>,
}

impl<'a> Conditions<'a> {
    /// None yet.
    pub(super) const fn new(connection: &'a Connection) -> Self {
        Self { known: Known(connection), parts: Vec::new(), values: Vec::new(), subjects: Vec::new() }
    }

    /// A condition on the row itself.
    pub(super) fn plain(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.parts.push(format!("({sql})"));
        self.values.extend(values);
    }

    /// A condition through another table: `listing` selects the requests that it names, `exists` asks of one request.
    pub(super) fn through(
        &mut self,
        listing: &str,
        exists: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        let values: Vec<Value> = values.into_iter().collect();
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM ({listing}) LIMIT {MANY})");
        let named: i64 = self.known.0.prepare(&sql)?.query_row(params_from_iter(values.clone()), |row| row.get(0))?;
        if named < MANY {
            self.plain(&format!("r.id IN ({listing})"), values);
        } else {
            self.plain(exists, values);
        }
        Ok(())
    }

    /// Times, the first included, the last not.
    pub(super) fn times(&mut self, column: &str, since: Option<Timestamp>, until: Option<Timestamp>) {
        if let Some(since) = since {
            self.plain(&format!("{column} >= ?"), [Value::from(time(since))]);
        }
        if let Some(until) = until {
            self.plain(&format!("{column} < ?"), [Value::from(time(until))]);
        }
    }

    /// A subject by name; `false` if the index knows none of that name. One number is compared by `=`, so that the
    /// index on subject and time gives the newest first.
    pub(super) fn subject(&mut self, column: &str, name: Option<&str>) -> Result<bool, Error> {
        let Some(name) = name else { return Ok(true) };
        self.subjects = self.known.subjects(name)?;
        let comparison = match self.subjects.len() {
            0 => return Ok(false),
            1 => format!("{column} = ?"),
            several => format!("{column} IN ({})", placeholders(several)),
        };
        self.plain(&comparison, self.subjects.clone());
        Ok(true)
    }

    /// A text by name; `false` if the index does not know it.
    pub(super) fn text(&mut self, column: &str, text: Option<&str>) -> Result<bool, Error> {
        let Some(text) = text else { return Ok(true) };
        let Some(id) = self.known.text(text)? else { return Ok(false) };
        self.plain(&format!("{column} = ?"), [Value::from(id)]);
        Ok(true)
    }

    /// The subject's condition again, on a column that has it too.
    pub(super) fn same_subject(&self, column: &str) -> String {
        match self.subjects.len() {
            0 => String::new(),
            several => format!("AND {column} IN ({})", placeholders(several)),
        }
    }

    /// The values of [`Conditions::same_subject`].
    pub(super) fn subjects(&self) -> Vec<Value> {
        self.subjects.clone()
    }

    /// All of them, each after an AND.
    pub(super) fn and(&self) -> String {
        self.parts.iter().map(|part| format!(" AND {part}")).collect()
    }

    /// Their values, in order.
    pub(super) fn values(&self) -> Vec<Value> {
        self.values.clone()
    }
}
