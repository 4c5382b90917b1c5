//! The things that a catalog holds.

use std::sync::{Arc, OnceLock};

use model::effect::{ColumnName, FunctionClass, TableKind, TableName};

/// A relation, or a composite type's row.
#[derive(Debug)]
pub(in crate::postgres) struct Relation {
    pub(in crate::postgres) oid: u32,
    pub(in crate::postgres) name: TableName,
    pub(in crate::postgres) kind: TableKind,
    /// `pg_class.relkind`.
    pub(in crate::postgres) relkind: u8,
    pub(in crate::postgres) row_type: u32,
    /// Whether it has rules besides a view's own: writes to it do more than they say.
    pub(in crate::postgres) has_rules: bool,
    /// A temporary relation's schema at the server.
    pub(in crate::postgres) real_schema: Option<Arc<str>>,
    /// In the order of their numbers.
    pub(in crate::postgres) columns: Vec<Column>,
    /// The numbers of the columns of its primary key.
    pub(in crate::postgres) primary_key: Vec<i16>,
    /// Those of a partitioned table's key; 0 is an expression.
    pub(in crate::postgres) partition_key: Vec<i16>,
    pub(in crate::postgres) parents: Vec<u32>,
    pub(in crate::postgres) children: Vec<u32>,
    /// The foreign keys that refer to this one.
    pub(in crate::postgres) referenced_by: Vec<Reference>,
    /// The numbers of the columns that each of its checks looks at.
    pub(in crate::postgres) checks: Vec<Vec<i16>>,
    pub(in crate::postgres) view: Option<View>,
    pub(in crate::postgres) hooks: Vec<Hook>,
}

/// A foreign key, seen from the table that it refers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::postgres) struct Reference {
    /// The table that refers.
    pub(in crate::postgres) from: u32,
    /// What becomes of its rows when a row here is deleted (`pg_constraint.confdeltype`).
    pub(in crate::postgres) on_delete: Action,
    /// And when a key is updated.
    pub(in crate::postgres) on_update: Action,
    /// The columns here that are referred to.
    pub(in crate::postgres) key: Vec<i16>,
}

/// What a foreign key does to the rows that refer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::postgres) enum Action {
    /// They stay, or nothing may change.
    Nothing,
    /// They go, or follow.
    Cascade,
    /// Their key becomes NULL or the default.
    Set,
}

impl Action {
    pub(super) fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "a" | "r" => Self::Nothing,
            "c" => Self::Cascade,
            "n" | "d" => Self::Set,
            _ => return None,
        })
    }
}

impl Default for Relation {
    fn default() -> Self {
        Self {
            oid: 0,
            name: TableName::new("", ""),
            kind: TableKind::Unresolved,
            relkind: 0,
            row_type: 0,
            has_rules: false,
            real_schema: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
            partition_key: Vec::new(),
            parents: Vec::new(),
            children: Vec::new(),
            referenced_by: Vec::new(),
            checks: Vec::new(),
            view: None,
            hooks: Vec::new(),
        }
    }
}

impl Relation {
    pub(in crate::postgres) fn column(&self, number: i16) -> Option<&Column> {
        self.columns.binary_search_by_key(&number, |column| column.number).ok().and_then(|at| self.columns.get(at))
    }

