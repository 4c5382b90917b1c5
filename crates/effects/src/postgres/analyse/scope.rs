//! Which names mean what: relations through the search path, columns through the FROM items in scope.

use std::sync::Arc;

use model::effect::{Object, TableKind, TableName, Verb};
use model::lineage::Container;
use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::RangeVar;

use super::value::{Col, Part, Value};
use super::walk::Walk;
use crate::postgres::Missing;
use crate::postgres::catalog::{Relation, canonical_schema};

/// One FROM item that columns can be taken from by its name.
#[derive(Clone, Debug)]
pub(super) struct Range<'a> {
    pub(super) name: Arc<str>,
    /// Set where the name is the relation's own: then `schema.name.column` finds it too.
    pub(super) schema: Option<Arc<str>>,
    pub(super) columns: Columns<'a>,
    pub(super) listing: Listing,
}

/// How far the list of a FROM item's columns is what the server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Listing {
    #[default]
    Exact,
    /// It hangs on the result of a function. Should a name mean a column of a query around after all, what it is found to
    /// be is in it too.
    Inferred,
    /// `*` leaves the last so many out.
    Hides(usize),
}

/// The columns of a FROM item.
#[derive(Clone, Debug)]
pub(super) enum Columns<'a> {
    Relation(&'a Relation),
    /// The relation, if the item is one whose columns were renamed: its system columns are still there.
    Listed(Vec<(Arc<str>, Value)>, Option<&'a Relation>),
    /// Any name is a column with this value.
    Wild(Value),
}

impl Columns<'_> {
    /// A view has none.
    fn has_system_columns(&self) -> bool {
        match self {
            Self::Relation(relation) | Self::Listed(_, Some(relation)) => relation.relkind != b'v',
            Self::Listed(_, None) | Self::Wild(_) => false,
        }
    }

    /// The relation whose row type its rows have, and whether the type calls the columns by these names.
    fn row_type(&self) -> (u32, bool) {
        match self {
            Self::Relation(relation) => (relation.row_type, true),
            Self::Listed(columns, Some(relation)) => {
                let own = relation.columns.iter().map(|column| &column.name);
                (relation.row_type, columns.iter().map(|(name, _)| name).eq(own))
            }
            Self::Listed(_, None) | Self::Wild(_) => (0, true),
        }
    }
}

/// A column that an unqualified name can mean.
#[derive(Clone, Debug)]
pub(super) enum Visible {
    All(usize),
    /// One inside a join: all but its system columns.
    Joined(usize),
    One(Arc<str>, Value),
}

/// The FROM items of one query, or of one side of a join.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) ranges: Vec<Range<'a>>,
    pub(super) visible: Vec<Visible>,
}

impl<'a> Scope<'a> {
    pub(super) fn of(range: Range<'a>) -> Self {
        Self { ranges: vec![range], visible: vec![Visible::All(0)] }
    }

    /// Adds another FROM item to the right.
    pub(super) fn absorb(&mut self, other: Self) {
        let offset = self.ranges.len();
        self.ranges.extend(other.ranges);
        self.visible.extend(other.visible.into_iter().map(|visible| match visible {
            Visible::All(index) => Visible::All(index + offset),
            Visible::Joined(index) => Visible::Joined(index + offset),
            one @ Visible::One(..) => one,
        }));
    }

    /// The two sides of a join without USING.
    pub(super) fn joined(mut self, right: Self) -> Self {
        self.absorb(right);
        for visible in &mut self.visible {
            if let Visible::All(index) = *visible {
                *visible = Visible::Joined(index);
            }
        }
        self
    }
}

/// Every system column of a table; their values say where a row is, not what it holds.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];

/// What a name was found to be at one level.
enum Found {
    None,
    One(Value),
    /// This, but it is [`Listing::Inferred`].
    Likely(Value),
    /// Perhaps, for the item's columns are not known.
    Perhaps(Value),
    Ambiguous,
}

