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
fn path(path: &str) -> String {
    let id = if path.contains("approvals") { "apr-0000000000001" } else { "0000000000001" };
    path.replace("{id}", id)
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
