//! What the analyser knows of a database: its relations, columns, functions, types, operators and casts.
//!
//! The gateway runs [`queries::SYSTEM`] once per target and [`queries::USER`] at every reload, gives each row to a
//! [`PartBuilder`], and joins the two parts. Nothing here talks to a server.

pub(super) mod items;
mod qualified;
pub mod queries;
pub mod saved;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::effect::{ColumnName, FunctionClass, TableKind, TableName};

pub(super) use items::{Cast, Definition, Operator, Relation, Routine, Type, ViewColumn, ViewShape};
use queries::{Query, Source};

/// The first object identifier that is not the server's own (`FirstNormalObjectId`).
pub(super) const FIRST_USER_OID: u32 = 16384;

/// An immutable picture of one database.
#[derive(Debug, Default)]
pub struct Catalog {
    system: Arc<Part>,
    user: Part,
}

/// One half of a catalog: what the server ships (oids below 16384), or what its users made.
#[derive(Debug, Default)]
pub struct Part {
    database: Arc<str>,
    version: u32,
    other_encoding: bool,
    path: Vec<Arc<str>>,
    namespaces: Vec<Arc<str>>,
    relations: HashMap<u32, Relation>,
    relation_names: Names,
    routines: HashMap<Arc<str>, Vec<Routine>>,
    types: HashMap<u32, Type>,
    type_names: Names,
    operators: HashMap<Arc<str>, Vec<Operator>>,
    casts: HashMap<(u32, u32), Cast>,
}

/// Object identifiers by schema and name.
type Names = HashMap<Arc<str>, HashMap<Arc<str>, u32>>;

/// Collects rows into a [`Part`].
#[derive(Debug, Default)]
pub struct PartBuilder {
    part: Part,
    /// Columns of relations, which may come before their relation.
    columns: BTreeMap<(u32, i16), items::Column>,
    views: BTreeMap<u32, ViewRow>,
    inherits: Vec<(u32, u32)>,
    /// The relations that are referred to.
    references: Vec<(u32, items::Reference)>,
    keys: Vec<(u32, Key, Vec<i16>)>,
    checks: Vec<(u32, Vec<i16>)>,
    /// A relation, its generated column, and a column that this is computed from.
    generated: Vec<(u32, i16, i16)>,
    hooks: Vec<(u32, items::Hook)>,
    /// One allocation for each name, however often it occurs.
    interned: HashMap<Box<str>, Arc<str>>,
}

/// Which key of a relation.
#[derive(Clone, Copy, Debug)]
enum Key {
    Primary,
    Partition,
}

/// What was read of a view until now.
#[derive(Debug, Default)]
struct ViewRow {
    version: Box<str>,
    /// Printed on this connection.
    text: Option<Arc<str>>,
    /// Taken from an earlier catalog.
    kept: Option<Definition>,
}

/// A row that cannot be what its query answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("catalog query {query}: {problem}")]
pub struct RowError {
    /// The query's name.
    pub query: &'static str,
    /// What is wrong; never a value.
    pub problem: &'static str,
}

/// What the catalog says of one relation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelationInfo {
    /// Its object identifier.
    pub oid: u32,
    /// Its canonical name.
    pub name: TableName,
    /// What it is.
    pub kind: TableKind,
}

/// A function as a statement would call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callable {
    /// A SELECT of it alone, with `$1` and so on for its arguments.
    pub text: String,
    /// The types of its arguments.
    pub arguments: Vec<u32>,
    /// The type of its result.
    pub result: u32,
}

impl PartBuilder {
    /// Takes one row of `query`'s answer, all columns as text, in the order in which the server sent it.
    ///
    /// # Errors
    /// If the row does not have the query's columns.
    pub fn row(&mut self, query: &Query, row: &[Option<&str>]) -> Result<(), RowError> {
        if row.len() != query.columns {
            return Err(RowError { query: query.name, problem: "unexpected number of columns" });
        }
        self.take(query.source, &Cells(row)).ok_or(RowError { query: query.name, problem: "unexpected value" })
    }

    fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.interned.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = text.into();
        self.interned.insert(text.into(), Arc::clone(&name));
        name
    }

    fn take(&mut self, source: Source, row: &Cells<'_>) -> Option<()> {
        match source {
            Source::Database => {
                self.part.database = self.name(row.text(0)?);
                self.part.version = row.number(1)?;
            }
            Source::Encoding => self.part.other_encoding = row.text(0)? != "UTF8",
            Source::Path => {
                let name = self.name(canonical_schema(row.text(0)?));
                self.part.path.push(name);
            }
            Source::Namespaces => {
                let name = self.name(row.text(1)?);
                self.part.namespaces.push(name);
            }
            Source::Relations => self.relation(row)?,
            Source::Columns => {
                let number = row.text(1)?.parse().ok()?;
                let column = items::Column {
                    number,
                    name: self.name(row.text(2)?),
                    ty: row.number(3)?,
                    generated: row.cell(4).is_some_and(|text| text.starts_with(['s', 'v'])),
                    collated: row.cell(4).is_some_and(|text| text.contains('c')),
                    modifier: row.cell(4).and_then(|text| text.trim_start_matches(['s', 'v', 'c']).parse().ok()),
                    sources: Vec::new(),
                };
                self.columns.insert((row.number(0)?, number), column);
            }
            Source::Functions => self.routine(row)?,
            Source::Types => self.data_type(row)?,
            Source::Operators => self.operator(row)?,
            Source::Casts => {
                let function = match (row.cell(3), row.cell(4)) {
                    (Some(schema), Some(name)) => Some(TableName::new(self.name(schema), self.name(name))),
                    _ => None,
                };
                let cast = Cast { implicit: row.text(2)? == "i", function };
                self.part.casts.insert((row.number(0)?, row.number(1)?), cast);
            }
            Source::ViewVersions => {
                let view = self.views.entry(row.number(0)?).or_default();
                view.version = row.text(1)?.into();
                view.text = row.cell(2).map(Arc::from);
            }
            Source::Views => self.views.entry(row.number(0)?).or_default().text = row.cell(1).map(Arc::from),
            Source::Inherits => self.inherits.push((row.number(0)?, row.number(1)?)),
            Source::References => {
                let reference = items::Reference {
                    from: row.number(0)?,
                    on_delete: items::Action::from_code(row.text(2)?)?,
                    on_update: items::Action::from_code(row.text(3)?)?,
                    key: row.numbers(4)?,
                };
                self.references.push((row.number(1)?, reference));
            }
            Source::Checks => {
                let columns = row.numbers(1).unwrap_or_default();
                self.checks.push((row.number(0)?, columns));
            }
            Source::Keys => {
                let key = if row.text(1)? == "p" { Key::Primary } else { Key::Partition };
                self.keys.push((row.number(0)?, key, row.numbers(2)?));
            }
            Source::Generated => {
                let number = |index: usize| row.text(index)?.parse().ok();
                self.generated.push((row.number(0)?, number(1)?, number(2)?));
            }
            Source::Hooks => {
                let function = TableName::new(self.name(row.text(2)?), self.name(row.text(3)?));
                self.hooks.push((row.number(0)?, items::Hook { events: row.text(1)?.into(), function }));
            }
        }
        Some(())
    }

    fn relation(&mut self, row: &Cells<'_>) -> Option<()> {
        let oid = row.number(0)?;
        let real_schema = row.text(1)?;
        let temporary = row.text(4)? == "t";
        let schema = self.name(canonical_schema(real_schema));
        let relkind = row.text(3)?.bytes().next()?;
        let system = oid < FIRST_USER_OID
            || matches!(&*schema, "pg_catalog" | "information_schema" | "pg_toast")
            || schema.starts_with("pg_toast");
        let kind = match relkind {
            _ if temporary => TableKind::Temporary,
            _ if system => TableKind::System,
            b'v' => TableKind::View,
            b'm' => TableKind::Matview,
            b'f' => TableKind::Foreign,
            b'S' => TableKind::Sequence,
            _ => TableKind::Table,
        };
        let relation = Relation {
            oid,
            name: TableName::new(schema, self.name(row.text(2)?)),
            kind,
            relkind,
            row_type: row.number(5)?,
            has_rules: row.text(6)? == "true",
            real_schema: temporary.then(|| real_schema.into()),
            ..Relation::default()
        };
        self.part.relations.insert(oid, relation);
        Some(())
    }

    fn routine(&mut self, row: &Cells<'_>) -> Option<()> {
        let oid: u32 = row.number(0)?;
        let (schema, name) = (self.name(row.text(1)?), self.name(row.text(2)?));
        let user = oid >= FIRST_USER_OID;
        let volatility = row.text(4)?.bytes().next()?;
        let class = match &*schema {
            _ if user => FunctionClass::Unknown,
            "pg_catalog" => super::functions::classify(&name, volatility),
            // information_schema has a few helpers of its own, all immutable or stable.
            _ => FunctionClass::Safe,
        };
        let arguments = row.cell(9).unwrap_or_default();
        let arguments = arguments.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let mut outputs = Vec::new();
        for output in row.cell(10).unwrap_or_default().split(',').filter(|output| !output.is_empty()) {
            let (name, ty) = output.rsplit_once(' ')?;
            outputs.push((self.name(name), ty.parse().ok()?));
        }
        let routine = Routine {
            oid,
            name: TableName::new(schema, Arc::clone(&name)),
            kind: row.text(3)?.bytes().next()?,
            user,
            class,
            arguments,
            defaults: row.text(7)?.parse().ok()?,
            variadic: row.text(8)? != "0",
            result: row.number(6)?,
            returns_set: row.text(5)? == "true",
            outputs,
        };
        self.part.routines.entry(name).or_default().push(routine);
        Some(())
    }

    fn data_type(&mut self, row: &Cells<'_>) -> Option<()> {
        let oid = row.number(0)?;
        let (schema, name) = (self.name(canonical_schema(row.text(1)?)), self.name(row.text(2)?));
        let input = row.cell(8).and_then(|input| input.split_once('.'));
        let input = input.map(|(schema, name)| TableName::new(self.name(schema), self.name(name)));
        let ty = Type {
            oid,
            kind: row.text(3)?.bytes().next()?,
            collated: row.text(3)?.ends_with("dc"),
            base: row.number(4)?,
            element: row.number(5)?,
            array: row.number(6)?,
            relation: row.number(7)?,
            input,
            checks: Vec::new(),
        };
        self.part.type_names.entry(schema).or_default().insert(name, oid);
        self.part.types.insert(oid, ty);
        Some(())
    }

    fn operator(&mut self, row: &Cells<'_>) -> Option<()> {
        let oid: u32 = row.number(0)?;
        let name = self.name(row.text(2)?);
        let operator = Operator {
            schema: self.name(row.text(1)?),
            user: oid >= FIRST_USER_OID,
            left: row.number(3)?,
            right: row.number(4)?,
            result: row.number(5)?,
            function: TableName::new(self.name(row.text(6)?), self.name(row.text(7)?)),
        };
        self.part.operators.entry(name).or_default().push(operator);
        Some(())
    }

    /// Takes over from an earlier catalog the definitions of views whose version is still the same.
    pub fn keep_views(&mut self, earlier: &Catalog) {
        for (oid, row) in self.views.iter_mut().filter(|(_, row)| row.text.is_none() && row.kept.is_none()) {
            let view = earlier.user.relations.get(oid).and_then(|relation| relation.view.as_ref());
            let same = view.filter(|view| view.version == row.version && !view.definition.text.is_empty());
            row.kept = same.map(|view| view.definition.clone());
        }
    }

    /// The views whose definitions are still to be read ([`queries::view_texts`]).
    pub fn views_without_text(&self) -> Vec<u32> {
        let without = self.views.iter().filter(|(_, row)| row.text.is_none() && row.kept.is_none());
        without.map(|(oid, _)| *oid).collect()
    }

    /// The collected part.
    pub fn finish(self) -> Part {
        let Self { mut part, mut columns, views, inherits, references, keys, checks, generated, hooks, .. } = self;
        for (relation, number, source) in generated {
            columns.entry((relation, number)).and_modify(|column| column.sources.push(source));
        }
        for ((relation, _), column) in columns {
            if let Some(relation) = part.relations.get_mut(&relation) {
                relation.columns.push(column);
            }
        }
        let path: Arc<[Arc<str>]> = part.path.clone().into();
        for (oid, row) in views {
            let Some(relation) = part.relations.get_mut(&oid) else { continue };
            let printed = row.text.map(|text| Definition { text, path: Arc::clone(&path) });
            relation.view = Some(items::View::new(printed.or(row.kept).unwrap_or_default(), row.version));
        }
        for (child, parent) in inherits {
            if part.relations.contains_key(&child) && part.relations.contains_key(&parent) {
                part.relations.entry(child).and_modify(|child| child.parents.push(parent));
                part.relations.entry(parent).and_modify(|parent| parent.children.push(child));
            }
        }
        for (referenced, reference) in references {
            part.relations.entry(referenced).and_modify(|relation| relation.referenced_by.push(reference));
        }
        for (relation, columns) in checks {
            part.relations.entry(relation).and_modify(|relation| relation.checks.push(columns));
        }
        for (relation, key, numbers) in keys {
            part.relations.entry(relation).and_modify(|relation| match key {
                Key::Primary => relation.primary_key = numbers,
                Key::Partition => relation.partition_key = numbers,
            });
        }
        for (target, hook) in hooks {
            if let Some(relation) = part.relations.get_mut(&target) {
                relation.hooks.push(hook);
            } else if let Some(domain) = part.types.get_mut(&target) {
                domain.checks.push(hook.function);
            }
        }
        drop_foreign_temporaries(&mut part);
        for relation in part.relations.values() {
            let schema = part.relation_names.entry(Arc::clone(&relation.name.schema)).or_default();
            schema.insert(Arc::clone(&relation.name.name), relation.oid);
        }
        part
    }
}

