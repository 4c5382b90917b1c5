//! Who may call what.

use control::{Access, listed};
use policy::AdminVerb;

use crate::world::World;

/// The reviewed list: a route that is added, or that takes something else, shows up here.
#[test]
fn every_route_and_what_it_takes() {
    let shown: String = listed()
        .iter()
        .map(|route| format!("{:<4} {:<30} {}\n", route.method.as_str(), route.path, route.access))
        .collect();
    assert_eq!(shown, include_str!("routes.txt"));
}

/// A path in which every id is a valid one that names nothing.
pub(crate) fn path(path: &str) -> String {
    let id = match path {
        path if path.contains("approvals") => "apr-0000000000001",
        path if path.contains("proposals") => "prp-0000000000001",
        _ => "0000000000001",
    };
    path.replace("{id}", id).replace("{number}", "1")
}

#[tokio::test]
async fn each_verb_opens_its_own_routes_alone() {
    let world = World::start().await;
    let nobody = world.token("nobody", &[]);
    for route in listed() {
        let (method, path) = (route.method.as_str(), path(route.path));
        let anonymous = world.send(method, &path, &[], "").await.status;
        let is_open = matches!(route.access, Access::Open | Access::Local(_));
        assert_eq!(anonymous == 401, !is_open, "{method} {path} without a token: {anonymous}");
        let forged = [("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")];
        assert_eq!(world.send(method, &path, &forged, "").await.status == 401, !is_open, "{method} {path} forged");
        let Access::Verb(needed) = route.access else { continue };
        let authorised = |token: &str| format!("Bearer {token}");
        let header = authorised(&nobody);
        assert_eq!(world.send(method, &path, &[("Authorization", &header)], "").await.status, 403, "{method} {path}");
        for verb in AdminVerb::ALL {
            let group = verb.as_str().trim_start_matches("admin:");
            let header = authorised(&world.token("somebody", &[group]));
            let status = world.send(method, &path, &[("Authorization", &header)], "").await.status;
            assert_eq!(status != 403, verb == needed, "{method} {path} with {group}: {status}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_journal() {
    let world = World::start().await;
    let token = world.token("mallory", &["read"]);
    let refused = world.post("/v1/sessions/0000000000001/kill", &token, &serde_json::json!({})).await;
    assert_eq!(refused.status, 403);
    assert!(refused.head.contains("application/problem+json"), "{}", refused.head);
    assert!(refused.body.contains("admin:sessions"), "{}", refused.body);
    let noted = world
        .journal()
        .into_iter()
        .any(|event| format!("{event:?}").contains("mallory") && format!("{event:?}").contains("Deny"));
    assert!(noted);
}

#[tokio::test]
async fn everybody_may_ask_who_they_are() {
    let world = World::start().await;
    let who = world.get("/v1/whoami", &world.token("order-service", &["audit", "read"])).await.json();
    assert_eq!(who["subject"]["id"], "order-service");
    assert_eq!(who["groups"], serde_json::json!(["sluice|audit", "sluice|read"]));
    assert_eq!(who["may"], serde_json::json!(["admin:read", "admin:audit"]));
}

#[tokio::test]
async fn the_description_has_every_route() {
    let world = World::start().await;
    let described = world.send("GET", "/openapi.json", &[], "").await.json();
    let mut found: Vec<String> = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        found.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let mut expected: Vec<String> = listed().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_revision_names_its_targets_and_no_credential() {
    let world = World::start().await;
    let revision = world.get("/v1/revision", &world.token("reader", &["read"])).await;
    assert_eq!(revision.json()["targets"][0]["name"], "payments");
    assert!(!revision.body.contains("NOT_USED") && !revision.body.contains("127.0.0.1"), "{}", revision.body);
}

/// Paths that programs of this kind are asked for, and that are not there.
const GUESSES: [&str; 14] = [
    "/",
    "/v1",
    "/v1/",
    "/config",
    "/v1/config",
    "/v1/secrets",
    "/v1/keys",
    "/v1/state",
    "/debug/pprof/",
    "/debug/vars",
    "/v1/support-bundle",
    "/metrics/",
    "/.env",
    "/v1/sessions/../../keys/token.key",
];

/// What no refusal may show: places, the inside of policies, names of others, what Sluice is made of.
fn assert_tells_nothing(world: &World, asked: &str, reply: &crate::world::Reply) {
    let said = format!("{}\n{}", reply.head, reply.body).to_lowercase();
    let dir = world.dir.path().display().to_string().to_lowercase();
    let inside =
        ["127.0.0.1:1\"", "not_used", ".rs", "panicked", "sqlite", "sluice.toml", "permit (", "principal", "only-"];
    let made_of = ["hyper", "axum", "rustls", env!("CARGO_PKG_VERSION"), "server:", "set-cookie", "order-service"];
    for word in inside.iter().chain(&made_of).copied().chain([dir.as_str()]) {
        assert!(!said.contains(word), "{asked} tells {word:?}: {said}");
    }
    // What was refused was not begun to be answered.
    assert!(reply.body.len() < 500, "{asked}: {said}");
}

#[tokio::test]
async fn lk_11_every_route_refuses_whoever_may_not_call_it_and_tells_them_nothing() {
    let (world, other) = (World::start().await, World::start().await);
    let all = |but: Option<AdminVerb>| {
        let verbs = AdminVerb::ALL.into_iter().filter(|verb| Some(*verb) != but);
        verbs.map(|verb| verb.as_str().trim_start_matches("admin:")).collect::<Vec<_>>()
    };
    // The same names, signed by another Sluice; a good one, cut and changed.
    let (stranger, good) = (other.token("order-service", &all(None)), world.token("order-service", &all(None)));
    let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
    let others_signature = format!("{}.{}", good.rsplit_once('.').unwrap().0, stranger.rsplit_once('.').unwrap().1);
    let mut counted = 0;
    for route in listed() {
        let (method, path) = (route.method.as_str(), path(route.path));
        if matches!(route.access, Access::Open | Access::Local(_)) {
            continue;
        }
        let call = async |header: Option<String>| {
            let header = header.as_deref();
            let headers: Vec<(&str, &str)> = header.map(|header| ("Authorization", header)).into_iter().collect();
            world.send(method, &path, &headers, "{}").await
        };
        let strangers = [&stranger, &unsigned, &others_signature].map(|token| Some(format!("Bearer {token}")));
        let wrong =
            [None, Some("Bearer".into()), Some(format!("Basic {good}")), Some(format!("Bearer {good}, Bearer {good}"))];
        let mut answers = std::collections::BTreeSet::new();
        for header in strangers.into_iter().chain(wrong) {
            let reply = call(header.clone()).await;
            assert_eq!(reply.status, 401, "{method} {path} with {header:?}");
            assert_tells_nothing(&world, &format!("{method} {path}"), &reply);
            answers.insert(reply.body);
        }
        assert_eq!(answers.len(), 1, "{method} {path}: which of them is wrong is told: {answers:?}");
        let needed = match route.access {
            Access::Verb(verb) | Access::CallerOr(verb) => verb,
            _ => continue,
        };
        let under_privileged = world.token("mallory", &all(Some(needed)));
        let reply = call(Some(format!("Bearer {under_privileged}"))).await;
        // What may be the caller's own is not there, as it would be if it were somebody else's.
        let expected = if route.access == Access::CallerOr(needed) { 404 } else { 403 };
        assert_eq!(reply.status, expected, "{method} {path} with all but {}", needed.as_str());
        assert_tells_nothing(&world, &format!("{method} {path}"), &reply);
        counted += 1;
    }
    assert!(counted >= 15, "{counted} routes have a verb");
    for guess in GUESSES {
        for method in ["GET", "POST", "DELETE", "TRACE"] {
            let header = [("Authorization", "Bearer nonsense")];
            let reply = world.send(method, guess, &header, "").await;
            assert_eq!(reply.status, 404, "{method} {guess}: {}", reply.body);
            assert_tells_nothing(&world, guess, &reply);
        }
    }
    // What needs no token says nothing that takes one.
    for open in ["/healthz", "/readyz"] {
        assert_tells_nothing(&world, open, &world.send("GET", open, &[], "").await);
    }
}
