//! Playing a tape, and that it is known who did.

use ledger::RealDisk;
use ledger::tape::{Kind, Tape};
use model::event::Event;
use model::id::SessionId;
use serde_json::{Value, json};

use crate::world::World;

const ID: SessionId = SessionId::from_bits(77);

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], u32::try_from(body.len() + 4).unwrap().to_be_bytes().as_slice(), body].concat()
}

impl World {
    fn tape(&self, finish: bool) {
        let now = gateway::clock::now();
        let mut tape = Tape::create(&RealDisk, &self.node.layout().tapes(), ID, now).unwrap();
        let request = json!({ "request": ID.request(1), "statement": "SELECT 1", "values": [] });
        let _ = tape.record(Kind::FromClient, now, &[format!("{request}\n").as_bytes()]).unwrap();
        let row = [message(b'D', &[0, 1, 0, 0, 0, 1, b'1']), message(b'C', b"SELECT 1\0")].concat();
        let _ = tape.record(Kind::ToClient, now, &[&row]).unwrap();
        if finish {
            tape.finish(now).unwrap();
        }
    }

    async fn play(&self) -> Vec<Value> {
        let reply = self.get(&format!("/v1/sessions/{ID}/tape"), &self.token("auditor", &["replay"])).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_tape_is_played_as_the_caller_saw_it() {
    let world = World::start().await;
    world.tape(true);
    let lines = world.play().await;
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["request", "row", "complete", "end"]);
    assert_eq!(lines[0]["statement"], "SELECT 1");
    assert_eq!(lines[1]["values"], json!(["1"]));
    assert_eq!(lines[3]["complete"], true);
}

/// LK-14: replay access is itself recorded.
#[tokio::test]
async fn lk_14_looking_is_recorded() {
    let world = World::start().await;
    world.tape(true);
    world.play().await;
    let seen = world.journal().into_iter().any(|event| match event {
        Event::AdminAction { subject, action, object, .. } => {
            &*subject.id == "auditor" && &*action == "session.replay" && *object == *ID.to_string()
        }
        _ => false,
    });
    assert!(seen);
}

#[tokio::test]
async fn a_tape_that_was_cut_off_says_so() {
    let world = World::start().await;
    world.tape(false);
    assert_eq!(world.play().await.last().unwrap()["complete"], false);
}

#[tokio::test]
async fn there_is_no_other_tape() {
    let world = World::start().await;
    let token = world.token("auditor", &["replay"]);
    assert_eq!(world.get("/v1/sessions/0000000000001/tape", &token).await.status, 404);
    assert_eq!(world.get("/v1/sessions/..%2f..%2fstate/tape", &token).await.status, 400);
}

#[tokio::test]
async fn sessions_that_are_not_there() {
    let world = World::start().await;
    let token = world.token("operator", &["sessions"]);
    assert_eq!(world.get("/v1/sessions", &token).await.json(), json!([]));
    assert_eq!(world.get("/v1/sessions/0000000000001", &token).await.status, 404);
    assert_eq!(world.post("/v1/sessions/0000000000001/kill", &token, &json!({})).await.status, 404);
    assert_eq!(world.post("/v1/sessions/0000000000001/token", &token, &json!({})).await.status, 404);
}
