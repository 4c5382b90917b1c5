//! The state of the walk over one statement, and what it collects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::effect::{ColumnName, Effect, FunctionClass, Object, TableKind, TableName, Verb};
use model::lineage::{LiteralRole, Member, Mentions, Origin};

use super::scope::Scope;
use super::value::{Col, Givens, Kind, Outputs, Part, Value};
use super::view::names_collation;
use crate::postgres::catalog::{Catalog, Relation, ViewColumn};
use crate::postgres::tree::Source;
use crate::postgres::{Changes, Flow, MAX_DEPTH, Session};

/// How many nodes may be walked for one statement: far more than a text of the usual limit of 1 MiB has.
const MAX_VISITS: usize = 1_000_000;

/// A constant or parameter in the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Spot {
    /// The constant at or after this byte.
    Constant(usize),
    /// `$n`.
    Parameter(usize),
    /// Any of those in one column of VALUES: where its list is, and which column.
    Rows(usize, usize),
}

/// A WITH query that is in scope.
#[derive(Debug)]
pub(super) struct Cte {
    pub(super) name: Arc<str>,
    /// `None` for one that is named but not yet worked out.
    pub(super) outputs: Option<Outputs>,
    /// How many of them, at the end, are those of SEARCH and CYCLE: further down than `nest` they are in no `*`
    /// (`p_dontexpand` in addRangeTableEntryForCTE, parse_relation.c).
    pub(super) extra: usize,
    /// How deep the query with the WITH clause is.
    pub(super) nest: usize,
    /// Whether it has one row.
    pub(super) one: bool,
}