/// Only one temporary schema can be this connection's own: the one on its path. Others' relations have no name here.
fn drop_foreign_temporaries(part: &mut Part) {
    let own = part.path.iter().any(|schema| is_temporary(schema));
    if !own {
        part.relations.retain(|_, relation| relation.kind != TableKind::Temporary);
    }
}

/// The row of a catalog query.
struct Cells<'a>(&'a [Option<&'a str>]);

impl Cells<'_> {
    fn cell(&self, index: usize) -> Option<&str> {
        self.0.get(index).copied().flatten()
    }

    fn text(&self, index: usize) -> Option<&str> {
        self.cell(index)
    }

    /// Numbers of columns with blanks between them.
    fn numbers(&self, index: usize) -> Option<Vec<i16>> {
        self.text(index)?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
    }

    fn number(&self, index: usize) -> Option<u32> {
        self.cell(index)?.parse().ok()
    }
}

/// A session's own temporary schema is `pg_temp`, whatever its number.
pub(super) fn canonical_schema(schema: &str) -> &str {
    if is_temporary(schema) { "pg_temp" } else { schema }
}

fn is_temporary(schema: &str) -> bool {
    schema == "pg_temp" || schema.strip_prefix("pg_temp_").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

impl Catalog {
    /// Joins the server's own part, which sessions and reloads may share, with the users' part.
    pub fn new(system: Arc<Part>, user: Part) -> Self {
        Self { system, user }
    }

    /// The server's own part, to build the next catalog with.
    pub fn system(&self) -> Arc<Part> {
        Arc::clone(&self.system)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.user.database
    }

    /// Whether the server keeps names in another encoding than UTF-8, and so cuts and folds them otherwise.
    pub(in crate::postgres) const fn has_other_encoding(&self) -> bool {
        self.user.other_encoding
    }

    /// The server's version as `server_version_num` has it, such as 150018.
    pub const fn version(&self) -> u32 {
        self.user.version
    }

    /// The effective search path (`current_schemas(true)`) of the connection that the catalog was read on.
    pub fn search_path(&self) -> &[Arc<str>] {
        &self.user.path
    }

    /// The column that a RowDescription names; `None` if there is none.
    pub fn column_by_oid(&self, table: u32, number: i16) -> Option<ColumnName> {
        let relation = self.relation_by_oid(table)?;
        let column = relation.column(number)?;
        Some(ColumnName::new(relation.name.clone(), Arc::clone(&column.name)))
    }

    /// The object identifier of a column's type; `None` if there is no such column.
    pub fn type_of(&self, column: &ColumnName) -> Option<u32> {
        let relation = self.relation_named(&column.table.schema, &column.table.name)?;
        Some(relation.column_named(&column.name)?.ty)
    }

    /// The relation with this object identifier.
    pub fn relation(&self, oid: u32) -> Option<RelationInfo> {
        let relation = self.relation_by_oid(oid)?;
        Some(RelationInfo { oid, name: relation.name.clone(), kind: relation.kind })
    }

    /// The function with this object identifier, as a statement would call it; `None` if there is none, or it is an
    /// aggregate, a procedure, or a function that returns a set.
    pub fn callable(&self, oid: u32) -> Option<Callable> {
        let parts = [&self.user, &*self.system];
        let mut routines = parts.into_iter().flat_map(|part| part.routines.values().flatten());
        let routine = routines.find(|routine| routine.oid == oid && routine.kind == b'f' && !routine.returns_set)?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let parameters: Vec<String> = (1..=routine.arguments.len()).map(|number| format!("${number}")).collect();
        let (schema, name) = (quoted(&routine.name.schema), quoted(&routine.name.name));
        let text = format!("SELECT {schema}.{name}({})", parameters.join(", "));
        Some(Callable { text, arguments: routine.arguments.clone(), result: routine.result })
    }

    /// Every schema's name.
    pub fn namespaces(&self) -> &[Arc<str>] {
        &self.user.namespaces
    }

    /// Every relation with its columns' names, for policies and classification to refer to.
    pub fn relations(&self) -> impl Iterator<Item = (RelationInfo, Vec<Arc<str>>)> {
        self.all_relations().map(|relation| {
            let info = RelationInfo { oid: relation.oid, name: relation.name.clone(), kind: relation.kind };
            (info, relation.columns.iter().map(|column| Arc::clone(&column.name)).collect())
        })
    }

    pub(super) fn all_relations(&self) -> impl Iterator<Item = &Relation> {
        self.user.relations.values().chain(self.system.relations.values())
    }

    /// Those that are not the server's own.
    pub(super) fn relations_of_users(&self) -> impl Iterator<Item = &Relation> {
        self.user.relations.values()
    }

    pub(super) fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.user.relations.get(&oid).or_else(|| self.system.relations.get(&oid))
    }

    pub(super) fn relation_named(&self, schema: &str, name: &str) -> Option<&Relation> {
        let find = |part: &Part| part.relation_names.get(schema)?.get(name).copied();
        let oid = find(&self.user).or_else(|| find(&self.system))?;
        self.relation_by_oid(oid)
    }

    pub(super) fn type_by_oid(&self, oid: u32) -> Option<&Type> {
        self.user.types.get(&oid).or_else(|| self.system.types.get(&oid))
    }

    pub(super) fn type_named(&self, schema: &str, name: &str) -> Option<&Type> {
        let find = |part: &Part| part.type_names.get(schema)?.get(name).copied();
        let oid = find(&self.user).or_else(|| find(&self.system))?;
        self.type_by_oid(oid)
    }

    pub(super) fn routines(&self, name: &str) -> impl Iterator<Item = &Routine> {
        let parts = [&self.user, &*self.system];
        parts.into_iter().flat_map(move |part| part.routines.get(name).into_iter().flatten())
    }

    pub(super) fn operators(&self, name: &str) -> impl Iterator<Item = &Operator> {
        let parts = [&self.user, &*self.system];
        parts.into_iter().flat_map(move |part| part.operators.get(name).into_iter().flatten())
    }

    pub(super) fn cast(&self, source: u32, target: u32) -> Option<&Cast> {
        self.user.casts.get(&(source, target)).or_else(|| self.system.casts.get(&(source, target)))
    }

    /// Whether any cast runs a user's function.
    pub(super) fn has_user_casts(&self) -> bool {
        self.user.casts.values().any(|cast| cast.function.is_some())
    }

    /// The functions of users' casts to `target`, from any type.
    pub(super) fn user_casts_to(&self, target: u32) -> impl Iterator<Item = (u32, &TableName)> {
        self.user
            .casts
            .iter()
            .filter(move |((_, to), _)| *to == target)
            .filter_map(|((from, _), cast)| Some((*from, cast.function.as_ref()?)))
    }
}
