//! SELECT, VALUES, set operations and WITH.

use std::sync::Arc;

use model::lineage::LiteralRole;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{CommonTableExpr, ResTarget, SelectStmt, WindowDef, WithClause};
use pg_raw_parse::{ConstValue, Node, raw};

use super::from::is_one_row;
use super::operand::Operand;
use super::scope::Scope;
use super::value::{Givens, LARGE, Outputs, Value};
use super::walk::{Cte, Spot, Walk};

/// Names and values.
type Columns = Vec<(Arc<str>, Value)>;

/// How often a recursive query is walked before its columns are given up as unknown.
const ROUNDS: usize = 8;

/// The rows of VALUES, taken together. What they are given is kept per column and not per value: there may be very many.
pub(super) struct Rows {
    /// Where their list is.
    at: usize,
    /// Whether the values of a column become one type; what is inserted becomes its column's, each by itself.
    unite: bool,
    pub(super) all: Option<Outputs>,
}

impl Rows {
    pub(super) fn of(lists: &NodeList, unite: bool) -> Self {
        Self { at: std::ptr::from_ref(lists).addr(), unite, all: None }
    }

    pub(super) fn add(&mut self, walk: &mut Walk<'_>, mut row: Outputs) {
        for (column, (_, value)) in row.columns.iter_mut().enumerate() {
            let Givens::These(spots) = value.givens() else { continue };
            if !spots.is_empty() {
                walk.rows.entry((self.at, column)).or_default().extend(spots);
                value.given = Givens::one(Spot::Rows(self.at, column));
            }
        }
        self.all = Some(match self.all.take() {
            Some(rows) if self.unite => walk.unite(&rows, &row),
            Some(rows) => rows.either(&row),
            None => row,
        });
    }
}

impl<'a> Walk<'a> {
    /// Anything that has columns: SELECT, VALUES, or a statement with RETURNING.
    pub(super) fn subquery(&mut self, node: Node<'_>) -> Outputs {
        let level = std::mem::replace(&mut self.level, self.scopes.len());
        let (scopes, ctes) = (self.scopes.len(), self.ctes.len());
        self.nest += 1;
        let outputs = self.deeper(|walk| walk.query_node(node), Outputs::default);
        self.scopes.truncate(scopes);
        self.ctes.truncate(ctes);
        self.level = level;
        self.nest -= 1;
        outputs
    }

    fn query_node(&mut self, node: Node<'_>) -> Outputs {
        match node {
            Node::SelectStmt(select) => self.select(select),
            Node::InsertStmt(insert) => self.insert(insert),
            Node::UpdateStmt(update) => self.update(update),
            Node::DeleteStmt(delete) => self.delete(delete),
            Node::MergeStmt(merge) => self.merge(merge),
            _ => {
                self.opaque("it contains a statement that is not understood");
                Outputs { columns: Vec::new(), wild: true }
            }
        }
    }

    fn select(&mut self, select: &SelectStmt) -> Outputs {
        self.with(select.with_clause());
        let outputs = if select.op != raw::SetOperation::SETOP_NONE {
            self.set_operation(select)
        } else if select.values_lists().is_empty() {
            self.plain_select(select)
        } else {
            self.values(select.values_lists())
        };
        for sort in select.sort_clause() {
            self.operator_used(sort.use_op());
            self.sorted(sort.node(), &outputs);
        }
        for limit in [select.limit_count(), select.limit_offset()] {
            let start = self.roles.len();
            let value = self.optional(limit);
            self.role_of_all(start, &LiteralRole::Plain);
            self.filters(&value);
        }
        for lock in select.locking_clause() {
            for name in lock.locked_rels() {
                if !matches!(name, Node::RangeVar(_)) {
                    self.opaque("its locking clause is not understood");
                }
            }
        }
        outputs
    }

