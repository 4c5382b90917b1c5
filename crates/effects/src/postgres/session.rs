//! What of a session decides what its text means.

use std::sync::Arc;

use super::{Catalog, Statement};

/// The state under which a text is read.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The database's catalog, as this session sees it.
    pub catalog: &'a Catalog,
    /// The effective search path, `pg_catalog` and the temporary schema included, in the order of
    /// `current_schemas(true)`.
    pub search_path: &'a [Arc<str>],
    /// The name of the session's current role, for `"$user"`-like defaults in messages; no rights follow from it.
    pub user: &'a str,
    /// The session's `standard_conforming_strings`.
    pub standard_conforming_strings: bool,
    /// The session's prepared statements and cursors.
    pub prepared: &'a dyn Prepared,
    /// The types of the text's parameters where the client named them; 0 where it did not.
    pub parameter_types: &'a [u32],
}

/// Looks up the statements that a session has under a name. SQL-level and protocol-level prepared statements share one
/// name space, as at the server; so do SQL-level cursors and protocol-level portals.
pub trait Prepared {
    /// The prepared statement of this name.
    fn statement(&self, name: &str) -> Option<Arc<Statement>>;
    /// What the cursor of this name runs.
    fn cursor(&self, name: &str) -> Option<Arc<Statement>>;
}

/// A session without prepared statements or cursors.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrepared;

impl Prepared for NoPrepared {
    fn statement(&self, _: &str) -> Option<Arc<Statement>> {
        None
    }

    fn cursor(&self, _: &str) -> Option<Arc<Statement>> {
        None
    }
}
