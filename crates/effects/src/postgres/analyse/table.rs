//! CREATE TABLE and ALTER TABLE.

use std::sync::Arc;

use model::effect::{TableKind, TableName, Verb};
use pg_raw_parse::nodes::{
    AlterTableCmd, AlterTableStmt, ColumnDef, CreateStmt, PartitionBoundSpec, PartitionCmd, RangeVar,
};
use pg_raw_parse::{Node, raw};

use super::Body;
use super::constraint::About;
use super::scope::{Columns, Listing, Range, Scope};
use super::value::{Kind, Value};
use super::walk::Walk;
use crate::postgres::catalog::Relation;

impl<'a> Walk<'a> {
    pub(super) fn create_table(&mut self, create: &CreateStmt, kind: &'static str) -> Body {
        let Some(name) = create.relation() else {
            self.opaque("it makes a table without a name");
            return Body::of(kind);
        };
        let table = self.new_relation(name, TableKind::Table);
        for parent in create.inh_relations() {
            if let Node::RangeVar(parent) = parent {
                self.ddl_on(Some(parent), kind);
                self.bound(create.partbound(), Some(parent));
            }
        }
        let scope = self.new_columns(create, &table);
        self.scopes.push(scope);
        for element in create.table_elts() {
            match element {
                Node::ColumnDef(column) => self.column_constraints(column, &About::New(&table)),
                Node::Constraint(constraint) => self.constraint(constraint, &About::New(&table), None),
                // Column names and defaults of another table, no values.
                Node::TableLikeClause(like) => {
                    if let Some(relation) = like.relation().and_then(|name| self.relation(name, Verb::Select)) {
                        self.on_table(Verb::Select, relation);
                    }
                }
                _ => {
                    self.opaque("it defines a table in a way that is not understood");
                }
            }
        }
        for element in create.partspec().into_iter().flat_map(|spec| spec.part_params()) {
            self.kept(element.expr());
        }
        self.scopes.pop();
        Body::of(kind)
    }

