//! Who may do what under the baseline and the policies of `tests/policies`, as a table to be reviewed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p policy` writes the table anew.

use std::fmt::Write;

use model::class::DataClass;
use model::decision::{Outcome, Reveal};
use model::effect::{
    Command, Effect, Facts, FunctionClass, GraphqlField, GraphqlKind, GrpcMethod, KubernetesCommand, KubernetesPath,
    KubernetesResource, McpItem, McpKind, Object, Route, RouteKind, RpcMethod, SettingClass, TableKind, Verb,
};
use model::subject::{Subject, SubjectKind};
use policy::{AdminVerb, PolicySet, RevealQuestion, SubjectPolicies, may, reveal};

use crate::common::*;

fn subjects() -> Vec<(&'static str, Subject)> {
    let user = |id, groups| subject(SubjectKind::User, id, groups);
    vec![
        ("stranger", service("stranger", &[])),
        ("order-service", service("order-service", &["payments-apps"])),
        ("writer", service("writer", &["payments-apps", "writers"])),
        ("writer+pci", service("writer-pci", &["payments-apps", "writers", "pci-cleared"])),
        ("writer+hr+support", service("writer-hr", &["payments-apps", "writers", "hr", "support"])),
        ("reporting", service("reporting", &["payments-apps", "reporting"])),
        ("migrations", service("migrations", &["payments-apps", "migrations"])),
        ("release-pipeline", service("release", &["payments-apps", "migrations", "release-pipeline"])),
        ("break-glass", user("ann", &["payments-apps", "writers", "break-glass"])),
        ("dba", user("dora", &["dba"])),
        ("admin", user("root", &["sluice-admins"])),
        ("auditor", user("audrey", &["auditors"])),
    ]
}

pub(crate) fn effects() -> Vec<Effect> {
    use Verb::*;
    let function = |name: &str, class| Effect::new(Execute, Object::Function(table(name), class));
    let setting = |name: &str, class| Effect::new(Set, Object::Setting(name.into(), class));
    let join = |left, right| Effect { with: Some(column(right)), ..on_column(Join, left) };
    let declassify = |from, to: Option<&str>| Effect { with: to.map(column), ..on_column(Declassify, from) };
    vec![
        Effect::new(Connect, Object::Database),
        Effect::new(Evaluate, Object::Database),
        Effect::new(Transaction, Object::Database),
        Effect::new(Opaque, Object::Database),
        on_table(Select, "orders"),
        on_table(Select, "orders_2026"),
        on_table(Select, "payments"),
        on_column(Select, "orders.id"),
        on_column(Select, "orders.note"),
        on_column(Lookup, "orders.id"),
        on_column(Filter, "orders.total"),
        on_column(Select, "cards.number"),
        on_column(Lookup, "cards.number"),
        on_column(Filter, "cards.number"),
        join("cards.number", "refunds.card"),
        join("cards.number", "customers.email"),
        join("cards.id", "orders.id"),
        on_column(Select, "customers.ssn"),
        on_column(Lookup, "customers.ssn"),
        on_column(Lookup, "customers.email"),
        on_column(Filter, "customers.email"),
        on_column(Filter, "customers.phone"),
        on_table(Insert, "orders"),
        on_column(Update, "orders.total"),
        on_column(Update, "cards.number"),
        on_column(Update, "cards.pin"),
        on_column(Update, "customers.phone"),
        on_table(Delete, "orders"),
        on_table(Truncate, "orders"),
        declassify("cards.number", Some("orders.note")),
        declassify("cards.number", Some("refunds.card")),
        declassify("orders.id", None),
        Effect::new(Declassify, Object::Table(table("customers"), TableKind::Table)),
        on_table(Ddl, "orders"),
        on_table(Grant, "orders"),
        on_table(Maintain, "orders"),
        Effect::new(Ddl, Object::Namespace("public".into())),
        on_table(Insert, "pg_temp.scratch"),
        Effect::new(Ddl, Object::Namespace("pg_temp".into())),
        function("pg_catalog.lower", FunctionClass::Safe),
        function("pg_catalog.pg_read_file", FunctionClass::FileAccess),
        function("pg_catalog.pg_sleep", FunctionClass::Sleep),
        function("pg_catalog.nextval", FunctionClass::Sequence),
        function("public.refund", FunctionClass::Unknown),
        setting("application_name", SettingClass::Benign),
        setting("search_path", SettingClass::Meaning),
        setting("log_statement", SettingClass::Server),
        function("pg_catalog.setval", FunctionClass::Sequence),
        function("pg_catalog.pg_advisory_lock", FunctionClass::AdvisoryLock),
        function("pg_catalog.pg_advisory_unlock_all", FunctionClass::AdvisoryLock),
        Effect::new(Listen, Object::Channel("*".into())),
        Effect::new(Listen, Object::Channel("jobs".into())),
        Effect::new(Notify, Object::Channel("jobs".into())),
        on_table(Select, "pg_catalog.pg_class"),
        on_column(Select, "pg_catalog.pg_type.typname"),
        on_column(Filter, "pg_catalog.pg_attribute.attnum"),
        on_column(Select, "information_schema.columns.column_name"),
        on_column(Select, "information_schema.user_mapping_options.option_value"),
        on_column(Select, "pg_catalog.pg_stats.most_common_vals"),
        on_column(Select, "pg_catalog.pg_statistic.stavalues1"),
        on_column(Select, "pg_catalog.pg_authid.rolpassword"),
        on_column(Select, "pg_catalog.pg_shadow.passwd"),
        on_column(Select, "pg_catalog.pg_user_mapping.umoptions"),
        on_column(Select, "pg_catalog.pg_user_mappings.umoptions"),
        on_column(Select, "pg_catalog.pg_subscription.subconninfo"),
        on_column(Select, "pg_catalog.pg_largeobject.data"),
        on_column(Select, "pg_catalog.pg_stat_activity.query"),
    ]
    .into_iter()
    .chain(host_effects())
    .chain(api_effects())
    .chain(kubernetes_effects())
    .collect()
}

