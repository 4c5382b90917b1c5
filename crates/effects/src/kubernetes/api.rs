//! A request to an API server, understood.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::class::DataClass;
use model::effect::{
    Effect, KubernetesPath, KubernetesResource, KubernetesTrait, Named, Object, Route, RouteKind, Verb,
};
use model::http::FieldRule;

use super::info::RequestInfo;
use super::{body, exec, fields, traits, verbs};
use crate::http::{Answer, Call, Pair, Request, query};
use crate::json::Json;

/// The longest body that is looked into, in bytes: about what an API server takes.
pub const MOST_OF_A_BODY: usize = 3 * 1024 * 1024;

/// The interface of an API server, which every one of them has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Api;

/// The kind of a request, for policies and the record.
const KIND: &str = "kubernetes";

/// The parts of a resource at which a connection is handed on.
const STREAMS: [Verb; 4] =
    [Verb::KubernetesExec, Verb::KubernetesAttach, Verb::KubernetesPortForward, Verb::KubernetesProxy];

impl Api {
    /// Whether a request has to be read to its end, up to [`MOST_OF_A_BODY`], before it is known what it does: what makes or
    /// changes something, and a deletion, which says in its body whether it is a dry run.
    pub fn looks_into(&self, method: &str, path: &str) -> bool {
        let is_stream = |info: &RequestInfo| verbs::verbs(info).iter().any(|verb| STREAMS.contains(verb));
        let Some(info) = RequestInfo::of(method, path, &[]) else { return false };
        info.is_resource && !matches!(method, "GET" | "HEAD") && !is_stream(&info)
    }

    /// What stands in the body of a request that is secret by what the resource is.
    pub fn sent(&self, method: &str, path: &str) -> Arc<[FieldRule]> {
        let info = RequestInfo::of(method, path, &[]).filter(|info| info.is_resource);
        info.map(|info| fields::of_request(&info)).unwrap_or_default()
    }

    /// Every class that values of an API server are of by what they stand in: each has to be one of the revision's.
    pub fn classes() -> impl Iterator<Item = DataClass> {
        fields::classes()
    }

    /// What the request does.
    pub fn analyse(&self, call: &Call<'_>) -> Request {
        match RequestInfo::of(call.method, call.path, call.query) {
            Some(info) if info.is_resource => resource(call, &info),
            Some(_) => path(call),
            None => {
                let mut request = path(&Call { upgrade: true, ..*call });
                request.effects.push(unknown());
                request.facts.opaque = Some("the path has a verb and no resource".into());
                request
            }
        }
    }
}

/// What a request does besides that asks to be made as somebody else.
pub fn impersonation() -> Effect {
    let users = KubernetesResource { resource: "users".into(), ..KubernetesResource::default() };
    Effect::new(Verb::KubernetesImpersonate, Object::KubernetesResource(Arc::new(users)))
}

fn unknown() -> Effect {
    Effect::new(Verb::Opaque, Object::Target)
}

/// A path that is no resource.
fn path(call: &Call<'_>) -> Request {
    let verb = match verbs::is_discovery(call.method, call.path) && !call.upgrade {
        true => Verb::KubernetesDiscover,
        false => Verb::KubernetesOther,
    };
    let object = KubernetesPath { method: call.method.into(), path: call.path.into() };
    let effect = Effect::new(verb, Object::KubernetesPath(Arc::new(object)));
    let line = Arc::new(match verb {
        Verb::KubernetesDiscover => line(call, call.path.into(), &[], query(call, false)),
        _ => Route { kind: RouteKind::Undocumented, ..line(call, Arc::default(), &[], query(call, false)) },
    });
    let place = if line.template.is_empty() { &line.path } else { &line.template };
    Request::of(KIND, &line, vec![effect], Answer::new(&line.method, place, [].into()))
}

