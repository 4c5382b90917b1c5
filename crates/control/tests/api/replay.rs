//! Playing a tape, and that it is known who did.

use std::sync::Arc;

use ledger::tape::{Direction, Drawn, Kind, Lane, Tape, Track};
use ledger::{Disk, RealDisk};
use model::decision::Outcome;
use model::event::Event;
use model::id::{RevisionId, SessionId};
use model::secret::Secret;
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use serde_json::{Value, json};

use crate::world::World;

const ID: SessionId = SessionId::from_bits(77);

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], u32::try_from(body.len() + 4).unwrap().to_be_bytes().as_slice(), body].concat()
}

fn subject() -> Subject {
    Subject {
        key: SubjectKey { issuer: "sluice".into(), id: "orders".into() },
        kind: SubjectKind::Service,
        groups: Vec::new(),
        on_behalf_of: Vec::new(),
        expires_at: Timestamp(0),
        binding: Binding::Bearer,
        token_id: None,
        credential: model::subject::Credential::default(),
    }
}

impl World {
    fn tape(&self, finish: bool) {
        let now = gateway::clock::now();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let drawn = Drawn { key: Secret::new([7; 32]), nonce: [7; 12] };
        let seal = Some((&*self.node.tape_keys, &drawn));
        let mut tape = Tape::create(&disk, &self.node.layout().tapes(), ID, now, seal).unwrap();
        let request = json!({ "request": ID.request(1), "statement": "SELECT 1", "values": [] });
        let _ = tape.record(Kind::FromClient, now, &[format!("{request}\n").as_bytes()]).unwrap();
        let row = [message(b'D', &[0, 1, 0, 0, 0, 1, b'1']), message(b'C', b"SELECT 1\0")].concat();
        let _ = tape.record(Kind::ToClient, now, &[&row]).unwrap();
        if finish {
            tape.finish(now).unwrap();
        }
    }

