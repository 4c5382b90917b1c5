//! What PostgreSQL statements do.
//!
//! [`analyse`] parses a text with PostgreSQL's own grammar (version 18, `pg_raw_parse`), resolves its names against a
//! [`Catalog`] exactly as the server would with the session's `search_path`, and answers with one [`Statement`] each.
//!
//! The walk over the tree is our own and exhaustive: a node that it does not handle makes its statement opaque, never
//! invisible. So does a name that the catalog does not have, a text nested deeper than [`MAX_DEPTH`], and a lexical
//! position on which our lexer and the parser disagree.
//!
//! With `standard_conforming_strings = off` the lexer reads a text differently only where it has a backslash, so with it
//! off a text with a backslash is opaque and any other is parsed as usual; no second parser is needed.
//!
//! Rules that are easy to forget:
//! - `SELECT … FOR UPDATE` is `select`: it locks rows and changes none.
//! - `count(x)`, `x IS NULL`, `pg_typeof(x)` and `EXISTS (…)` have the origin [`Constant`](model::lineage::Origin);
//!   what they look at is a `filter` (a NULL test, `count(x)`) or a `select` on the table (`EXISTS`, `count(*)`).
//! - A view's column is a column of its own: effects name it, and `filter`, `lookup` and `join` name the columns under
//!   it as well. Its origin is itself where it shows one base column unchanged (then [`labels`] marks it as its base),
//!   and the base columns' `Derived` otherwise.

mod analyse;
mod catalog;
pub mod comment;
mod functions;
mod labels;
mod lexer;
mod secrets;
mod session;
pub mod settings;
mod statement;
mod tree;

pub use analyse::analyse;
pub use catalog::{Callable, Catalog, Part, PartBuilder, RelationInfo, RowError, queries, saved};
pub use labels::labels;
pub use secrets::{speaks_of_secrets, without_comments};
pub use session::{NoPrepared, Prepared, Session};
pub use statement::{
    Changes, Copy, CopyDirection, CopyFormat, CopyText, Flow, Given, Missing, NameUse, Own, OwnSetting, Statement,
    TransactionStep,
};

/// How deep a statement may nest; what is deeper is opaque.
pub const MAX_DEPTH: usize = 128;
