//! GraphQL over HTTP: which fields an operation selects.
//!
//! Every field, at any depth, is an effect by the names that lead to it in the schema: an alias is only a name in the answer.
//! What a fragment holds is selected wherever it is used, and what `@skip` or `@include` may leave out is selected. Types are
//! not known, so a field of a fragment on a type is the field of where the fragment stands.

mod document;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::effect::{Effect, GraphqlField, GraphqlKind, Object, Route, Verb};
use model::http::Syntax;

use super::answer::{Answer, Selected};
use super::call::{Body, Call, MOST_OF_A_BODY, Pair};
use super::method;
use super::request::{Request, Text, TooMuch, line};
use super::rpc::{json, without_secrets};
use crate::json::Json;
use document::{Operation, Problem};

/// How many operations one request may hold.
const MOST_OPERATIONS: usize = 20;

/// How long the names of all fields may be, in bytes: the journal has to hold them.
const MOST_BYTES: usize = 32 * 1024;

/// What one operation was sent as.
struct Sent {
    document: String,
    name: Option<String>,
    variables: Option<Json>,
}

/// A request of GraphQL; what else comes on its route is not understood.
pub(super) fn analyse(call: &Call<'_>, route: &Arc<Route>, answer: Answer) -> Result<Request, TooMuch> {
    let opaque = |answer, why| Ok(Request::opaque("graphql", route, method::verb(call.method), answer, why));
    let sent = match sent(call) {
        Ok(sent) if sent.len() > MOST_OPERATIONS => return Err(TooMuch::Calls(MOST_OPERATIONS)),
        Ok(sent) => sent,
        Err(why) => return opaque(answer, why),
    };
    let mut whole = Whole { text: line(route), ..Whole::default() };
    for one in &sent {
        match document::read(&one.document, one.name.as_deref()) {
            // By GET nothing may change, which servers hold to more or less.
            Ok(operation) if call.method == "GET" && operation.kind == GraphqlKind::Mutation => {
                return opaque(answer, "a mutation by GET");
            }
            Ok(operation) => whole.add(route, one, operation)?,
            Err(Problem::TooMuch(error)) => return Err(error),
            Err(Problem::Unclear(why)) => return opaque(answer, why),
        }
    }
    let answer = Answer { selected: Some(whole.selected), ..answer };
    let mut request = Request::of("graphql", route, whole.effects, answer).with(whole.text, &whole.shown);
    request.facts.multi = sent.len() > 1;
    Ok(request)
}

/// All operations of a request.
#[derive(Default)]
struct Whole {
    effects: Vec<Effect>,
    selected: BTreeSet<Selected>,
    text: Text,
    shown: String,
    bytes: usize,
}

impl Whole {
    fn add(&mut self, route: &Route, sent: &Sent, operation: Operation) -> Result<(), TooMuch> {
        self.text.statement.push_str(&format!(" {} {{", operation.kind.as_str()));
        for path in operation.fields {
            let text = path.join(".");
            let each = [text.len(), route.path.len(), operation.name.len(), path.len().saturating_mul(3)];
            self.bytes = each.into_iter().fold(self.bytes, usize::saturating_add);
            if self.bytes > MOST_BYTES {
                return Err(TooMuch::Fields(self.effects.len()));
            }
            self.text.statement.push_str(&format!(" {text}"));
            let verb = match operation.kind {
                _ if document::is_introspection(&path) => Verb::GraphqlIntrospect,
                GraphqlKind::Query => Verb::GraphqlQuery,
                GraphqlKind::Mutation => Verb::GraphqlMutate,
                GraphqlKind::Subscription => Verb::GraphqlSubscribe,
            };
            let (route, operation_name) = (Arc::clone(&route.path), Arc::clone(&operation.name));
            let field = GraphqlField { route, kind: operation.kind, operation: operation_name, path };
            let effect = Effect::new(verb, Object::GraphqlField(Arc::new(field)));
            if !self.effects.contains(&effect) {
                self.effects.push(effect);
            }
        }
        self.text.statement.push_str(" }");
        self.selected.extend(operation.selected);
        self.shown.push_str(&operation.shown);
        if let Some(variables) = &sent.variables {
            let shown = without_secrets(variables, "");
            self.shown.push_str(&format!("\n{shown}\n"));
            self.text.statement.push_str(" variables ");
            self.text.value(&shown.to_string());
        }
        Ok(())
    }
}