/// The walk over one statement.
pub(super) struct Walk<'a> {
    pub(super) session: &'a Session<'a>,
    /// The text and the statement's place in it; none for a view's definition.
    pub(super) source: Option<(&'a Source<'a>, std::ops::Range<usize>)>,
    pub(super) catalog: &'a Catalog,
    pub(super) effects: BTreeSet<Effect>,
    /// The relations whose rows are read, and those of which a column is delivered.
    read: BTreeSet<u32>,
    delivered: BTreeSet<u32>,
    mentioned: BTreeSet<u32>,
    pub(super) anything: bool,
    /// Whether a function runs that looks up operators in the search path.
    pub(super) by_path: bool,
    pub(super) roles: Vec<(Spot, LiteralRole)>,
    /// Each constant's value, by where it stands, for what is written.
    pub(super) constants: BTreeMap<usize, Arc<str>>,
    /// What stands behind each [`Spot::Rows`].
    pub(super) rows: BTreeMap<(usize, usize), BTreeSet<Spot>>,
    /// What of the statement itself may get into which column.
    pub(super) written: Vec<(Col, Givens)>,
    /// The same of statements inside this one.
    pub(super) flows: Vec<Flow>,
    pub(super) opaque: Option<&'static str>,
    pub(super) scopes: Vec<Scope<'a>>,
    /// The first scope of the query that is being walked; those before belong to the queries around it.
    pub(super) level: usize,
    pub(super) ctes: Vec<Cte>,
    /// What foreign keys already wrote, by table and event.
    pub(super) cascaded: BTreeSet<(u32, char)>,
    /// How many queries are around the one that is being walked.
    pub(super) nest: usize,
    depth: usize,
    /// How many nodes were walked. Some are walked again, so nesting could multiply the work.
    visits: usize,
    /// The views that are being worked out, so that one that contains itself ends.
    pub(super) viewing: Vec<u32>,
    pub(super) changes: Changes,
    pub(super) bounded: bool,
    /// How many computations were met of which something can be seen from outside.
    pub(super) visible: usize,
    /// Whether a collation that is not the default one may be in it: then not all texts can be compared.
    pub(super) collates: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(session: &'a Session<'a>, source: Option<(&'a Source<'a>, std::ops::Range<usize>)>) -> Self {
        let text = source.as_ref().and_then(|(source, range)| source.text.get(range.clone()));
        let collates = text.is_some_and(names_collation);
        Self {
            session,
            source,
            catalog: session.catalog,
            effects: BTreeSet::new(),
            read: BTreeSet::new(),
            delivered: BTreeSet::new(),
            mentioned: BTreeSet::new(),
            anything: false,
            by_path: false,
            roles: Vec::new(),
            constants: BTreeMap::new(),
            rows: BTreeMap::new(),
            written: Vec::new(),
            flows: Vec::new(),
            opaque: None,
            scopes: Vec::new(),
            level: 0,
            ctes: Vec::new(),
            cascaded: BTreeSet::new(),
            nest: 0,
            depth: 0,
            visits: 0,
            viewing: Vec::new(),
            changes: Changes::default(),
            bounded: true,
            visible: 0,
            collates,
        }
    }

    /// The statement is not fully understood; the first reason is kept.
    pub(super) fn opaque(&mut self, why: &'static str) -> Value {
        self.opaque.get_or_insert(why);
        Value::unknown(Vec::new())
    }

    /// Syntax that servers before `version` read as something else, such as a call of a user's function.
    pub(super) fn since(&mut self, version: u32) {
        if self.catalog.version() < version {
            self.opaque("it uses syntax that is newer than the server");
        }
    }

    /// Runs `inner` one level deeper; a statement that nests too deep is opaque.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> T, otherwise: impl FnOnce() -> T) -> T {
        self.visits += 1;
        if self.depth >= MAX_DEPTH || self.visits > MAX_VISITS {
            self.opaque("it nests too deep, or is too intricate");
            return otherwise();
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn effect(&mut self, verb: Verb, object: Object) {
        self.effects.insert(Effect::new(verb, object));
    }

    pub(super) fn on_table(&mut self, verb: Verb, relation: &Relation) {
        self.effect(verb, Object::Table(relation.name.clone(), relation.kind));
    }

    pub(super) fn on_database(&mut self, verb: Verb) {
        self.effect(verb, Object::Database);
    }

    pub(super) fn column_object(&self, col: Col) -> Option<(ColumnName, TableKind)> {
        let relation = self.catalog.relation_by_oid(col.0)?;
        Some((relation.full_name(relation.column(col.1)?), relation.kind))
    }

    /// A column is written, and what is under it where it is a view's.
    pub(super) fn writes_column(&mut self, verb: Verb, col: Col) {
        for col in std::iter::once(col).chain(self.under(col)) {
            self.on_column(verb, col);
        }
    }

    pub(super) fn on_column(&mut self, verb: Verb, col: Col) {
        if let Some((name, kind)) = self.column_object(col) {
            self.effect(verb, Object::Column(name, kind));
        }
    }

    /// The rows of a relation are read, whatever of it is delivered.
    pub(super) fn reads(&mut self, relation: &'a Relation) {
        self.read.insert(relation.oid);
        self.mentions(relation);
        self.run_hooks(relation, 's');
        if relation.view.is_some() {
            let shape = self.view_shape(relation);
            self.runs_view(relation);
            self.anything |= shape.anything;
            self.by_path |= shape.by_path;
            // Row security of the tables under it runs too.
            for oid in &shape.under {
                if let Some(under) = self.catalog.relation_by_oid(*oid) {
                    self.run_hooks(under, 's');
                }
            }
        }
    }

    /// The functions that a view's query calls.
    pub(super) fn runs_view(&mut self, relation: &'a Relation) {
        for (function, class) in &self.view_shape(relation).functions {
            self.executes(function.clone(), *class);
        }
    }

    /// A relation is named: what is not proved may come from it, or from what is under it.
    pub(super) fn mentions(&mut self, relation: &'a Relation) {
        if self.mentioned.insert(relation.oid) && relation.view.is_some() {
            let shape = self.view_shape(relation);
            self.mentioned.extend(shape.under.iter().copied());
            self.anything |= shape.anything;
        }
    }

    pub(super) fn executes(&mut self, function: TableName, class: FunctionClass) {
        if class == FunctionClass::Unknown {
            self.changes.state = true;
            self.can_be_seen();
        }
        if class == FunctionClass::DynamicSql {
            self.anything = true;
        }
        self.effect(Verb::Execute, Object::Function(function, class));
    }

    /// Users' functions that an event on `relation` runs.
    pub(super) fn run_hooks(&mut self, relation: &'a Relation, event: char) {
        for hook in relation.hooks.iter().filter(|hook| hook.events.contains(event)) {
            self.executes(hook.function.clone(), FunctionClass::Unknown);
        }
    }

    /// Its values leave with the answer.
    pub(super) fn deliver(&mut self, value: &Value) {
        for col in value.cols() {
            self.delivered.insert(col.0);
            self.on_column(Verb::Select, col);
        }
    }

    /// Rows or other values depend on it.
    pub(super) fn used(&mut self, value: &Value, verb: Verb) {
        for col in value.cols() {
            self.on_column(verb, col);
            for base in self.under(col) {
                self.on_column(verb, base);
            }
        }
    }

    pub(super) fn filters(&mut self, value: &Value) {
        self.used(value, Verb::Filter);
    }

    /// A bare column is compared with another bare column. What is in a temporary table its owner has put there, and may
    /// call as it likes: that has no class to rely on.
    pub(super) fn joins(&mut self, left: Col, right: Col) {
        for (this, other) in [(left, right), (right, left)] {
            let others: Vec<Col> = std::iter::once(other).chain(self.under(other)).collect();
            for this in std::iter::once(this).chain(self.under(this)) {
                for other in &others {
                    let (Some((name, kind)), Some((with, other))) =
                        (self.column_object(this), self.column_object(*other))
                    else {
                        continue;
                    };
                    let temporary = [kind, other].contains(&TableKind::Temporary);
                    let object = Object::Column(name, kind);
                    self.effects.insert(Effect { verb: Verb::Join, object, with: (!temporary).then_some(with) });
                }
            }
        }
    }

    /// Values of columns are written to a place: another column, or out of sight.
    pub(super) fn declassifies(&mut self, value: &Value, destination: Option<Col>) {
        // Through a view it comes to what is under it, which may carry less than the view's column.
        let places: Vec<Option<Col>> = match destination.map(|col| (col, self.under(col))) {
            Some((col, under)) if under.is_empty() => vec![Some(col)],
            Some((_, under)) => under.into_iter().map(Some).collect(),
            None => vec![None],
        };
        for place in places {
            let with = place.and_then(|col| self.column_object(col));
            let with = with.filter(|(_, kind)| *kind != TableKind::Temporary).map(|(name, _)| name);
            for source in self.sources(value).into_iter().filter(|source| place != Some(*source)) {
                self.declassifies_column(source, with.clone());
            }
        }
    }

    /// The same, into a column that is not in the catalog yet.
    pub(super) fn declassifies_to(&mut self, value: &Value, destination: Option<ColumnName>) {
        for source in self.sources(value) {
            self.declassifies_column(source, destination.clone());
        }
    }

    /// The values of a column come to be called otherwise, or to be elsewhere.
    pub(super) fn declassifies_column(&mut self, source: Col, with: Option<ColumnName>) {
        if let Some((name, kind)) = self.column_object(source) {
            let object = Object::Column(name, kind);
            self.effects.insert(Effect { verb: Verb::Declassify, object, with });
        }
    }

    /// The columns that a value depends on, and those under a view's.
    fn sources(&mut self, value: &Value) -> Vec<Col> {
        value
            .cols()
            .into_iter()
            .flat_map(|col| std::iter::once(col).chain(self.under(col)).collect::<Vec<_>>())
            .collect()
    }

    /// The base columns under a view's column; none for any other column.
    pub(super) fn under(&mut self, col: Col) -> Vec<Col> {
        let Some(relation) = self.catalog.relation_by_oid(col.0) else { return Vec::new() };
        if relation.view.is_none() {
            return Vec::new();
        }
        let shape = self.view_shape(relation);
        let position = relation.columns.iter().position(|column| column.number == col.1);
        match position.and_then(|at| shape.columns.get(at)) {
            Some(ViewColumn::Plain(oid, number)) => vec![(*oid, *number)],
            Some(ViewColumn::Derived(cols)) => cols.clone(),
            Some(ViewColumn::Constant) => Vec::new(),
            Some(ViewColumn::Unknown) | None => {
                let under = shape.under.iter().filter_map(|oid| self.catalog.relation_by_oid(*oid));
                under.flat_map(|base| base.columns.iter().map(|column| (base.oid, column.number))).collect()
            }
        }
    }

    /// The value of a relation's column.
    pub(super) fn column_value(&mut self, relation: &'a Relation, number: i16, ty: u32) -> Value {
        let col = (relation.oid, number);
        if relation.view.is_none() {
            let sources = relation.column(number).map_or(&[][..], |column| &column.sources);
            if sources.is_empty() {
                return Value::column(col, ty);
            }
            // A generated column shows what it is computed from; a virtual one is computed where it is used.
            let sources = sources.iter().map(|source| (relation.oid, *source));
            return Value { seen: true, ..Value::derived(sources.chain([col]).collect(), ty) };
        }
        let shape = self.view_shape(relation);
        let position = relation.columns.iter().position(|column| column.number == number);
        let kind = match position.and_then(|at| shape.columns.get(at)) {
            Some(ViewColumn::Plain(..) | ViewColumn::Constant) => Kind::Column(col),
            Some(ViewColumn::Derived(_)) => Kind::Derived(vec![col]),
            Some(ViewColumn::Unknown) | None => Kind::Unknown(vec![col]),
        };
        let seen = shape.seen.get(position.unwrap_or(usize::MAX)).copied().unwrap_or(true);
        Value { seen, ..Value::of(kind, ty, Givens::NONE) }
    }

    /// The constants and parameters seen since `start` are compared with, or written to, `col`.
    pub(super) fn role(&mut self, from: usize, to: usize, col: Col) {
        let Some((name, _)) = self.column_object(col) else { return };
        for (_, role) in self.roles.get_mut(from..to).into_iter().flatten() {
            if *role == LiteralRole::Unknown {
                *role = LiteralRole::Of(name.clone());
            }
        }
    }

    pub(super) fn role_of_all(&mut self, from: usize, role: &LiteralRole) {
        for (_, seen) in self.roles.get_mut(from..).into_iter().flatten() {
            *seen = role.clone();
        }
    }

    /// The names of columns, with what is under a view's.
    pub(super) fn names(&mut self, cols: &[Col]) -> BTreeSet<ColumnName> {
        let mut names = BTreeSet::new();
        for col in cols {
            let all: Vec<Col> = std::iter::once(*col).chain(self.under(*col)).collect();
            names.extend(all.into_iter().filter_map(|col| Some(self.column_object(col)?.0)));
        }
        names
    }

    pub(super) fn origin(&mut self, value: &Value) -> Origin {
        match &value.kind {
            Kind::Constant => Origin::Constant,
            Kind::Column(col) => self.column_object(*col).map_or(Origin::Unknown, |(name, _)| Origin::Column(name)),
            Kind::Derived(cols) => Origin::Derived(self.names(cols)),
            Kind::Unknown(_) => Origin::Unknown,
            Kind::Members(container, parts) => {
                let keyed = *container == model::lineage::Container::JsonObject;
                let mut member =
                    |part: &Part| Member { key: part.name.clone().filter(|_| keyed), origin: self.origin(&part.value) };
                Origin::Members(*container, parts.iter().map(&mut member).collect())
            }
        }
    }

    /// Every relation that was read and shows no column was still looked at.
    pub(super) fn select_tables(&mut self) {
        for oid in std::mem::take(&mut self.read) {
            if let Some(relation) = self.catalog.relation_by_oid(oid).filter(|_| !self.delivered.contains(&oid)) {
                self.on_table(Verb::Select, relation);
            }
        }
    }

    /// Whether the statement has nothing to do with any relation.
    pub(super) fn mentions_nothing(&self) -> bool {
        self.mentioned.is_empty()
    }

    pub(super) fn mentioned(&self) -> Mentions {
        let relations = self.mentioned.iter().filter_map(|oid| self.catalog.relation_by_oid(*oid));
        Mentions { tables: relations.map(|relation| relation.name.clone()).collect(), anything: self.anything }
    }

    pub(super) fn mentioned_oids(&self) -> &BTreeSet<u32> {
        &self.mentioned
    }
}
