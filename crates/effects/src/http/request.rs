//! What a request to an HTTP API is made into.

use std::sync::Arc;

use model::effect::{Effect, Facts, Named, Object, Route, RouteKind, Verb};
use model::error::ErrorKind;
use model::event::Shown;

use super::Answer;
use super::call::Call;
use crate::named_secrets::names_a_secret;
use crate::shown::{MARK, Room, cut};

/// How much of a body people are shown, in bytes.
const MOST_SHOWN: usize = 16 * 1024;

/// One request of HTTP.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// What it would do; never empty.
    pub effects: Vec<Effect>,
    /// What else policies may ask, with the kind of request: `http`, `graphql`, `grpc`, `json-rpc` or `mcp`.
    pub facts: Facts,
    /// The request with every value as `$n`, such as `GET /v1/customers/{id} (id=$1) ?expand=$2`: what the journal's
    /// statement holds.
    pub statement: String,
    /// What stood there, secrets masked; cut to what an entry of the journal has room for.
    pub values: Vec<Shown>,
    /// The whole request for people, with secrets as `[secret]`, and so much of a body as was looked into. Nothing in it is
    /// escaped.
    pub shown: String,
    /// The answer's route, for what is to be masked in it.
    pub answer: Answer,
}

/// A request is more than is looked at. It is refused, whatever policy says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooMuch {
    /// Fields within fields.
    #[error("the GraphQL operation nests its fields more than {0} deep")]
    Depth(usize),
    /// Fields in all, with those of every use of a fragment.
    #[error("the GraphQL operation selects more than {0} fields")]
    Fields(usize),
    /// Calls in one request.
    #[error("the request holds more than {0} calls")]
    Calls(usize),
    /// Arguments that policies would have to look at.
    #[error("the arguments of the request are more than {0} values or {1} bytes")]
    Arguments(usize, usize),
}

impl TooMuch {
    /// A bound was reached.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Limit
    }
}

/// A statement with its values, as it grows.
#[derive(Default)]
pub(super) struct Text {
    pub(super) statement: String,
    pub(super) values: Vec<Shown>,
    room: Room,
}

impl Text {
    /// `name=$n`, with the value, which is a secret if it has been marked as one.
    pub(super) fn pair(&mut self, separator: &str, name: &str, value: &str) {
        let shown = if value == MARK { Room::secret() } else { self.room.clear(value) };
        self.values.push(shown);
        self.statement.push_str(&format!("{separator}{name}=${}", self.values.len()));
    }

    /// `$n`, with the value.
    pub(super) fn value(&mut self, value: &str) {
        self.values.push(self.room.clear(value));
        self.statement.push_str(&format!("${}", self.values.len()));
    }
}

/// The request line as a statement: the template, and what stands in the path and the query.
pub(super) fn line(route: &Route) -> Text {
    let mut text = Text { statement: format!("{} ", route.method), ..Text::default() };
    match route.kind {
        RouteKind::Undocumented => text.value(&route.path),
        RouteKind::Documented | RouteKind::OtherMethod => text.statement.push_str(&route.template),
    }
    for (at, (name, value)) in route.parameters.iter().enumerate() {
        text.pair(if at == 0 { " (" } else { ", " }, name, value);
    }
    if !route.parameters.is_empty() {
        text.statement.push(')');
    }
    for (at, (name, value)) in route.query.iter().enumerate() {
        text.pair(if at == 0 { " ?" } else { "&" }, name, value);
    }
    text
}

/// The request line for people.
pub(super) fn shown(route: &Route) -> String {
    let mut out = format!("{} {}{}", route.method, route.host, route.path);
    for (at, (name, value)) in route.query.iter().enumerate() {
        let separator = if at == 0 { '?' } else { '&' };
        out.push_str(&format!("{separator}{name}={value}"));
    }
    out
}

/// The query as policies and the record see it. A name without a value has an empty one. Where it holds an operation of
/// GraphQL, that has secrets of its own and is told by itself.
pub(crate) fn query(call: &Call<'_>, is_graphql: bool) -> Vec<Named> {
    let is_operation = |name: &str| is_graphql && matches!(name, "query" | "variables" | "extensions");
    let value = |name: &str, value: Option<&str>| match value {
        Some(value) if !value.is_empty() && (names_a_secret(name) || is_operation(name)) => MARK.into(),
        value => value.unwrap_or_default().into(),
    };
    call.query.iter().map(|(name, given)| (Arc::from(&**name), value(name, given.as_deref()))).collect()
}

impl Request {
    /// A request that does this, on a route whose body says no more or was understood.
    pub(crate) fn of(kind: &str, route: &Route, effects: Vec<Effect>, answer: Answer) -> Self {
        let (text, facts) = (line(route), Facts { kind: kind.into(), bounded: true, multi: false, opaque: None });
        let (statement, values) = (text.statement, text.values);
        Self { effects, facts, statement, values, shown: shown(route), answer }
    }

    /// A request whose route speaks a protocol that it does not: it may do anything.
    pub(super) fn opaque(kind: &str, route: &Arc<Route>, verb: Verb, answer: Answer, why: &str) -> Self {
        let on_route = Effect::new(verb, Object::Route(Arc::clone(route)));
        let effects = vec![on_route, Effect::new(Verb::Opaque, Object::Target)];
        let mut request = Self::of(kind, route, effects, Answer { is_opaque: true, ..answer });
        request.facts.opaque = Some(why.into());
        request
    }

    /// Adds to what the request line says.
    pub(super) fn with(mut self, text: Text, body: &str) -> Self {
        self.statement = text.statement;
        self.values = text.values;
        self.shown.push('\n');
        self.shown.push_str(cut(body, MOST_SHOWN));
        if body.len() > MOST_SHOWN {
            self.shown.push_str("\n[cut]");
        }
        self
    }
}
