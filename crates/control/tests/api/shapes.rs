//! The answers are what the description of the API says that they are.

use control::shape;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::world::World;

/// The description that clients are generated from: `UPDATE_GOLDEN=1 cargo test -p control shapes` writes it anew.
#[test]
fn the_description_that_the_console_is_made_from_is_this_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../console/openapi.json");
    let described = format!("{}\n", control::openapi());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &described).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == described, "{file} is not the description any more: see this test, then build the console");
}

async fn read<T: DeserializeOwned>(world: &World, path: &str) -> T {
    let token =
        world.token("somebody", &["read", "audit", "replay", "sessions", "approve", "operate", "propose", "apply"]);
    let reply = world.get(path, &token).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", reply.body))
}

#[tokio::test]
async fn answers_are_as_they_are_described() {
    let world = World::start().await;
    let wanted = json!({ "verbs": ["delete"], "tables": ["public.orders"], "target": "payments", "database": "payments",
        "seconds": 600, "reason": "clean up" });
    let asked = world.post("/v1/windows", &world.token("order-service", &["orders"]), &wanted).await;
    world.indexed().await;
    let who: shape::Whoami = read(&world, "/v1/whoami").await;
    assert_eq!(who.may.len(), 8);
    let revision: shape::RevisionView = read(&world, "/v1/revision").await;
    assert_eq!(revision.targets.len(), 2);
    let policies: shape::PoliciesView = read(&world, "/v1/revision/policies").await;
    assert_eq!(
        policies.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["baseline.cedar", "test.cedar"]
    );
    let files: shape::ChangeableFilesView = read(&world, "/v1/revision/files").await;
    assert_eq!(files.files.len(), 3);
    let _: Vec<shape::KeptRevisionView> = read(&world, "/v1/revisions").await;
    let _: shape::RevisionFilesView = read(&world, "/v1/revisions/1").await;
    let _: shape::RevisionDiffView = read(&world, "/v1/revisions/1/diff").await;
    let _: Vec<shape::ProposalView> = read(&world, "/v1/proposals").await;
    let health: shape::HealthView = read(&world, "/v1/health").await;
    assert!(health.entries > 0 && health.journal_fault.is_none() && health.journal_key.contains('+'));
    let approvals: Vec<shape::ApprovalView> = read(&world, "/v1/approvals").await;
    if asked.status == 201 {
        let asked: shape::WindowAsked = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(approvals[0].id, asked.id);
        let _: shape::ApprovalView = read(&world, &format!("/v1/approvals/{}", asked.id)).await;
    } else {
        panic!("{}", asked.body);
    }
    let _: Vec<shape::LiveView> = read(&world, "/v1/sessions").await;
    let _: Vec<shape::SessionRecord> = read(&world, "/v1/sessions/history").await;
    let _: Vec<shape::RequestView> = read(&world, "/v1/audit/search").await;
    let _: shape::DisclosedView = read(&world, "/v1/audit/disclosed?class=card_number").await;
    let _: Vec<shape::ReportLine> = read(&world, "/v1/audit/report?class=card_number").await;
    let scan = world.post("/v1/targets/payments/scan", &world.token("somebody", &["operate"]), &json!(null)).await;
    let scan: shape::ScanView = serde_json::from_str(&scan.body).unwrap();
    let scan: shape::ScanView = read(&world, &format!("/v1/scans/{}", scan.id)).await;
    assert!(scan.report.is_none() && scan.database == "payments");
    let events: Vec<shape::EventView> = read(&world, "/v1/audit/events").await;
    assert!(!events.is_empty());
}

#[tokio::test]
async fn an_entry_is_proved_to_whoever_may_search() {
    let world = World::start().await;
    world.indexed().await;
    let checkpoint = world.node.recorder.journal().checkpoint().unwrap();
    assert!(checkpoint.size() > 0);
    let proof: shape::ProofView = read(&world, "/v1/audit/entries/0/proof").await;
    let key = proof.key.parse().unwrap();
    let opened = ledger::EntryProof::open(&proof.proof, &key).unwrap();
    assert_eq!((opened.index, proof.entry), (0, 0));
    assert!(proof.content["event"]["started"].is_object(), "{}", proof.content);
    let token = world.token("auditor", &["audit"]);
    assert_eq!(world.get("/v1/audit/entries/18446744073709551615/proof", &token).await.status, 409);
    assert_eq!(world.get("/v1/audit/entries/x/proof", &token).await.status, 400);
}
