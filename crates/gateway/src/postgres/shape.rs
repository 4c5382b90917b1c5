//! What an answer looks like: the columns that the target described, with where the catalog says they come from.

use std::sync::Arc;

use effects::postgres::Catalog;
use masking::postgres::Described;
use model::effect::{TableKind, TableName};
use wire::postgres::backend::Fields;
use wire::postgres::part::Format;

/// The columns of an answer; empty when it has no rows.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// In order.
    pub(super) columns: Vec<Described>,
}

impl Shape {
    /// Reads a RowDescription. `formats` are those of Bind where the description is of a statement, whose own format
    /// codes say nothing yet (protocol docs, "RowDescription").
    pub(super) fn read(fields: Fields<'_>, catalog: &Catalog, formats: Option<&[Format]>) -> Self {
        let columns = fields.iter().enumerate().map(|(index, field)| {
            let format = match formats {
                None => field.format,
                Some([]) => Format::Text,
                Some([all]) => *all,
                Some(each) => each.get(index).copied().unwrap_or_default(),
            };
            let base = catalog.relation(field.table).filter(|relation| is_base(relation.kind));
            let whole_row_of: Option<TableName> =
                (field.column == 0).then(|| catalog.relation(field.table)).flatten().map(|relation| relation.name);
            Described {
                name: String::from_utf8_lossy(field.name.bytes()).into(),
                source: base.and_then(|_| catalog.column_by_oid(field.table, field.column)),
                whole_row_of,
                type_oid: field.type_oid,
                binary: format == Format::Binary,
            }
        });
        Self { columns: columns.collect() }
    }

    /// The same columns in other formats: a statement's description becoming a portal's.
    pub(super) fn in_formats(&self, formats: &[Format]) -> Arc<Self> {
        let columns = self.columns.iter().enumerate().map(|(index, column)| {
            let format = match formats {
                [] => Format::Text,
                [all] => *all,
                each => each.get(index).copied().unwrap_or_default(),
            };
            Described { binary: format == Format::Binary, ..column.clone() }
        });
        Arc::new(Self { columns: columns.collect() })
    }
}

/// Whether the values of a relation's column are what it stores: only then does its name prove anything.
const fn is_base(kind: TableKind) -> bool {
    match kind {
        TableKind::Table | TableKind::Foreign | TableKind::System | TableKind::Temporary | TableKind::Matview => true,
        TableKind::View | TableKind::Sequence | TableKind::Unresolved => false,
    }
}
