//! What an answer gave away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::class::DataClass;
use crate::effect::ColumnName;

/// How many values of one class, or of one column, left in each form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Values delivered in clear.
    pub clear: u64,
    /// Values delivered masked.
    pub masked: u64,
}

impl Counts {
    /// Adds another count; saturates.
    pub const fn add(&mut self, other: Self) {
        self.clear = self.clear.saturating_add(other.clear);
        self.masked = self.masked.saturating_add(other.masked);
    }
}

/// What the answer to one request disclosed. NULLs are not counted: they disclose no value.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Disclosure {
    /// Rows delivered.
    pub rows: u64,
    /// Bytes of answer delivered, framing included.
    pub bytes: u64,
    /// Per data class.
    pub classes: BTreeMap<DataClass, Counts>,
    /// Per classified column that the values came from.
    #[serde(serialize_with = "columns")]
    pub columns: BTreeMap<ColumnName, Counts>,
}

/// The journal stores columns as they are. In JSON a key is a text.
fn columns<S: serde::Serializer>(columns: &BTreeMap<ColumnName, Counts>, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.collect_map(columns.iter().map(|(column, counts)| (column.to_string(), counts)))
    } else {
        columns.serialize(serializer)
    }
}

impl Disclosure {
    /// Adds what another part of the same answer disclosed.
    pub fn add(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (class, counts) in &other.classes {
            self.classes.entry(class.clone()).or_default().add(*counts);
        }
        for (column, counts) in &other.columns {
            self.columns.entry(column.clone()).or_default().add(*counts);
        }
    }
}