/// What can be done to an HTTP API: every verb of it.
pub(crate) fn api_effects() -> Vec<Effect> {
    use Verb::*;
    let methods = [
        (Get, "GET"),
        (Head, "HEAD"),
        (Options, "OPTIONS"),
        (Post, "POST"),
        (Put, "PUT"),
        (Patch, "PATCH"),
        (DeleteRoute, "DELETE"),
        (Trace, "TRACE"),
        (Tunnel, "CONNECT"),
        (OtherMethod, "PROPFIND"),
        (Upgrade, "GET"),
    ];
    let on_route = methods.map(|(verb, method)| Effect::new(verb, route(method)));
    let kinds = [
        (GraphqlQuery, GraphqlKind::Query),
        (GraphqlMutate, GraphqlKind::Mutation),
        (GraphqlSubscribe, GraphqlKind::Subscription),
        (GraphqlIntrospect, GraphqlKind::Query),
    ];
    let on_field = kinds.map(|(verb, kind)| Effect::new(verb, graphql_field(verb, kind)));
    let items = [(McpTool, McpKind::Tool), (McpResource, McpKind::Resource), (McpPrompt, McpKind::Prompt)];
    let on_item = items.map(|(verb, kind)| Effect::new(verb, mcp_item(kind)));
    let grpc = GrpcMethod { route: "/a.B/C".into(), service: "a.B".into(), method: "C".into() };
    let rpc = RpcMethod { route: "/rpc".into(), method: "refund".into() };
    let calls =
        [Effect::new(GrpcCall, Object::GrpcMethod(grpc.into())), Effect::new(RpcCall, Object::RpcMethod(rpc.into()))];
    on_route.into_iter().chain(on_field).chain(calls).chain(on_item).collect()
}

fn route(method: &str) -> Object {
    Object::Route(
        Route {
            kind: RouteKind::Documented,
            method: method.into(),
            host: "api.example".into(),
            path: "/v1/orders/7".into(),
            template: "/v1/orders/{id}".into(),
            operation: "order".into(),
            parameters: vec![("id".into(), "7".into())],
            query: vec![("expand".into(), "items".into())],
        }
        .into(),
    )
}

fn graphql_field(verb: Verb, kind: GraphqlKind) -> Object {
    let name = if verb == Verb::GraphqlIntrospect { "__schema" } else { "orders" };
    Object::GraphqlField(
        GraphqlField { route: "/graphql".into(), kind, operation: "".into(), path: vec![name.into()] }.into(),
    )
}