    pub(in crate::postgres) fn column_named(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    pub(in crate::postgres) fn full_name(&self, column: &Column) -> ColumnName {
        ColumnName::new(self.name.clone(), Arc::clone(&column.name))
    }

    /// Whether rows can be read from it.
    pub(in crate::postgres) const fn is_readable(&self) -> bool {
        matches!(self.relkind, b'r' | b'v' | b'm' | b'f' | b'p' | b'S' | b't')
    }
}

/// A column.
#[derive(Debug)]
pub(in crate::postgres) struct Column {
    pub(in crate::postgres) number: i16,
    pub(in crate::postgres) name: Arc<str>,
    pub(in crate::postgres) ty: u32,
    /// `GENERATED ALWAYS AS (…)`: not part of COPY.
    pub(in crate::postgres) generated: bool,
    /// Whether it has a collation of its own, neither the database's nor `C`.
    pub(in crate::postgres) collated: bool,
    /// `pg_attribute.atttypmod`, such as the length of a `varchar(10)`.
    pub(in crate::postgres) modifier: Option<i32>,
    /// The numbers of the columns that a generated one is computed from.
    pub(in crate::postgres) sources: Vec<i16>,
}

/// A user's function that runs without being named: see `queries::HOOKS`.
#[derive(Debug)]
pub(in crate::postgres) struct Hook {
    pub(in crate::postgres) events: Box<str>,
    pub(in crate::postgres) function: TableName,
}

/// A user's view: its text, and what the analyser made of it when it was first used.
#[derive(Debug)]
pub(in crate::postgres) struct View {
    pub(in crate::postgres) definition: Definition,
    /// Changes with everything that the text depends on; empty if it is not known.
    pub(in crate::postgres) version: Box<str>,
    pub(in crate::postgres) shape: OnceLock<Arc<ViewShape>>,
}

/// A view's query as the server prints it.
#[derive(Clone, Debug, Default)]
pub(in crate::postgres) struct Definition {
    /// Empty if it could not be read: then nothing is known of the view.
    pub(in crate::postgres) text: Arc<str>,
    /// The search path that its names are relative to.
    pub(in crate::postgres) path: Arc<[Arc<str>]>,
}

impl View {
    pub(in crate::postgres) const fn new(definition: Definition, version: Box<str>) -> Self {
        Self { definition, version, shape: OnceLock::new() }
    }
}

/// What a view shows.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ViewShape {
    /// One for each of its columns, in order; empty if the view's text is not understood.
    pub(in crate::postgres) columns: Vec<ViewColumn>,
    /// For each, whether computing it can be seen from outside: a view's query runs where its columns are used.
    pub(in crate::postgres) seen: Vec<bool>,
    /// The relations under it, by oid, down to the base tables.
    pub(in crate::postgres) under: Vec<u32>,
    /// Users' functions and operators that its query calls.
    pub(in crate::postgres) functions: Vec<(TableName, FunctionClass)>,
    /// Whether it calls a function that looks up operators in the session's search path.
    pub(in crate::postgres) by_path: bool,
    /// Whether it may show relations that it does not name, or is not understood.
    pub(in crate::postgres) anything: bool,
}

/// Where a view's column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum ViewColumn {
    /// No column.
    Constant,
    /// One base column, unchanged.
    Plain(u32, i16),
    /// At most these base columns.
    Derived(Vec<(u32, i16)>),
    /// Anything under the view.
    Unknown,
}

/// A function, procedure, aggregate or window function.
#[derive(Debug)]
pub(in crate::postgres) struct Routine {
    pub(in crate::postgres) oid: u32,
    pub(in crate::postgres) name: TableName,
    /// `pg_proc.prokind`.
    pub(in crate::postgres) kind: u8,
    pub(in crate::postgres) user: bool,
    pub(in crate::postgres) class: FunctionClass,
    pub(in crate::postgres) arguments: Vec<u32>,
    pub(in crate::postgres) defaults: usize,
    pub(in crate::postgres) variadic: bool,
    pub(in crate::postgres) result: u32,
    pub(in crate::postgres) returns_set: bool,
    /// OUT, INOUT and TABLE parameters.
    pub(in crate::postgres) outputs: Vec<(Arc<str>, u32)>,
}

/// A data type.
#[derive(Debug)]
pub(in crate::postgres) struct Type {
    pub(in crate::postgres) oid: u32,
    /// `pg_type.typtype`.
    pub(in crate::postgres) kind: u8,
    /// Whether a domain has a collation of its own.
    pub(in crate::postgres) collated: bool,
    /// A domain's base type.
    pub(in crate::postgres) base: u32,
    pub(in crate::postgres) element: u32,
    pub(in crate::postgres) array: u32,
    /// A composite type's relation.
    pub(in crate::postgres) relation: u32,
    /// The input function, if a user defined it.
    pub(in crate::postgres) input: Option<TableName>,
    /// Users' functions in a domain's checks.
    pub(in crate::postgres) checks: Vec<TableName>,
}

/// An operator.
#[derive(Debug)]
pub(in crate::postgres) struct Operator {
    pub(in crate::postgres) schema: Arc<str>,
    pub(in crate::postgres) user: bool,
    pub(in crate::postgres) left: u32,
    pub(in crate::postgres) right: u32,
    pub(in crate::postgres) result: u32,
    pub(in crate::postgres) function: TableName,
}

/// A cast.
#[derive(Debug)]
pub(in crate::postgres) struct Cast {
    pub(in crate::postgres) implicit: bool,
    /// The function, if a user defined it.
    pub(in crate::postgres) function: Option<TableName>,
}
