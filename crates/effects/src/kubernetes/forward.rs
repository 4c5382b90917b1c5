//! Connections to ports of a pod, of which the request line that opens the stream names none.

use std::sync::Arc;

use model::effect::{Effect, Object, Verb};

use crate::http::Request;

/// What one connection to a port does, by the request that opened the stream on which it is asked for.
pub fn at_port(request: &Request, port: u16) -> Request {
    let effects = request.effects.iter().map(|effect| match (&effect.object, effect.verb) {
        (Object::KubernetesResource(at), Verb::KubernetesPortForward) => {
            let mut at = (**at).clone();
            at.port = port.to_string().into();
            Effect { object: Object::KubernetesResource(Arc::new(at)), ..effect.clone() }
        }
        _ => effect.clone(),
    });
    let mut at_port = Request { effects: effects.collect(), ..request.clone() };
    at_port.statement = format!("{} port {port}", request.statement);
    at_port.shown = format!("{}\nport {port}", request.shown);
    at_port
}
