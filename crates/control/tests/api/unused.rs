//! Permits that decided nothing: a search that finds none, and one that finds them in more files than a proposal takes.

use std::sync::Arc;

use control::shape;
use serde_json::json;
use tempfile::TempDir;
use testkit::wait::eventually;

use crate::world::{POLICIES, World};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// What a search in the whole record finds.
async fn found(world: &World) -> shape::UnusedFound {
    let token = world.token("ann", &["audit"]);
    let begun = world.post("/v1/policy/unused", &token, &json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    let begun: shape::UnusedView = serde_json::from_str(&begun.body).unwrap();
    let (path, token) = (format!("/v1/policy/unused/{}", begun.id), &token);
    let ended = eventually(LIMIT, "the search", || async {
        let reply = world.get(&path, token).await;
        let view: shape::UnusedView = serde_json::from_str(&reply.body).unwrap();
        (view.status != "running").then_some(view)
    });
    let ended = ended.await.unwrap();
    assert_eq!((&*ended.status, ended.failure), ("done", None));
    ended.found.unwrap()
}

#[tokio::test]
async fn where_nothing_is_unused_nothing_is_tried() {
    let world = World::start().await;
    let policies = world.dir.path().join("revision/policies");
    let of_the_api = POLICIES.split("@id(\"orders-connect\")").next().unwrap();
    std::fs::write(policies.join("test.cedar"), of_the_api).unwrap();
    std::fs::write(policies.join("baseline.cedar"), "// nothing\n").unwrap();
    let node = &world.node;
    node.revisions.reload(node.state.as_ref(), &node.recorder, &node.metrics);
    assert!(node.revisions.refused().is_none());
    let found = found(&world).await;
    assert!(found.unused.is_empty() && found.files.is_empty(), "{found:?}");
    assert_eq!((found.not_told.len(), found.changed_requests, found.changed_sessions), (8, 0, 0));
}

#[tokio::test]
async fn unused_permits_are_found_in_more_files_than_one_proposal_takes() {
    let dir = Arc::new(TempDir::new().unwrap());
    let policies = dir.path().join("revision/policies");
    std::fs::create_dir_all(&policies).unwrap();
    let files = store::revision::MOST_CHANGES + 1;
    for at in 0..files {
        let text = format!("@id(\"idle-{at}\")\npermit (principal, action == Action::\"select\", resource);\n");
        std::fs::write(policies.join(format!("idle-{at}.cedar")), text).unwrap();
    }
    let why = "@id(\"see-for-a-reason\")\npermit (principal, action == Action::\"reveal\", resource)\n\
        when { context has reason };\n@id(\"see\")\npermit (principal, action == Action::\"reveal\", resource);\n";
    std::fs::write(policies.join("see.cedar"), why).unwrap();
    let world = World::start_in(dir, "").await;
    let found = found(&world).await;
    let has = |list: &[shape::PermitView], id: &str| list.iter().any(|permit| permit.id == id);
    assert!((0..files).all(|at| has(&found.unused, &format!("idle-{at}"))), "{found:?}");
    assert!(found.files.len() > files, "{:?}", found.files.keys());
    // Nobody knows whether somebody gave a reason.
    assert!(has(&found.not_told, "see-for-a-reason") && !has(&found.unused, "see-for-a-reason"), "{found:?}");
    assert!(has(&found.unused, "see") && found.files["policies/see.cedar"].contains("see-for-a-reason"), "{found:?}");
}