    /// The columns of a table that is being made: nothing is in them.
    fn new_columns(&mut self, create: &CreateStmt, table: &TableName) -> Scope<'a> {
        let mut listed: Vec<(Arc<str>, Value)> = Vec::new();
        let mut is_known = create.of_typename().is_none();
        let mut like = |relation: Option<&'a Relation>| match relation {
            Some(relation) => relation.columns.iter().map(|column| (Arc::clone(&column.name), column.ty)).collect(),
            None => {
                is_known = false;
                Vec::new()
            }
        };
        for node in create.inh_relations().iter().chain(create.table_elts()) {
            let columns = match node {
                Node::RangeVar(name) => like(self.named(name)),
                Node::TableLikeClause(clause) => like(clause.relation().and_then(|name| self.named(name))),
                Node::ColumnDef(column) => {
                    let ty = column.type_name().and_then(|name| self.find_type(name)).map_or(0, |ty| ty.oid);
                    vec![(column.colname().unwrap_or_default().into(), ty)]
                }
                _ => Vec::new(),
            };
            listed.extend(columns.into_iter().map(|(name, ty)| (name, Value::constant(ty))));
        }
        let columns = if is_known { Columns::Listed(listed, None) } else { Columns::Wild(Value::constant(0)) };
        Scope::of(Range { name: Arc::clone(&table.name), schema: None, columns, listing: Listing::Exact })
    }

    /// The values that a partition is for: worked out at once, and looked for in the partitioned table's default.
    fn bound(&mut self, bound: Option<&PartitionBoundSpec>, parent: Option<&RangeVar>) {
        let Some(bound) = bound else { return };
        for value in bound.listdatums().iter().chain(bound.lowerdatums()).chain(bound.upperdatums()) {
            // MINVALUE and MAXVALUE; there are no columns here.
            if !matches!(value, Node::ColumnRef(_)) {
                self.kept(value);
            }
        }
        if let Some(parent) = parent.and_then(|name| self.named(name)) {
            let key = self.columns_numbered(parent, &parent.partition_key);
            self.filters(&key);
        }
    }

    pub(super) fn named(&self, name: &RangeVar) -> Option<&'a Relation> {
        self.find_relation(name.schemaname(), name.relname().unwrap_or_default())
    }

    /// Expressions over one table's columns.
    pub(super) fn in_table(&mut self, name: Option<&RangeVar>, inner: impl FnOnce(&mut Self, &'a Relation)) {
        if let Some(relation) = name.and_then(|name| self.named(name)) {
            let scope = self.relation_range(relation, None);
            self.scopes.push(scope);
            inner(self, relation);
            self.scopes.pop();
        }
    }

    pub(super) fn alter_table(&mut self, alter: &AlterTableStmt) -> Body {
        let body = self.ddl_on(alter.relation(), "ALTER TABLE");
        let known = alter.relation().and_then(|name| self.named(name));
        let mut scope = match known {
            Some(relation) => self.relation_range(relation, None),
            None => Scope::default(),
        };
        scope.absorb(self.added_columns(alter));
        self.scopes.push(scope);
        for command in alter.cmds() {
            let Node::AlterTableCmd(command) = command else {
                self.opaque("it alters a table in a way that is not understood");
                continue;
            };
            if command.newowner().is_some() {
                self.on_database(Verb::Grant);
            }
            self.alteration(command, alter.relation(), known);
        }
        self.scopes.pop();
        body
    }

    /// The columns that an ALTER TABLE adds: its constraints may name them.
    fn added_columns(&self, alter: &AlterTableStmt) -> Scope<'a> {
        let mut added = Vec::new();
        for command in alter.cmds() {
            if let Node::AlterTableCmd(command) = command
                && command.subtype == raw::AlterTableType::AT_AddColumn
                && let Node::ColumnDef(column) = command.def()
            {
                let ty = column.type_name().and_then(|name| self.find_type(name)).map_or(0, |ty| ty.oid);
                added.push((column.colname().unwrap_or_default().into(), Value::constant(ty)));
            }
        }
        Scope::of(Range {
            name: "".into(),
            schema: None,
            columns: Columns::Listed(added, None),
            listing: Listing::Exact,
        })
    }

    fn alteration(&mut self, command: &AlterTableCmd, table: Option<&RangeVar>, known: Option<&'a Relation>) {
        use raw::AlterTableType as Kind;
        let about = known.map_or(About::Unknown, About::Existing);
        match command.def() {
            Node::ColumnDef(column) if command.subtype == Kind::AT_AlterColumnType => {
                self.alter_type(column, command.name().unwrap_or_default(), known);
            }
            Node::ColumnDef(column) => {
                self.fills(column);
                self.column_constraints(column, &about);
            }
            Node::Constraint(constraint) => self.constraint(constraint, &about, None),
            Node::RangeVar(other) => {
                self.ddl_on(Some(other), "ALTER TABLE");
                if let Some(child) = known.filter(|_| command.subtype == Kind::AT_DropInherit) {
                    // It had its parent's classes.
                    self.on_table(Verb::Declassify, child);
                }
            }
            Node::PartitionCmd(partition) => {
                self.partition(partition, table);
                if command.subtype == Kind::AT_DetachPartition
                    && let Some(child) = partition.name().and_then(|name| self.named(name))
                {
                    self.on_table(Verb::Declassify, child);
                }
            }
            Node::None if command.subtype == Kind::AT_DropColumn => {
                if let Some(relation) = known {
                    self.children_keep(relation, command.name().unwrap_or_default(), 0);
                }
            }
            Node::None if command.subtype == Kind::AT_DropExpression => {
                let column = known.and_then(|relation| relation.column_named(command.name().unwrap_or_default()));
                if let (Some(relation), Some(column)) = (known, column) {
                    // Its values stay, and nothing says any more what they were made of.
                    let value = self.column_value(relation, column.number, column.ty);
                    self.declassifies(&value, Some((relation.oid, column.number)));
                }
            }
            Node::None
            | Node::String(_)
            | Node::Integer(_)
            | Node::Float(_)
            | Node::NodeList(_)
            | Node::RoleSpec(_)
            | Node::TypeName(_)
            | Node::ATAlterConstraint(_)
            | Node::ReplicaIdentityStmt(_) => {}
            // SET DEFAULT, SET EXPRESSION.
            expression => {
                let value = self.kept(expression);
                self.flows_out_of_sight(&value);
            }
        }
    }

    /// A column that is dropped may stay in the children, which had its classes from here.
    fn children_keep(&mut self, relation: &'a Relation, name: &str, depth: usize) {
        let children = relation.children.iter().filter_map(|oid| self.catalog.relation_by_oid(*oid));
        for child in children.filter(|_| depth < 32) {
            if let Some(column) = child.column_named(name) {
                self.declassifies_column((child.oid, column.number), None);
            }
            self.children_keep(child, name, depth + 1);
        }
    }

    /// ADD COLUMN: the rows that are there get a value, which a domain checks. `serial` is no type but syntax.
    fn fills(&mut self, column: &ColumnDef) {
        let Some(name) = column.type_name() else { return };
        let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
        let serial = ["serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"];
        if !matches!(names.as_slice(), [name] if serial.contains(name)) {
            self.uses_type(name);
        }
    }

    /// ALTER … TYPE: what every value becomes, by USING or by itself, and whether it can.
    fn alter_type(&mut self, column: &ColumnDef, name: &str, known: Option<&'a Relation>) {
        let old = known.and_then(|relation| Some((relation, relation.column_named(name)?)));
        let old = old.map_or_else(
            || Value::constant(0),
            |(relation, column)| self.column_value(relation, column.number, column.ty),
        );
        self.filters(&old);
        if let Some(relation) = known {
            self.run_hooks(relation, 'a');
        }
        let value = match column.raw_default() {
            Node::None => old.clone(),
            using => self.expr(using),
        };
        if let Some(name) = column.type_name() {
            let ty = self.uses_type(name);
            self.user_casts(&value, ty);
        }
        self.filters(&value);
        if matches!(&value.kind, Kind::Column(_)) && value.kind == old.kind {
            return;
        }
        self.flows_out_of_sight(&value);
    }

    /// Values of columns come into another one.
    pub(super) fn flows_out_of_sight(&mut self, value: &Value) {
        self.deliver(value);
        self.declassifies(value, None);
    }

    fn partition(&mut self, partition: &PartitionCmd, parent: Option<&RangeVar>) {
        self.ddl_on(partition.name(), "ALTER TABLE");
        self.bound(partition.bound(), parent);
        let (Some(parent), Some(part)) =
            (parent.and_then(|name| self.named(name)), partition.name().and_then(|name| self.named(name)))
        else {
            return;
        };
        // The partition's own rows have to be within the bound.
        let names = parent.partition_key.iter().filter_map(|number| parent.column(*number));
        let numbers: Vec<i16> = names.filter_map(|column| Some(part.column_named(&column.name)?.number)).collect();
        if partition.bound().is_some() {
            let own = self.columns_numbered(part, &numbers);
            self.filters(&own);
        }
    }

    /// These columns of a relation, all of them if one of the numbers is 0: an expression.
    pub(super) fn columns_numbered(&mut self, relation: &'a Relation, numbers: &[i16]) -> Value {
        let all = numbers.contains(&0);
        let wanted = relation.columns.iter().filter(|column| all || numbers.contains(&column.number));
        let wanted: Vec<(i16, u32)> = wanted.map(|column| (column.number, column.ty)).collect();
        let values: Vec<Value> =
            wanted.into_iter().map(|(number, ty)| self.column_value(relation, number, ty)).collect();
        Value::computed(&values, 0)
    }

    fn column_constraints(&mut self, column: &ColumnDef, about: &About<'a, '_>) {
        for constraint in column.constraints() {
            match constraint {
                Node::Constraint(constraint) => self.constraint(constraint, about, column.colname()),
                _ => {
                    self.opaque("it defines a column in a way that is not understood");
                }
            }
        }
    }
}
