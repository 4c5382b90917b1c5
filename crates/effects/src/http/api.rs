//! What is known of a target's API: which paths it has, with which methods, and what is spoken on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use model::class::DataClass;
use model::effect::{Effect, Named, Object, Route, RouteKind, Verb};
use model::http::protobuf::Schema;
use model::http::{FieldRule, Media};

use super::answer::Answer;
use super::call::Call;
use super::request::{Request, TooMuch, query};
use super::template::Template;
use super::{form, graphql, grpc, mcp, method, openapi, rpc};

/// What is spoken on a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Speaks {
    /// What the method and the path say.
    #[default]
    Http,
    /// GraphQL over HTTP: JSON by POST, or the query of a GET.
    Graphql,
    /// gRPC: the last two names of the path are the service and its method.
    Grpc,
    /// JSON-RPC 2.0 by POST.
    JsonRpc,
    /// The Model Context Protocol over HTTP: JSON-RPC 2.0 by POST, of which some methods are known.
    Mcp,
}

impl Speaks {
    /// The words of configuration files.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("http", Self::Http),
        ("graphql", Self::Graphql),
        ("grpc", Self::Grpc),
        ("json-rpc", Self::JsonRpc),
        ("mcp", Self::Mcp),
    ];
}

/// A route that an operator declares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Declared<'a> {
    /// Method and template, such as `GET /v1/customers/{id}`; `*` is any method, and `{name*}` at the end of a template takes
    /// the rest of the path.
    pub pattern: &'a str,
    /// The operation's name, if it gets one.
    pub operation: Option<&'a str>,
    /// What is spoken there.
    pub speaks: Speaks,
}

/// An API is not described as it has to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// Where: a pattern, or a place in the document such as `#/paths/~1v1/get`.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.at, self.problem)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    pub(super) fn new(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into() }
    }
}

/// One method of a path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Operation {
    /// Its name; empty where it has none.
    pub(super) name: Arc<str>,
    pub(super) speaks: Speaks,
    /// What its answers hold, by the document's schemas.
    pub(super) fields: Arc<[FieldRule]>,
}

/// The methods of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    template: Template,
    methods: BTreeMap<Box<str>, Operation>,
    /// For those that are not among them.
    any: Option<Operation>,
}

/// What is known of a target's API. Of one that is not described every path is undocumented.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Api {
    /// The more concrete first.
    routes: Vec<Known>,
    /// The messages of its gRPC, if they are described.
    messages: Option<Arc<Schema>>,
    /// Whether it takes another method from the body of a form.
    form_methods: bool,
}

/// What a request was found to go to.
struct Found<'a> {
    kind: RouteKind,
    template: Arc<str>,
    parameters: Vec<Named>,
    operation: Option<&'a Operation>,
    /// What is known of the path.
    known: Option<&'a Known>,
}

impl Found<'_> {
    /// What stands in an answer. Of a method that nobody described it may be what stands in that of any other.
    fn fields(&self, overrides: bool) -> Arc<[FieldRule]> {
        match (self.operation, self.known) {
            (Some(operation), _) if !overrides => Arc::clone(&operation.fields),
            (_, Some(known)) => known.fields(),
            (_, None) => Arc::default(),
        }
    }
}

impl Known {
    /// What stands in the answers of all methods.
    fn fields(&self) -> Arc<[FieldRule]> {
        let all: BTreeSet<&FieldRule> =
            self.methods.values().chain(&self.any).flat_map(|one| one.fields.iter()).collect();
        all.into_iter().cloned().collect()
    }
}

