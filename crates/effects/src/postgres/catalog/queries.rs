//! The SQL texts that read a catalog. Every column is text; every query runs on PostgreSQL 13 to 18 by any role.

/// One query and which rows it answers with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// For the journal.
    pub name: &'static str,
    /// The text.
    pub sql: &'static str,
}

/// What the server ships; does not change while it runs.
pub const SYSTEM: &[Query] = &[];

/// What its users made.
pub const USER: &[Query] = &[];
