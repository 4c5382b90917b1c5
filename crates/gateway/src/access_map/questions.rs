//! What is asked about a target: what its protocol has to offer, in the form in which a session would ask it.

use std::collections::BTreeMap;
use std::sync::Arc;

use effects::http::{Body, Call, Speaks as Spoken};
use effects::postgres::Catalog;
use model::class::{Labels, Marking};
use model::classification::Classification;
use model::effect::{
    ColumnName, Effect, Facts, FunctionClass, GraphqlField, GraphqlKind, GrpcMethod, McpItem, McpKind, Object,
    RpcMethod, SettingClass, TableKind, TableName, Verb,
};
use store::config::{Databases, Speaks, TargetConfig};

use crate::http::Interface;
use crate::revision::Active;

/// The most objects that are asked about in one place, and columns that are told of.
pub(super) const MOST_OBJECTS: usize = 2_000;

/// A name that nothing has: it stands for any object of its kind that no policy names.
const ANY: &str = "any";

/// Where in a target a session would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The database, login or host, for people.
    pub name: Arc<str>,
    /// The database, as policies have it.
    pub database: Arc<str>,
}

/// What is known of a place.
#[derive(Clone, Debug)]
pub struct Known {
    /// The place.
    pub place: Place,
    labels: Arc<Labels>,
    tables: Vec<(TableName, TableKind)>,
    /// Where from, in words.
    pub(super) from: &'static str,
    /// Whether there are more tables.
    pub(super) cut: bool,
}

/// Every place of a target.
pub fn places(config: &TargetConfig) -> Vec<Place> {
    let place = |name: &Arc<str>| Place { name: Arc::clone(name), database: Arc::clone(name) };
    match &config.speaks {
        Speaks::Postgres(postgres) => match &postgres.databases {
            Databases::Only(names) => names.iter().map(place).collect(),
            Databases::All => vec![place(&config.target.name)],
        },
        Speaks::Ssh(ssh) => ssh.logins.iter().map(place).collect(),
        Speaks::Http(_) => vec![place(&config.host)],
    }
}

impl Known {
    /// What the revision says by itself.
    pub fn declared(place: Place) -> Self {
        Self { place, labels: Arc::default(), tables: Vec::new(), from: "the revision", cut: false }
    }

    /// A database by its catalog.
    pub fn of_catalog(place: Place, catalog: &Catalog, labels: Arc<Labels>) -> Self {
        let tables = catalog.relations().map(|(relation, _)| (relation.name, relation.kind));
        let tables = tables.filter(|(_, kind)| *kind != TableKind::System).collect();
        Self { labels, ..Self::of(place, tables, "its catalog") }
    }

    /// A database by the relations that requests in the record name.
    pub fn of_record(
        place: Place,
        target: &str,
        classification: &Classification,
        tables: Vec<TableName>,
        columns: Vec<ColumnName>,
    ) -> Self {
        let mut labels = Labels::default();
        for column in columns {
            let marking = classification.marking(target, &place.database, &column);
            if matches!(marking, Marking::Classes(_)) {
                labels.classified.entry(column.table.clone()).or_default().insert(column.clone());
            }
            labels.columns.insert(column, marking);
        }
        let tables = tables.into_iter().map(|table| (table, TableKind::Table)).collect();
        let from = "the record, as its catalog cannot be read now: tables that nobody used are not there";
        Self { labels: Arc::new(labels), ..Self::of(place, tables, from) }
    }

    fn of(place: Place, mut tables: Vec<(TableName, TableKind)>, from: &'static str) -> Self {
        tables.sort();
        tables.dedup();
        let cut = tables.len() > MOST_OBJECTS;
        tables.truncate(MOST_OBJECTS);
        Self { place, labels: Arc::default(), tables, from, cut }
    }

