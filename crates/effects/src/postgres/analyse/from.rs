//! FROM items: relations, WITH queries, subqueries, joins, functions, XMLTABLE and JSON_TABLE.

use std::sync::Arc;

use model::effect::Verb;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    Alias, JoinExpr, JsonTable, JsonTableColumn, RangeFunction, RangeSubselect, RangeTableFunc, RangeTableSample,
    RangeVar,
};
use pg_raw_parse::{Node, raw};

use super::names::column_name;
use super::scope::{Columns, Listing, Range, Scope, Visible};
use super::value::{Outputs, Value};
use super::walk::Walk;

impl<'a> Walk<'a> {
    /// Adds the items of a FROM clause to the scope on top, which those further right may refer to.
    pub(super) fn add_items(&mut self, items: &NodeList) {
        for item in items {
            let scope = self.deeper(|walk| walk.item(item), Scope::default);
            if let Some(top) = self.scopes.last_mut() {
                top.absorb(scope);
            }
        }
    }

    pub(super) fn item(&mut self, item: Node<'_>) -> Scope<'a> {
        match item {
            Node::RangeVar(name) => self.range_var(name),
            Node::RangeSubselect(subselect) => self.range_subselect(subselect),
            Node::JoinExpr(join) => self.join(join),
            Node::RangeFunction(function) => self.range_function(function),
            Node::RangeTableSample(sample) => self.table_sample(sample),
            Node::RangeTableFunc(function) => self.xml_table(function),
            Node::JsonTable(table) => self.json_table(table),
            _ => {
                self.opaque("its FROM clause has something that is not understood");
                Scope::default()
            }
        }
    }

    fn range_var(&mut self, name: &RangeVar) -> Scope<'a> {
        let relname = name.relname().unwrap_or_default();
        if name.schemaname().is_none()
            && let Some(cte) = self.ctes.iter().rev().find(|cte| &*cte.name == relname)
        {
            let Some(outputs) = cte.outputs.clone() else {
                self.opaque("a WITH query refers to one that comes later");
                return Scope::default();
            };
            let hidden = if cte.nest < self.nest { cte.extra } else { 0 };
            let one = cte.one;
            let mut scope = self.listed_rows(name.alias(), relname, outputs, one);
            if hidden > 0 {
                scope.ranges.iter_mut().for_each(|range| range.listing = Listing::Hides(hidden));
            }
            return scope;
        }
        let Some(relation) = self.relation(name, Verb::Select) else { return Scope::default() };
        if !relation.is_readable() {
            self.opaque("it reads something that has no rows");
            return Scope::default();
        }
        self.reads(relation);
        self.relation_range(relation, name.alias())
    }

