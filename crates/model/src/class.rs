//! Data classes, and which columns carry them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::effect::{ColumnName, TableName};

/// A label such as `card_number`; the set of them is the revision's (`classification.toml`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataClass(Arc<str>);

impl DataClass {
    /// The classes that Sluice's detectors know, and that every classification has.
    pub const BUILT_IN: [&'static str; 11] = [
        "card_number",
        "card_cvv",
        "iban",
        "us_ssn",
        "email",
        "phone",
        "person_name",
        "date_of_birth",
        "ip_address",
        "secret",
        "unclassified",
    ];

    /// Names a class.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for DataClass {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DataClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// How values of a class are changed for those who may not see them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// NULL.
    Null,
    /// A fixed text, such as `[card_number]`; NULL for types that cannot hold it.
    Redact,
    /// An HMAC token: equal values give equal tokens, so joins still work.
    Token,
    /// All but the last `keep_last` characters replaced by `*`.
    Partial {
        /// How many characters stay.
        keep_last: u8,
    },
    /// FF1: same length, same alphabet.
    FormatPreserving,
}

impl Transform {
    /// How much a transform hides: of two, the greater is the stricter. Of two partial ones it is the one that keeps less.
    pub const fn strictness(&self) -> (u8, u8) {
        match self {
            Self::Null => (4, 0),
            Self::Redact => (3, 0),
            Self::Token => (2, 0),
            Self::FormatPreserving => (1, 0),
            Self::Partial { keep_last } => (0, u8::MAX - *keep_last),
        }
    }

    /// Its name, as `classification.toml` has it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Redact => "redact",
            Self::Token => "token",
            Self::Partial { .. } => "partial",
            Self::FormatPreserving => "format_preserving",
        }
    }
}

/// What the classification says of a column.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Marking {
    /// Nothing: text in it goes through the content net.
    #[default]
    Unmarked,
    /// Public: its values are shown as they are.
    Public,
    /// It carries these classes (never empty).
    Classes(BTreeSet<DataClass>),
}

impl Marking {
    /// The classes carried; empty unless classified.
    pub fn classes(&self) -> impl Iterator<Item = &DataClass> + Clone {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Unmarked | Self::Public => None,
        }
        .into_iter()
        .flatten()
    }
}

/// What one revision's classification and one version of the catalog say together: every column's marking, with what
/// partitions and children inherit, and every relation's parents. Built by `effects` when either changes.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Marked columns; a column that is not here is [`Marking::Unmarked`].
    pub columns: HashMap<ColumnName, Marking>,
    /// The relations that a partition or child inherits from, the nearest first.
    pub parents: HashMap<TableName, Vec<TableName>>,
    /// Every classified column of a relation.
    pub classified: BTreeMap<TableName, BTreeSet<ColumnName>>,
}

impl Labels {
    /// What is known of a column.
    pub fn marking(&self, column: &ColumnName) -> &Marking {
        const NONE: &Marking = &Marking::Unmarked;
        self.columns.get(column).unwrap_or(NONE)
    }

    /// Every class that any column of `table` carries.
    pub fn classes_of_table(&self, table: &TableName) -> BTreeSet<DataClass> {
        let columns = self.classified.get(table).into_iter().flatten();
        columns.flat_map(|column| self.marking(column).classes().cloned()).collect()
    }

    /// The relations that `table` inherits from, with those that they do, each once.
    pub fn ancestors<'a>(&'a self, table: &'a TableName) -> Vec<&'a TableName> {
        let (mut found, mut open) = (Vec::new(), vec![table]);
        while let Some(child) = open.pop() {
            for parent in self.parents.get(child).into_iter().flatten() {
                if parent != table && !found.contains(&parent) {
                    found.push(parent);
                    open.push(parent);
                }
            }
        }
        found
    }

    /// Whether any column of `table` is classified.
    pub fn is_classified(&self, table: &TableName) -> bool {
        self.classified.get(table).is_some_and(|columns| !columns.is_empty())
    }
}
