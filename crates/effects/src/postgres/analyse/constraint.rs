//! Expressions that a definition keeps, and what the server looks for in the rows that are there when it makes an index, a
//! constraint or a domain's check.
//!
//! What is kept runs later, for whoever writes to the table, and nothing of it is in that statement's text: so the
//! functions and operators in it count when it is kept. And whether a constraint can be made tells of the values.

use model::effect::{ColumnName, Effect, Object, TableName, Verb};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{AlterDomainStmt, Constraint, CreateDomainStmt, CreateStatsStmt, CreateTrigStmt, IndexStmt};
use pg_raw_parse::{Node, raw};

use super::Body;
use super::scope::{Columns, Listing, Range, Scope};
use super::value::{Col, Value};
use super::walk::Walk;
use crate::postgres::catalog::{Relation, Type};

/// The table that a constraint is made on.
pub(super) enum About<'a, 't> {
    /// Without rows.
    New(&'t TableName),
    Existing(&'a Relation),
    /// A domain, or what is not in the catalog.
    Unknown,
}

impl About<'_, '_> {
    const fn name(&self) -> Option<&TableName> {
        match self {
            Self::New(table) => Some(table),
            Self::Existing(relation) => Some(&relation.name),
            Self::Unknown => None,
        }
    }
}

impl<'a> Walk<'a> {
    /// An expression that is kept, and worked out for the rows that are there.
    pub(super) fn kept(&mut self, node: Node<'_>) -> Value {
        let value = self.optional(node);
        self.filters(&value);
        value
    }

    /// A constraint of a table, or of its column of this name.
    pub(super) fn constraint(&mut self, constraint: &Constraint, about: &About<'a, '_>, column: Option<&str>) {
        use raw::ConstrType as Kind;
        let value = self.kept(constraint.raw_expr());
        if constraint.contype == Kind::CONSTR_GENERATED {
            self.flows_out_of_sight(&value);
        }
        self.condition(constraint.where_clause());
        if let Kind::CONSTR_UNIQUE | Kind::CONSTR_PRIMARY = constraint.contype {
            // Whether two rows have the same.
            let names = column.into_iter().chain(constraint.keys().iter().filter_map(Node::as_str));
            names.for_each(|name| self.uses_column(about, name));
        }
        for exclusion in constraint.exclusions() {
            self.exclusion(exclusion, about);
        }
        if constraint.contype == Kind::CONSTR_FOREIGN {
            self.foreign_key(constraint, about, column);
        }
    }

    fn uses_column(&mut self, about: &About<'a, '_>, name: &str) {
        if let About::Existing(relation) = about
            && let Some(column) = relation.column_named(name)
        {
            let value = self.column_value(relation, column.number, column.ty);
            self.filters(&value);
        }
    }

    /// `(element WITH operator)` of EXCLUDE.
    fn exclusion(&mut self, exclusion: Node<'_>, about: &About<'a, '_>) {
        let Node::NodeList(pair) = exclusion else {
            self.opaque("its EXCLUDE is not understood");
            return;
        };
        for part in pair {
            match part {
                Node::IndexElem(element) => {
                    self.kept(element.expr());
                    element.name().into_iter().for_each(|name| self.uses_column(about, name));
                }
                Node::NodeList(operator) => {
                    self.operator(operator, None, None);
                }
                _ => {
                    self.opaque("its EXCLUDE is not understood");
                }
            }
        }
    }

    /// A foreign key asks the other table whether a value is there, now and whenever one is written.
    fn foreign_key(&mut self, constraint: &Constraint, about: &About<'a, '_>, column: Option<&str>) {
        let Some(other) = constraint.pktable().and_then(|name| self.relation(name, Verb::Ddl)) else { return };
        self.on_table(Verb::Ddl, other);
        let named = constraint.pk_attrs().iter().filter_map(Node::as_str);
        let named: Vec<i16> = named.filter_map(|name| Some(other.column_named(name)?.number)).collect();
        let theirs = if named.is_empty() { other.primary_key.clone() } else { named };
        let ours = column.into_iter().chain(constraint.fk_attrs().iter().filter_map(Node::as_str));
        for (ours, theirs) in ours.zip(theirs) {
            let theirs: Col = (other.oid, theirs);
            let existing = match about {
                About::Existing(relation) => relation.column_named(ours).map(|column| (relation.oid, column.number)),
                About::New(_) | About::Unknown => None,
            };
            match (existing, self.column_object(theirs)) {
                (Some(ours), _) => self.joins(ours, theirs),
                (None, Some((name, kind))) => {
                    let with = about.name().map(|table| ColumnName::new(table.clone(), ours));
                    self.effects.insert(Effect { verb: Verb::Join, object: Object::Column(name, kind), with });
                }
                (None, None) => {}
            }
        }
    }

    pub(super) fn create_index(&mut self, index: &IndexStmt) -> Body {
        let body = self.ddl_on(index.relation(), "CREATE INDEX");
        self.in_table(index.relation(), |walk, relation| {
            for element in index.index_params() {
                walk.kept(element.expr());
                if let Some(name) = element.name().filter(|_| index.unique) {
                    walk.uses_column(&About::Existing(relation), name);
                }
            }
            walk.condition(index.where_clause());
        });
        body
    }

    pub(super) fn create_statistics(&mut self, statistics: &CreateStatsStmt) -> Body {
        for relation in statistics.relations() {
            self.in_table(Some(relation), |walk, _| {
                for element in statistics.exprs() {
                    match element {
                        Node::StatsElem(element) => {
                            walk.kept(element.expr());
                        }
                        _ => {
                            walk.opaque("its statistics are not understood");
                        }
                    }
                }
            });
        }
        self.ddl(Object::Database, "CREATE STATISTICS")
    }

    pub(super) fn create_trigger(&mut self, trigger: &CreateTrigStmt) -> Body {
        self.ddl_function(trigger.funcname());
        let body = self.ddl_on(trigger.relation(), "CREATE TRIGGER");
        self.on_old_and_new(trigger.relation(), |walk| walk.condition(trigger.when_clause()));
        body
    }

    /// CREATE and ALTER PUBLICATION: rows leave for whoever subscribes.
    pub(super) fn publication(&mut self, objects: &NodeList, kind: &'static str) -> Body {
        self.on_database(Verb::Declassify);
        for object in objects {
            let Node::PublicationObjSpec(object) = object else {
                self.opaque("its publication is not understood");
                continue;
            };
            if let Some(table) = object.pubtable() {
                self.in_table(table.relation(), |walk, _| walk.condition(table.where_clause()));
            }
        }
        self.ddl(Object::Database, kind)
    }

    pub(super) fn create_domain(&mut self, create: &CreateDomainStmt) -> Body {
        let base = create.type_name().and_then(|name| self.find_type(name)).map_or(0, |ty| ty.oid);
        self.over_value(Value::constant(base), |walk| {
            for constraint in create.constraints() {
                walk.constraint(constraint, &About::Unknown, None);
            }
        });
        self.ddl(Object::Database, "CREATE DOMAIN")
    }

    /// A check that is added looks at every column of the domain.
    pub(super) fn alter_domain(&mut self, alter: &AlterDomainStmt) -> Body {
        let names: Vec<&str> = alter.type_name().iter().filter_map(Node::as_str).collect();
        let Some(domain) = self.type_named(&names) else {
            return self.ddl(Object::Database, "ALTER DOMAIN");
        };
        let looks = u8::try_from(alter.subtype).is_ok_and(|subtype| matches!(subtype, b'C' | b'O' | b'V'));
        let cols = if looks { self.columns_of_type(domain.oid) } else { Vec::new() };
        let value = Value::derived(cols, self.base_type(domain.oid));
        self.filters(&value);
        self.over_value(value, |walk| match alter.def() {
            Node::Constraint(constraint) => walk.constraint(constraint, &About::Unknown, None),
            default => {
                walk.kept(default);
            }
        });
        self.ddl(Object::Database, "ALTER DOMAIN")
    }

    /// Every column in whose values there may be one of this type.
    fn columns_of_type(&self, wanted: u32) -> Vec<Col> {
        let catalog = self.catalog;
        let columns = catalog.relations_of_users().flat_map(|relation| {
            let tables = relation.columns.iter().filter(|_| relation.is_readable() && relation.view.is_none());
            tables.map(move |column| ((relation.oid, column.number), column.ty))
        });
        columns.filter(|(_, ty)| self.contains_type(*ty, wanted, 0)).map(|(col, _)| col).collect()
    }

    fn contains_type(&self, ty: u32, wanted: u32, depth: usize) -> bool {
        if ty == wanted || depth >= 16 {
            return true;
        }
        let Some(Type { kind, base, element, relation, .. }) = self.catalog.type_by_oid(ty) else { return false };
        let fields = self.catalog.relation_by_oid(*relation).filter(|_| *kind == b'c');
        let fields = fields.into_iter().flat_map(|relation| relation.columns.iter().map(|column| column.ty));
        let mut inner = [*base, *element].into_iter().chain(fields).filter(|inner| *inner != 0);
        inner.any(|inner| self.contains_type(inner, wanted, depth + 1))
    }

    /// A domain's expressions, in which VALUE stands for the value.
    fn over_value(&mut self, value: Value, inner: impl FnOnce(&mut Self)) {
        let columns = Columns::Listed(vec![("value".into(), value)], None);
        self.scopes.push(Scope::of(Range { name: "".into(), schema: None, columns, listing: Listing::Exact }));
        inner(self);
        self.scopes.pop();
    }
}
