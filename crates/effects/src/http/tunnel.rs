//! A connection to a target in which nobody sees what is asked.

use std::sync::Arc;

use model::effect::{Effect, Object, Route, RouteKind, Verb};

use super::Answer;
use super::request::Request;

/// What `CONNECT` to this host and port does, where the connection is carried and not looked into: all that may be asked of the
/// target may be asked in it. Its route has the path `/`, below which all others are.
pub fn tunnel(host: &str, port: u16) -> Request {
    let route = Route {
        kind: RouteKind::Undocumented,
        method: "CONNECT".into(),
        host: host.into(),
        path: "/".into(),
        template: Arc::default(),
        operation: Arc::default(),
        parameters: Vec::new(),
        query: Vec::new(),
    };
    let effect = Effect::new(Verb::Tunnel, Object::Route(Arc::new(route.clone())));
    let line = if host.contains(':') { format!("CONNECT [{host}]:{port}") } else { format!("CONNECT {host}:{port}") };
    let request = Request::of("tunnel", &route, vec![effect], Answer::default());
    Request { statement: line.clone(), values: Vec::new(), shown: line, ..request }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_04_a_tunnel_is_one_effect_of_its_own_on_all_of_the_host() {
        let request = tunnel("api.example", 443);
        let effects: Vec<String> = request.effects.iter().map(ToString::to_string).collect();
        assert_eq!(effects, ["http:connect route CONNECT api.example/ (undocumented)"]);
        assert_eq!((&*request.facts.kind, request.facts.bounded), ("tunnel", true));
        assert_eq!((&*request.statement, &*request.shown), ("CONNECT api.example:443", "CONNECT api.example:443"));
        assert_eq!(tunnel("::1", 8443).statement, "CONNECT [::1]:8443");
    }
}
