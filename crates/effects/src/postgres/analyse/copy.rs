//! COPY.

use std::sync::Arc;

use model::effect::{FunctionClass, TableKind, Verb};
use model::lineage::Origin;
use pg_raw_parse::Node;
use pg_raw_parse::nodes::CopyStmt;

use super::Body;
use super::value::{Outputs, Value};
use super::walk::Walk;
use crate::postgres::{Copy, CopyDirection, CopyFormat, CopyText, Missing};

impl Walk<'_> {
    pub(super) fn copy(&mut self, copy: &CopyStmt) -> Body {
        let server_side = copy.filename().is_some() || copy.is_program;
        if copy.is_program {
            self.executes_builtin("copy program", FunctionClass::Process);
        } else if server_side {
            self.executes_builtin("copy file", FunctionClass::FileAccess);
        }
        let columns = match (copy.relation(), copy.is_from) {
            (None, _) => {
                let outputs = self.subquery(copy.query());
                if self.mentions_nothing() {
                    self.on_database(Verb::Evaluate);
                }
                self.copy_out(&outputs, server_side)
            }
            (Some(_), false) => self.copy_table_out(copy, server_side),
            (Some(_), true) => self.copy_in(copy),
        };
        let Some(format) = self.copy_format(copy) else {
            self.opaque("its COPY options are not understood");
            return Body::of("COPY");
        };
        let direction = if copy.is_from { CopyDirection::In } else { CopyDirection::Out };
        let stream = (!server_side).then_some(Copy { direction, columns, format });
        Body { copy: stream, ..Body::of("COPY") }
    }

    fn copy_out(&mut self, outputs: &Outputs, server_side: bool) -> Option<Vec<(Arc<str>, Origin)>> {
        for (_, value) in &outputs.columns {
            self.deliver(value);
            if server_side {
                self.declassifies(value, None);
            }
        }
        if outputs.wild {
            return None;
        }
        Some(outputs.columns.iter().map(|(name, value)| (Arc::clone(name), self.origin(value))).collect())
    }

    /// The columns that a COPY names, or all that it takes by default, which is all but generated ones.
    fn copy_columns(&mut self, copy: &CopyStmt, verb: Verb) -> Option<Outputs> {
        let relation = self.relation(copy.relation()?, verb)?;
        let mut outputs = Outputs::default();
        if copy.attlist().is_empty() {
            for column in relation.columns.iter().filter(|column| !column.generated) {
                let value = self.column_value(relation, column.number, column.ty);
                outputs.columns.push((Arc::clone(&column.name), value));
            }
        }
        for name in copy.attlist().into_iter().filter_map(Node::as_str) {
            match relation.column_named(name) {
                Some(column) => {
                    let value = self.column_value(relation, column.number, column.ty);
                    outputs.columns.push((Arc::clone(&column.name), value));
                }
                None => {
                    self.opaque(Missing::Column.reason());
                }
            }
        }
        Some(outputs)
    }

    fn copy_table_out(&mut self, copy: &CopyStmt, server_side: bool) -> Option<Vec<(Arc<str>, Origin)>> {
        let outputs = self.copy_columns(copy, Verb::Select)?;
        if let Some(relation) = copy.relation().and_then(|name| self.relation(name, Verb::Select)) {
            self.reads(relation);
        }
        self.copy_out(&outputs, server_side)
    }

    fn copy_in(&mut self, copy: &CopyStmt) -> Option<Vec<(Arc<str>, Origin)>> {
        let relation = self.relation(copy.relation()?, Verb::Insert)?;
        if matches!(relation.kind, TableKind::System | TableKind::Matview | TableKind::Sequence) {
            self.opaque("its target cannot be written");
        }
        self.writes(relation, Verb::Insert, 'i');
        let outputs = self.copy_columns(copy, Verb::Insert)?;
        let mut columns = Vec::new();
        for (name, value) in &outputs.columns {
            for col in value.cols() {
                self.writes_column(Verb::Insert, col);
            }
            columns.push((Arc::clone(name), self.origin(value)));
        }
        let range = self.relation_range(relation, None);
        self.scopes.push(range);
        self.condition_of_input(copy.where_clause());
        self.scopes.pop();
        Some(columns)
    }

    /// COPY … WHERE looks at the rows that come in, not at those that are there.
    fn condition_of_input(&mut self, node: Node<'_>) {
        let value: Value = self.optional(node);
        if value.is_unknown() {
            self.anything = true;
        }
    }

    fn copy_format(&mut self, copy: &CopyStmt) -> Option<CopyFormat> {
        let mut format = "text".to_owned();
        let text_of = |name: &str| copy.options().iter().rfind(|option| option.defname() == Some(name));
        if let Some(option) = text_of("format") {
            format = Self::option_text(option)?;
        }
        let csv = format == "csv";
        let byte = |name: &str, default: u8| -> Option<u8> {
            match text_of(name) {
                None => Some(default),
                Some(option) => match Self::option_text(option)?.as_bytes() {
                    [byte] => Some(*byte),
                    _ => None,
                },
            }
        };
        let null = match text_of("null") {
            Some(option) => Self::option_text(option)?,
            None => if csv { "" } else { "\\N" }.to_owned(),
        };
        let header = match text_of("header") {
            Some(option) => !matches!(Self::option_text(option)?.as_str(), "false" | "off" | "0"),
            None => false,
        };
        if let Some(option) = text_of("encoding") {
            let encoding = Self::option_text(option)?;
            if !crate::postgres::settings::is_pinned_value("client_encoding", &encoding) {
                return None;
            }
        }
        let quote = byte("quote", b'"')?;
        let text = CopyText {
            delimiter: byte("delimiter", if csv { b',' } else { b'\t' })?,
            null,
            quote,
            escape: byte("escape", quote)?,
            header,
        };
        match format.as_str() {
            "text" => Some(CopyFormat::Text(text)),
            "csv" => Some(CopyFormat::Csv(text)),
            "binary" => Some(CopyFormat::Binary),
            _ => None,
        }
    }
}