impl<'a> Walk<'a> {
    /// The relation that a name means, as the server would resolve it. If there is none the statement is opaque, and
    /// `verb` is on a table that is not in the catalog.
    pub(super) fn relation(&mut self, name: &RangeVar, verb: Verb) -> Option<&'a Relation> {
        let relname = name.relname().unwrap_or_default();
        if name.catalogname().is_some_and(|database| database != self.catalog.database()) {
            self.opaque("it names another database");
            return None;
        }
        let found = self.find_relation(name.schemaname(), relname);
        if found.is_none() {
            let schema = name.schemaname().unwrap_or_default();
            self.effect(verb, Object::Table(TableName::new(schema, relname), TableKind::Unresolved));
            self.opaque(Missing::Relation.reason());
            self.anything = true;
        }
        found
    }

    pub(super) fn find_relation(&self, schema: Option<&str>, name: &str) -> Option<&'a Relation> {
        match schema {
            Some(schema) => {
                let found = self.catalog.relation_named(canonical_schema(schema), name)?;
                // Another session's temporary schema is not ours.
                let exact = schema == "pg_temp" || found.real_schema.as_deref().is_none_or(|real| real == schema);
                exact.then_some(found)
            }
            None => self.path().find_map(|schema| self.catalog.relation_named(schema, name)),
        }
    }

    /// The search path, with the temporary schema under its one name.
    pub(super) fn path(&self) -> impl Iterator<Item = &'a str> {
        let session = self.session;
        session.search_path.iter().map(|schema| canonical_schema(schema))
    }

    /// What a column reference means; `fields` are its parts, without a final `*`.
    pub(super) fn column_ref(&mut self, fields: &NodeList) -> Value {
        let names: Vec<&str> = fields.iter().filter_map(Node::as_str).collect();
        if names.len() != fields.len() {
            return self.row_of(&names);
        }
        match names.as_slice() {
            [name] => match self.find_unqualified(name) {
                Some(value) => value,
                None => self.opaque(Missing::Column.reason()),
            },
            [range, field] => self.in_range(None, range, field),
            [schema, range, field] => self.in_range(Some(schema), range, field),
            [database, schema, range, field] if *database == self.catalog.database() => {
                self.in_range(Some(schema), range, field)
            }
            _ => self.opaque("it names a column in a way that is not understood"),
        }
    }

    /// `t.*` where one value is wanted: the whole row (`transformColumnRef`, parse_expr.c).
    fn row_of(&mut self, names: &[&str]) -> Value {
        let found = match names {
            [range] => self.find_range(None, range),
            [schema, range] => self.find_range(Some(canonical_schema(schema)), range),
            _ => None,
        };
        match found {
            Some((scope, range)) => self.whole_row(scope, range),
            None => self.opaque("it uses * where it cannot be resolved"),
        }
    }

    /// An unqualified name: a column of the innermost query that has it, else a whole row.
    pub(super) fn find_unqualified(&mut self, name: &str) -> Option<Value> {
        let mut perhaps: Option<Value> = None;
        let mut likely: Option<Value> = None;
        let either = |perhaps: Option<Value>, value: Value| match perhaps {
            Some(one) => Value::unknown(Value::computed([&one, &value], 0).cols()),
            None => value,
        };
        for index in (0..self.scopes.len()).rev() {
            match self.find_in_scope(index, name) {
                Found::One(value) => return Some(either(perhaps.or(likely), value)),
                Found::Likely(value) if perhaps.is_none() && likely.is_none() => likely = Some(value),
                Found::Likely(value) | Found::Perhaps(value) => {
                    perhaps = Some(either(perhaps.or(likely.take()), value));
                }
                Found::Ambiguous => return Some(self.opaque("it names a column that is ambiguous")),
                Found::None => {}
            }
        }
        if likely.is_some() {
            return likely;
        }
        let Some((scope, range)) = self.find_range(None, name) else {
            return perhaps.map(|value| Value::unknown(value.cols()));
        };
        let row = self.whole_row(scope, range);
        Some(either(perhaps, row))
    }

    /// Whether the innermost query's FROM has a column of this name, `None` if that is not certain; an item's own name is
    /// none.
    pub(super) fn has_column_here(&mut self, name: &str) -> Option<bool> {
        let Some(innermost) = self.scopes.len().checked_sub(1) else { return Some(false) };
        match self.find_in_scope(innermost, name) {
            Found::None => Some(false),
            Found::One(_) => Some(true),
            Found::Likely(_) | Found::Perhaps(_) | Found::Ambiguous => None,
        }
    }

    fn find_in_scope(&mut self, scope: usize, name: &str) -> Found {
        let count = self.scopes.get(scope).map_or(0, |scope| scope.visible.len());
        let mut found = Found::None;
        for at in 0..count {
            let Some(value) = self.visible(scope, at, name) else { continue };
            found = match (found, self.is_wild(scope, at), self.is_inferred(scope, at)) {
                (Found::None, true, _) => Found::Perhaps(value),
                (Found::None, false, true) => Found::Likely(value),
                (Found::None, false, false) => Found::One(value),
                _ => return Found::Ambiguous,
            };
        }
        if matches!(found, Found::None) && SYSTEM_COLUMNS.contains(&name) {
            return self.system_column(scope, name);
        }
        found
    }

    /// An unqualified system column: of a table that is no side of a join.
    fn system_column(&self, scope: usize, name: &str) -> Found {
        let Some(scope) = self.scopes.get(scope) else { return Found::None };
        let items = scope.visible.iter().filter_map(|visible| match visible {
            Visible::All(range) => scope.ranges.get(*range),
            Visible::Joined(_) | Visible::One(..) => None,
        });
        let mut found = items.filter(|range| range.columns.has_system_columns());
        match (found.next(), found.next()) {
            (None, _) => Found::None,
            (Some(range), None) => Found::One(self.system_value(&range.columns, name)),
            (Some(_), Some(_)) => Found::Ambiguous,
        }
    }

    /// A system column's value. Which partition a row is in depends on its key.
    fn system_value(&self, columns: &Columns<'_>, name: &str) -> Value {
        match columns {
            Columns::Relation(relation) | Columns::Listed(_, Some(relation)) if name == "tableoid" => {
                let mut cols = Vec::new();
                self.add_partition_key(relation, relation, 0, &mut cols);
                Value::derived(cols, 0)
            }
            _ => Value { many: true, ..Value::constant(0) },
        }
    }

    /// The columns of `root` by which the rows of `relation`, itself or a partition of it, are told apart.
    fn add_partition_key(&self, root: &Relation, relation: &Relation, depth: usize, cols: &mut Vec<Col>) {
        let any = relation.partition_key.contains(&0);
        let key = relation.columns.iter().filter(|column| any || relation.partition_key.contains(&column.number));
        if !relation.partition_key.is_empty() {
            cols.extend(key.filter_map(|column| Some((root.oid, root.column_named(&column.name)?.number))));
        }
        if depth < 32 {
            for child in relation.children.iter().filter_map(|oid| self.catalog.relation_by_oid(*oid)) {
                self.add_partition_key(root, child, depth + 1, cols);
            }
        }
    }

    /// Whether an item takes any name for one of its columns.
    fn is_wild(&self, scope: usize, at: usize) -> bool {
        self.range_at(scope, at).is_some_and(|range| matches!(range.columns, Columns::Wild(_)))
    }

    fn is_inferred(&self, scope: usize, at: usize) -> bool {
        self.range_at(scope, at).is_some_and(|range| range.listing == Listing::Inferred)
    }

    /// The item that something visible belongs to; none for a single column.
    fn range_at(&self, scope: usize, at: usize) -> Option<&Range<'a>> {
        let scope = self.scopes.get(scope)?;
        match scope.visible.get(at)? {
            Visible::All(range) | Visible::Joined(range) => scope.ranges.get(*range),
            Visible::One(..) => None,
        }
    }

    fn visible(&mut self, scope: usize, at: usize, name: &str) -> Option<Value> {
        match self.scopes.get(scope)?.visible.get(at)? {
            Visible::One(visible, value) if &**visible == name => {
                let value = value.clone();
                Some(self.taken(value))
            }
            Visible::One(..) => None,
            Visible::All(range) | Visible::Joined(range) => {
                let range = *range;
                self.field(scope, range, name)
            }
        }
    }

    /// The column `name` of a FROM item.
    fn field(&mut self, scope: usize, range: usize, name: &str) -> Option<Value> {
        let value = self.column_called(scope, range, name)?;
        Some(self.taken(value))
    }

    /// A column is used. The query that it comes from may be worked out just here, and only for some rows.
    fn taken(&mut self, value: Value) -> Value {
        if value.seen {
            self.can_be_seen();
        }
        value
    }

    fn column_called(&mut self, scope: usize, range: usize, name: &str) -> Option<Value> {
        match &self.scopes.get(scope)?.ranges.get(range)?.columns {
            Columns::Relation(relation) => {
                let relation = *relation;
                let column = relation.column_named(name)?;
                Some(self.column_value(relation, column.number, column.ty))
            }
            Columns::Listed(columns, _) => {
                columns.iter().find(|(column, _)| &**column == name).map(|(_, value)| value.clone())
            }
            Columns::Wild(value) => Some(value.clone()),
        }
    }

    fn find_range(&self, schema: Option<&str>, name: &str) -> Option<(usize, usize)> {
        for (at, scope) in self.scopes.iter().enumerate().rev() {
            let fits = |range: &Range<'_>| {
                &*range.name == name && schema.is_none_or(|schema| range.schema.as_deref() == Some(schema))
            };
            if let Some(range) = scope.ranges.iter().position(fits) {
                return Some((at, range));
            }
        }
        None
    }

    fn in_range(&mut self, schema: Option<&str>, range: &str, name: &str) -> Value {
        let schema = schema.map(canonical_schema);
        if let Some((scope, at)) = self.find_range(schema, range) {
            return self.field_of_range(scope, at, name);
        }
        // `column.field`: a field of a composite column.
        if schema.is_none()
            && let Some(value) = self.find_unqualified(range)
        {
            return self.field_of(&value, name);
        }
        self.opaque("it names a table that is not in its FROM clause")
    }

    fn field_of_range(&mut self, scope: usize, range: usize, name: &str) -> Value {
        if let Some(value) = self.field(scope, range, name) {
            return value;
        }
        let columns = self.scopes.get(scope).and_then(|scope| scope.ranges.get(range)).map(|range| &range.columns);
        if let Some(columns) = columns.filter(|columns| columns.has_system_columns() && SYSTEM_COLUMNS.contains(&name))
        {
            return self.system_value(columns, name);
        }
        // `t.f` is `f(t)` where t has no column f.
        let row = self.whole_row(scope, range);
        self.call_on_row(name, row)
    }

    /// All columns of a FROM item, in order; `None` if they are not known.
    pub(super) fn columns_of(&mut self, scope: usize, range: usize) -> Option<Vec<(Arc<str>, Value)>> {
        match &self.scopes.get(scope)?.ranges.get(range)?.columns {
            Columns::Relation(relation) => {
                let relation = *relation;
                Some(self.relation_columns(relation))
            }
            Columns::Listed(columns, _) => Some(columns.clone()),
            Columns::Wild(_) => None,
        }
    }

    /// Everything that the FROM items of the innermost query hold, where their columns are not known.
    pub(super) fn anything_here(&mut self) -> Value {
        let Some(scope) = self.scopes.len().checked_sub(1) else { return Value::unknown(Vec::new()) };
        let count = self.scopes.get(scope).map_or(0, |scope| scope.ranges.len());
        let rows: Vec<Value> = (0..count).map(|range| self.whole_row(scope, range)).collect();
        Value::unknown(Value::computed(&rows, 0).cols())
    }

    /// What `*` makes of an item.
    fn expanded(&mut self, scope: usize, range: usize) -> Option<Vec<(Arc<str>, Value)>> {
        let mut columns = self.columns_of(scope, range)?;
        if let Some(Listing::Hides(count)) = self.scopes.get(scope)?.ranges.get(range).map(|range| range.listing) {
            columns.truncate(columns.len().saturating_sub(count));
        }
        Some(columns)
    }

    pub(super) fn relation_columns(&mut self, relation: &'a Relation) -> Vec<(Arc<str>, Value)> {
        let columns = relation.columns.iter();
        columns
            .map(|column| (Arc::clone(&column.name), self.column_value(relation, column.number, column.ty)))
            .collect()
    }

    /// Where the relation's columns were renamed, a row of it has the new names or the old ones, depending on where it is
    /// looked at: its parts have none.
    fn whole_row(&mut self, scope: usize, range: usize) -> Value {
        let found = self.scopes.get(scope).and_then(|scope| scope.ranges.get(range)).map(|range| &range.columns);
        if let Some(Columns::Wild(value)) = found {
            return Value::unknown(value.cols());
        }
        let (ty, named) = found.map_or((0, true), Columns::row_type);
        let columns = self.columns_of(scope, range).unwrap_or_default();
        if columns.iter().any(|(_, value)| value.seen) {
            self.can_be_seen();
        }
        let parts = columns.into_iter().map(|(name, value)| Part { name: named.then_some(name), value }).collect();
        Value { ty, ..Value::members(Container::Row, parts) }
    }

    /// Everything that `*` stands for; `None` if that is not known.
    pub(super) fn star(&mut self) -> Option<Vec<(Arc<str>, Value)>> {
        let scope = self.scopes.len().checked_sub(1).filter(|scope| *scope >= self.level)?;
        let count = self.scopes.get(scope)?.visible.len();
        let mut all = Vec::new();
        for at in 0..count {
            match self.scopes.get(scope)?.visible.get(at)? {
                Visible::One(name, value) => all.push((Arc::clone(name), value.clone())),
                Visible::All(range) | Visible::Joined(range) => {
                    let range = *range;
                    all.extend(self.expanded(scope, range)?);
                }
            }
        }
        Some(all)
    }

    /// Everything that `t.*` or `schema.t.*` stands for.
    pub(super) fn qualified_star(&mut self, names: &[&str]) -> Option<Vec<(Arc<str>, Value)>> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [schema, name] => (Some(canonical_schema(schema)), *name),
            [database, schema, name] if *database == self.catalog.database() => (Some(canonical_schema(schema)), *name),
            _ => return None,
        };
        if let Some((scope, range)) = self.find_range(schema, name) {
            return self.expanded(scope, range);
        }
        // `column.*` of a composite column.
        let value = if schema.is_none() { self.find_unqualified(name)? } else { return None };
        self.fields_of(&value)
    }
}
