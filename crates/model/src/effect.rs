//! What a request would do: verbs on objects.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use api::{
    GraphqlField, GraphqlKind, GrpcCall, GrpcMethod, McpItem, McpKind, Named, Route, RouteKind, RpcCall, RpcMethod,
};
pub use kubernetes::{KubernetesCommand, KubernetesPath, KubernetesResource, KubernetesTrait};
pub use verb::Verb;

mod api;
mod kubernetes;
mod verb;

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

/// One command of a request to run something, as far as the shell's grammar tells it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Command {
    /// The program, as it was written: a path, or a name that the target looks for. Never empty.
    pub program: Arc<str>,
    /// Its arguments, without the shell's quotes. What the shell would expand stands as it was written.
    pub arguments: Vec<Arc<str>>,
    /// The whole line of the request that the command is part of, as the caller wrote it.
    pub line: Arc<str>,
    /// Whether it has a terminal.
    pub interactive: bool,
}

/// As a shell would be told it: an argument with anything unusual in it stands in quotes, so that none looks like two.
impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Word(&self.program))?;
        self.arguments.iter().try_for_each(|argument| write!(out, " {}", Word(argument)))
    }
}

struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(is_usual) {
            return out.write_str(self.0);
        }
        write!(out, "'{}'", Plain(&self.0.replace('\'', r"'\''")))
    }
}

/// What a forwarded connection leads to, or where a listener is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// A host and a port.
    Tcp {
        /// The name or address that the caller gave; of a listener, the address to bind, which may be empty.
        host: Arc<str>,
        /// The port, 0 to 65535 for one that exists; of a listener, 0 is any free one.
        port: u32,
        /// What the name was resolved to, or the address that it is.
        address: Option<IpAddr>,
    },
    /// A Unix socket, by its path.
    Socket(Arc<str>),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, address } => {
                if host.contains(':') {
                    write!(out, "[{}]:{port}", Plain(host))?;
                } else {
                    write!(out, "{}:{port}", Plain(host))?;
                }
                match address {
                    Some(address) if address.to_string() != **host => write!(out, " ({address})"),
                    Some(_) | None => Ok(()),
                }
            }
            Self::Socket(path) => write!(out, "socket {}", Plain(path)),
        }
    }
}

/// Text of a caller with every character escaped that a terminal would act on or not show.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|character| match character {
            '\\' | '\'' | '"' => out.write_char(character),
            _ => character.escape_debug().try_for_each(|escaped| out.write_char(escaped)),
        })
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
    /// The login that the session has at the target. Its name is where other protocols have the database's.
    Login,
    /// A command.
    Command(Arc<Command>),
    /// A file or directory, by its path: absolute, and without `.`, `..` and doubled `/`. One that begins with `~` is
    /// below the login's home, which only the target knows.
    File(Arc<str>),
    /// A place that connections are forwarded to or from.
    Endpoint(Endpoint),
    /// A route of an HTTP API, as one request goes to it.
    Route(Arc<Route>),
    /// A field of a GraphQL operation.
    GraphqlField(Arc<GraphqlField>),
    /// A method of a gRPC service, of whose message nothing is known.
    GrpcMethod(Arc<GrpcMethod>),
    /// A method of JSON-RPC, of whose parameters nothing is known.
    RpcMethod(Arc<RpcMethod>),
    /// A tool, resource or prompt of the Model Context Protocol.
    Mcp(Arc<McpItem>),
    /// A resource of a Kubernetes API server.
    KubernetesResource(Arc<KubernetesResource>),
    /// A path of it that is no resource.
    KubernetesPath(Arc<KubernetesPath>),
    /// A command in one of its containers.
    KubernetesCommand(Arc<KubernetesCommand>),
    /// A method of a gRPC service, with what its message holds.
    GrpcCall(Arc<GrpcCall>),
    /// A method of JSON-RPC, with its parameters.
    RpcCall(Arc<RpcCall>),
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
            Self::Login => out.write_str("login"),
            Self::Command(command) => write!(out, "command {command}"),
            Self::File(path) => write!(out, "file {}", Plain(path)),
            Self::Endpoint(endpoint) => write!(out, "endpoint {endpoint}"),
            Self::Route(route) => write!(out, "route {route}"),
            Self::GraphqlField(field) => write!(out, "field {field}"),
            Self::GrpcMethod(method) => write!(out, "method {method}"),
            Self::RpcMethod(method) => write!(out, "method {method}"),
            Self::Mcp(item) => write!(out, "{item}"),
            Self::KubernetesResource(resource) => write!(out, "{resource}"),
            Self::KubernetesPath(path) => write!(out, "path {path}"),
            Self::KubernetesCommand(command) => write!(out, "command {command}"),
            Self::GrpcCall(call) => write!(out, "method {call}"),
            Self::RpcCall(call) => write!(out, "method {call}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, arguments: &[&str]) -> Object {
        Object::Command(Arc::new(Command {
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).into()).collect(),
            line: "".into(),
            interactive: false,
        }))
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        let host = "h\u{1b}[2J".into();
        for (object, shown) in [
            (command("rm", &["-rf", "it's \"x\" \\", ""]), r#"command rm -rf 'it'\''s "x" \' ''"#),
            (command("a\u{1b}[2J", &["\u{202e}b\n"]), r"command 'a\u{1b}[2J' '\u{202e}b\n'"),
            (Object::File("/srv/ü\u{7}".into()), r"file /srv/ü\u{7}"),
            (Object::Endpoint(Endpoint::Tcp { host, port: 1, address: None }), r"endpoint h\u{1b}[2J:1"),
            (Object::Endpoint(Endpoint::Socket("/run/\r".into())), r"endpoint socket /run/\r"),
        ] {
            assert_eq!(object.to_string(), shown);
        }
    }

    #[test]
    fn an_endpoint_says_what_its_name_was_resolved_to() {
        let tcp = |host: &str, address: Option<&str>| {
            let address = address.map(|address| address.parse().unwrap());
            Endpoint::Tcp { host: host.into(), port: 5432, address }.to_string()
        };
        assert_eq!(tcp("db.internal", Some("10.0.0.5")), "db.internal:5432 (10.0.0.5)");
        assert_eq!(tcp("10.0.0.5", Some("10.0.0.5")), "10.0.0.5:5432");
        assert_eq!(tcp("::1", Some("::1")), "[::1]:5432");
    }

    #[test]
    fn the_record_and_policies_spell_a_verb_alike() {
        let of_each_protocol =
            [Verb::Opaque, Verb::Exec, Verb::ListenForward, Verb::X11, Verb::CopyFile, Verb::Get, Verb::McpPrompt];
        for verb in of_each_protocol.into_iter().chain([Verb::KubernetesGet, Verb::KubernetesDeleteCollection]) {
            assert_eq!(serde_json::to_value(verb).unwrap(), verb.as_str());
        }
    }
}
