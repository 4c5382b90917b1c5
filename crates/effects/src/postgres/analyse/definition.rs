//! CREATE, ALTER, DROP, GRANT and their kin.

use std::sync::Arc;

use model::effect::{ColumnName, Object, TableKind, TableName, Verb};
use model::lineage::LiteralRole;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    CreateSchemaStmt, DefElem, DropStmt, GrantStmt, ObjectWithArgs, RangeVar, RenameStmt, RuleStmt, ViewStmt,
};
use pg_raw_parse::{Node, raw};

use super::Body;
use super::scope::Columns;
use super::scope::{Listing, Range, Scope};
use super::walk::Walk;
use crate::postgres::catalog::{Relation, canonical_schema};

impl Walk<'_> {
    pub(super) fn definition(&mut self, node: Node<'_>) -> Body {
        self.changes.catalog = true;
        match node {
            Node::CreateStmt(create) => self.create_table(create, "CREATE TABLE"),
            Node::ViewStmt(view) => self.create_view(view),
            Node::AlterTableStmt(alter) => self.alter_table(alter),
            Node::DropStmt(drop) => self.drop_objects(drop),
            Node::IndexStmt(index) => self.create_index(index),
            Node::RenameStmt(rename) => self.rename_object(rename),
            Node::RuleStmt(rule) => self.create_rule(rule),
            Node::CreateSchemaStmt(schema) => self.create_schema(schema),
            Node::CreateSeqStmt(create) => {
                if let Some(name) = create.sequence() {
                    self.new_relation(name, TableKind::Sequence);
                }
                Body::of("CREATE SEQUENCE")
            }
            Node::AlterSeqStmt(alter) => self.ddl_on(alter.sequence(), "ALTER SEQUENCE"),
            Node::CreateTrigStmt(trigger) => self.create_trigger(trigger),
            Node::CreatePolicyStmt(policy) => self.policy(policy.table(), [policy.qual(), policy.with_check()]),
            Node::AlterPolicyStmt(policy) => self.policy(policy.table(), [policy.qual(), policy.with_check()]),
            Node::CreateFunctionStmt(create) => {
                self.ddl_function(create.funcname());
                Body::of(if create.is_procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" })
            }
            Node::AlterFunctionStmt(alter) => {
                if let Some(function) = alter.func() {
                    self.ddl_function(function.objname());
                }
                Body::of("ALTER FUNCTION")
            }
            Node::CommentStmt(comment) => self.about(comment.object(), comment.objtype, "COMMENT"),
            Node::SecLabelStmt(label) => self.about(label.object(), label.objtype, "SECURITY LABEL"),
            Node::AlterObjectSchemaStmt(alter) => match alter.relation() {
                Some(name) => {
                    let body = self.ddl_on(Some(name), "ALTER");
                    let moved = |relation: &Relation| {
                        TableName::new(canonical_schema(alter.newschema().unwrap_or_default()), &*relation.name.name)
                    };
                    self.table_is_called(name, moved);
                    body
                }
                None => {
                    if alter.object_type == raw::ObjectType::OBJECT_EXTENSION {
                        // Tables that belong to it go with it.
                        self.on_database(Verb::Declassify);
                    }
                    let schema = canonical_schema(alter.newschema().unwrap_or_default());
                    self.type_is_called(alter.object(), alter.object_type, |relation| {
                        TableName::new(schema, &*relation.name.name)
                    });
                    self.about(alter.object(), alter.object_type, "ALTER")
                }
            },
            Node::AlterOwnerStmt(alter) => {
                self.about(alter.object(), alter.object_type, "ALTER");
                self.on_database(Verb::Grant);
                Body::of("ALTER OWNER")
            }
            other => self.plain_definition(other),
        }
    }

    /// Definitions that name nothing which policies can tell apart.
    fn plain_definition(&mut self, node: Node<'_>) -> Body {
        match node {
            Node::GrantStmt(grant) => self.grant(grant),
            Node::GrantRoleStmt(grant) => {
                self.on_database(Verb::Grant);
                Body::of(if grant.is_grant { "GRANT ROLE" } else { "REVOKE ROLE" })
            }
            Node::AlterDefaultPrivilegesStmt(_) => self.grants("ALTER DEFAULT PRIVILEGES"),
            Node::CreateRoleStmt(_) => self.secret_grants("CREATE ROLE"),
            Node::AlterRoleStmt(_) => self.secret_grants("ALTER ROLE"),
            Node::AlterRoleSetStmt(_) => self.grants("ALTER ROLE"),
            Node::DropRoleStmt(_) => self.grants("DROP ROLE"),
            Node::DropOwnedStmt(_) => {
                self.on_database(Verb::Ddl);
                self.grants("DROP OWNED")
            }
            Node::ReassignOwnedStmt(_) => self.grants("REASSIGN OWNED"),
            Node::CreateUserMappingStmt(_) => self.secret_grants("CREATE USER MAPPING"),
            Node::AlterUserMappingStmt(_) => self.secret_grants("ALTER USER MAPPING"),
            Node::DropUserMappingStmt(_) => self.grants("DROP USER MAPPING"),
            Node::CreateForeignServerStmt(_) => self.secret_ddl("CREATE SERVER"),
            Node::AlterForeignServerStmt(_) => self.secret_ddl("ALTER SERVER"),
            Node::CreateSubscriptionStmt(_) => self.secret_ddl("CREATE SUBSCRIPTION"),
            Node::AlterSubscriptionStmt(_) => self.secret_ddl("ALTER SUBSCRIPTION"),
            Node::DropSubscriptionStmt(_) => self.server("DROP SUBSCRIPTION"),
            Node::CreateFdwStmt(_) => self.secret_ddl("CREATE FOREIGN DATA WRAPPER"),
            Node::AlterFdwStmt(_) => self.secret_ddl("ALTER FOREIGN DATA WRAPPER"),
            Node::AlterSystemStmt(_) => self.server("ALTER SYSTEM"),
            Node::LoadStmt(_) => self.server("LOAD"),
            Node::CreatedbStmt(_) => self.server("CREATE DATABASE"),
            Node::DropdbStmt(_) => self.server("DROP DATABASE"),
            Node::AlterDatabaseStmt(_) | Node::AlterDatabaseSetStmt(_) | Node::AlterDatabaseRefreshCollStmt(_) => {
                self.server("ALTER DATABASE")
            }
            Node::CreateTableSpaceStmt(_) => self.server("CREATE TABLESPACE"),
            Node::DropTableSpaceStmt(_) => self.server("DROP TABLESPACE"),
            Node::AlterTableSpaceOptionsStmt(_) | Node::AlterTableMoveAllStmt(_) => self.server("ALTER TABLESPACE"),
            Node::ImportForeignSchemaStmt(_) => self.ddl(Object::Database, "IMPORT FOREIGN SCHEMA"),
            Node::CreateExtensionStmt(_) => self.ddl(Object::Database, "CREATE EXTENSION"),
            Node::AlterExtensionStmt(_) | Node::AlterExtensionContentsStmt(_) => {
                self.ddl(Object::Database, "ALTER EXTENSION")
            }
            Node::CreateDomainStmt(create) => self.create_domain(create),
            Node::AlterDomainStmt(alter) => self.alter_domain(alter),
            Node::CreateEnumStmt(_) | Node::CompositeTypeStmt(_) | Node::CreateRangeStmt(_) => {
                self.ddl(Object::Database, "CREATE TYPE")
            }
            Node::AlterEnumStmt(_) | Node::AlterTypeStmt(_) => self.ddl(Object::Database, "ALTER TYPE"),
            Node::DefineStmt(_) => self.ddl(Object::Database, "CREATE"),
            Node::CreateCastStmt(_) => self.ddl(Object::Database, "CREATE CAST"),
            Node::CreateConversionStmt(_) => self.ddl(Object::Database, "CREATE CONVERSION"),
            Node::CreateTransformStmt(_) => self.ddl(Object::Database, "CREATE TRANSFORM"),
            Node::CreatePLangStmt(_) => self.ddl(Object::Database, "CREATE LANGUAGE"),
            Node::CreateAmStmt(_) => self.ddl(Object::Database, "CREATE ACCESS METHOD"),
            Node::CreateOpClassStmt(_) => self.ddl(Object::Database, "CREATE OPERATOR CLASS"),
            Node::CreateOpFamilyStmt(_) | Node::AlterOpFamilyStmt(_) => {
                self.ddl(Object::Database, "CREATE OPERATOR FAMILY")
            }
            Node::CreateStatsStmt(statistics) => self.create_statistics(statistics),
            Node::AlterStatsStmt(_) => self.ddl(Object::Database, "ALTER STATISTICS"),
            Node::CreateEventTrigStmt(_) | Node::AlterEventTrigStmt(_) => {
                self.ddl(Object::Database, "CREATE EVENT TRIGGER")
            }
            Node::CreatePublicationStmt(create) => self.publication(create.pubobjects(), "CREATE PUBLICATION"),
            Node::AlterPublicationStmt(alter) => self.publication(alter.pubobjects(), "ALTER PUBLICATION"),
            Node::AlterCollationStmt(_) => self.ddl(Object::Database, "ALTER COLLATION"),
            Node::AlterOperatorStmt(_) => self.ddl(Object::Database, "ALTER OPERATOR"),
            Node::AlterObjectDependsStmt(_) => self.ddl(Object::Database, "ALTER"),
            Node::AlterTSDictionaryStmt(_) | Node::AlterTSConfigurationStmt(_) => {
                self.ddl(Object::Database, "ALTER TEXT SEARCH")
            }
            _ => {
                self.opaque("it is a statement that is not understood");
                Body::of("OTHER")
            }
        }
    }

    pub(super) fn ddl(&mut self, object: Object, kind: &'static str) -> Body {
        self.effect(Verb::Ddl, object);
        Body::of(kind)
    }

    /// It reaches beyond the session's database.
    fn server(&mut self, kind: &'static str) -> Body {
        self.ddl(Object::Target, kind)
    }

    fn grants(&mut self, kind: &'static str) -> Body {
        self.on_database(Verb::Grant);
        Body::of(kind)
    }

    fn secret_grants(&mut self, kind: &'static str) -> Body {
        Body { secret: true, ..self.grants(kind) }
    }

    fn secret_ddl(&mut self, kind: &'static str) -> Body {
        Body { secret: true, ..self.server(kind) }
    }

    /// DDL on an existing relation.
    pub(super) fn ddl_on(&mut self, name: Option<&RangeVar>, kind: &'static str) -> Body {
        match name {
            Some(name) => {
                // What is no relation of ours (an index, a composite type) is its schema's.
                match self.find_relation(name.schemaname(), name.relname().unwrap_or_default()) {
                    Some(relation) => {
                        self.mentions(relation);
                        self.on_table(Verb::Ddl, relation);
                        self.changes.temporary |= relation.kind == TableKind::Temporary;
                    }
                    None => {
                        let schema = self.creation_schema(name);
                        self.effect(Verb::Ddl, Object::Namespace(schema));
                    }
                }
            }
            None => self.on_database(Verb::Ddl),
        }
        Body::of(kind)
    }

    pub(super) fn ddl_function(&mut self, name: &NodeList) {
        let names: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        let (schema, name) = match names.as_slice() {
            [.., schema, name] => ((*schema).into(), *name),
            [name] => (self.first_schema(), *name),
            [] => return self.on_database(Verb::Ddl),
        };
        let class = model::effect::FunctionClass::Unknown;
        self.effect(Verb::Ddl, Object::Function(TableName::new(schema, name), class));
    }

    /// Where an unqualified new object goes: the first schema of the path that one can create in.
    fn first_schema(&self) -> std::sync::Arc<str> {
        self.path().find(|schema| !matches!(*schema, "pg_catalog" | "pg_temp")).unwrap_or("public").into()
    }

    fn creation_schema(&self, name: &RangeVar) -> std::sync::Arc<str> {
        let temporary = u8::try_from(name.relpersistence).is_ok_and(|persistence| persistence == b't');
        match name.schemaname() {
            _ if temporary => "pg_temp".into(),
            Some(schema) => canonical_schema(schema).into(),
            None => self.first_schema(),
        }
    }

    /// A relation is made: DDL on it, by the name that it will have.
    pub(super) fn new_relation(&mut self, name: &RangeVar, kind: TableKind) -> TableName {
        self.changes.catalog = true;
        if name.catalogname().is_some_and(|database| database != self.catalog.database()) {
            self.opaque("it names another database");
        }
        let schema = self.creation_schema(name);
        let temporary = &*schema == "pg_temp";
        self.changes.temporary |= temporary;
        let table = TableName::new(schema, name.relname().unwrap_or_default());
        let kind = if temporary { TableKind::Temporary } else { kind };
        self.effect(Verb::Ddl, Object::Table(table.clone(), kind));
        table
    }

    fn create_view(&mut self, view: &ViewStmt) -> Body {
        let outputs = self.subquery(view.query());
        for (_, value) in &outputs.columns {
            self.deliver(value);
        }
        if let Some(name) = view.view() {
            self.new_relation(name, TableKind::View);
            if view.replace {
                self.view_is_replaced(name);
            }
        }
        Body::of("CREATE VIEW")
    }

    /// What a materialised view over it shows was made of what it showed before, and carries classes by what it shows now.
    fn view_is_replaced(&mut self, name: &RangeVar) {
        let Some(old) = self.named(name).filter(|old| old.view.is_some()) else { return };
        let made: Vec<&Relation> = self.catalog.all_relations().filter(|relation| relation.relkind == b'm').collect();
        for relation in made {
            if self.view_shape(relation).under.contains(&old.oid) {
                self.on_table(Verb::Declassify, relation);
            }
        }
    }

    fn policy(&mut self, table: Option<&RangeVar>, conditions: [Node<'_>; 2]) -> Body {
        let body = self.ddl_on(table, "CREATE POLICY");
        self.in_table(table, |walk, _| conditions.into_iter().for_each(|condition| walk.condition(condition)));
        body
    }

    fn drop_objects(&mut self, drop: &DropStmt) -> Body {
        use raw::ObjectType as Kind;
        let mut body = Body::of("DROP");
        for object in drop.objects() {
            body = self.about(object, drop.remove_type, "DROP");
            self.changes.temporary |= matches!(drop.remove_type, Kind::OBJECT_SCHEMA);
        }
        body.kind = match drop.remove_type {
            Kind::OBJECT_TABLE => "DROP TABLE",
            Kind::OBJECT_VIEW => "DROP VIEW",
            Kind::OBJECT_MATVIEW => "DROP MATERIALIZED VIEW",
            Kind::OBJECT_INDEX => "DROP INDEX",
            Kind::OBJECT_SEQUENCE => "DROP SEQUENCE",
            Kind::OBJECT_SCHEMA => "DROP SCHEMA",
            Kind::OBJECT_FUNCTION => "DROP FUNCTION",
            _ => "DROP",
        };
        if drop.behavior == raw::DropBehavior::DROP_CASCADE {
            // Whatever depends on it goes too.
            self.on_database(Verb::Ddl);
        }
        body
    }

    /// DDL on an object that is named by a list of strings, or otherwise.
    fn about(&mut self, object: Node<'_>, kind: raw::ObjectType::Type, tag: &'static str) -> Body {
        use raw::ObjectType as Kind;
        let names: Vec<&str> = match object {
            Node::NodeList(list) => list.iter().filter_map(Node::as_str).collect(),
            Node::String(name) => name.sval().into_iter().collect(),
            Node::ObjectWithArgs(function) => return self.about_function(function, tag),
            _ => Vec::new(),
        };
        let (names, of_table) = match kind {
            Kind::OBJECT_TABLE
            | Kind::OBJECT_VIEW
            | Kind::OBJECT_MATVIEW
            | Kind::OBJECT_SEQUENCE
            | Kind::OBJECT_FOREIGN_TABLE => (names.as_slice(), true),
            // `schema.table.name`
            Kind::OBJECT_COLUMN
            | Kind::OBJECT_TRIGGER
            | Kind::OBJECT_RULE
            | Kind::OBJECT_POLICY
            | Kind::OBJECT_TABCONSTRAINT => (names.split_last().map_or(&[][..], |(_, table)| table), true),
            Kind::OBJECT_SCHEMA => {
                let schema = names.first().copied().unwrap_or_default();
                return self.ddl(Object::Namespace(canonical_schema(schema).into()), tag);
            }
            _ => (names.as_slice(), false),
        };
        let (schema, name) = match names {
            [.., schema, name] => (Some(*schema), *name),
            [name] => (None, *name),
            [] => return self.ddl(Object::Database, tag),
        };
        if of_table {
            match self.find_relation(schema, name) {
                Some(relation) => {
                    self.mentions(relation);
                    self.on_table(Verb::Ddl, relation);
                    self.changes.temporary |= relation.kind == TableKind::Temporary;
                }
                None => {
                    let schema = schema.map_or_else(|| self.first_schema(), Into::into);
                    self.effect(Verb::Ddl, Object::Table(TableName::new(schema, name), TableKind::Unresolved));
                }
            }
            return Body::of(tag);
        }
        match schema {
            Some(schema) => self.ddl(Object::Namespace(canonical_schema(schema).into()), tag),
            None => self.ddl(Object::Database, tag),
        }
    }

    fn about_function(&mut self, function: &ObjectWithArgs, tag: &'static str) -> Body {
        self.ddl_function(function.objname());
        Body::of(tag)
    }

    fn rename_object(&mut self, rename: &RenameStmt) -> Body {
        use raw::ObjectType as Kind;
        let new = rename.newname().unwrap_or_default();
        let Some(name) = rename.relation() else {
            return match rename.rename_type {
                Kind::OBJECT_SCHEMA => {
                    let old = canonical_schema(rename.subname().unwrap_or_default());
                    self.schema_is_renamed(old);
                    self.ddl(Object::Namespace(old.into()), "ALTER")
                }
                Kind::OBJECT_ROLE => self.grants("ALTER ROLE"),
                Kind::OBJECT_DATABASE | Kind::OBJECT_TABLESPACE => self.server("ALTER"),
                kind => {
                    let moved = |relation: &Relation| TableName::new(Arc::clone(&relation.name.schema), new);
                    self.type_is_called(rename.object(), kind, moved);
                    self.about(rename.object(), kind, "ALTER")
                }
            };
        };
        let body = self.ddl_on(Some(name), "ALTER");
        match rename.rename_type {
            Kind::OBJECT_COLUMN | Kind::OBJECT_ATTRIBUTE => {
                if let Some(relation) = self.named(name)
                    && let Some(column) = relation.column_named(rename.subname().unwrap_or_default())
                {
                    self.column_is_called(relation, column.number, ColumnName::new(relation.name.clone(), new));
                }
                if rename.rename_type == Kind::OBJECT_ATTRIBUTE && rename.behavior == raw::DropBehavior::DROP_CASCADE {
                    // Columns of tables of that type.
                    self.on_database(Verb::Declassify);
                }
            }
            Kind::OBJECT_TABCONSTRAINT | Kind::OBJECT_TRIGGER | Kind::OBJECT_RULE | Kind::OBJECT_POLICY => {}
            // The server takes a table also where an index or a sequence is said.
            _ => self.table_is_called(name, |relation| TableName::new(Arc::clone(&relation.name.schema), new)),
        }
        body
    }

    /// What a relation is called decides the classes of its columns.
    fn table_is_called(&mut self, name: &RangeVar, new: impl Fn(&Relation) -> TableName) {
        if let Some(relation) = self.named(name) {
            self.relation_is_called(relation, &new(relation));
        }
    }

    /// What a composite type is called decides the classes of its attributes.
    fn type_is_called(&mut self, object: Node<'_>, kind: raw::ObjectType::Type, new: impl Fn(&Relation) -> TableName) {
        let Node::NodeList(list) = object else { return };
        let names: Vec<&str> = list.iter().filter_map(Node::as_str).collect();
        let (schema, name) = match names.as_slice() {
            [.., schema, name] => (Some(*schema), *name),
            [name] => (None, *name),
            [] => return,
        };
        if kind == raw::ObjectType::OBJECT_TYPE
            && let Some(relation) = self.find_relation(schema, name)
        {
            self.relation_is_called(relation, &new(relation));
        }
    }

    fn relation_is_called(&mut self, relation: &Relation, table: &TableName) {
        for column in &relation.columns {
            self.column_is_called(relation, column.number, ColumnName::new(table.clone(), &*column.name));
        }
    }

    fn column_is_called(&mut self, relation: &Relation, number: i16, new: ColumnName) {
        let is_temporary = relation.kind == TableKind::Temporary;
        self.declassifies_column((relation.oid, number), (!is_temporary).then_some(new));
    }

    fn schema_is_renamed(&mut self, schema: &str) {
        for relation in self.catalog.all_relations().filter(|relation| &*relation.name.schema == schema) {
            self.on_table(Verb::Declassify, relation);
        }
    }

    fn create_rule(&mut self, rule: &RuleStmt) -> Body {
        let body = self.ddl_on(rule.relation(), "CREATE RULE");
        if let Some(name) = rule.relation() {
            self.view_is_replaced(name);
        }
        self.on_old_and_new(rule.relation(), |walk| {
            walk.condition(rule.where_clause());
            for action in rule.actions() {
                let outputs = walk.subquery(action);
                walk.deliver(&outputs.all());
            }
        });
        body
    }

    /// Expressions over the rows `old` and `new` of a table.
    pub(super) fn on_old_and_new(&mut self, name: Option<&RangeVar>, inner: impl FnOnce(&mut Self)) {
        self.in_table(name, |walk, relation| {
            let range = |name: &str| Range {
                name: name.into(),
                schema: None,
                columns: Columns::Relation(relation),
                listing: Listing::Exact,
            };
            // The table itself has no name in them.
            let table = walk.scopes.pop();
            walk.scopes.push(Scope { ranges: vec![range("old"), range("new")], visible: Vec::new() });
            inner(walk);
            walk.scopes.pop();
            walk.scopes.extend(table);
        });
    }

    fn create_schema(&mut self, schema: &CreateSchemaStmt) -> Body {
        for element in schema.schema_elts() {
            let _ = element;
            self.opaque("it makes a schema with objects in it");
        }
        let name = schema.schemaname().unwrap_or_default();
        self.ddl(Object::Namespace(name.into()), "CREATE SCHEMA")
    }

    fn grant(&mut self, grant: &GrantStmt) -> Body {
        let on_tables =
            grant.targtype == raw::GrantTargetType::ACL_TARGET_OBJECT && grant.objtype == raw::ObjectType::OBJECT_TABLE;
        if on_tables {
            for name in grant.objects() {
                if let Some(relation) = self.relation(name, Verb::Grant) {
                    self.on_table(Verb::Grant, relation);
                }
            }
        } else {
            self.on_database(Verb::Grant);
        }
        Body::of(if grant.is_grant { "GRANT" } else { "REVOKE" })
    }

    /// The value of an option, if it is text.
    pub(super) fn option_text(option: &DefElem) -> Option<String> {
        match option.arg() {
            Node::String(text) => text.sval().map(str::to_owned),
            Node::Integer(number) => Some(number.ival.to_string()),
            Node::Boolean(on) => Some(on.boolval.to_string()),
            Node::None => Some("true".to_owned()),
            _ => None,
        }
    }
}

/// How constants of a statement are kept that the tree does not have as such.
pub(super) const fn role_of_hidden(secret: bool) -> LiteralRole {
    if secret { LiteralRole::Secret } else { LiteralRole::Unknown }
}
