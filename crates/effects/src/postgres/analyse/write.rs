//! INSERT, UPDATE, DELETE, MERGE and TRUNCATE.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::effect::Verb;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    Alias, DeleteStmt, InsertStmt, MergeStmt, MergeWhenClause, OnConflictClause, RangeVar, ResTarget, ReturningClause,
    TruncateStmt, UpdateStmt,
};
use pg_raw_parse::{Node, raw};

use super::bounded::is_bounded;
use super::scope::{Columns, Listing, Range, Scope, Visible};
use super::select::Rows;
use super::value::{Col, Outputs, Value};
use super::walk::Walk;
use crate::postgres::Missing;
use crate::postgres::catalog::Relation;
use crate::postgres::catalog::items::Column;

/// What was written to which column of the target.
pub(super) type Written = Vec<(i16, Value)>;

/// The target as RETURNING sees it.
struct After<'a, 't> {
    relation: &'a Relation,
    alias: Option<&'t Alias>,
    /// MERGE: `*` is the source's columns and then the target's.
    source_first: bool,
}

impl<'a> Walk<'a> {
    /// Rows of a relation are written: the tables under a view too, and what triggers and rules do.
    pub(super) fn writes(&mut self, relation: &'a Relation, verb: Verb, event: char) {
        self.mentions(relation);
        self.on_table(verb, relation);
        if relation.has_rules {
            self.opaque("its target has rules");
        }
        self.all_hooks(relation, event, 0);
        if event == 'd' {
            self.cascades(relation, event);
        }
        if relation.view.is_some() {
            let shape = self.view_shape(relation);
            self.runs_view(relation);
            for oid in &shape.under {
                if let Some(under) = self.catalog.relation_by_oid(*oid) {
                    self.on_table(verb, under);
                    self.all_hooks(under, event, 0);
                }
            }
        }
    }

