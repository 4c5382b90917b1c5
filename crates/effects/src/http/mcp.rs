//! The Model Context Protocol (2025-06-18): JSON-RPC, of which some methods say what they are about.

use std::sync::Arc;

use model::effect::{Effect, McpItem, McpKind, Named, Object, Route, RpcMethod, Verb};

use super::answer::Answer;
use super::call::Call;
use super::method;
use super::request::{Request, TooMuch};
use super::rpc::{Message, requests};
use crate::json::Json;
use crate::named_secrets::names_a_secret;
use crate::shown::MARK;

/// How many values the arguments of a request may have.
const MOST_VALUES: usize = 500;
/// How long they may be in all, in bytes: the journal has to hold them.
const MOST_BYTES: usize = 24 * 1024;

/// A request of MCP. By GET a caller listens, and by DELETE it ends its session: those are what HTTP says that they are.
pub(super) fn analyse(call: &Call<'_>, route: &Arc<Route>, answer: Answer) -> Result<Request, TooMuch> {
    if matches!(call.method, "GET" | "DELETE") {
        let effects = vec![Effect::new(method::verb(call.method), Object::Route(Arc::clone(route)))];
        return Ok(Request::of("mcp", route, effects, answer));
    }
    let mut room = Room { values: MOST_VALUES, bytes: MOST_BYTES };
    requests("mcp", call, route, answer, |message, route| effect(message, route, &mut room))
}

/// `None` where the parameters are not those of the method.
fn effect(message: &Message<'_>, route: &Route, room: &mut Room) -> Result<Option<Effect>, TooMuch> {
    let (verb, kind, name) = match message.method {
        "tools/call" => (Verb::McpTool, McpKind::Tool, "name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            (Verb::McpResource, McpKind::Resource, "uri")
        }
        "prompts/get" => (Verb::McpPrompt, McpKind::Prompt, "name"),
        method => {
            let called = RpcMethod { route: Arc::clone(&route.path), method: method.into() };
            return Ok(Some(Effect::new(Verb::RpcCall, Object::RpcMethod(Arc::new(called)))));
        }
    };
    let params = message.params.filter(|params| params.is_plain(&["name", "uri", "arguments"]));
    let Some((params, name)) = params.and_then(|params| Some((params, params.get(name)?.text()?))) else {
        return Ok(None);
    };
    let mut arguments = Vec::new();
    match params.given("arguments").filter(|_| kind != McpKind::Resource) {
        None => {}
        Some(given @ Json::Object(_)) => flatten(given, "", &mut arguments, room)?,
        Some(_) => return Ok(None),
    }
    room.take(name.len())?;
    let item = McpItem { route: Arc::clone(&route.path), kind, name: name.into(), arguments };
    Ok(Some(Effect::new(verb, Object::Mcp(Arc::new(item)))))
}

/// What may still be looked at.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let (values, bytes) = (self.values.checked_sub(1), self.bytes.checked_sub(bytes));
        let (Some(values), Some(bytes)) = (values, bytes) else {
            return Err(TooMuch::Arguments(MOST_VALUES, MOST_BYTES));
        };
        *self = Self { values, bytes };
        Ok(())
    }
}

/// Every scalar under the names that lead to it. The elements of a list stand under its name, all of them; of what is empty it
/// is said that it is there.
fn flatten(value: &Json, name: &str, out: &mut Vec<Named>, room: &mut Room) -> Result<(), TooMuch> {
    let text = match value {
        Json::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                let member = member.replace('%', "%25").replace('.', "%2E");
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                flatten(value, &name, out, room)?;
            }
            return Ok(());
        }
        Json::List(items) if !items.is_empty() => {
            return items.iter().try_for_each(|item| flatten(item, name, out, room));
        }
        // Arguments that are empty are none.
        Json::Object(_) if name.is_empty() => return Ok(()),
        Json::Text(_) | Json::Number(_) if names_a_secret(name) => MARK.to_owned(),
        Json::Text(text) => text.clone(),
        other => other.to_string(),
    };
    room.take(name.len().saturating_add(text.len()))?;
    out.push((name.into(), text.into()));
    Ok(())
}
