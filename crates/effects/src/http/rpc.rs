//! JSON-RPC 2.0: which methods a body calls, and with which parameters.

use std::sync::Arc;

use model::effect::{Effect, Object, Route, RpcCall, RpcMethod, Verb};
use model::http::Syntax;

use super::answer::Answer;
use super::arguments::{ALIKE, Room};
use super::call::{Body, Call, MOST_OF_A_BODY};
use super::method;
use super::request::{Request, TooMuch, line};
use crate::json::Json;
use crate::named_secrets as secrets;

/// How many calls one request may hold.
pub(super) const MOST_CALLS: usize = 50;

/// Why a message is not understood at all.
const NO_MESSAGE: &str = "a body that is no message of JSON-RPC 2.0";

/// The members of a message.
const MEMBERS: [&str; 6] = ["jsonrpc", "method", "params", "id", "result", "error"];

/// One message.
pub(super) struct Message<'a> {
    /// Empty for an answer to a call of the other side's own.
    pub(super) method: &'a str,
    pub(super) params: Option<&'a Json>,
}

/// A request of JSON-RPC.
pub(super) fn analyse(call: &Call<'_>, route: &Arc<Route>, answer: Answer) -> Result<Request, TooMuch> {
    let mut room = Room::default();
    requests("json-rpc", call, route, answer, |message, route| effect(message, route, &mut room))
}

/// What a message does.
pub(super) struct Done {
    pub(super) effect: Effect,
    /// Why that is not all that it may do, if it is not.
    pub(super) opaque: Option<&'static str>,
}

/// A call with its parameters, which are an object or a list (JSON-RPC 2.0, section 4.2).
pub(super) fn effect(message: &Message<'_>, route: &Route, room: &mut Room) -> Result<Done, TooMuch> {
    let arguments = match message.params {
        None => Vec::new(),
        Some(given @ (Json::Object(_) | Json::List(_))) => match room.all_of(given)? {
            Some(arguments) => arguments,
            None => return Ok(not_understood(message, route, ALIKE)),
        },
        Some(_) => return Ok(not_understood(message, route, "parameters that are neither an object nor a list")),
    };
    let call = RpcCall { method: method_of(message, route), arguments };
    Ok(Done { effect: Effect::new(Verb::RpcCall, Object::RpcCall(Arc::new(call))), opaque: None })
}

/// A call of which the method is known, and no more.
pub(super) fn not_understood(message: &Message<'_>, route: &Route, why: &'static str) -> Done {
    let called = Object::RpcMethod(Arc::new(method_of(message, route)));
    Done { effect: Effect::new(Verb::RpcCall, called), opaque: Some(why) }
}

fn method_of(message: &Message<'_>, route: &Route) -> RpcMethod {
    RpcMethod { route: Arc::clone(&route.path), method: message.method.into() }
}

/// What each message of the body does by `effect`.
pub(super) fn requests(
    kind: &str,
    call: &Call<'_>,
    route: &Arc<Route>,
    answer: Answer,
    mut effect: impl FnMut(&Message<'_>, &Route) -> Result<Done, TooMuch>,
) -> Result<Request, TooMuch> {
    let opaque = |answer, why| Ok(Request::opaque(kind, route, method::verb(call.method), answer, why));
    let body = match json(call) {
        Ok(body) => body,
        Err(why) => return opaque(answer, why),
    };
    let all = match &body {
        Json::List(messages) if messages.len() > MOST_CALLS => return Err(TooMuch::Calls(MOST_CALLS)),
        Json::List(messages) => messages.as_slice(),
        one => std::slice::from_ref(one),
    };
    let (mut effects, mut text, mut why) = (Vec::new(), line(route), None);
    for value in all {
        let Some((method, done)) = done(value, route, &mut effect)? else {
            why = why.or(Some(NO_MESSAGE));
            continue;
        };
        text.statement.push(' ');
        text.value(method);
        if !effects.contains(&done.effect) {
            effects.push(done.effect);
        }
        why = why.or(done.opaque);
    }
    if effects.is_empty() {
        return opaque(answer, NO_MESSAGE);
    }
    effects.extend(why.map(|_| Effect::new(Verb::Opaque, Object::Target)));
    let is_opaque = answer.is_opaque || why.is_some();
    let answer = Answer { is_batch: matches!(body, Json::List(_)), is_opaque, ..answer };
    let mut request = Request::of(kind, route, effects, answer).with(text, &without_secrets(&body, "").to_string());
    request.facts.multi = all.len() > 1;
    request.facts.opaque = why.map(Into::into);
    Ok(request)
}

/// The method that a message names, and what it does; nothing if it names none.
fn done<'a>(
    value: &'a Json,
    route: &Route,
    effect: &mut impl FnMut(&Message<'_>, &Route) -> Result<Done, TooMuch>,
) -> Result<Option<(&'a str, Done)>, TooMuch> {
    if let Some(message) = message(value) {
        return Ok(Some((message.method, effect(&message, route)?)));
    }
    Ok(alien(value).map(|message| (message.method, not_understood(&message, route, NO_MESSAGE))))
}

/// The body, if it says that it is JSON, and is.
pub(super) fn json(call: &Call<'_>) -> Result<Json, &'static str> {
    let is_json = call.media.is_some_and(|media| media.syntax() == Syntax::Json && media.is_utf8());
    match call.body {
        _ if call.method != "POST" => Err("a method other than POST"),
        _ if !is_json => Err("a body that does not say it is JSON"),
        Body::None => Err("no body"),
        Body::Unread => Err("a body that was not read"),
        Body::Whole(body) if body.len() > MOST_OF_A_BODY => Err("a body that is too long to be looked into"),
        Body::Whole(body) => Json::parse(body).ok_or("a body that is no JSON, or has a name twice"),
    }
}

/// JSON-RPC 2.0, section 4: a call or a notification, or (section 5) an answer.
fn message(value: &Json) -> Option<Message<'_>> {
    if !value.is_plain(&MEMBERS) {
        return None;
    }
    let is_answer = value.get("result").is_some() || value.get("error").is_some();
    let is_version = value.get("jsonrpc")?.text()? == "2.0";
    let method = match value.get("method") {
        Some(method) => Some(method.text()?).filter(|method| !method.is_empty() && !is_answer)?,
        None if is_answer => "",
        None => return None,
    };
    is_version.then_some(Message { method, params: value.given("params") })
}

/// What is no message of JSON-RPC 2.0, but names a method: a target may take it for one all the same.
fn alien(value: &Json) -> Option<Message<'_>> {
    let method = value.get("method")?.text().filter(|method| !method.is_empty() && value.is_plain(&MEMBERS))?;
    Some(Message { method, params: None })
}

/// The value with a mark for every secret, `name` being what it stands under.
pub(super) fn without_secrets(value: &Json, name: &str) -> Json {
    match value {
        Json::Null | Json::Bool(_) => value.clone(),
        Json::Number(_) | Json::Text(_) if secrets::names_a_secret(name) => Json::Text(crate::shown::MARK.to_owned()),
        Json::Number(_) | Json::Text(_) => value.clone(),
        Json::List(items) => Json::List(items.iter().map(|item| without_secrets(item, name)).collect()),
        Json::Object(members) => {
            let member = |(name, value): &(String, Json)| (name.clone(), without_secrets(value, name));
            Json::Object(members.iter().map(member).collect())
        }
    }
}
