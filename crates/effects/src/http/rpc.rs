//! JSON-RPC 2.0: which methods a body calls, and with which parameters.

use std::sync::Arc;

use model::effect::{Effect, Object, Route, RpcCall, RpcMethod, Verb};
use model::http::Syntax;

use super::answer::Answer;
use super::arguments::Room;
use super::call::{Body, Call, MOST_OF_A_BODY};
use super::method;
use super::request::{Request, TooMuch, line};
use crate::json::Json;
use crate::named_secrets as secrets;

/// How many calls one request may hold.
pub(super) const MOST_CALLS: usize = 50;

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

/// A call with its parameters; nothing where those are neither an object nor a list (JSON-RPC 2.0, section 4.2).
pub(super) fn effect(message: &Message<'_>, route: &Route, room: &mut Room) -> Result<Option<Effect>, TooMuch> {
    let arguments = match message.params {
        None => Vec::new(),
        Some(given @ (Json::Object(_) | Json::List(_))) => room.all_of(given)?,
        Some(_) => return Ok(None),
    };
    let method = RpcMethod { route: Arc::clone(&route.path), method: message.method.into() };
    let called = match arguments.is_empty() {
        true => Object::RpcMethod(Arc::new(method)),
        false => Object::RpcCall(Arc::new(RpcCall { method, arguments })),
    };
    Ok(Some(Effect::new(Verb::RpcCall, called)))
}

/// What each message of the body does by `effect`, which says nothing of one that it does not understand.
pub(super) fn requests(
    kind: &str,
    call: &Call<'_>,
    route: &Arc<Route>,
    answer: Answer,
    mut effect: impl FnMut(&Message<'_>, &Route) -> Result<Option<Effect>, TooMuch>,
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
    let Some(messages) = all.iter().map(message).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty()) else {
        return opaque(answer, "a body that is no message of JSON-RPC 2.0");
    };
    let answer = Answer { is_batch: matches!(body, Json::List(_)), ..answer };
    let (mut effects, mut text) = (Vec::new(), line(route));
    for message in &messages {
        let Some(found) = effect(message, route)? else {
            return opaque(answer, "parameters that are not those of their method");
        };
        text.statement.push(' ');
        text.value(message.method);
        if !effects.contains(&found) {
            effects.push(found);
        }
    }
    let mut request = Request::of(kind, route, effects, answer).with(text, &without_secrets(&body, "").to_string());
    request.facts.multi = messages.len() > 1;
    Ok(request)
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
    if !value.is_plain(&["jsonrpc", "method", "params", "id", "result", "error"]) {
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