impl Api {
    /// Every method of every path, as it is described or declared: the method (`*` for any other), the template, and what is
    /// spoken there.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, Speaks)> {
        self.routes.iter().flat_map(|known| {
            let named = known.methods.iter().map(|(method, operation)| (&**method, operation.speaks));
            let any = known.any.iter().map(|operation| ("*", operation.speaks));
            named.chain(any).map(|(method, speaks)| (method, &**known.template.text(), speaks))
        })
    }

    /// Reads an OpenAPI document (3.0 or 3.1, in JSON or YAML) and the routes that are declared beside it. A declared route
    /// that the document has as well keeps what the document says of its answers.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn new(document: Option<&str>, declared: &[Declared<'_>]) -> Result<Self, Vec<ApiError>> {
        let (mut api, mut errors) = (Self::default(), Vec::new());
        match document.map(openapi::read) {
            None => {}
            Some(Err(mistakes)) => errors.extend(mistakes),
            Some(Ok(operations)) => {
                for found in operations {
                    api.add(&found.at, &found.template, Some(&found.method), found.operation, false, &mut errors);
                }
            }
        }
        let mut seen = BTreeSet::new();
        for one in declared {
            let (method, template) = one.pattern.split_once(' ').unwrap_or_default();
            let method = Some(method).filter(|method| *method != "*");
            let is_method = |method: &str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
            if !method.is_none_or(is_method) {
                errors
                    .push(ApiError::new(one.pattern, "write a method and a template, such as GET /v1/customers/{id}"));
            } else if !seen.insert(one.pattern) {
                errors.push(ApiError::new(one.pattern, "it is declared twice"));
            } else {
                let name = one.operation.unwrap_or_default().into();
                let operation = Operation { name, speaks: one.speaks, fields: Arc::default() };
                api.add(one.pattern, template, method, operation, true, &mut errors);
            }
        }
        api.routes.sort_by(|one, other| one.template.precedence(&other.template));
        if errors.is_empty() { Ok(api) } else { Err(errors) }
    }

    /// Likewise, whose gRPC has these messages.
    #[must_use]
    pub fn with_messages(self, messages: Option<Schema>) -> Self {
        Self { messages: messages.map(Arc::new), ..self }
    }

    /// Likewise, which takes another method from the body of a form that is posted, if so.
    #[must_use]
    pub fn with_form_methods(self, form_methods: bool) -> Self {
        Self { form_methods, ..self }
    }

    fn add(
        &mut self,
        at: &str,
        template: &str,
        method: Option<&str>,
        mut operation: Operation,
        replaces: bool,
        errors: &mut Vec<ApiError>,
    ) {
        let template = match Template::parse(template) {
            Ok(template) => template,
            Err(problem) => return errors.push(ApiError::new(at, problem)),
        };
        let index = match self.routes.iter().position(|known| known.template.is_same(&template)) {
            Some(index) => index,
            None => {
                self.routes.push(Known { template: template.clone(), methods: BTreeMap::new(), any: None });
                self.routes.len().saturating_sub(1)
            }
        };
        let Some(known) = self.routes.get_mut(index) else { return };
        if known.template != template {
            let problem = format!("{} fits the same paths", known.template.text());
            return errors.push(ApiError::new(at, problem));
        }
        let before = match method {
            Some(method) => known.methods.get_mut(method),
            None => known.any.as_mut(),
        };
        match (before, method) {
            (Some(_), _) if !replaces => errors.push(ApiError::new(at, "another one has the same method and paths")),
            (Some(before), _) => {
                let name = if operation.name.is_empty() { before.name.clone() } else { operation.name };
                *before = Operation { name, speaks: operation.speaks, fields: before.fields.clone() };
            }
            (None, Some(method)) => drop(known.methods.insert(method.into(), operation)),
            (None, None) => {
                // What is documented by itself stays so; any other method answers with what those may.
                operation.fields = known.fields();
                known.any = Some(operation);
            }
        }
    }

    /// Every class that the document gives to values: each has to be one of the revision's.
    pub fn classes(&self) -> BTreeSet<DataClass> {
        let operations = self.routes.iter().flat_map(|known| known.methods.values().chain(&known.any));
        operations.flat_map(|one| one.fields.iter()).flat_map(|field| field.classes.iter().cloned()).collect()
    }

    fn find(&self, method: &str, path: &str) -> Found<'_> {
        let fitting = self.routes.iter().find_map(|known| Some((known, known.template.matches(path)?)));
        let Some((known, parameters)) = fitting else {
            let template = Arc::default();
            return Found { kind: RouteKind::Undocumented, template, parameters: vec![], operation: None, known: None };
        };
        // A server that answers GET answers HEAD with the same head (RFC 9110, section 9.3.2).
        let as_get = if method == "HEAD" { known.methods.get("GET") } else { None };
        let operation = known.methods.get(method).or(as_get).or(known.any.as_ref());
        let kind = if operation.is_some() { RouteKind::Documented } else { RouteKind::OtherMethod };
        Found { kind, template: Arc::clone(known.template.text()), parameters, operation, known: Some(known) }
    }

    /// Whether a request whose body says that it is this has to be read to its end before it is known what it does.
    pub fn looks_into(&self, method: &str, path: &str, media: Option<&Media>) -> bool {
        let speaks = self.find(method, path).operation.map(|operation| operation.speaks);
        method == "POST"
            && match speaks.unwrap_or_default() {
                Speaks::Graphql | Speaks::JsonRpc | Speaks::Mcp => true,
                Speaks::Grpc => grpc::looks_into(path, self.messages.as_ref()),
                Speaks::Http => self.form_methods && media.is_some_and(form::may_ask),
            }
    }

    /// What the request does.
    ///
    /// # Errors
    /// [`TooMuch`]: it is more than is looked at.
    pub fn analyse(&self, call: &Call<'_>) -> Result<Request, TooMuch> {
        let found = self.find(call.method, call.path);
        let speaks = found.operation.map(|one| one.speaks).unwrap_or_default();
        let others = match speaks {
            Speaks::Http if self.form_methods => form::overridden(call),
            _ => Ok(Vec::new()),
        };
        let in_query = method::overridden(call.method, call.query).next().is_some();
        let fields = found.fields(in_query || others.as_ref().map_or(true, |others| !others.is_empty()));
        let route = route_of(call.method, call, found);
        let place = if route.template.is_empty() { &route.path } else { &route.template };
        let answer = Answer::new(&route.method, place, fields);
        match speaks {
            _ if call.upgrade => Ok(self.plain(call, &route, answer, others)),
            Speaks::Http => Ok(self.plain(call, &route, answer, others)),
            Speaks::Graphql => graphql::analyse(call, &route, answer),
            Speaks::Grpc => Ok(grpc::analyse(call, &route, answer, self.messages.as_ref())),
            Speaks::JsonRpc => rpc::analyse(call, &route, answer),
            Speaks::Mcp => mcp::analyse(call, &route, answer),
        }
    }

    /// The method on the route; beside it, those that the query and a form ask for in its place (HT-04).
    fn plain(
        &self,
        call: &Call<'_>,
        route: &Arc<Route>,
        answer: Answer,
        of_form: Result<Vec<String>, &'static str>,
    ) -> Request {
        let effect = |verb, route: Arc<Route>| Effect::new(verb, Object::Route(route));
        let mut effects = vec![effect(method::verb(call.method), Arc::clone(route))];
        effects.extend(call.upgrade.then(|| effect(Verb::Upgrade, Arc::clone(route))));
        let in_form = of_form.iter().flatten().map(String::as_str);
        for other in method::overridden(call.method, call.query).chain(in_form) {
            let other = other.to_ascii_uppercase();
            let added = effect(method::verb(&other), route_of(&other, call, self.find(&other, call.path)));
            if !effects.contains(&added) {
                effects.push(added);
            }
        }
        let mut request = Request::of(if call.upgrade { "websocket" } else { "http" }, route, effects, answer);
        if let Err(why) = of_form {
            request.effects.push(Effect::new(Verb::Opaque, Object::Target));
            request.facts.opaque = Some(why.into());
            request.answer.is_opaque = true;
        }
        request
    }
}

/// The route as an effect has it.
fn route_of(method: &str, call: &Call<'_>, found: Found<'_>) -> Arc<Route> {
    let speaks = found.operation.map(|one| one.speaks).unwrap_or_default();
    Arc::new(Route {
        kind: found.kind,
        method: method.into(),
        host: call.host.into(),
        path: call.path.into(),
        template: found.template,
        operation: found.operation.map(|one| Arc::clone(&one.name)).unwrap_or_default(),
        parameters: found.parameters,
        query: query(call, speaks == Speaks::Graphql),
    })
}

#[cfg(test)]
mod tests;
