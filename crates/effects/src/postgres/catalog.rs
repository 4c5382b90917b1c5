//! What the analyser knows of a database: its relations, columns, functions, types, operators and casts.
//!
//! The gateway runs [`queries::SYSTEM`] once per target and [`queries::USER`] at every reload, gives each row to a
//! [`PartBuilder`], and joins the two parts. Nothing here talks to a server.

pub mod queries;

use std::sync::Arc;

use model::effect::{ColumnName, TableKind, TableName};

use queries::Query;

/// An immutable picture of one database.
#[derive(Debug, Default)]
pub struct Catalog {
    system: Arc<Part>,
    user: Part,
}

/// One half of a catalog: what the server ships (oids below 16384), or what its users made.
#[derive(Debug, Default)]
pub struct Part {}

/// Collects rows into a [`Part`].
#[derive(Debug, Default)]
pub struct PartBuilder {}

/// A row that cannot be what its query answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("catalog query {query}: {problem}")]
pub struct RowError {
    /// The query's name.
    pub query: &'static str,
    /// What is wrong; names of columns only, never values.
    pub problem: &'static str,
}

/// What the catalog says of one relation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelationInfo {
    /// Its object identifier.
    pub oid: u32,
    /// Its canonical name.
    pub name: TableName,
    /// What it is.
    pub kind: TableKind,
}

impl PartBuilder {
    /// Takes one row of `query`'s answer, all columns as text.
    ///
    /// # Errors
    /// If the row does not have the query's columns.
    pub fn row(&mut self, query: &Query, row: &[Option<&str>]) -> Result<(), RowError> {
        let _ = (query, row);
        Ok(())
    }

    /// The collected part.
    pub fn finish(self) -> Part {
        Part {}
    }
}

impl Catalog {
    /// Joins the server's own part, which sessions and reloads may share, with the users' part.
    pub fn new(system: Arc<Part>, user: Part) -> Self {
        Self { system, user }
    }

    /// The server's own part, to build the next catalog with.
    pub fn system(&self) -> Arc<Part> {
        Arc::clone(&self.system)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        let _ = &self.user;
        ""
    }

    /// The server's version as `server_version_num` has it, such as 150018.
    pub fn version(&self) -> u32 {
        0
    }

    /// The effective search path (`current_schemas(true)`) of the connection that the catalog was read on.
    pub fn search_path(&self) -> &[Arc<str>] {
        &[]
    }

    /// The column that a RowDescription names; `None` if there is none.
    pub fn column_by_oid(&self, table: u32, number: i16) -> Option<ColumnName> {
        let _ = (table, number);
        None
    }

    /// The relation with this object identifier.
    pub fn relation(&self, oid: u32) -> Option<RelationInfo> {
        let _ = oid;
        None
    }
}