    /// A statement's target relation.
    fn target(&mut self, name: Option<&RangeVar>, verb: Verb, event: char) -> Option<&'a Relation> {
        let Some(name) = name else {
            self.opaque("it has no target");
            return None;
        };
        let relation = self.relation(name, verb)?;
        if !matches!(relation.relkind, b'r' | b'p' | b'v' | b'f') {
            self.opaque("its target cannot be written");
        }
        self.writes(relation, verb, event);
        Some(relation)
    }

    pub(super) fn insert(&mut self, insert: &InsertStmt) -> Outputs {
        self.with(insert.with_clause());
        let Some(relation) = self.target(insert.relation(), Verb::Insert, 'i') else {
            self.subquery_or_defaults(insert.select_stmt());
            return Outputs { columns: Vec::new(), wild: true };
        };
        let columns = self.insert_columns(relation, insert.cols());
        let mut written = self.insert_source(&columns, insert.select_stmt());
        for col in columns.iter().take(written.len()).flatten() {
            self.writes_column(Verb::Insert, *col);
        }
        let alias = insert.relation().and_then(RangeVar::alias);
        if let Some(conflict) = insert.on_conflict_clause() {
            let changed = self.on_conflict(conflict, relation, alias, &written);
            written.extend(changed);
        }
        self.returning(insert.returning_clause(), self.after(relation, alias), &written, Scope::default())
    }

    fn subquery_or_defaults(&mut self, source: Node<'_>) -> Outputs {
        match source {
            Node::None => Outputs::default(),
            source => self.subquery(source),
        }
    }

    /// The target columns in the order of the source's; `None` for one that is not in the catalog.
    fn insert_columns(&mut self, relation: &'a Relation, named: &NodeList) -> Vec<Option<Col>> {
        if named.is_empty() {
            return relation.columns.iter().map(|column| Some((relation.oid, column.number))).collect();
        }
        let mut columns = Vec::new();
        for target in named {
            let Node::ResTarget(target) = target else {
                self.opaque("its column list is not understood");
                continue;
            };
            self.subscripts(target);
            columns.push(self.target_column(relation, target.name()));
        }
        columns
    }

    fn target_column(&mut self, relation: &'a Relation, name: Option<&str>) -> Option<Col> {
        let column = name.and_then(|name| relation.column_named(name));
        match column {
            Some(column) => {
                self.writes_type(column.ty);
                Some((relation.oid, column.number))
            }
            None => {
                self.opaque(Missing::Column.reason());
                None
            }
        }
    }

    /// VALUES or a query; what it puts into each column.
    fn insert_source(&mut self, columns: &[Option<Col>], source: Node<'_>) -> Written {
        let written = match source {
            Node::None => return Vec::new(),
            Node::SelectStmt(select) if is_plain_values(select) => {
                // Its WITH queries are those of VALUES alone, not of RETURNING.
                let ctes = self.ctes.len();
                self.with(select.with_clause());
                let mut rows = Rows::of(select.values_lists(), false);
                for list in select.values_lists() {
                    let row = self.written_row(columns, list);
                    rows.add(self, row);
                }
                self.ctes.truncate(ctes);
                rows.all
            }
            source => Some(self.subquery(source)),
        };
        let outputs = written.unwrap_or_default();
        if outputs.wild {
            self.opaque("it inserts columns that are not known");
        }
        let mut all = Vec::new();
        for (at, (_, value)) in outputs.columns.into_iter().enumerate() {
            let Some(col) = columns.get(at).copied().flatten() else { continue };
            self.write(col, &value);
            all.push((col.1, value));
        }
        all
    }

    fn written_row(&mut self, columns: &[Option<Col>], list: Node<'_>) -> Outputs {
        let mut outputs = Outputs::default();
        for (at, item) in list.as_node_list().into_iter().flatten().enumerate() {
            let start = self.roles.len();
            self.is_one(item);
            let value = self.expr(item);
            if let Some(col) = columns.get(at).copied().flatten() {
                self.write_roles(start, col, &value);
            }
            outputs.columns.push(("".into(), value));
        }
        outputs
    }

    /// Constants that are written to a column as they are belong to it.
    fn write_roles(&mut self, start: usize, col: Col, value: &Value) {
        if value.is_constant() {
            let end = self.roles.len();
            self.role(start, end, col);
        }
    }

    /// A value is read, and written to a column. What is computed of a classified column has another value's shape: the
    /// mask of the column that it is written to, which may be of the same class, would show the wrong part of it
    /// (`SET number = left(number, 4)`). Rows then depend on it.
    fn write(&mut self, col: Col, value: &Value) {
        let column = self.catalog.relation_by_oid(col.0).and_then(|relation| relation.column(col.1));
        self.user_casts(value, column.map_or(0, |column| column.ty));
        self.written.push((col, value.givens()));
        self.deliver(value);
        // So does whether it fits there, and which of its partitions it goes to.
        if value.bare().is_none_or(|source| !self.takes_any(source, col)) {
            self.filters(value);
        }
        self.declassifies(value, Some(col));
    }

    fn on_conflict(
        &mut self,
        conflict: &OnConflictClause,
        relation: &'a Relation,
        alias: Option<&Alias>,
        written: &Written,
    ) -> Written {
        let target = self.relation_range(relation, alias);
        self.scopes.push(target);
        let mut changed = Vec::new();
        if let Some(infer) = conflict.infer() {
            for element in infer.index_elems() {
                match element {
                    Node::IndexElem(element) => match element.name() {
                        Some(name) => {
                            let value = self.find_unqualified(name).unwrap_or_else(|| Value::unknown(Vec::new()));
                            self.used(&value, Verb::Lookup);
                        }
                        None => {
                            let value = self.expr(element.expr());
                            self.filters(&value);
                        }
                    },
                    _ => {
                        self.opaque("its ON CONFLICT is not understood");
                    }
                }
            }
            self.condition(infer.where_clause());
        }
        if conflict.action == raw::OnConflictAction::ONCONFLICT_UPDATE {
            self.writes(relation, Verb::Update, 'u');
            let mut columns = Vec::new();
            for column in &relation.columns {
                columns.push((Arc::clone(&column.name), self.excluded(relation, column, written)));
            }
            let columns = Columns::Listed(columns, Some(relation));
            // Only by its name: an unqualified column is the target's.
            let range = Range { name: "excluded".into(), schema: None, columns, listing: Listing::Exact };
            if let Some(scope) = self.scopes.last_mut() {
                scope.ranges.push(range);
            }
            changed = self.assign(relation, conflict.target_list().iter());
            self.condition(conflict.where_clause());
        }
        self.scopes.pop();
        changed
    }

    /// A column of `excluded`: what was to be written to it, or what a generated one is computed of that.
    fn excluded(&mut self, relation: &'a Relation, column: &Column, written: &Written) -> Value {
        let to = |number: i16| written.iter().find(|(other, _)| *other == number).map(|(_, value)| value);
        if let Some(value) = to(column.number) {
            return Value { ty: column.ty, ..value.clone() };
        }
        let own = self.column_value(relation, column.number, column.ty);
        if relation.view.is_some() {
            // It may be computed of any other one.
            let all = written.iter().map(|(_, value)| value);
            return Value { seen: true, ..Value::computed(all.chain([&own]), column.ty) };
        }
        if column.sources.is_empty() {
            return Value::constant(column.ty);
        }
        let sources = column.sources.iter().filter_map(|number| to(*number));
        Value { seen: true, ..Value::computed(sources.chain([&own]), column.ty) }
    }

    /// SET a = …, (b, c) = ….
    fn assign<'n>(&mut self, relation: &'a Relation, targets: impl Iterator<Item = &'n ResTarget>) -> Written {
        let mut written = Vec::new();
        for target in targets {
            let col = self.target_column(relation, target.name());
            self.subscripts(target);
            let start = self.roles.len();
            let value = self.assigned(target.val());
            let Some(col) = col else { continue };
            self.write_roles(start, col, &value);
            self.writes_column(Verb::Update, col);
            self.write(col, &value);
            written.push((col.1, value));
        }
        self.checked(relation, &written);
        self.may_move(relation, &written);
        let keys = |number: &i16| relation.referenced_by.iter().any(|reference| reference.key.contains(number));
        let is_one = relation.view.is_none() && relation.children.is_empty();
        if !is_one || written.iter().any(|(number, _)| keys(number)) {
            self.cascades(relation, 'u');
        }
        written
    }

    /// `a[1] = …`: the array shows at which places something is.
    fn subscripts(&mut self, target: &ResTarget) {
        let steps = target.indirection().iter().filter(|step| step.as_str().is_none());
        let place = self.indirect(Value::constant(0), steps);
        self.filters(&place);
    }

    fn assigned(&mut self, node: Node<'_>) -> Value {
        let Node::MultiAssignRef(part) = node else { return self.expr(node) };
        let at = usize::try_from(part.colno).ok().and_then(|number| number.checked_sub(1));
        match (part.source(), at) {
            (Node::RowExpr(row), Some(at)) if row.args().len() == usize::try_from(part.ncolumns).unwrap_or(0) => {
                row.args().get(at).map_or_else(|| Value::unknown(Vec::new()), |item| self.expr(item))
            }
            (Node::SubLink(link), Some(at)) => {
                let outputs = self.subquery(link.subselect());
                let column = outputs.columns.get(at).filter(|_| !outputs.wild);
                column.map_or_else(|| Value::unknown(outputs.all().cols()), |(_, value)| value.clone())
            }
            (source, _) => {
                let value = self.expr(source);
                Value::computed([&value], 0)
            }
        }
    }

    pub(super) fn update(&mut self, update: &UpdateStmt) -> Outputs {
        self.with(update.with_clause());
        self.bounded &= is_bounded(update.where_clause());
        let Some(relation) = self.target(update.relation(), Verb::Update, 'u') else {
            return Outputs { columns: Vec::new(), wild: true };
        };
        let alias = update.relation().and_then(RangeVar::alias);
        let target = self.relation_range(relation, alias);
        self.scopes.push(target);
        self.add_items(update.from_clause());
        self.condition(update.where_clause());
        let written = self.assign(relation, update.target_list().iter());
        let others = self.others();
        self.returning(update.returning_clause(), self.after(relation, alias), &written, others)
    }

    /// The FROM items beside the target, which RETURNING sees as well.
    fn others(&mut self) -> Scope<'a> {
        let mut scope = self.scopes.pop().unwrap_or_default();
        if scope.ranges.is_empty() || scope.visible.is_empty() {
            return Scope::default();
        }
        scope.ranges.remove(0);
        scope.visible.remove(0);
        for visible in &mut scope.visible {
            if let Visible::All(index) | Visible::Joined(index) = visible {
                *index = index.saturating_sub(1);
            }
        }
        scope
    }

    pub(super) fn delete(&mut self, delete: &DeleteStmt) -> Outputs {
        self.with(delete.with_clause());
        self.bounded &= is_bounded(delete.where_clause());
        let Some(relation) = self.target(delete.relation(), Verb::Delete, 'd') else {
            return Outputs { columns: Vec::new(), wild: true };
        };
        let alias = delete.relation().and_then(RangeVar::alias);
        let target = self.relation_range(relation, alias);
        self.scopes.push(target);
        self.add_items(delete.using_clause());
        self.condition(delete.where_clause());
        let others = self.others();
        self.returning(delete.returning_clause(), self.after(relation, alias), &Vec::new(), others)
    }

    pub(super) fn merge(&mut self, merge: &MergeStmt) -> Outputs {
        self.with(merge.with_clause());
        let Some(name) = merge.relation() else { return Outputs { columns: Vec::new(), wild: true } };
        let Some(relation) = self.relation(name, Verb::Update) else {
            return Outputs { columns: Vec::new(), wild: true };
        };
        self.reads(relation);
        self.bounded &= is_bounded(merge.join_condition());
        let target = self.relation_range(relation, name.alias());
        self.scopes.push(Scope::default());
        let source = self.item(merge.source_relation());
        self.scopes.pop();
        let mut both = target.clone();
        both.absorb(source.clone());
        self.scopes.push(both);
        self.condition(merge.join_condition());
        let mut written = Vec::new();
        for when in merge.merge_when_clauses() {
            // Where one side has no row, its names mean something else (setNamespaceForMergeWhen, parse_merge.c).
            let alone = match when.match_kind {
                raw::MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_TARGET => Some(source.clone()),
                raw::MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_SOURCE => Some(target.clone()),
                _ => None,
            };
            let both = alone.and_then(|alone| Some(std::mem::replace(self.scopes.last_mut()?, alone)));
            written.extend(self.merge_when(when, relation));
            if let (Some(both), Some(top)) = (both, self.scopes.last_mut()) {
                *top = both;
            }
        }
        let others = self.others();
        let target = After { source_first: true, ..self.after(relation, name.alias()) };
        self.returning(merge.returning_clause(), target, &written, others)
    }

    fn merge_when(&mut self, when: &MergeWhenClause, relation: &'a Relation) -> Written {
        self.condition(when.condition());
        if when.match_kind == raw::MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_SOURCE {
            // All rows of the target but those that match.
            self.bounded &= is_bounded(when.condition());
        }
        match when.command_type {
            raw::CmdType::CMD_INSERT => {
                self.writes(relation, Verb::Insert, 'i');
                let columns = self.insert_columns(relation, when.target_list());
                let mut written = Vec::new();
                for (at, item) in when.values().into_iter().enumerate() {
                    let start = self.roles.len();
                    self.is_one(item);
                    let value = self.expr(item);
                    let Some(col) = columns.get(at).copied().flatten() else { continue };
                    self.write_roles(start, col, &value);
                    self.writes_column(Verb::Insert, col);
                    self.write(col, &value);
                    written.push((col.1, value));
                }
                written
            }
            raw::CmdType::CMD_UPDATE => {
                self.writes(relation, Verb::Update, 'u');
                let targets: Vec<&ResTarget> = when
                    .target_list()
                    .iter()
                    .filter_map(|target| if let Node::ResTarget(target) = target { Some(target) } else { None })
                    .collect();
                if targets.len() != when.target_list().len() {
                    self.opaque("its MERGE is not understood");
                }
                self.assign(relation, targets.into_iter())
            }
            raw::CmdType::CMD_DELETE => {
                self.writes(relation, Verb::Delete, 'd');
                Vec::new()
            }
            raw::CmdType::CMD_NOTHING => Vec::new(),
            _ => {
                self.opaque("its MERGE is not understood");
                Vec::new()
            }
        }
    }

    const fn after<'t>(&self, relation: &'a Relation, alias: Option<&'t Alias>) -> After<'a, 't> {
        After { relation, alias, source_first: false }
    }

    /// RETURNING: the target's columns, with what was just written to them, and the other FROM items.
    fn returning(
        &mut self,
        clause: Option<&ReturningClause>,
        target: After<'a, '_>,
        written: &Written,
        mut others: Scope<'a>,
    ) -> Outputs {
        let Some(clause) = clause else { return Outputs::default() };
        let After { relation, alias, source_first } = target;
        let mut scope = self.relation_range(relation, alias);
        let mixed = written.iter().any(|(number, value)| is_foreign(relation, *number, value));
        if mixed && let Some(range) = scope.ranges.first_mut() {
            let columns =
                self.relation_columns(relation).into_iter().zip(&relation.columns).map(|((name, own), column)| {
                    let sources = written.iter().filter(|(number, value)| {
                        let is_in = *number == column.number || column.sources.contains(number);
                        is_in && is_foreign(relation, *number, value)
                    });
                    (name, sources.fold(own, |own, (_, value)| own.either(value)))
                });
            range.columns = Columns::Listed(columns.collect(), Some(relation));
        }
        let (mut old, mut new): (Arc<str>, Arc<str>) = ("old".into(), "new".into());
        for option in clause.options() {
            let name = option.value().unwrap_or_default().into();
            match option.option {
                raw::ReturningOptionKind::RETURNING_OPTION_OLD => old = name,
                _ => new = name,
            }
        }
        let copies = [old, new].map(|name| {
            let columns = match scope.ranges.first().map(|range| &range.columns) {
                Some(Columns::Listed(columns, relation)) => Columns::Listed(columns.clone(), *relation),
                _ => Columns::Relation(relation),
            };
            Range { name, schema: None, columns, listing: Listing::Exact }
        });
        // The order of `*`: the target and then the others, but MERGE has its source first.
        if source_first {
            std::mem::swap(&mut scope, &mut others);
        }
        scope.absorb(others);
        scope.ranges.extend(copies);
        self.scopes.push(scope);
        let mut targets = Vec::new();
        for expr in clause.exprs() {
            match expr {
                Node::ResTarget(target) => targets.push(target),
                _ => {
                    self.opaque("its RETURNING is not understood");
                }
            }
        }
        let level = std::mem::replace(&mut self.level, self.scopes.len().saturating_sub(1));
        let outputs = self.target_list(targets.into_iter());
        self.level = level;
        self.scopes.pop();
        outputs
    }

    pub(super) fn truncate(&mut self, truncate: &TruncateStmt) {
        let mut targets = Vec::new();
        for name in truncate.relations() {
            match name {
                Node::RangeVar(name) => targets.extend(self.relation(name, Verb::Truncate)),
                _ => {
                    self.opaque("its TRUNCATE is not understood");
                }
            }
        }
        let cascade = truncate.behavior == raw::DropBehavior::DROP_CASCADE;
        let mut seen = BTreeSet::new();
        while let Some(relation) = targets.pop() {
            if !seen.insert(relation.oid) {
                continue;
            }
            self.writes(relation, Verb::Truncate, 't');
            if cascade {
                let referring = self.written_tables(relation).into_iter().flat_map(|table| &table.referenced_by);
                targets.extend(referring.filter_map(|reference| self.catalog.relation_by_oid(reference.from)));
            }
        }
    }
}

/// Whether a value is another one than that of the column it is written to.
fn is_foreign(relation: &Relation, number: i16, value: &Value) -> bool {
    !value.is_constant() && value.bare() != Some((relation.oid, number))
}

/// `VALUES (…), (…)` without any clause of its own.
fn is_plain_values(select: &pg_raw_parse::nodes::SelectStmt) -> bool {
    !select.values_lists().is_empty()
        && select.sort_clause().is_empty()
        && matches!(select.limit_count(), Node::None)
        && matches!(select.limit_offset(), Node::None)
        && select.locking_clause().is_empty()
}