fn resource(call: &Call<'_>, info: &RequestInfo) -> Request {
    let verbs = verbs::verbs(info);
    let running = verbs.contains(&Verb::KubernetesExec);
    let object = named(call, info, &verbs);
    let run = if running { exec::running(&object, call.query) } else { None };
    let mut effects: Vec<Effect> = Vec::new();
    let object = Arc::new(object);
    for verb in verbs.iter().copied() {
        effects.push(Effect::new(verb, Object::KubernetesResource(Arc::clone(&object))));
    }
    let mut opaque = None;
    if may_show_elsewhere(info, &object) {
        effects.push(unknown());
        opaque = Some("a patch that may put what is secret where it is shown".into());
    }
    let mut query = query(call, false);
    if let Some(run) = run {
        effects.extend(run.effects);
        opaque = run.opaque;
        query.retain(|(name, _)| **name != *"command");
        query.push(("command".into(), run.shown.into()));
    }
    if call.upgrade && !verbs.iter().any(|verb| STREAMS.contains(verb)) {
        effects.push(unknown());
        opaque = Some("a connection of its own for what has none".into());
    }
    let (template, parameters) = template(info);
    let line = Arc::new(line(call, template, &parameters, query));
    let answer = Answer::new(&line.method, &line.template, fields::of_answer(info));
    let mut request = Request::of(KIND, &line, effects, answer);
    request.facts.opaque = opaque;
    request.facts.bounded = !verbs.contains(&Verb::KubernetesDeleteCollection) || has_selector(call.query);
    request
}

/// Whether a patch may take a secret from where it stands to where nobody hides it in the answer.
fn may_show_elsewhere(info: &RequestInfo, object: &KubernetesResource) -> bool {
    let is_of_secrets = info.group.is_empty() && info.resource == "secrets";
    is_of_secrets && info.verb == "patch" && object.traits.contains(&KubernetesTrait::Unknown)
}

/// Whether a selector can bound what is removed.
fn has_selector(query: &[Pair]) -> bool {
    query.iter().any(|(name, value)| {
        matches!(&**name, "labelSelector" | "fieldSelector") && value.as_deref().is_some_and(|value| !value.is_empty())
    })
}

/// The resource with what the query and the body say of it.
fn named(call: &Call<'_>, info: &RequestInfo, verbs: &[Verb]) -> KubernetesResource {
    let parameter = |wanted: &str| {
        let found = call.query.iter().find(|(name, _)| **name == *wanted);
        found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
    };
    let is_proxy = verbs.contains(&Verb::KubernetesProxy);
    let (name, port) = if is_proxy { name_and_port(&info.name) } else { (info.name.as_str(), String::new()) };
    let behind = if info.verb == "proxy" { 2 } else { 3 };
    let rest = info.parts.get(behind..).filter(|rest| !rest.is_empty());
    let read = match Api.looks_into(call.method, call.path) {
        true => body::read(call.method, call.media, call.body),
        false => body::Read::Nothing,
    };
    KubernetesResource {
        group: info.group.as_str().into(),
        version: info.version.as_str().into(),
        resource: info.resource.as_str().into(),
        subresource: info.subresource.as_str().into(),
        namespace: info.namespace.as_str().into(),
        name: name.into(),
        container: parameter("container").into(),
        port: port.into(),
        rest: rest.map(|rest| format!("/{}", rest.join("/"))).unwrap_or_default().into(),
        dry_run: is_dry_run(call, info, verbs, &read),
        traits: traits_of(info, &read),
    }
}

/// `name`, `name:port` or `scheme:name:port` (k8s.io/apimachinery, pkg/util/net: SplitSchemeNamePort).
fn name_and_port(name: &str) -> (&str, String) {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [name, port] => (name, (*port).to_owned()),
        [scheme, name, port] if matches!(*scheme, "" | "http" | "https") => match *scheme {
            "" => (name, (*port).to_owned()),
            scheme => (name, format!("{scheme}:{port}")),
        },
        _ => (name, String::new()),
    }
}