    fn plain_select(&mut self, select: &SelectStmt) -> Outputs {
        self.scopes.push(Scope::default());
        self.add_items(select.from_clause());
        self.condition(select.where_clause());
        let outputs = self.target_list(select.target_list().iter());
        for item in select.group_clause() {
            self.grouped(item, &outputs);
        }
        self.condition(select.having_clause());
        for window in select.window_clause() {
            match window {
                Node::WindowDef(window) => self.window(window),
                _ => {
                    self.opaque("its WINDOW clause is not understood");
                }
            }
        }
        for item in select.distinct_clause() {
            match item {
                // SELECT DISTINCT: which rows there are depends on every column.
                Node::None => self.filters(&outputs.all()),
                item => self.sorted(item, &outputs),
            }
        }
        outputs
    }

    /// A target list, `*` and `t.*` expanded.
    pub(super) fn target_list<'n>(&mut self, targets: impl Iterator<Item = &'n ResTarget>) -> Outputs {
        let mut outputs = Outputs::default();
        for target in targets {
            match self.star_of(target.val()) {
                Some(Some(columns)) => outputs.columns.extend(columns),
                Some(None) => {
                    outputs.wild = true;
                    // What it cannot list may be anything in scope.
                    self.opaque("it uses * where the columns are not known");
                }
                None => {
                    let value = self.column_expr(target.val());
                    let name = match target.name() {
                        Some(name) => name.into(),
                        None => self.name_of(target.val()),
                    };
                    outputs.columns.push((name, value));
                }
            }
        }
        outputs
    }

    /// An expression that becomes a column, which may be worked out where it is used.
    fn column_expr(&mut self, node: Node<'_>) -> Value {
        let before = self.visible;
        let value = self.expr(node);
        Value { seen: value.seen || self.visible != before, ..value }
    }

    /// Rows of both: the values of a column become one type.
    fn unite(&mut self, left: &Outputs, right: &Outputs) -> Outputs {
        let mut all = left.either(right);
        if all.wild {
            return all;
        }
        for (column, ((_, one), (_, other))) in all.columns.iter_mut().zip(left.columns.iter().zip(&right.columns)) {
            let operands = [Operand::hidden(one), Operand::hidden(other)];
            self.must_unify(&operands);
            if !column.1.literal {
                column.1.ty = self.common_type(&operands);
            }
        }
        all
    }

    /// `None` if the expression is not a star; `Some(None)` if it is one whose columns are not known.
    fn star_of(&mut self, node: Node<'_>) -> Option<Option<Columns>> {
        match node {
            Node::ColumnRef(column) => {
                let mut fields: Vec<Node<'_>> = column.fields().iter().collect();
                let Some(Node::A_Star(_)) = fields.pop() else { return None };
                if fields.is_empty() {
                    return Some(self.star());
                }
                let names: Vec<&str> = fields.iter().filter_map(|field| field.as_str()).collect();
                Some(self.qualified_star(&names))
            }
            Node::A_Indirection(indirection) => {
                let mut steps: Vec<Node<'_>> = indirection.indirection().iter().collect();
                let Some(Node::A_Star(_)) = steps.pop() else { return None };
                let value = self.expr(indirection.arg());
                let value = self.indirect(value, steps.into_iter());
                Some(self.fields_of(&value))
            }
            _ => None,
        }
    }

    /// An item of ORDER BY or DISTINCT ON: an output's position or name, else an expression over the input.
    fn sorted(&mut self, node: Node<'_>, outputs: &Outputs) {
        if let Some(value) = self.output_at(node, outputs) {
            return self.filters(&value);
        }
        if let Some(name) = single_name(node)
            && let Some((_, value)) = outputs.columns.iter().find(|(column, _)| &**column == name)
        {
            return self.filters(value);
        }
        let value = self.expr(node);
        self.filters(&value);
    }

    fn output_at(&mut self, node: Node<'_>, outputs: &Outputs) -> Option<Value> {
        let Node::A_Const(constant) = node else { return None };
        let Some(ConstValue::Integer(position)) = constant.val() else { return None };
        let start = self.roles.len();
        self.expr(node);
        self.role_of_all(start, &LiteralRole::Plain);
        if outputs.wild {
            return Some(outputs.all());
        }
        let at = usize::try_from(position).ok()?.checked_sub(1)?;
        outputs.columns.get(at).map(|(_, value)| value.clone())
    }

    /// An item of GROUP BY: an output's position, an input column, else an output's name.
    fn grouped(&mut self, node: Node<'_>, outputs: &Outputs) {
        match node {
            Node::GroupingSet(set) => {
                for item in set.content() {
                    self.deeper(|walk| walk.grouped(item, outputs), || ());
                }
            }
            Node::RowExpr(row) if row.row_format == raw::CoercionForm::COERCE_IMPLICIT_CAST => {
                for item in row.args() {
                    self.deeper(|walk| walk.grouped(item, outputs), || ());
                }
            }
            _ => {
                if let Some(value) = self.output_at(node, outputs) {
                    return self.filters(&value);
                }
                if let Some(name) = single_name(node)
                    && let Some((_, value)) = outputs.columns.iter().find(|(column, _)| &**column == name)
                {
                    match self.has_column_here(name) {
                        Some(false) => return self.filters(value),
                        Some(true) => {}
                        None => self.filters(value),
                    }
                }
                let value = self.expr(node);
                self.filters(&value);
            }
        }
    }

    pub(super) fn window(&mut self, window: &WindowDef) {
        for item in window.partition_clause() {
            let value = self.expr(item);
            self.filters(&value);
        }
        for sort in window.order_clause() {
            self.operator_used(sort.use_op());
            let value = self.expr(sort.node());
            self.filters(&value);
        }
        for bound in [window.start_offset(), window.end_offset()] {
            let value = self.optional(bound);
            self.filters(&value);
        }
    }

    fn values(&mut self, lists: &NodeList) -> Outputs {
        let mut rows = Rows::of(lists, true);
        for list in lists {
            let row = self.value_row(list);
            rows.add(self, row);
        }
        rows.all.unwrap_or_default()
    }

    /// In a list of values `t.*` is several.
    pub(super) fn is_one(&mut self, item: Node<'_>) {
        if super::names::is_star(item) {
            self.opaque("it uses * in a list of values");
        }
    }

    /// One row of VALUES.
    pub(super) fn value_row(&mut self, list: Node<'_>) -> Outputs {
        let mut outputs = Outputs::default();
        let Some(list) = list.as_node_list() else {
            self.opaque("its VALUES are not understood");
            return outputs;
        };
        for (at, item) in list.into_iter().enumerate() {
            self.is_one(item);
            let value = self.column_expr(item);
            outputs.columns.push((format!("column{}", at + 1).into(), value));
        }
        outputs
    }

    /// UNION, INTERSECT, EXCEPT. A chain of them leans to the left, so it is walked in a loop.
    fn set_operation(&mut self, select: &SelectStmt) -> Outputs {
        let mut arms = Vec::new();
        let mut left = Some(select);
        while let Some(node) = left {
            let is_operation = node.op != raw::SetOperation::SETOP_NONE;
            let bare = std::ptr::eq(node, select) || is_bare(node);
            if is_operation && bare {
                arms.push((node.op == raw::SetOperation::SETOP_UNION && node.all, node.rarg()));
                left = node.larg();
            } else {
                arms.push((true, Some(node)));
                break;
            }
        }
        let mut all: Option<Outputs> = None;
        for (keeps_all, arm) in arms.into_iter().rev() {
            let Some(arm) = arm else { continue };
            let outputs = self.subquery(Node::SelectStmt(arm));
            all = Some(match all {
                Some(left) => {
                    if !keeps_all {
                        self.filters(&left.all());
                        self.filters(&outputs.all());
                    }
                    let mut both = self.unite(&left, &outputs);
                    both.columns.iter_mut().for_each(|(_, value)| *value = value.clone().settled());
                    both
                }
                None => outputs,
            });
        }
        all.unwrap_or_default()
    }

    pub(super) fn with(&mut self, with: Option<&WithClause>) {
        let Some(with) = with else { return };
        let mark = self.ctes.len();
        if with.recursive {
            // All names are in scope in all of them.
            let ctes: Vec<Cte> = with.ctes().iter().map(|cte| self.cte(cte, None)).collect();
            self.ctes.extend(ctes);
        }
        for (at, cte) in with.ctes().iter().enumerate() {
            if with.recursive {
                let outputs = self.recursive_cte(cte, mark + at);
                if let Some(slot) = self.ctes.get_mut(mark + at) {
                    slot.outputs = Some(outputs);
                }
            } else {
                let outputs = self.subquery(cte.ctequery());
                let outputs = self.named_outputs(cte, outputs);
                let cte = self.cte(cte, Some(outputs));
                self.ctes.push(cte);
            }
        }
    }

    fn cte(&self, cte: &CommonTableExpr, outputs: Option<Outputs>) -> Cte {
        let extra = usize::from(cte.search_clause().is_some()) + 2 * usize::from(cte.cycle_clause().is_some());
        let (name, one) = (cte.ctename().unwrap_or_default().into(), is_one_row(cte.ctequery()));
        Cte { name, outputs, extra, nest: self.nest, one }
    }

    /// Walks a query that may refer to itself until what it says of its columns no longer changes.
    fn recursive_cte(&mut self, cte: &CommonTableExpr, slot: usize) -> Outputs {
        let Node::SelectStmt(select) = cte.ctequery() else {
            let outputs = self.subquery(cte.ctequery());
            return self.named_outputs(cte, outputs);
        };
        let Some(first) = select.larg() else {
            let outputs = self.subquery(cte.ctequery());
            return self.named_outputs(cte, outputs);
        };
        // WITH inside, in front of the first arm, is rare and walked as part of the whole below.
        let seed =
            if select.with_clause().is_none() { self.subquery(Node::SelectStmt(first)) } else { Outputs::default() };
        let mut outputs = self.named_outputs(cte, seed);
        for _ in 0..ROUNDS {
            if let Some(slot) = self.ctes.get_mut(slot) {
                slot.outputs = Some(outputs.clone());
            }
            let again = self.subquery(cte.ctequery());
            let again = self.named_outputs(cte, again);
            let mut merged = if outputs.columns.is_empty() { again.clone() } else { outputs.either(&again) };
            for ((_, now), (_, before)) in merged.columns.iter_mut().zip(&outputs.columns) {
                if now.size > before.size {
                    // It grows from row to row.
                    now.size = LARGE;
                }
            }
            if merged == outputs {
                return outputs;
            }
            outputs = merged;
        }
        self.opaque("its recursive query is not understood");
        outputs
    }

    fn named_outputs(&mut self, cte: &CommonTableExpr, mut outputs: Outputs) -> Outputs {
        for (at, name) in cte.aliascolnames().into_iter().enumerate() {
            if let (Some(column), Some(name)) = (outputs.columns.get_mut(at), name.as_str()) {
                column.0 = name.into();
            }
        }
        let all = outputs.all();
        if let Some(search) = cte.search_clause() {
            outputs.columns.push((search.search_seq_column().unwrap_or_default().into(), Value::computed([&all], 0)));
        }
        if let Some(cycle) = cte.cycle_clause() {
            self.filters(&all);
            self.optional(cycle.cycle_mark_value());
            self.optional(cycle.cycle_mark_default());
            outputs.columns.push((cycle.cycle_mark_column().unwrap_or_default().into(), Value::constant(0)));
            outputs.columns.push((cycle.cycle_path_column().unwrap_or_default().into(), Value::computed([&all], 0)));
        }
        outputs
    }
}

/// Whether an arm of a set operation has no clauses of its own, so that it can be taken apart.
fn is_bare(select: &SelectStmt) -> bool {
    select.with_clause().is_none()
        && select.sort_clause().is_empty()
        && matches!(select.limit_count(), Node::None)
        && matches!(select.limit_offset(), Node::None)
        && select.locking_clause().is_empty()
        && select.into_clause().is_none()
}

/// The name, if the expression is an unqualified one.
fn single_name(node: Node<'_>) -> Option<&str> {
    let Node::ColumnRef(column) = node else { return None };
    let fields = column.fields();
    if fields.len() == 1 { fields.first().and_then(Node::as_str) } else { None }
}
