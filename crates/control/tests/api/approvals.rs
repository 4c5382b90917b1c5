//! Answering approvals: four eyes, quorum, and what the journal has of it.

use std::sync::Arc;

use model::approval::{Asked, Mode, Status};
use model::decision::{Need, Outcome};
use model::event::Event;
use model::id::{ApprovalId, Digest, RevisionId, SessionId};
use model::subject::SubjectKey;
use serde_json::{Value, json};
use store::approval::Limits;

use crate::world::World;

impl World {
    /// Asks as `sluice|order-service`, for the agreement of `quorum` members of `sluice|dba`.
    fn ask(&self, number: u64, quorum: u8) -> ApprovalId {
        let now = gateway::clock::now();
        let asked = Asked {
            request: SessionId::from_bits(9).request(number),
            subject: SubjectKey { issuer: "sluice".into(), id: "order-service".into() },
            on_behalf_of: vec![],
            target: "payments".into(),
            database: "payments".into(),
            statement: "DELETE FROM payments WHERE id = 42".into(),
            parameters: vec![],
            effects: vec!["delete table public.payments".into()],
            estimated_rows: Some(1),
            reason: None,
            needs: vec![Need {
                policy: "delete-needs-dba".into(),
                policy_digest: Digest([7; 32]),
                groups: vec!["sluice|dba".into()],
                quorum,
            }],
            digest: Digest([u8::try_from(number).unwrap(); 32]),
            mode: Mode::Ticket,
            revision: RevisionId(1),
            asked_at: now,
            expires_at: now.plus_millis(60_000),
        };
        let id = ApprovalId::from_bits(number);
        self.node.state.ask(&asked, id, &Limits::default()).unwrap();
        id
    }

    async fn answer(&self, id: ApprovalId, name: &str, groups: &[&str], approve: bool) -> (u16, Value) {
        let body = json!({ "approve": approve, "reason": "checked" });
        let reply = self.post(&format!("/v1/approvals/{id}/answer"), &self.token(name, groups), &body).await;
        (reply.status, reply.json())
    }

    fn answers_in_journal(&self, id: ApprovalId) -> Vec<Arc<str>> {
        let answered = self.journal().into_iter().filter_map(|event| match event {
            Event::ApprovalAnswered { approval, answer } if approval == id => Some(answer.approver.id),
            _ => None,
        });
        answered.collect()
    }
}

/// AP-03: nobody approves their own, whatever groups they are in; and only the groups that are asked may.
#[tokio::test]
async fn ap_03_four_eyes() {
    let world = World::start().await;
    let id = world.ask(1, 1);
    let (status, problem) = world.answer(id, "order-service", &["approve", "dba"], true).await;
    assert_eq!((status, problem["detail"].as_str()), (403, Some("nobody answers their own request")));
    let (status, _) = world.answer(id, "Order-Service", &["approve", "dba"], true).await;
    assert_eq!(status, 403, "the same id in other letters");
    let (status, _) = world.answer(id, "alice", &["approve"], true).await;
    assert_eq!(status, 403, "not in a group that is asked");
    assert_eq!(world.answer(id, "alice", &["dba"], true).await.0, 403, "may not use approvals at all");
    assert_eq!(world.answers_in_journal(id), []);
    let (status, answer) = world.answer(id, "alice", &["approve", "dba"], true).await;
    assert_eq!((status, &answer["status"]), (200, &json!("approved")));
    assert_eq!(world.answers_in_journal(id), ["alice".into()]);
    assert_eq!(world.answer(id, "bob", &["approve", "dba"], true).await.0, 409);
    assert_eq!(world.node.state.approval(id).unwrap().unwrap().status, Status::Approved);
}

/// AP-04: a quorum counts people.
#[tokio::test]
async fn ap_04_quorum() {
    let world = World::start().await;
    let id = world.ask(1, 2);
    assert_eq!(world.answer(id, "alice", &["approve", "dba"], true).await.1["status"], "pending");
    assert_eq!(world.answer(id, "alice", &["approve", "dba"], true).await.0, 409);
    let shown = world.get(&format!("/v1/approvals/{id}"), &world.token("bob", &["approve"])).await.json();
    assert_eq!(shown["progress"][0]["agreed"], 1);
    assert_eq!(shown["progress"][0]["quorum"], 2);
    assert_eq!(world.answer(id, "bob", &["approve", "dba"], true).await.1["status"], "approved");
    assert_eq!(world.answers_in_journal(id), ["alice".into(), "bob".into()]);
}

#[tokio::test]
async fn a_denial_ends_it_and_the_journal_says_so() {
    let world = World::start().await;
    let id = world.ask(1, 1);
    assert_eq!(world.answer(id, "alice", &["approve", "dba"], false).await.1["status"], "denied");
    let journal = world.journal();
    let place = |wanted: &dyn Fn(&Event) -> bool| journal.iter().position(wanted).unwrap();
    let answered = place(&|event| matches!(event, Event::ApprovalAnswered { answer, .. } if !answer.approve));
    let ended = place(&|event| matches!(event, Event::ApprovalEnded { status: Status::Denied, .. }));
    let acted = place(&|event| match event {
        Event::AdminAction { action, outcome, .. } => &**action == "approval.deny" && *outcome == Outcome::Allow,
        _ => false,
    });
    assert!(answered < ended && ended < acted);
}

#[tokio::test]
async fn requesters_see_and_withdraw_their_own_alone() {
    let world = World::start().await;
    let id = world.ask(1, 1);
    let (own, other) = (world.token("order-service", &[]), world.token("mallory", &[]));
    let path = format!("/v1/approvals/{id}");
    assert_eq!(world.get(&path, &own).await.json()["asked"]["statement"], "DELETE FROM payments WHERE id = 42");
    assert_eq!(world.get(&path, &other).await.status, 404);
    assert_eq!(world.post(&format!("{path}/withdraw"), &other, &json!({})).await.status, 404);
    assert_eq!(world.post(&format!("{path}/withdraw"), &own, &json!({ "reason": "not needed" })).await.status, 200);
    assert_eq!(world.post(&format!("{path}/withdraw"), &own, &json!({})).await.status, 409);
    assert_eq!(world.answer(id, "alice", &["approve", "dba"], true).await.0, 409);
    let ended = world.journal().into_iter().any(|event| match event {
        Event::ApprovalEnded { status, reason, .. } => status == Status::Withdrawn && &*reason == "not needed",
        _ => false,
    });
    assert!(ended);
    assert!(world.journal().iter().any(|event| {
        matches!(event, Event::AdminAction { action, outcome: Outcome::Allow, .. } if &**action == "approval.withdraw")
    }));
}

#[tokio::test]
async fn lists_are_filtered() {
    let world = World::start().await;
    let (first, second) = (world.ask(1, 1), world.ask(2, 1));
    world.answer(first, "alice", &["approve", "dba"], false).await;
    let token = world.token("bob", &["approve"]);
    let ids = async |query: &str| {
        let found = world.get(&format!("/v1/approvals?{query}"), &token).await.json();
        let ids = found.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids("status=pending").await, [second.to_string()]);
    assert_eq!(ids("status=denied&target=payments").await, [first.to_string()]);
    assert_eq!(ids("subject=sluice%7Corder-service").await.len(), 2);
    assert_eq!(ids("subject=other%7Corder-service").await.len(), 0);
    assert_eq!(ids("since=2999-01-01T00:00:00Z").await.len(), 0);
}
