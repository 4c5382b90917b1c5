//! What a request would do: verbs on objects.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The verb of an effect; the same word is the Cedar action.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Open a session on a target and database.
    Connect,
    /// Deliver rows, or values of a column.
    Select,
    /// Compare a column with a constant or parameter by `=`, `IN` or `= ANY`, or as an ON CONFLICT arbiter.
    Lookup,
    /// Compare a bare column with a bare column by equality; [`Effect::with`] names the other one.
    Join,
    /// Use a column in any other way that lets rows depend on it.
    Filter,
    /// Add rows.
    Insert,
    /// Change rows.
    Update,
    /// Remove rows.
    Delete,
    /// Empty a table.
    Truncate,
    /// Call a function, operator, cast or procedure.
    Execute,
    /// Compute something that reads no relation.
    Evaluate,
    /// Begin, end or mark a transaction; housekeeping of prepared statements and portals; the empty query.
    Transaction,
    /// Change a setting.
    Set,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, REFRESH, LOCK, CHECKPOINT, and transactions that outlive their session (PREPARE
    /// TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED).
    Maintain,
    /// Create, alter or drop something.
    Ddl,
    /// Give or take privileges, roles, ownership.
    Grant,
    /// LISTEN or UNLISTEN.
    Listen,
    /// NOTIFY.
    Notify,
    /// Write values of a classified column to a place that does not carry the class.
    Declassify,
    /// Anything that is not fully understood.
    Opaque,
}

impl Verb {
    /// The word, as policies and the journal spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Select => "select",
            Self::Lookup => "lookup",
            Self::Join => "join",
            Self::Filter => "filter",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Execute => "execute",
            Self::Evaluate => "evaluate",
            Self::Transaction => "transaction",
            Self::Set => "set",
            Self::Maintain => "maintain",
            Self::Ddl => "ddl",
            Self::Grant => "grant",
            Self::Listen => "listen",
            Self::Notify => "notify",
            Self::Declassify => "declassify",
            Self::Opaque => "opaque",
        }
    }

    /// Whether the target's data or structure may change; such requests are journaled at level `power`.
    pub const fn writes(self) -> bool {
        match self {
            Self::Connect
            | Self::Select
            | Self::Lookup
            | Self::Join
            | Self::Filter
            | Self::Evaluate
            | Self::Transaction
            | Self::Set
            | Self::Listen => false,
            Self::Insert
            | Self::Update
            | Self::Delete
            | Self::Truncate
            | Self::Execute
            | Self::Maintain
            | Self::Ddl
            | Self::Grant
            | Self::Notify
            | Self::Declassify
            | Self::Opaque => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A relation, by its canonical name in the catalog: case-folded, truncated, resolved through `search_path`.
/// A temporary relation has the schema `pg_temp`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TableName {
    /// The schema's name.
    pub schema: Arc<str>,
    /// The relation's name.
    pub name: Arc<str>,
}

impl TableName {
    /// Names a relation.
    pub fn new(schema: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.name)
    }
}

/// A column, by its relation's canonical name and its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ColumnName {
    /// The relation.
    pub table: TableName,
    /// The column's name.
    pub name: Arc<str>,
}

impl ColumnName {
    /// Names a column of `table`.
    pub fn new(table: TableName, name: impl Into<Arc<str>>) -> Self {
        Self { table, name: name.into() }
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.table, self.name)
    }
}

/// What a relation is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// An ordinary or partitioned table.
    Table,
    /// A view.
    View,
    /// A materialised view.
    Matview,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
    /// A relation of `pg_catalog`, `information_schema` or `pg_toast`.
    System,
    /// A temporary relation of this session.
    Temporary,
    /// Not in the catalog: the request is opaque.
    Unresolved,
}

impl TableKind {
    /// The word, as policies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::Matview => "matview",
            Self::Foreign => "foreign",
            Self::Sequence => "sequence",
            Self::System => "system",
            Self::Temporary => "temporary",
            Self::Unresolved => "unresolved",
        }
    }
}