fn mcp_item(kind: McpKind) -> Object {
    let arguments = vec![("path".into(), "/srv".into())];
    Object::Mcp(McpItem { route: "/mcp".into(), kind, name: "files".into(), arguments }.into())
}

/// What can be done to a Kubernetes API server: every verb of it.
pub(crate) fn kubernetes_effects() -> Vec<Effect> {
    use Verb::*;
    let on_resource = [
        (KubernetesGet, "pods", ""),
        (KubernetesList, "pods", ""),
        (KubernetesWatch, "pods", ""),
        (KubernetesLog, "pods", "log"),
        (KubernetesCreate, "pods", ""),
        (KubernetesUpdate, "pods", ""),
        (KubernetesPatch, "pods", ""),
        (KubernetesDelete, "pods", ""),
        (KubernetesDeleteCollection, "pods", ""),
        (KubernetesEvict, "pods", "eviction"),
        (KubernetesExec, "pods", "exec"),
        (KubernetesAttach, "pods", "attach"),
        (KubernetesPortForward, "pods", "portforward"),
        (KubernetesProxy, "nodes", "proxy"),
        (KubernetesDebug, "pods", "ephemeralcontainers"),
        (KubernetesSchedule, "pods", "binding"),
        (KubernetesToken, "serviceaccounts", "token"),
        (KubernetesApprove, "certificatesigningrequests", "approval"),
        (KubernetesBind, "rolebindings", ""),
        (KubernetesEscalate, "roles", ""),
        (KubernetesImpersonate, "users", ""),
        (KubernetesOther, "pods", ""),
    ];
    let on_resource = on_resource.map(|(verb, resource, subresource)| {
        let resource = KubernetesResource {
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: "dev".into(),
            name: "web".into(),
            ..KubernetesResource::default()
        };
        Effect::new(verb, Object::KubernetesResource(resource.into()))
    });
    let path = |path: &str| Object::KubernetesPath(KubernetesPath { method: "GET".into(), path: path.into() }.into());
    let command = Command { program: "ls".into(), arguments: vec![], line: "ls".into(), interactive: false };
    let command = KubernetesCommand { at: KubernetesResource::default(), command };
    let others = [
        Effect::new(KubernetesDiscover, path("/apis")),
        Effect::new(KubernetesOther, path("/metrics")),
        Effect::new(KubernetesExec, Object::KubernetesCommand(command.into())),
    ];
    on_resource.into_iter().chain(others).collect()
}

/// What can be done at a host: every verb of SSH, and the others on the objects of SSH.
pub(crate) fn host_effects() -> Vec<Effect> {
    use Verb::*;
    let on_login = [Connect, Opaque, Shell, Pty, Sftp, AgentForward, X11].map(|verb| Effect::new(verb, Object::Login));
    let on_endpoint = [Forward, ListenForward].map(|verb| Effect::new(verb, tcp("db.internal", 5432, "10.0.0.5")));
    let on_file = FILE_VERBS.map(|verb| Effect::new(verb, file("/srv/data/a")));
    let commands = [command("rsync", &["--server", "-e.", ".", "/srv/backup"]), command("rm", &["-rf", "/"])];
    let commands = commands.map(|command| Effect::new(Exec, command));
    on_login.into_iter().chain(commands).chain(on_endpoint).chain(on_file).collect()
}

fn row(out: &mut String, what: &str, cells: impl Iterator<Item = String>) {
    writeln!(out, "{what}").unwrap();
    // Subjects with the same answer share a line.
    let mut answers: Vec<(String, Vec<&str>)> = vec![];
    for ((name, _), cell) in subjects().iter().zip(cells) {
        match answers.iter_mut().find(|(answer, _)| *answer == cell) {
            Some((_, names)) => names.push(name),
            None => answers.push((cell, vec![name])),
        }
    }
    for (answer, names) in answers {
        writeln!(out, "    {answer:<50} {}", names.join(" ")).unwrap();
    }
}

