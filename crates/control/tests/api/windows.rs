//! Windows: what policy asks for is what has to be agreed to, and no more is granted.

use model::decision::Need;
use model::effect::{Effect, Object, TableKind, TableName, Verb};
use model::event::Event;
use model::id::{Digest, SessionId};
use model::subject::SubjectKey;
use serde_json::{Value, json};
use store::window::WindowUse;

use crate::world::World;

fn wanted() -> Value {
    json!({
        "target": "payments", "database": "payments", "verbs": ["delete"], "tables": ["public.payments"],
        "seconds": 1800, "reason": "INC-42",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut wanted = wanted();
    wanted[name] = value;
    wanted
}

#[tokio::test]
async fn a_window_is_asked_for_agreed_to_and_used() {
    let world = World::start().await;
    let token = world.token("order-service", &["orders"]);
    let reply = world.post("/v1/windows", &token, &wanted()).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let asked = reply.json();
    let needs: Vec<Need> = serde_json::from_value(asked["needs"].clone()).unwrap();
    assert_eq!(needs.iter().map(|need| &*need.policy).collect::<Vec<_>>(), ["delete-needs-dba"]);
    let again = world.post("/v1/windows", &token, &wanted()).await.json();
    assert_ne!(again["id"], Value::Null);
    let path = format!("/v1/approvals/{}", asked["id"].as_str().unwrap());
    let dba = world.token("alice", &["approve", "dba"]);
    let shown = world.get(&path, &dba).await.json();
    assert_eq!(shown["asked"]["effects"][1], "only on public.payments");
    let (yes, own) = (json!({ "approve": true }), world.token("order-service", &["approve", "dba"]));
    assert_eq!(world.post(&format!("{path}/answer"), &own, &yes).await.status, 403);
    let answer = world.post(&format!("{path}/answer"), &dba, &yes).await.json();
    assert_eq!(answer["status"], "approved");
    assert!(world.journal().iter().any(|event| matches!(event, Event::ApprovalAsked { .. })));
    let put = |event: &Event| matches!(event, Event::AdminAction { action, .. } if &**action == "window.request");
    assert!(world.journal().iter().any(put));
    assert!(uses(&world, &needs, "payments"));
    assert!(!uses(&world, &needs, "cards"), "AP-14: another table");
}

/// Whether a delete from `public.TABLE` by order-service is covered.
fn uses(world: &World, needs: &[Need], table: &str) -> bool {
    let subject = SubjectKey { issuer: "sluice".into(), id: "order-service".into() };
    let object = Object::Table(TableName::new("public", table), TableKind::Table);
    let usage = WindowUse {
        subject: &subject,
        on_behalf_of: &[],
        target: "payments",
        database: "payments",
        effects: &[Effect::new(Verb::Delete, object)],
        needs,
        digest: Digest([1; 32]),
        session: SessionId::from_bits(5),
        request: SessionId::from_bits(5).request(1),
        now: gateway::clock::now(),
    };
    world.node.state.consume_window(&usage).unwrap().is_some()
}

#[tokio::test]
async fn policy_says_who_has_to_agree() {
    let world = World::start().await;
    let token = world.token("order-service", &["orders"]);
    let reply = world.post("/v1/windows", &token, &with("unbounded", json!(true))).await.json();
    let policies: Vec<&str> =
        reply["needs"].as_array().unwrap().iter().map(|need| need["policy"].as_str().unwrap()).collect();
    assert_eq!(policies, ["delete-needs-dba", "unbounded-needs-two"]);
    let free = world.post("/v1/windows", &token, &with("verbs", json!(["insert"]))).await;
    assert_eq!(free.status, 409, "needs no approval: {}", free.body);
    let denied = world.post("/v1/windows", &token, &with("verbs", json!(["ddl"]))).await;
    assert_eq!(denied.status, 403, "no approval would change it: {}", denied.body);
    let stranger = world.post("/v1/windows", &world.token("mallory", &[]), &wanted()).await;
    assert_eq!(stranger.status, 403, "{}", stranger.body);
}

#[tokio::test]
async fn what_makes_no_sense_is_told() {
    let world = World::start().await;
    let token = world.token("order-service", &["orders"]);
    for (name, value, status) in [
        ("verbs", json!([]), 400),
        ("verbs", json!(["select"]), 400),
        ("verbs", json!(["vanish"]), 400),
        ("tables", json!([]), 400),
        ("tables", json!(["a.b.c"]), 400),
        ("seconds", json!(1), 400),
        // The policy's own bound: an hour.
        ("seconds", json!(7200), 400),
        ("reason", json!(" "), 400),
        ("target", json!("nowhere"), 404),
        ("database", json!("nowhere"), 404),
        ("also", json!(1), 400),
    ] {
        let reply = world.post("/v1/windows", &token, &with(name, value.clone())).await;
        assert_eq!(reply.status, status, "{name} = {value}: {}", reply.body);
    }
}
