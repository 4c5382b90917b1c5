//! The Model Context Protocol (2025-06-18): JSON-RPC, of which some methods say what they are about.

use std::sync::Arc;

use model::effect::{Effect, McpItem, McpKind, Object, Route, Verb};

use super::answer::Answer;
use super::arguments::{ALIKE, Room};
use super::call::Call;
use super::request::{Request, TooMuch};
use super::rpc::{Done, Message, not_understood, requests};
use super::{method, rpc};
use crate::json::Json;

/// A request of MCP. By GET a caller listens, and by DELETE it ends its session: those are what HTTP says that they are.
pub(super) fn analyse(call: &Call<'_>, route: &Arc<Route>, answer: Answer) -> Result<Request, TooMuch> {
    if matches!(call.method, "GET" | "DELETE") {
        let effects = vec![Effect::new(method::verb(call.method), Object::Route(Arc::clone(route)))];
        return Ok(Request::of("mcp", route, effects, answer));
    }
    let mut room = Room::default();
    requests("mcp", call, route, answer, |message, route| effect(message, route, &mut room))
}

/// What a message is about, or where its parameters are not those of the method, that alone.
fn effect(message: &Message<'_>, route: &Route, room: &mut Room) -> Result<Done, TooMuch> {
    let (verb, kind, name) = match message.method {
        "tools/call" => (Verb::McpTool, McpKind::Tool, "name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            (Verb::McpResource, McpKind::Resource, "uri")
        }
        "prompts/get" => (Verb::McpPrompt, McpKind::Prompt, "name"),
        _ => return rpc::effect(message, route, room),
    };
    let params = message.params.filter(|params| params.is_plain(&["name", "uri", "arguments"]));
    let Some((params, name)) = params.and_then(|params| Some((params, params.get(name)?.text()?))) else {
        return Ok(not_understood(message, route, "parameters that are not those of their method"));
    };
    let (arguments, opaque) = match params.given("arguments").filter(|_| kind != McpKind::Resource) {
        None => (Vec::new(), None),
        Some(given @ Json::Object(_)) => match room.all_of(given)? {
            Some(arguments) => (arguments, None),
            None => (Vec::new(), Some(ALIKE)),
        },
        Some(_) => (Vec::new(), Some("arguments that are no object")),
    };
    room.take(name.len())?;
    let item = McpItem { route: Arc::clone(&route.path), kind, name: name.into(), arguments };
    Ok(Done { effect: Effect::new(verb, Object::Mcp(Arc::new(item))), opaque })
}
