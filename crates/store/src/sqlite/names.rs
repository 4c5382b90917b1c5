//! Texts that repeat, stored once.

use std::collections::HashMap;

use model::effect::{ColumnName, TableName};
use model::subject::SubjectKey;
use rusqlite::{OptionalExtension, ToSql, Transaction};

use crate::Error;

/// The numbers of texts, within one transaction: what it gave numbers to is forgotten if it is rolled back.
pub(super) struct Names<'a> {
    tx: &'a Transaction<'a>,
    texts: HashMap<String, i64>,
    subjects: HashMap<SubjectKey, i64>,
    columns: HashMap<ColumnName, i64>,
}

impl<'a> Names<'a> {
    /// Numbers for one transaction.
    pub(super) fn new(tx: &'a Transaction<'a>) -> Self {
        Self { tx, texts: HashMap::new(), subjects: HashMap::new(), columns: HashMap::new() }
    }

    /// The number of a text.
    pub(super) fn text(&mut self, text: &str) -> Result<i64, Error> {
        if let Some(id) = self.texts.get(text) {
            return Ok(*id);
        }
        let id = self.number(
            "SELECT id FROM names WHERE text = ?",
            "INSERT INTO names (text) VALUES (?) RETURNING id",
            &[&text],
        )?;
        self.texts.insert(text.to_owned(), id);
        Ok(id)
    }

    /// The number of a subject.
    pub(super) fn subject(&mut self, key: &SubjectKey) -> Result<i64, Error> {
        if let Some(id) = self.subjects.get(key) {
            return Ok(*id);
        }
        let id = self.number(
            "SELECT id FROM subjects WHERE issuer = ? AND sub = ?",
            "INSERT INTO subjects (issuer, sub) VALUES (?, ?) RETURNING id",
            &[&&*key.issuer, &&*key.id],
        )?;
        self.subjects.insert(key.clone(), id);
        Ok(id)
    }

    /// The number of a relation.
    pub(super) fn relation(&self, table: &TableName) -> Result<i64, Error> {
        self.number(
            "SELECT id FROM relations WHERE schema = ? AND name = ?",
            "INSERT INTO relations (schema, name) VALUES (?, ?) RETURNING id",
            &[&&*table.schema, &&*table.name],
        )
    }

    /// The number of a column.
    pub(super) fn column(&mut self, column: &ColumnName) -> Result<i64, Error> {
        if let Some(id) = self.columns.get(column) {
            return Ok(*id);
        }
        let relation = self.relation(&column.table)?;
        let id = self.number(
            "SELECT id FROM columns WHERE relation = ? AND name = ?",
            "INSERT INTO columns (relation, name) VALUES (?, ?) RETURNING id",
            &[&relation, &&*column.name],
        )?;
        self.columns.insert(column.clone(), id);
        Ok(id)
    }

    fn number(&self, find: &str, add: &str, values: &[&dyn ToSql]) -> Result<i64, Error> {
        let found = self.tx.prepare_cached(find)?.query_row(values, |row| row.get(0)).optional()?;
        match found {
            Some(id) => Ok(id),
            None => Ok(self.tx.prepare_cached(add)?.query_row(values, |row| row.get(0))?),
        }
    }
}