/// What calling a function can do beyond computing a value. Functions are `Safe` by list; all others have another class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionClass {
    /// On the list of functions that only compute.
    Safe,
    /// Reads or writes files of the server.
    FileAccess,
    /// Opens connections.
    Network,
    /// Starts or signals processes.
    Process,
    /// Administers the server.
    Admin,
    /// Waits.
    Sleep,
    /// Reads or writes large objects.
    LargeObject,
    /// Runs text as SQL.
    DynamicSql,
    /// Changes settings.
    Config,
    /// Takes or frees advisory locks.
    AdvisoryLock,
    /// Replication.
    Replication,
    /// Reads or moves a sequence.
    Sequence,
    /// Defined by a user of the target, or in no list.
    Unknown,
}

impl FunctionClass {
    /// Every class, in the order of the Cedar schema.
    pub const ALL: [Self; 13] = [
        Self::Safe,
        Self::FileAccess,
        Self::Network,
        Self::Process,
        Self::Admin,
        Self::Sleep,
        Self::LargeObject,
        Self::DynamicSql,
        Self::Config,
        Self::AdvisoryLock,
        Self::Replication,
        Self::Sequence,
        Self::Unknown,
    ];

    /// The word, as policies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::FileAccess => "file_access",
            Self::Network => "network",
            Self::Process => "process",
            Self::Admin => "admin",
            Self::Sleep => "sleep",
            Self::LargeObject => "large_object",
            Self::DynamicSql => "dynamic_sql",
            Self::Config => "config",
            Self::AdvisoryLock => "advisory_lock",
            Self::Replication => "replication",
            Self::Sequence => "sequence",
            Self::Unknown => "unknown",
        }
    }
}

/// What changing a setting can do (RULES.md 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingClass {
    /// Presentation, limits on oneself.
    Benign,
    /// What names or text mean: `search_path`, `role`, lexing.
    Meaning,
    /// The server's behaviour for others, or privileges.
    Server,
}

impl SettingClass {
    /// The word, as policies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Meaning => "meaning",
            Self::Server => "server",
        }
    }
}

/// What an effect acts on, inside the session's target and database.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// The target as a whole.
    Target,
    /// The session's database.
    Database,
    /// A schema.
    Namespace(Arc<str>),
    /// A relation as such: its rows, not its values.
    Table(TableName, TableKind),
    /// A column.
    Column(ColumnName, TableKind),
    /// A function, procedure, operator (by the function behind it) or cast.
    Function(TableName, FunctionClass),
    /// A setting.
    Setting(Arc<str>, SettingClass),
    /// A notification channel.
    Channel(Arc<str>),
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => out.write_str("target"),
            Self::Database => out.write_str("database"),
            Self::Namespace(name) => write!(out, "schema {name}"),
            Self::Table(name, kind) => write!(out, "{} {name}", kind.as_str()),
            Self::Column(name, _) => write!(out, "column {name}"),
            Self::Function(name, class) => write!(out, "function {name} ({})", class.as_str()),
            Self::Setting(name, class) => write!(out, "setting {name} ({})", class.as_str()),
            Self::Channel(name) => write!(out, "channel {name}"),
        }
    }
}

/// One (verb, object) of a request.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Effect {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub object: Object,
    /// For [`Verb::Join`], the column on the other side; for [`Verb::Declassify`], the column written to.
    pub with: Option<ColumnName>,
}

impl Effect {
    /// An effect without a second column.
    pub const fn new(verb: Verb, object: Object) -> Self {
        Self { verb, object, with: None }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.verb, self.object)?;
        match &self.with {
            Some(column) => write!(out, " with {column}"),
            None => Ok(()),
        }
    }
}

/// What policies may ask about a statement besides its effects (`context.statement`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// What kind of statement it is, as the server's command tag would say: `SELECT`, `DELETE`, `CREATE TABLE`.
    pub kind: Arc<str>,
    /// Whether an UPDATE or DELETE has a condition that can bound it (RULES.md 15). True for all other statements.
    pub bounded: bool,
    /// Whether the statement came with others in one request.
    pub multi: bool,
    /// Why the statement is opaque, if it is: for the operator, never for the caller.
    pub opaque: Option<Arc<str>>,
}
