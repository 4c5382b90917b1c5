//! Where the values of an answer come from.
//!
//! The rule is one-sided: [`Origin::Unknown`] stands for every class of every relation that the statement mentions, and
//! anything else is a claim that was proved.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::effect::{ColumnName, TableName};

/// Where the value of one result column may come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From no column: constants, `count(*)`, `now()`. Proved.
    Constant,
    /// The value of exactly this column, unchanged.
    Column(ColumnName),
    /// Computed from at most these columns.
    Derived(BTreeSet<ColumnName>),
    /// A JSON object or array, SQL array or row built from parts in this order, each with its own origin.
    Members(Container, Vec<Member>),
    /// Not proved.
    Unknown,
}

/// What kind of value a constructor builds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// A JSON or JSONB object with constant keys; members are matched by key.
    JsonObject,
    /// A JSON or JSONB array of fixed length; members are matched by position.
    JsonArray,
    /// A JSON array of any length whose elements all have the one member's origin (`json_agg`).
    JsonArrayOf,
    /// A SQL array whose elements all have the one member's origin (`ARRAY[…]`, `array_agg`).
    ArrayOf,
    /// A composite value; members are matched by position.
    Row,
}

/// One part of a constructed value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The key in a JSON object; `None` elsewhere.
    pub key: Option<Arc<str>>,
    /// Where the part's value comes from.
    pub origin: Origin,
}

/// One column of the answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutputColumn {
    /// The label, as the server would send it, where it is known.
    pub name: Arc<str>,
    /// Where the values come from.
    pub origin: Origin,
}

/// What a statement answers with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// No rows.
    #[default]
    None,
    /// Rows with these columns. If the server describes another number of columns, all of them are `Unknown`.
    Rows(Vec<OutputColumn>),
    /// Rows of a shape that is not known.
    Unknown,
}

/// What an `Unknown` origin may stand for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mentions {
    /// Every relation that the statement names, views expanded to what is under them as well.
    pub tables: BTreeSet<TableName>,
    /// Whether it may also read relations that it does not name (opaque text, functions that run SQL): then an
    /// `Unknown` origin stands for every class there is.
    pub anything: bool,
}

/// A constant in the text of a statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Literal {
    /// Byte offset of the first character in the statement's text.
    pub start: usize,
    /// Byte offset after the last character.
    pub end: usize,
    /// What the constant is used as.
    pub role: LiteralRole,
}

/// What a constant or parameter is used as: it decides how the record shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiteralRole {
    /// Compared with or written to exactly this column.
    Of(ColumnName),
    /// A password, key or connection string: never shown.
    Secret,
    /// Cannot hold a column's value: LIMIT counts, type modifiers, option values.
    Plain,
    /// Not known.
    Unknown,
}