/// Whether nothing is kept. Of a deletion the body counts, where it has one. What changes nothing, and what does what it does
/// whatever is asked, is no dry run.
fn is_dry_run(call: &Call<'_>, info: &RequestInfo, verbs: &[Verb], read: &body::Read) -> bool {
    let is_change = matches!(info.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
    let is_done = verbs.iter().any(|verb| STREAMS.contains(verb) || *verb == Verb::KubernetesToken);
    if !is_change || is_done {
        return false;
    }
    let mut asked = call.query.iter().filter(|(name, _)| **name == *"dryRun").peekable();
    let in_query = asked.peek().is_some() && asked.all(|(_, value)| value.as_deref() == Some("All"));
    let is_deletion = matches!(info.verb.as_str(), "delete" | "deletecollection");
    match read {
        body::Read::Nothing => in_query,
        body::Read::Object(options) if is_deletion => says_all(options),
        body::Read::Unknown if is_deletion => false,
        body::Read::Object(_) | body::Read::Unknown => in_query,
    }
}

fn says_all(options: &Json) -> bool {
    match options.get("dryRun") {
        Some(Json::List(items)) => !items.is_empty() && items.iter().all(|item| item.text() == Some("All")),
        _ => false,
    }
}

fn traits_of(info: &RequestInfo, read: &body::Read) -> BTreeSet<KubernetesTrait> {
    if matches!(info.verb.as_str(), "delete" | "deletecollection") {
        return BTreeSet::new();
    }
    match read {
        body::Read::Nothing => BTreeSet::new(),
        body::Read::Unknown => [KubernetesTrait::Unknown].into(),
        body::Read::Object(object) => {
            let mut found = traits::of_object(object);
            if verbs::is_of_rights(info) {
                traits::of_rights(object, &mut found);
            }
            let is_written = matches!(info.verb.as_str(), "update" | "patch");
            if info.subresource == "scale" && is_written && !says_how_many(object) {
                // Left out, it is none.
                found.insert(KubernetesTrait::ScaleToZero);
            }
            found
        }
    }
}

fn says_how_many(scale: &Json) -> bool {
    match scale {
        Json::List(parts) => !parts.is_empty() && parts.iter().all(says_how_many),
        _ => scale.get("spec").and_then(|spec| spec.given("replicas")).is_some(),
    }
}

/// The path with names in place of what a caller chose, and what stood there.
fn template(info: &RequestInfo) -> (Arc<str>, Vec<Named>) {
    let mut out = format!("/{}", info.prefix);
    let mut parameters: Vec<Named> = Vec::new();
    if !info.group.is_empty() {
        out.push_str(&format!("/{}", info.group));
    }
    out.push_str(&format!("/{}", info.version));
    if matches!(info.verb.as_str(), "watch" | "proxy") && info.parts.is_empty() {
        return (out.into(), parameters);
    }
    let is_namespace = info.resource == "namespaces";
    if !info.namespace.is_empty() && !is_namespace {
        out.push_str("/namespaces/{namespace}");
        parameters.push(("namespace".into(), info.namespace.as_str().into()));
    }
    out.push_str(&format!("/{}", info.resource));
    let mut behind = info.parts.iter().skip(1);
    if let Some(name) = behind.next() {
        out.push_str("/{name}");
        parameters.push(("name".into(), name.as_str().into()));
    }
    if let Some(subresource) = behind.next() {
        out.push_str(&format!("/{subresource}"));
    }
    let rest: Vec<&str> = behind.map(String::as_str).collect();
    if !rest.is_empty() {
        out.push_str("/{path*}");
        parameters.push(("path".into(), rest.join("/").into()));
    }
    (out.into(), parameters)
}

fn line(call: &Call<'_>, template: Arc<str>, parameters: &[Named], query: Vec<Named>) -> Route {
    Route {
        kind: RouteKind::Documented,
        method: call.method.into(),
        host: call.host.into(),
        path: call.path.into(),
        template,
        operation: Arc::default(),
        parameters: parameters.to_vec(),
        query,
    }
}