    /// The same with so many tables at most.
    #[must_use]
    pub fn with_few(mut self, most: usize) -> Self {
        self.cut |= self.tables.len() > most;
        self.tables.truncate(most);
        self
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// One question.
pub(super) struct Asked {
    pub(super) verb: &'static str,
    pub(super) effects: Vec<Effect>,
    pub(super) facts: Facts,
    pub(super) words: String,
    /// Whether a condition could bound it, so that it is asked without one too.
    pub(super) may_be_bounded: bool,
    /// Whether it stands for every object of its kind.
    pub(super) of_many: bool,
}

impl Asked {
    fn one(kind: &str, effect: Effect, words: impl Into<String>) -> Self {
        let facts = Facts { kind: kind.into(), bounded: true, ..Facts::default() };
        let (verb, words) = (effect.verb.as_str(), words.into());
        Self { verb, effects: vec![effect], facts, words, may_be_bounded: false, of_many: false }
    }

    fn many(kind: &str, effect: Effect, words: impl Into<String>) -> Self {
        Self { of_many: true, ..Self::one(kind, effect, words) }
    }

    /// What the analyser made of a request.
    fn analysed(effects: Vec<Effect>, facts: Facts, words: impl Into<String>, of_many: bool) -> Self {
        let verb = effects.first().map_or("opaque", |effect| effect.verb.as_str());
        Self { verb, effects, facts, words: words.into(), may_be_bounded: false, of_many }
    }
}

/// Whether a session may be opened.
pub(super) fn connect(config: &TargetConfig) -> Asked {
    let (object, words) = match &config.speaks {
        Speaks::Postgres(_) => (Object::Database, "the database"),
        Speaks::Ssh(_) => (Object::Login, "the login"),
        Speaks::Http(_) => (Object::Target, "the target"),
    };
    Asked::one("CONNECT", Effect::new(Verb::Connect, object), words)
}

/// Everything else that is asked in a place.
pub(super) fn of(active: &Active, config: &TargetConfig, known: &Known) -> Vec<Asked> {
    match (&config.speaks, active.apis.get(&config.target.name).map(|api| &**api)) {
        (Speaks::Postgres(_), _) => postgres(known),
        (Speaks::Ssh(_), _) => ssh(),
        (Speaks::Http(_), Some(Interface::Kubernetes(api))) => kubernetes(api, &config.host),
        (Speaks::Http(_), Some(Interface::Http(api))) => http(api, &config.host),
        (Speaks::Http(_), None) => Vec::new(),
    }
}

fn postgres(known: &Known) -> Vec<Asked> {
    let mut asked: Vec<Asked> = known.tables.iter().flat_map(|(name, kind)| table(name, *kind)).collect();
    let database = |kind, verb, words| Asked::one(kind, Effect::new(verb, Object::Database), words);
    asked.push(database("SELECT", Verb::Evaluate, "what reads no table"));
    asked.push(database("BEGIN", Verb::Transaction, "transactions"));
    asked.push(Asked::many(
        "OPAQUE",
        Effect::new(Verb::Opaque, Object::Database),
        "statements that are not understood",
    ));
    asked.push(Asked::many("CREATE", Effect::new(Verb::Ddl, Object::Namespace(ANY.into())), "objects in any schema"));
    asked.extend(FunctionClass::ALL.into_iter().map(|class| {
        let effect = Effect::new(Verb::Execute, Object::Function(TableName::new(ANY, ANY), class));
        Asked::many("SELECT", effect, format!("functions of class {}", class.as_str()))
    }));
    let settings = [SettingClass::Benign, SettingClass::Meaning, SettingClass::Server].into_iter();
    asked.extend(settings.map(|class| {
        let effect = Effect::new(Verb::Set, Object::Setting(ANY.into(), class));
        Asked::many("SET", effect, format!("settings of class {}", class.as_str()))
    }));
    let channel = |verb| Asked::many("LISTEN", Effect::new(verb, Object::Channel(ANY.into())), "any channel");
    asked.extend([Verb::Listen, Verb::Notify].map(channel));
    asked
}

/// What may be done with a relation as such.
fn table(name: &TableName, kind: TableKind) -> Vec<Asked> {
    let verbs: &[(Verb, &str)] = match kind {
        TableKind::Sequence => &[(Verb::Select, "SELECT")],
        TableKind::Matview => &[(Verb::Select, "SELECT"), (Verb::Maintain, "REFRESH MATERIALIZED VIEW")],
        _ => &[
            (Verb::Select, "SELECT"),
            (Verb::Insert, "INSERT"),
            (Verb::Update, "UPDATE"),
            (Verb::Delete, "DELETE"),
            (Verb::Truncate, "TRUNCATE TABLE"),
            (Verb::Ddl, "ALTER TABLE"),
            (Verb::Maintain, "VACUUM"),
        ],
    };
    let ask = |(verb, statement): &(Verb, &str)| Asked {
        may_be_bounded: matches!(verb, Verb::Update | Verb::Delete),
        ..Asked::one(
            statement,
            Effect::new(*verb, Object::Table(name.clone(), kind)),
            format!("{} {name}", kind.as_str()),
        )
    };
    verbs.iter().map(ask).collect()
}

fn ssh() -> Vec<Asked> {
    use effects::ssh;
    let of = |request: ssh::Request, words: &str, many| Asked::analysed(request.effects, request.facts, words, many);
    let mut asked = vec![of(ssh::shell(true), "a shell", false), of(ssh::pty(b"xterm"), "a terminal", false)];
    asked.extend(ssh::exec(ANY.as_bytes(), false).ok().map(|request| of(request, "any command", true)));
    asked.push(of(ssh::subsystem(b"sftp"), "SFTP", false));
    asked.extend(
        [
            Verb::ReadFile,
            Verb::ListDirectory,
            Verb::StatFile,
            Verb::WriteFile,
            Verb::AppendFile,
            Verb::CreateFile,
            Verb::RemoveFile,
            Verb::RenameFile,
            Verb::MakeDirectory,
            Verb::SetAttributes,
        ]
        .map(|verb| Asked::many("sftp", Effect::new(verb, Object::File(format!("/{ANY}").into())), "any file")),
    );
    asked.push(of(ssh::direct_tcpip(ANY, 1, &[]), "any host and port", true));
    asked.push(of(ssh::tcpip_forward(ANY, 0), "any address and port", true));
    asked.push(of(ssh::agent_forward(), "the caller's agent", false));
    asked.push(of(ssh::x11(), "the caller's screen", false));
    asked
}

/// The operations of the API's description, or the methods where there is none.
fn http(api: &effects::http::Api, host: &str) -> Vec<Asked> {
    let mut asked = Vec::new();
    let call = |method: &str, path: &str| {
        let call = Call { method, host, path, query: &[], media: None, body: Body::None, coding: None, upgrade: false };
        api.analyse(&call).ok()
    };
    for (method, template, spoken) in api.operations().take(MOST_OBJECTS) {
        let words = format!("{method} {template}");
        let method = if method == "*" { "POST" } else { method };
        let path = concrete(template);
        if let Some(request) = call(method, &path).filter(|_| spoken == Spoken::Http) {
            asked.push(Asked::analysed(request.effects, request.facts, words, template.contains('{')));
        }
        asked.extend(calls(spoken, &path, template));
    }
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    asked.extend(methods.into_iter().filter_map(|method| {
        let request = call(method, &format!("/{ANY}"))?;
        Some(Asked::analysed(request.effects, request.facts, format!("{method} of any other path"), true))
    }));
    asked
}

/// What is called on a route that speaks something of its own.
fn calls(spoken: Spoken, path: &str, template: &str) -> Vec<Asked> {
    let route: Arc<str> = path.into();
    let field = |verb, kind: GraphqlKind| {
        let field = GraphqlField { route: Arc::clone(&route), kind, operation: "".into(), path: vec![ANY.into()] };
        let words = format!("any {} at {template}", kind.as_str());
        Asked::many("graphql", Effect::new(verb, Object::GraphqlField(Arc::new(field))), words)
    };
    let item = |verb, kind: McpKind| {
        let item = McpItem { route: Arc::clone(&route), kind, name: ANY.into(), arguments: Vec::new() };
        let words = format!("any {} at {template}", kind.as_str());
        Asked::many("mcp", Effect::new(verb, Object::Mcp(Arc::new(item))), words)
    };
    match spoken {
        Spoken::Http => Vec::new(),
        Spoken::Graphql => vec![
            field(Verb::GraphqlQuery, GraphqlKind::Query),
            field(Verb::GraphqlMutate, GraphqlKind::Mutation),
            field(Verb::GraphqlSubscribe, GraphqlKind::Subscription),
        ],
        Spoken::Grpc => {
            let method = GrpcMethod { route, service: ANY.into(), method: ANY.into() };
            let effect = Effect::new(Verb::GrpcCall, Object::GrpcMethod(Arc::new(method)));
            vec![Asked::many("grpc", effect, format!("any method at {template}"))]
        }
        Spoken::JsonRpc => {
            let method = RpcMethod { route, method: ANY.into() };
            let effect = Effect::new(Verb::RpcCall, Object::RpcMethod(Arc::new(method)));
            vec![Asked::many("json-rpc", effect, format!("any method at {template}"))]
        }
        Spoken::Mcp => vec![
            item(Verb::McpTool, McpKind::Tool),
            item(Verb::McpResource, McpKind::Resource),
            item(Verb::McpPrompt, McpKind::Prompt),
        ],
    }
}

/// A path of a template: what has a name in it is anything.
fn concrete(template: &str) -> String {
    let mut path = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push_str(ANY);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    path + rest
}

/// The resources that every cluster has, by the path of their group.
const RESOURCES: [(&str, &str, bool); 21] = [
    ("/api/v1", "pods", true),
    ("/api/v1", "services", true),
    ("/api/v1", "configmaps", true),
    ("/api/v1", "secrets", true),
    ("/api/v1", "serviceaccounts", true),
    ("/api/v1", "persistentvolumeclaims", true),
    ("/api/v1", "events", true),
    ("/api/v1", "namespaces", false),
    ("/api/v1", "nodes", false),
    ("/apis/apps/v1", "deployments", true),
    ("/apis/apps/v1", "statefulsets", true),
    ("/apis/apps/v1", "daemonsets", true),
    ("/apis/apps/v1", "replicasets", true),
    ("/apis/batch/v1", "jobs", true),
    ("/apis/batch/v1", "cronjobs", true),
    ("/apis/networking.k8s.io/v1", "ingresses", true),
    ("/apis/networking.k8s.io/v1", "networkpolicies", true),
    ("/apis/rbac.authorization.k8s.io/v1", "roles", true),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings", true),
    ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", false),
    ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", false),
];

fn kubernetes(api: &effects::kubernetes::Api, host: &str) -> Vec<Asked> {
    let ask = |method: &str, path: &str, words: String| {
        let watch = [("watch".into(), Some("true".into()))];
        let query = if words.starts_with("watch") { watch.as_slice() } else { &[] };
        let call = Call { method, host, path, query, media: None, body: Body::None, coding: None, upgrade: false };
        let request = api.analyse(&call);
        Asked::analysed(request.effects, request.facts, words, true)
    };
    let mut asked = Vec::new();
    for (group, resource, is_namespaced) in RESOURCES {
        let within = if is_namespaced { format!("/namespaces/{ANY}") } else { String::new() };
        let all = format!("{group}{within}/{resource}");
        let one = format!("{all}/{ANY}");
        // What a body asks for beyond its kind is asked when there is one: without any, nothing is known of it.
        for (method, path, verb) in [
            ("GET", &one, "get"),
            ("GET", &all, "list"),
            ("GET", &all, "watch"),
            ("DELETE", &one, "delete"),
            ("DELETE", &all, "deletecollection"),
        ] {
            asked.push(ask(method, path, format!("{verb} {resource}")));
        }
        asked.extend(writes(group, resource, is_namespaced));
    }
    let pod = format!("/api/v1/namespaces/{ANY}/pods/{ANY}");
    asked.push(ask("GET", &format!("{pod}/log"), "logs of pods".to_owned()));
    asked.push(ask("POST", &format!("{pod}/attach"), "attach to pods".to_owned()));
    asked.push(ask("POST", &format!("{pod}/portforward"), "ports of pods".to_owned()));
    asked.push(ask("GET", "/version", "discovery".to_owned()));
    asked
}

/// What a body would be needed for, asked with one that asks for nothing beyond its kind.
fn writes(group: &str, resource: &str, is_namespaced: bool) -> impl Iterator<Item = Asked> {
    let (group_name, version) = match group.strip_prefix("/apis/").and_then(|rest| rest.split_once('/')) {
        Some((name, version)) => (name, version),
        None => ("", "v1"),
    };
    let object = model::effect::KubernetesResource {
        group: group_name.into(),
        version: version.into(),
        resource: resource.into(),
        namespace: if is_namespaced { ANY.into() } else { "".into() },
        name: ANY.into(),
        ..model::effect::KubernetesResource::default()
    };
    let object = Object::KubernetesResource(Arc::new(object));
    let verbs =
        [(Verb::KubernetesCreate, "create"), (Verb::KubernetesUpdate, "update"), (Verb::KubernetesPatch, "patch")];
    let words: BTreeMap<&str, String> = verbs.iter().map(|(_, word)| (*word, format!("{word} {resource}"))).collect();
    verbs.into_iter().map(move |(verb, word)| {
        let words = words.get(word).cloned().unwrap_or_default();
        Asked::many("kubernetes", Effect::new(verb, object.clone()), words)
    })
}