    /// Of which sessions the tape was removed, why, and by whom.
    fn removed(&self) -> Vec<(SessionId, String, Option<String>)> {
        let removed = self.journal().into_iter().filter_map(|event| match event {
            Event::TapeRemoved { session, reason, by } => {
                Some((session, reason.to_string(), by.map(|by| by.id.to_string())))
            }
            _ => None,
        });
        removed.collect()
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

/// Issue 7: the tape of an SSH session, sealed as the gateway seals it, channel by channel.
#[tokio::test]
async fn a_tape_with_channels_is_played() {
    let world = World::start().await;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let drawn = Drawn { key: Secret::new([7; 32]), nonce: [7; 12] };
    let seal = Some((&*world.node.tape_keys, &drawn));
    let now = gateway::clock::now();
    let mut tape = Tape::create(&disk, &world.node.layout().tapes(), ID, now, seal).unwrap();
    let mut put = |direction, channel, lane, text: &str| {
        let _ = tape.record_on(direction, Track { channel, lane }, now, &[text.as_bytes()]).unwrap();
    };
    let (from, to) = (Direction::FromClient, Direction::ToClient);
    put(
        from,
        1,
        Lane::Requests,
        &format!("{}\n", json!({ "request": ID.request(1), "statement": "exec ls", "values": [] })),
    );
    put(from, 1, Lane::Input, "in");
    put(to, 1, Lane::Output, "out");
    put(to, 2, Lane::Error, "err");
    put(from, 2, Lane::Size, "80x24");
    put(from, 1, Lane::End, "{\"exit_status\":0}\n");
    tape.finish(now).unwrap();
    let lines = world.play().await;
    let told: Vec<Value> = lines
        .iter()
        .map(|line| json!([line["channel"], line["kind"], line["data"], line["exit_status"], line["columns"]]))
        .collect();
    let none = Value::Null;
    let expected = [
        json!([1, "request", none, none, none]),
        json!([1, "input", "in", none, none]),
        json!([1, "output", "out", none, none]),
        json!([2, "error_output", "err", none, none]),
        json!([2, "size", none, none, 80]),
        json!([1, "exit", none, 0, none]),
        json!([none, "end", none, none, none]),
    ];
    assert_eq!(told, expected);
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
async fn a_tape_is_played_from_a_moment_on() {
    let world = World::start().await;
    world.tape(true);
    let token = world.token("auditor", &["replay"]);
    let reply = world.get(&format!("/v1/sessions/{ID}/tape?since=2100-01-01T00:00:00Z"), &token).await;
    assert_eq!(reply.body.lines().count(), 1, "the end alone: {}", reply.body);
    let reply = world.get(&format!("/v1/sessions/{ID}/tape?since=2020-01-01T00:00:00Z"), &token).await;
    assert_eq!(reply.body.lines().count(), 4, "{}", reply.body);
}

/// TD-13 and LK-14: what is removed is gone with its key, somebody did it for a reason, and that is in the journal.
#[tokio::test]
async fn td_13_a_tape_that_is_removed_leaves_its_record() {
    let world = World::start().await;
    world.tape(true);
    let path = format!("/v1/sessions/{ID}/tape/remove");
    let (auditor, operator) = (world.token("auditor", &["replay"]), world.token("olga", &["operate"]));
    assert_eq!(world.post(&path, &auditor, &json!({ "reason": "x" })).await.status, 403);
    assert_eq!(world.post(&path, &operator, &json!({ "reason": " " })).await.status, 400, "say why");
    assert_eq!(world.post(&path, &operator, &json!({ "reason": "request 4711" })).await.status, 200);
    assert_eq!(world.post(&path, &operator, &json!({ "reason": "request 4711" })).await.status, 404);
    assert_eq!(world.get(&format!("/v1/sessions/{ID}/tape"), &auditor).await.status, 404);
    assert!(std::fs::read_dir(world.node.layout().tapes()).unwrap().next().is_none());
    assert!(std::fs::read_dir(world.node.layout().tape_keys()).unwrap().next().is_none());
    let removed: Vec<_> = world.removed();
    assert_eq!(removed, [(ID, "request 4711".into(), Some("olga".into()))]);
    let acts = world.journal().into_iter().filter(|event| match event {
        Event::AdminAction { action, outcome, .. } => &**action == "tape.remove" && *outcome == Outcome::Allow,
        _ => false,
    });
    assert_eq!(acts.count(), 2, "also the one that found nothing");
}

/// A tape whose target keeps them for 400 days goes on the 401st, and not before.
#[tokio::test]
async fn a_tape_whose_time_is_over_goes() {
    let world = World::start().await;
    world.tape(true);
    let opened = gateway::clock::now();
    let database: Arc<str> = "payments".into();
    world.node.recorder.note(Event::SessionOpened {
        session: ID,
        subject: subject(),
        target: "payments".into(),
        database,
        source: "127.0.0.1".parse().unwrap(),
        application: "".into(),
        revision: RevisionId(1),
    });
    world.node.recorder.note(Event::SessionClosed { session: ID, reason: "goodbye".into(), tape: None });
    world.indexed().await;
    let after = |days: u64| Timestamp(opened.0 + days * 24 * 3600 * 1000);
    assert_eq!(gateway::retention::sweep(&world.node, after(399)).await, 0);
    assert_eq!(gateway::retention::sweep(&world.node, after(401)).await, 1);
    assert_eq!(gateway::retention::sweep(&world.node, after(401)).await, 0);
    assert_eq!(world.removed(), [(ID, "it was kept for 400 days".into(), None)]);
    assert!(world.journal().iter().any(|event| matches!(event, Event::TapeRemoved { by: None, .. })));
    assert!(std::fs::read_dir(world.node.layout().tape_keys()).unwrap().next().is_none());
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
    assert_eq!(world.get("/v1/sessions/0000000000001/watch", &token).await.status, 403);
    let auditor = world.token("auditor", &["replay"]);
    assert_eq!(world.get("/v1/sessions/0000000000001/watch", &auditor).await.status, 404);
    assert_eq!(world.post("/v1/sessions/0000000000001/kill", &token, &json!({})).await.status, 404);
    assert_eq!(world.post("/v1/sessions/0000000000001/token", &token, &json!({})).await.status, 404);
}
