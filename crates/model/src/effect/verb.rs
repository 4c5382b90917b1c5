//! The verbs of effects.

use std::fmt;

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
    /// Compare a bare column with a bare column by equality; [`Effect::with`](super::Effect::with) names the other one.
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
    /// Run a command.
    #[serde(rename = "ssh:exec")]
    Exec,
    /// Start the login's interactive shell.
    #[serde(rename = "ssh:shell")]
    Shell,
    /// Have a terminal at the target.
    #[serde(rename = "ssh:pty")]
    Pty,
    /// Start the SFTP subsystem, which does nothing by itself: each of its operations is an effect of its own.
    #[serde(rename = "ssh:sftp")]
    Sftp,
    /// Have the target open a connection onward.
    #[serde(rename = "ssh:forward")]
    Forward,
    /// Have the target listen, and send back what connects there.
    #[serde(rename = "ssh:listen")]
    ListenForward,
    /// Let the target use the caller's authentication agent.
    #[serde(rename = "ssh:agent")]
    AgentForward,
    /// Let programs at the target draw on the caller's screen.
    #[serde(rename = "ssh:x11")]
    X11,
    /// Read what is in a file.
    #[serde(rename = "file:read")]
    ReadFile,
    /// Read the names in a directory.
    #[serde(rename = "file:list")]
    ListDirectory,
    /// Read what is known of a file beside its content: size, owner, times, where a link leads.
    #[serde(rename = "file:stat")]
    StatFile,
    /// Overwrite a file, or parts of it.
    #[serde(rename = "file:write")]
    WriteFile,
    /// Add to the end of a file.
    #[serde(rename = "file:append")]
    AppendFile,
    /// Make a file where there may be none.
    #[serde(rename = "file:create")]
    CreateFile,
    /// Remove a file or a directory.
    #[serde(rename = "file:remove")]
    RemoveFile,
    /// Give a file another name, or have that name given to one.
    #[serde(rename = "file:rename")]
    RenameFile,
    /// Make a directory.
    #[serde(rename = "file:mkdir")]
    MakeDirectory,
    /// Make a symbolic link, or be what it leads to.
    #[serde(rename = "file:symlink")]
    Symlink,
    /// Make a second name for a file, or be the file that gets one.
    #[serde(rename = "file:link")]
    HardLink,
    /// Change permissions, owner, size or times of a file.
    #[serde(rename = "file:setattr")]
    SetAttributes,
    /// Have the target copy from one file to another.
    #[serde(rename = "file:copy")]
    CopyFile,
    /// GET of a route.
    #[serde(rename = "http:get")]
    Get,
    /// HEAD of a route.
    #[serde(rename = "http:head")]
    Head,
    /// OPTIONS of a route, or of the server.
    #[serde(rename = "http:options")]
    Options,
    /// POST to a route.
    #[serde(rename = "http:post")]
    Post,
    /// PUT to a route.
    #[serde(rename = "http:put")]
    Put,
    /// PATCH of a route.
    #[serde(rename = "http:patch")]
    Patch,
    /// DELETE of a route.
    #[serde(rename = "http:delete")]
    DeleteRoute,
    /// TRACE of a route: the target sends back what it got, credential and all.
    #[serde(rename = "http:trace")]
    Trace,
    /// CONNECT: have the target open a connection onward.
    #[serde(rename = "http:connect")]
    Tunnel,
    /// A method that HTTP itself does not define, such as PROPFIND; which one is in the route.
    #[serde(rename = "http:other")]
    OtherMethod,
    /// Go over to WebSocket, in which no message is decided on its own.
    #[serde(rename = "http:upgrade")]
    Upgrade,
    /// Have a field of GraphQL read.
    #[serde(rename = "graphql:query")]
    GraphqlQuery,
    /// Have a field of GraphQL change something.
    #[serde(rename = "graphql:mutate")]
    GraphqlMutate,
    /// Be told by GraphQL of what a field becomes.
    #[serde(rename = "graphql:subscribe")]
    GraphqlSubscribe,
    /// Read the schema of GraphQL.
    #[serde(rename = "graphql:introspect")]
    GraphqlIntrospect,
    /// Call a method by gRPC.
    #[serde(rename = "grpc:call")]
    GrpcCall,
    /// Call a method by JSON-RPC.
    #[serde(rename = "rpc:call")]
    RpcCall,
    /// Call a tool by the Model Context Protocol.
    #[serde(rename = "mcp:tool")]
    McpTool,
    /// Read a resource of it, or be told of its changes.
    #[serde(rename = "mcp:resource")]
    McpResource,
    /// Get a prompt of it.
    #[serde(rename = "mcp:prompt")]
    McpPrompt,
    /// Read one object of a Kubernetes API server.
    #[serde(rename = "kubernetes:get")]
    KubernetesGet,
    /// Read the objects of a kind.
    #[serde(rename = "kubernetes:list")]
    KubernetesList,
    /// Be told of what objects become.
    #[serde(rename = "kubernetes:watch")]
    KubernetesWatch,
    /// Read what a container wrote.
    #[serde(rename = "kubernetes:log")]
    KubernetesLog,
    /// Read which kinds and versions an API server has, and whether it is well.
    #[serde(rename = "kubernetes:discover")]
    KubernetesDiscover,
    /// Make an object.
    #[serde(rename = "kubernetes:create")]
    KubernetesCreate,
    /// Put an object in place of one.
    #[serde(rename = "kubernetes:update")]
    KubernetesUpdate,
    /// Change parts of an object.
    #[serde(rename = "kubernetes:patch")]
    KubernetesPatch,
    /// Remove an object.
    #[serde(rename = "kubernetes:delete")]
    KubernetesDelete,
    /// Remove all objects of a kind, or those that a selector finds.
    #[serde(rename = "kubernetes:deletecollection")]
    KubernetesDeleteCollection,
    /// Have a pod end where its disruption budget lets it.
    #[serde(rename = "kubernetes:evict")]
    KubernetesEvict,
    /// Run a command in a container.
    #[serde(rename = "kubernetes:exec")]
    KubernetesExec,
    /// Have the input and output of what runs in a container.
    #[serde(rename = "kubernetes:attach")]
    KubernetesAttach,
    /// Connect to ports of a pod.
    #[serde(rename = "kubernetes:portforward")]
    KubernetesPortForward,
    /// Have the API server ask a pod, a service or a node, with its own rights there.
    #[serde(rename = "kubernetes:proxy")]
    KubernetesProxy,
    /// Add a container to a pod that runs.
    #[serde(rename = "kubernetes:debug")]
    KubernetesDebug,
    /// Say on which node a pod runs.
    #[serde(rename = "kubernetes:schedule")]
    KubernetesSchedule,
    /// Get a token of a service account.
    #[serde(rename = "kubernetes:token")]
    KubernetesToken,
    /// Agree to a certificate, or sign it.
    #[serde(rename = "kubernetes:approve")]
    KubernetesApprove,
    /// Give somebody the rights of a role.
    #[serde(rename = "kubernetes:bind")]
    KubernetesBind,
    /// Say which rights a role gives.
    #[serde(rename = "kubernetes:escalate")]
    KubernetesEscalate,
    /// Act as somebody else.
    #[serde(rename = "kubernetes:impersonate")]
    KubernetesImpersonate,
    /// Ask for a path of an API server that is no resource, or use a method that no verb stands for.
    #[serde(rename = "kubernetes:other")]
    KubernetesOther,
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
            Self::Exec => "ssh:exec",
            Self::Shell => "ssh:shell",
            Self::Pty => "ssh:pty",
            Self::Sftp => "ssh:sftp",
            Self::Forward => "ssh:forward",
            Self::ListenForward => "ssh:listen",
            Self::AgentForward => "ssh:agent",
            Self::X11 => "ssh:x11",
            Self::ReadFile => "file:read",
            Self::ListDirectory => "file:list",
            Self::StatFile => "file:stat",
            Self::WriteFile => "file:write",
            Self::AppendFile => "file:append",
            Self::CreateFile => "file:create",
            Self::RemoveFile => "file:remove",
            Self::RenameFile => "file:rename",
            Self::MakeDirectory => "file:mkdir",
            Self::Symlink => "file:symlink",
            Self::HardLink => "file:link",
            Self::SetAttributes => "file:setattr",
            Self::CopyFile => "file:copy",
            Self::Get => "http:get",
            Self::Head => "http:head",
            Self::Options => "http:options",
            Self::Post => "http:post",
            Self::Put => "http:put",
            Self::Patch => "http:patch",
            Self::DeleteRoute => "http:delete",
            Self::Trace => "http:trace",
            Self::Tunnel => "http:connect",
            Self::OtherMethod => "http:other",
            Self::Upgrade => "http:upgrade",
            Self::GraphqlQuery => "graphql:query",
            Self::GraphqlMutate => "graphql:mutate",
            Self::GraphqlSubscribe => "graphql:subscribe",
            Self::GraphqlIntrospect => "graphql:introspect",
            Self::GrpcCall => "grpc:call",
            Self::RpcCall => "rpc:call",
            Self::McpTool => "mcp:tool",
            Self::McpResource => "mcp:resource",
            Self::McpPrompt => "mcp:prompt",
            Self::KubernetesGet => "kubernetes:get",
            Self::KubernetesList => "kubernetes:list",
            Self::KubernetesWatch => "kubernetes:watch",
            Self::KubernetesLog => "kubernetes:log",
            Self::KubernetesDiscover => "kubernetes:discover",
            Self::KubernetesCreate => "kubernetes:create",
            Self::KubernetesUpdate => "kubernetes:update",
            Self::KubernetesPatch => "kubernetes:patch",
            Self::KubernetesDelete => "kubernetes:delete",
            Self::KubernetesDeleteCollection => "kubernetes:deletecollection",
            Self::KubernetesEvict => "kubernetes:evict",
            Self::KubernetesExec => "kubernetes:exec",
            Self::KubernetesAttach => "kubernetes:attach",
            Self::KubernetesPortForward => "kubernetes:portforward",
            Self::KubernetesProxy => "kubernetes:proxy",
            Self::KubernetesDebug => "kubernetes:debug",
            Self::KubernetesSchedule => "kubernetes:schedule",
            Self::KubernetesToken => "kubernetes:token",
            Self::KubernetesApprove => "kubernetes:approve",
            Self::KubernetesBind => "kubernetes:bind",
            Self::KubernetesEscalate => "kubernetes:escalate",
            Self::KubernetesImpersonate => "kubernetes:impersonate",
            Self::KubernetesOther => "kubernetes:other",
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
            | Self::Listen
            | Self::Pty
            | Self::Sftp
            | Self::ReadFile
            | Self::ListDirectory
            | Self::StatFile
            | Self::Get
            | Self::Head
            | Self::Options
            | Self::Trace
            | Self::GraphqlQuery
            | Self::GraphqlSubscribe
            | Self::GraphqlIntrospect
            | Self::McpResource
            | Self::McpPrompt
            | Self::KubernetesGet
            | Self::KubernetesList
            | Self::KubernetesWatch
            | Self::KubernetesLog
            | Self::KubernetesDiscover => false,
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
            | Self::Opaque
            | Self::Exec
            | Self::Shell
            | Self::Forward
            | Self::ListenForward
            | Self::AgentForward
            | Self::X11
            | Self::WriteFile
            | Self::AppendFile
            | Self::CreateFile
            | Self::RemoveFile
            | Self::RenameFile
            | Self::MakeDirectory
            | Self::Symlink
            | Self::HardLink
            | Self::SetAttributes
            | Self::CopyFile
            | Self::Post
            | Self::Put
            | Self::Patch
            | Self::DeleteRoute
            | Self::Tunnel
            | Self::OtherMethod
            | Self::Upgrade
            | Self::GraphqlMutate
            | Self::GrpcCall
            | Self::RpcCall
            | Self::McpTool
            | Self::KubernetesCreate
            | Self::KubernetesUpdate
            | Self::KubernetesPatch
            | Self::KubernetesDelete
            | Self::KubernetesDeleteCollection
            | Self::KubernetesEvict
            | Self::KubernetesExec
            | Self::KubernetesAttach
            | Self::KubernetesPortForward
            | Self::KubernetesProxy
            | Self::KubernetesDebug
            | Self::KubernetesSchedule
            | Self::KubernetesToken
            | Self::KubernetesApprove
            | Self::KubernetesBind
            | Self::KubernetesEscalate
            | Self::KubernetesImpersonate
            | Self::KubernetesOther => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