/// Names that mean something beside a document.
const NAMES: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// The operations of a request; at least one.
fn sent(call: &Call<'_>) -> Result<Vec<Sent>, &'static str> {
    match call.method {
        "GET" if call.body == Body::None => Ok(vec![from_query(call.query)?]),
        "GET" => Err("a GET with a body"),
        // Some servers take what stands in the query before what is in the body.
        "POST" if call.query.iter().any(|(name, _)| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))) => {
            Err("an operation in the query of a POST")
        }
        "POST" if is_document(call) => Ok(vec![Sent { document: text(call)?, name: None, variables: None }]),
        "POST" => match json(call)? {
            Json::List(all) if all.is_empty() => Err("a batch without operations"),
            Json::List(all) => all.iter().map(from_json).collect(),
            one => Ok(vec![from_json(&one)?]),
        },
        _ => Err("a method other than GET and POST"),
    }
}

/// Whether the body is the document itself.
fn is_document(call: &Call<'_>) -> bool {
    call.media.is_some_and(|media| media.essence() == "application/graphql" && media.syntax() == Syntax::Text)
}

fn text(call: &Call<'_>) -> Result<String, &'static str> {
    let is_utf8 = call.media.is_some_and(model::http::Media::is_utf8);
    match call.body {
        Body::Whole(body) if body.len() <= MOST_OF_A_BODY && is_utf8 => {
            String::from_utf8(body.to_vec()).map_err(|_| "a document that is no text")
        }
        Body::Whole(_) | Body::Unread | Body::None => Err("a document that was not read"),
    }
}

fn from_query(query: &[Pair]) -> Result<Sent, &'static str> {
    let mut found = [None, None, None, None];
    for (name, value) in query {
        let known = NAMES.iter().zip(&mut found).find(|(known, _)| name.eq_ignore_ascii_case(known));
        let Some((known, slot)) = known else { continue };
        if **name != **known || slot.is_some() {
            return Err("a query that says twice what the operation is");
        }
        *slot = value.as_deref();
    }
    let [document, name, variables, extensions] = found;
    let given = |text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        Some(text) => Json::parse(text.as_bytes()).map(Some).ok_or("a part of the operation that is no JSON"),
        None => Ok(None),
    };
    let (variables, extensions) = (given(variables)?, given(extensions)?);
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    checked(document.map(str::to_owned), name, variables, extensions.as_ref())
}

fn from_json(value: &Json) -> Result<Sent, &'static str> {
    if !value.is_plain(&NAMES) {
        return Err("a body that is no operation, or says twice what it is");
    }
    let text = |name| match value.given(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err("an operation that is no text"),
    };
    checked(text("query")?, text("operationName")?, value.given("variables").cloned(), value.given("extensions"))
}

fn checked(
    document: Option<String>,
    name: Option<String>,
    variables: Option<Json>,
    extensions: Option<&Json>,
) -> Result<Sent, &'static str> {
    // A server may run what it has under the digest, whatever the document says.
    if extensions.is_some_and(|extensions| extensions.get("persistedQuery").is_some()) {
        return Err("an operation that the target has by its digest");
    }
    if !matches!(variables, None | Some(Json::Object(_))) || !matches!(extensions, None | Some(Json::Object(_))) {
        return Err("variables or extensions that are no object");
    }
    Ok(Sent { document: document.ok_or("no document")?, name, variables })
}

#[cfg(test)]
mod tests;