fn outcome(policies: &SubjectPolicies, env: &str, effect: &Effect, facts: &Facts) -> String {
    let target = target("payments", env);
    let verdict = judged_with(policies, &target, std::slice::from_ref(effect), facts, &context());
    let word = match verdict.outcome() {
        Outcome::Allow if verdict.waived().is_empty() => "allow",
        Outcome::Allow => "allow, waived",
        Outcome::Ask => "ask",
        Outcome::Deny => "deny",
    };
    let ids = if verdict.outcome() == Outcome::Allow { &[] } else { verdict.policies() };
    let ids: Vec<_> = ids.iter().map(|id| &**id).collect();
    format!("{word} {}", ids.join(" ")).trim_end().to_owned()
}

fn seen(policies: &SubjectPolicies, question: RevealQuestion<'_>) -> String {
    match reveal(policies, &target("payments", "prod"), "shop", question, &labels(), &context()) {
        Reveal::Clear => "clear".to_owned(),
        Reveal::Masked(None) => "masked".to_owned(),
        Reveal::Masked(Some(transform)) => format!("masked by {transform:?}"),
    }
}

fn matrix(policies: &PolicySet) -> String {
    let all: Vec<SubjectPolicies> = subjects().iter().map(|(_, subject)| policies.for_subject(subject)).collect();
    let mut out = String::from("# What each subject may do. Written by tests/policy/golden.rs; review every change.\n");
    for env in ["prod", "dev"] {
        writeln!(out, "\n## env={env}\n").unwrap();
        for effect in effects() {
            row(&mut out, &effect.to_string(), all.iter().map(|subject| outcome(subject, env, &effect, &bounded())));
        }
        let unbounded = Facts { bounded: false, ..bounded() };
        for effect in [on_table(Verb::Delete, "orders"), on_table(Verb::Update, "orders")] {
            let what = format!("{effect}, unbounded");
            row(&mut out, &what, all.iter().map(|subject| outcome(subject, env, &effect, &unbounded)));
        }
    }
    writeln!(out, "\n## reveal\n").unwrap();
    for (path, class) in [
        ("cards.number", "card_number"),
        ("customers.ssn", "us_ssn"),
        ("customers.email", "email"),
        ("customers.phone", "phone"),
        ("cards.pin", "secret"),
        ("customers.contact", "email"),
        ("orders.note", "unclassified"),
    ] {
        let (column, class) = (column(path), DataClass::new(class));
        let of_column = RevealQuestion::Column(&column, &class);
        row(&mut out, &format!("column {path}"), all.iter().map(|subject| seen(subject, of_column)));
        let of_class = RevealQuestion::Class(&class);
        row(&mut out, &format!("class {class}"), all.iter().map(|subject| seen(subject, of_class)));
    }
    writeln!(out, "\n## control\n").unwrap();
    for verb in AdminVerb::ALL {
        let answer = |subject| may(subject, verb, &context()).map_or_else(|_| "deny", |()| "allow").to_owned();
        row(&mut out, verb.as_str(), all.iter().map(answer));
    }
    out
}

#[test]
fn the_matrix_is_as_reviewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/matrix.txt");
    let found = matrix(&realistic());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {path}", line + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{path}");
}

/// Every pair of a verb and an object that the analyser can name fits the schema: it is refused by policy, not broken.
#[test]
fn every_effect_of_the_matrix_fits_the_schema() {
    let allow_all = load(&[r#"@id("all") permit(principal, action, resource);"#]).unwrap();
    let policies = allow_all.for_subject(&service("app", &[]));
    let functions = FunctionClass::ALL.map(|class| Effect::new(Verb::Execute, Object::Function(table("f"), class)));
    let tables = [
        TableKind::Table,
        TableKind::View,
        TableKind::Matview,
        TableKind::Foreign,
        TableKind::Sequence,
        TableKind::System,
        TableKind::Temporary,
        TableKind::Unresolved,
    ]
    .map(|kind| Effect::new(Verb::Ddl, Object::Table(table("t"), kind)));
    for effect in effects().into_iter().chain(functions).chain(tables) {
        let verdict = judged(&policies, &target("payments", "dev"), &[on_table(Verb::Select, "x"), effect.clone()]);
        assert_eq!(verdict.outcome(), Outcome::Allow, "{effect}: {:?}", verdict.denial());
    }
}