    /// A relation as a FROM item.
    pub(super) fn relation_range(
        &mut self,
        relation: &'a crate::postgres::catalog::Relation,
        alias: Option<&Alias>,
    ) -> Scope<'a> {
        let name = alias.and_then(Alias::aliasname);
        let schema = name.is_none().then(|| Arc::clone(&relation.name.schema));
        let name = name.map_or_else(|| Arc::clone(&relation.name.name), Into::into);
        self.collates |= relation.columns.iter().any(|column| column.collated || self.holds_collated(column.ty, 0));
        let renamed = alias.is_some_and(|alias| !alias.colnames().is_empty());
        let columns = if relation.relkind == b'S' {
            let names = ["last_value", "log_cnt", "is_called"];
            Columns::Listed(names.iter().map(|name| ((*name).into(), Value::constant(0))).collect(), Some(relation))
        } else if renamed {
            let columns = self.relation_columns(relation);
            Columns::Listed(self.rename(columns, alias), Some(relation))
        } else {
            Columns::Relation(relation)
        };
        Scope::of(Range { name, schema, columns, listing: Listing::Exact })
    }

    /// The new names of `alias(a, b)`, which may be fewer than there are columns.
    fn rename(&mut self, mut columns: Vec<(Arc<str>, Value)>, alias: Option<&Alias>) -> Vec<(Arc<str>, Value)> {
        for (at, name) in alias.into_iter().flat_map(Alias::colnames).enumerate() {
            match (columns.get_mut(at), name.as_str()) {
                (Some(column), Some(name)) => column.0 = name.into(),
                _ => {
                    self.opaque("it names more columns than there are");
                }
            }
        }
        columns
    }

    /// A FROM item with these columns, under the alias or else `name`.
    fn listed(&mut self, alias: Option<&Alias>, name: &str, outputs: Outputs) -> Scope<'a> {
        self.listed_rows(alias, name, outputs, false)
    }

    /// The same, where it may be that there is one row: then its constants are constants.
    fn listed_rows(&mut self, alias: Option<&Alias>, name: &str, outputs: Outputs, one: bool) -> Scope<'a> {
        let name = alias.and_then(Alias::aliasname).unwrap_or(name);
        let columns = if outputs.wild {
            Columns::Wild(outputs.all())
        } else {
            let columns = outputs
                .columns
                .into_iter()
                .map(|(name, value)| (name, Value { many: value.many || !one, ..value.settled() }))
                .collect();
            Columns::Listed(self.rename(columns, alias), None)
        };
        Scope::of(Range { name: name.into(), schema: None, columns, listing: Listing::Exact })
    }

    fn range_subselect(&mut self, subselect: &RangeSubselect) -> Scope<'a> {
        let outputs = if subselect.lateral {
            self.subquery(subselect.subquery())
        } else {
            self.without_siblings(|walk| walk.subquery(subselect.subquery()))
        };
        self.listed_rows(subselect.alias(), "", outputs, is_one_row(subselect.subquery()))
    }

    /// What is not LATERAL does not see the items beside it, only the queries around.
    fn without_siblings<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        let at = self.level.min(self.scopes.len());
        let siblings = self.scopes.split_off(at);
        let result = inner(self);
        self.scopes.truncate(at);
        self.scopes.extend(siblings);
        result
    }

    /// Whether `*` leaves something out that the columns of a join might have.
    fn hides(scope: &Scope<'a>) -> bool {
        scope.ranges.iter().any(|range| matches!(range.listing, Listing::Hides(_)))
    }

    fn join(&mut self, join: &JoinExpr) -> Scope<'a> {
        let left = self.deeper(|walk| walk.item(join.larg()), Scope::default);
        self.scopes.push(left);
        let right = self.deeper(|walk| walk.item(join.rarg()), Scope::default);
        let left = self.scopes.pop().unwrap_or_default();
        let merges = join.is_natural || !join.using_clause().is_empty() || join.alias().is_some();
        if merges && (Self::hides(&left) || Self::hides(&right)) {
            self.opaque("it joins by name what has SEARCH or CYCLE columns");
        }
        let joined = if join.is_natural || !join.using_clause().is_empty() {
            self.join_using(join, left, right)
        } else {
            self.on_clause(left.joined(right), join.quals())
        };
        match join.alias() {
            None => joined,
            Some(alias) => {
                let outputs = self.in_scope(joined, |walk| match walk.star() {
                    Some(columns) => Outputs { columns, wild: false },
                    None => Outputs { columns: vec![("?column?".into(), walk.anything_here())], wild: true },
                });
                self.listed(Some(alias), "", outputs)
            }
        }
    }

    /// ON sees the two sides of its join and the queries around, not the items beside.
    fn on_clause(&mut self, joined: Scope<'a>, quals: Node<'_>) -> Scope<'a> {
        self.without_siblings(|walk| {
            walk.scopes.push(joined);
            walk.condition(quals);
            walk.scopes.pop().unwrap_or_default()
        })
    }

    fn in_scope<T>(&mut self, scope: Scope<'a>, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(scope);
        let result = inner(self);
        self.scopes.pop();
        result
    }

    /// USING and NATURAL: equal names are compared, and become one column at the front.
    fn join_using(&mut self, join: &JoinExpr, left: Scope<'a>, right: Scope<'a>) -> Scope<'a> {
        self.scopes.push(left);
        let left_columns = self.star();
        let left = self.scopes.pop().unwrap_or_default();
        self.scopes.push(right);
        let right_columns = self.star();
        let right = self.scopes.pop().unwrap_or_default();
        let (Some(mut left_columns), Some(mut right_columns)) = (left_columns, right_columns) else {
            self.opaque("it joins by name what has no known columns");
            return left;
        };
        let names: Vec<Arc<str>> = if join.is_natural {
            let common = left_columns.iter().filter(|(name, _)| right_columns.iter().any(|(other, _)| other == name));
            common.map(|(name, _)| Arc::clone(name)).collect()
        } else {
            join.using_clause().iter().filter_map(|name| name.sval()).map(Into::into).collect()
        };
        let mut visible = Vec::new();
        for name in names {
            let (Some(this), Some(other)) = (take(&mut left_columns, &name), take(&mut right_columns, &name)) else {
                self.opaque("it joins by a column that one side does not have, or has twice");
                continue;
            };
            self.compare_equal(&this, &other);
            let merged = match join.jointype {
                // The server takes the side that needs no cast.
                _ if this.ty == 0 || this.ty != other.ty => Value { ty: 0, ..this.either(&other) },
                raw::JoinType::JOIN_RIGHT => other,
                raw::JoinType::JOIN_FULL => this.either(&other),
                _ => this,
            };
            visible.push(Visible::One(name, merged));
        }
        let merged = visible.iter().filter_map(|visible| match visible {
            Visible::One(name, value) => Some((Arc::clone(name), value.clone())),
            Visible::All(_) | Visible::Joined(_) => None,
        });
        let using_alias = join.join_using_alias().and_then(Alias::aliasname).map(|name| Range {
            name: name.into(),
            schema: None,
            columns: Columns::Listed(merged.collect(), None),
            listing: Listing::Exact,
        });
        visible.extend(left_columns.into_iter().chain(right_columns).map(|(name, value)| Visible::One(name, value)));
        let mut ranges = left.ranges;
        ranges.extend(right.ranges);
        ranges.extend(using_alias);
        Scope { ranges, visible }
    }

    fn table_sample(&mut self, sample: &RangeTableSample) -> Scope<'a> {
        let scope = self.item(sample.relation());
        let method: Vec<&str> = sample.method().iter().filter_map(Node::as_str).collect();
        if !matches!(method.as_slice(), ["bernoulli" | "system"] | ["pg_catalog", "bernoulli" | "system"]) {
            self.opaque("it samples by a method that is not built in");
        }
        self.without_siblings(|walk| {
            for argument in sample.args().iter().chain([sample.repeatable()]) {
                let value = walk.optional(argument);
                walk.filters(&value);
            }
        });
        scope
    }

    fn range_function(&mut self, function: &RangeFunction) -> Scope<'a> {
        let mut outputs = Outputs::default();
        let mut first: Option<Arc<str>> = None;
        let count = function.functions().len();
        for item in function.functions() {
            let Some(pair) = item.as_node_list() else {
                self.opaque("its FROM clause has a function that is not understood");
                continue;
            };
            let call = pair.get(0).unwrap_or(Node::None);
            let name = column_name(call, self.catalog.version());
            // The item is called like its first function.
            let _ = first.get_or_insert_with(|| Arc::clone(&name));
            let definitions = match pair.get(1) {
                Some(Node::NodeList(list)) => Some(list),
                _ => None,
            };
            if self.has_output_called(call, &name) {
                self.opaque("its FROM clause has a function that names its column like itself");
            }
            let columns = self.function_columns(call, &name);
            let columns = match definitions {
                Some(definitions) => self.defined_columns(definitions.iter(), &columns),
                None if !function.coldeflist().is_empty() => {
                    self.defined_columns(function.coldeflist().iter().map(Node::ColumnDef), &columns)
                }
                None => columns,
            };
            outputs.wild |= columns.wild;
            outputs.columns.extend(columns.columns);
        }
        let name = first.unwrap_or_default();
        // The one column of a scalar function takes the alias's name.
        let one = count == 1 && outputs.columns.len() == 1;
        if function.ordinality {
            outputs.columns.push(("ordinality".into(), Value::constant(20)));
        }
        let alias = function.alias().and_then(Alias::aliasname);
        let scalar = one && outputs.columns.first().is_some_and(|(column, _)| *column == name);
        if let (Some(alias), true, Some(first)) = (alias, scalar, outputs.columns.first_mut()) {
            first.0 = alias.into();
        }
        self.inferred(function.alias(), &name, outputs)
    }

    /// As [`Self::listed`], where the columns were worked out from what functions return.
    fn inferred(&mut self, alias: Option<&Alias>, name: &str, outputs: Outputs) -> Scope<'a> {
        let mut scope = self.listed(alias, name, outputs);
        scope.ranges.iter_mut().for_each(|range| range.listing = Listing::Inferred);
        scope
    }

    /// `AS t(a int, b text)`: the names are those, the values come from anywhere in the function's result.
    fn defined_columns<'n>(&mut self, definitions: impl Iterator<Item = Node<'n>>, from: &Outputs) -> Outputs {
        let value = Value::computed(from.columns.iter().map(|(_, value)| value), 0);
        let mut columns = Vec::new();
        for definition in definitions {
            match definition {
                Node::ColumnDef(definition) => {
                    if let Some(ty) = definition.type_name() {
                        self.uses_type(ty);
                    }
                    columns.push((definition.colname().unwrap_or_default().into(), value.clone()));
                }
                _ => {
                    self.opaque("it defines columns in a way that is not understood");
                }
            }
        }
        Outputs { columns, wild: false }
    }

    fn xml_table(&mut self, table: &RangeTableFunc) -> Scope<'a> {
        let mut values = vec![self.optional(table.docexpr()), self.optional(table.rowexpr())];
        for namespace in table.namespaces() {
            match namespace {
                Node::ResTarget(target) => values.push(self.optional(target.val())),
                _ => {
                    self.opaque("its XMLTABLE is not understood");
                }
            }
        }
        for column in table.columns() {
            values.push(self.optional(column.colexpr()));
            values.push(self.optional(column.coldefexpr()));
            if let Some(ty) = column.type_name() {
                self.uses_type(ty);
            }
        }
        let all = Value::computed(&values, 0);
        self.filters(&all);
        let columns = table.columns().iter().map(|column| {
            let value = if column.for_ordinality { Value::constant(23) } else { all.clone() };
            (column.colname().unwrap_or_default().into(), value)
        });
        let outputs = Outputs { columns: columns.collect(), wild: false };
        self.inferred(table.alias(), "xmltable", outputs)
    }

    fn json_table(&mut self, table: &JsonTable) -> Scope<'a> {
        self.since(170_000);
        let mut values = Vec::new();
        if let Some(item) = table.context_item() {
            values.push(self.expr(Node::JsonValueExpr(item)));
        }
        if let Some(path) = table.pathspec() {
            values.push(self.optional(path.string()));
        }
        for argument in table.passing() {
            values.push(self.expr(argument));
        }
        values.extend(self.json_behavior(table.on_error()));
        let mut columns = Vec::new();
        for column in table.columns() {
            self.deeper(|walk| walk.json_table_column(column, &mut columns, &mut values), || ());
        }
        let all = Value::computed(&values, 0);
        self.filters(&all);
        let columns = columns.into_iter().map(|name| (name, all.clone())).collect();
        self.listed(table.alias(), "json_table", Outputs { columns, wild: false })
    }

    fn json_table_column(&mut self, column: &JsonTableColumn, names: &mut Vec<Arc<str>>, values: &mut Vec<Value>) {
        if let Some(ty) = column.type_name() {
            self.uses_type(ty);
        }
        if let Some(path) = column.pathspec() {
            values.push(self.optional(path.string()));
        }
        values.extend(self.json_behavior(column.on_empty()));
        values.extend(self.json_behavior(column.on_error()));
        if column.columns().is_empty() {
            names.push(column.name().unwrap_or_default().into());
        }
        for nested in column.columns() {
            match nested {
                Node::JsonTableColumn(nested) => {
                    self.deeper(|walk| walk.json_table_column(nested, names, values), || ());
                }
                _ => {
                    self.opaque("its JSON_TABLE is not understood");
                }
            }
        }
    }
}

/// Takes the one column of this name out; `None` if there is none, or more than one.
fn take(columns: &mut Vec<(Arc<str>, Value)>, name: &str) -> Option<Value> {
    let at = columns.iter().position(|(column, _)| &**column == name)?;
    let (_, value) = columns.remove(at);
    (!columns.iter().any(|(column, _)| &**column == name)).then_some(value)
}

/// Whether a query has one row, as it is written: SELECT without FROM, or VALUES of one row.
pub(super) fn is_one_row(query: Node<'_>) -> bool {
    let Node::SelectStmt(select) = query else { return false };
    let plain = select.op == raw::SetOperation::SETOP_NONE && select.from_clause().is_empty();
    plain && select.values_lists().len() <= 1
}
