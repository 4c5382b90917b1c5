//! Who is no longer believed: who may say so, what is told, and that answers break off.

use std::sync::Arc;

use ledger::tape::{Drawn, Kind, Tape};
use ledger::{Disk, RealDisk};
use model::decision::Outcome;
use model::event::Event;
use model::id::SessionId;
use model::secret::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::World;

impl World {
    async fn revoke(&self, body: Value) -> u16 {
        self.post("/v1/revocations", &self.token("ops", &["sessions"]), &body).await.status
    }

    async fn who(&self, name: &str) -> u16 {
        self.get("/v1/whoami", &self.token(name, &[])).await.status
    }

    /// What was done, to what, and by whom.
    fn acts(&self) -> Vec<(String, String, String)> {
        let acts = self.journal().into_iter().filter_map(|event| match event {
            Event::AdminAction { subject, action, object, outcome: Outcome::Allow } => {
                Some((action.to_string(), object.to_string(), subject.to_string()))
            }
            _ => None,
        });
        acts.collect()
    }
}

#[tokio::test]
async fn revocations_are_listed_and_lifted_by_whoever_may() {
    let world = World::start().await;
    let (ops, root) = (world.token("ops", &["sessions"]), world.token("root", &["operate", "sessions"]));
    assert_eq!(world.who("jane").await, 200);
    assert_eq!(world.revoke(json!({"subject": "sluice|jane", "barred": true, "reason": "left"})).await, 200);
    assert_eq!(world.who("jane").await, 401);
    assert_eq!(world.revoke(json!({"subject": "sluice|ann", "seconds": 3600})).await, 200);
    let listed = world.get("/v1/revocations", &ops).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let jane = listed.as_array().unwrap().iter().find(|one| one["whose"] == "sluice|jane").unwrap();
    assert_eq!((&jane["extent"], &jane["until"], &jane["reason"]), (&json!("all"), &Value::Null, &json!("left")));
    assert_eq!(jane["by"], json!({"issuer": "sluice", "id": "ops"}));
    assert!(world.get("/metrics", &ops).await.body.contains("sluice_revocations 2"));

    let lift = json!({"subject": "sluice|jane", "reason": "a mistake"});
    assert_eq!(world.post("/v1/revocations/lift", &ops, &lift).await.status, 403);
    assert_eq!(world.post("/v1/revocations/lift", &root, &lift).await.status, 200);
    assert_eq!(world.post("/v1/revocations/lift", &root, &lift).await.status, 404);
    assert_eq!(world.who("jane").await, 200);
    let by = |name: &str| format!("sluice|{name}");
    let acts = world.acts();
    assert!(acts.contains(&("subject.revoke".into(), "sluice|jane: left".into(), by("ops"))), "{acts:?}");
    assert!(acts.contains(&("revocation.lift".into(), "sluice|jane: a mistake".into(), by("root"))), "{acts:?}");

    // An issuer is more than a subject, and Sluice's own is the way back in.
    let issuer = json!({"issuer": "sluice"});
    assert_eq!(world.post("/v1/revocations/issuer", &ops, &issuer).await.status, 403);
    assert_eq!(world.post("/v1/revocations/issuer", &root, &issuer).await.status, 409);
    assert_eq!(world.post("/v1/revocations/issuer", &root, &json!({"issuer": "corp"})).await.status, 404);
    // One token, which in this world every caller has.
    assert_eq!(world.revoke(json!({"token_id": "sluice|test"})).await, 200);
    assert_eq!(world.who("jane").await, 401);
}

#[tokio::test]
async fn what_is_not_meant_clearly_is_not_revoked() {
    let world = World::start().await;
    for (wrong, status) in [
        (json!({}), 400),
        (json!({"subject": "jane"}), 400),
        (json!({"subject": "sluice|"}), 400),
        (json!({"subject": "sluice|jane", "token_id": "sluice|test"}), 400),
        (json!({"subject": "sluice|jane", "barred": true, "seconds": 60}), 400),
        (json!({"subject": "sluice|jane", "seconds": 0}), 400),
        (json!({"token_id": "sluice|t", "barred": true}), 400),
        (json!({"subject": "sluice|jane", "for": "1h"}), 400),
        (json!({"subject": "corp|jane"}), 404),
        (json!({"subject": "sluice|jane", "reason": "x".repeat(1001)}), 400),
    ] {
        assert_eq!(world.revoke(wrong.clone()).await, status, "{wrong}");
    }
    assert!(world.node.revocations.list().is_empty() && world.acts().is_empty());
}

#[tokio::test]
async fn a_token_that_is_given_up_is_in_the_journal_and_not_itself() {
    let world = World::start().await;
    let token = world.token("jane", &["read"]);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = world.send("POST", "/revoke", &form, &format!("token={token}")).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(world.get("/v1/whoami", &token).await.status, 401);
    let acts = world.acts();
    let (action, object, by) = acts.last().unwrap();
    assert_eq!((action.as_str(), by.as_str()), ("token.revoke", "sluice|jane"));
    assert!(object.starts_with("token sha256:") && !object.contains(&token), "{object}");
    // A second time nothing happens.
    assert_eq!(world.send("POST", "/revoke", &form, &format!("token={token}")).await.status, 200);
    assert_eq!(world.acts().len(), acts.len());
}

const ID: SessionId = SessionId::from_bits(78);

/// A tape of 16 MiB: more than lies between the two ends of a connection.
fn long_tape(world: &World) {
    let now = gateway::clock::now();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let drawn = Drawn { key: Secret::new([7; 32]), nonce: [7; 12] };
    let mut tape =
        Tape::create(&disk, &world.node.layout().tapes(), ID, now, Some((&*world.node.tape_keys, &drawn))).unwrap();
    let value = vec![b'x'; 65_536];
    let body = [&[0, 1, 0, 1, 0, 0], value.as_slice()].concat();
    let row = [b"D".as_slice(), u32::try_from(body.len() + 4).unwrap().to_be_bytes().as_slice(), &body].concat();
    for _ in 0..256 {
        let _ = tape.record(Kind::ToClient, now, &[&row]).unwrap();
    }
    tape.finish(now).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn id_14_an_answer_that_is_streamed_breaks_off() {
    let world = World::start().await;
    long_tape(&world);
    let play = async || {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(65_536).unwrap();
        let mut stream = socket.connect(world.address).await.unwrap();
        let token = world.token("auditor", &["replay"]);
        let head = format!(
            "GET /v1/sessions/{ID}/tape HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n",
            world.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = vec![0; 65_536];
        stream.read_exact(&mut first).await.unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"));
        stream
    };
    let rest = async |mut stream: tokio::net::TcpStream| {
        let mut rest = Vec::new();
        // A reset counts as an end.
        let _ = stream.read_to_end(&mut rest).await;
        rest
    };
    let whole = rest(play().await).await;
    assert!(whole.ends_with(b"\r\n0\r\n\r\n") && whole.len() > 16_000_000, "{}", whole.len());

    let under_way = play().await;
    assert_eq!(world.revoke(json!({"subject": "sluice|auditor"})).await, 200);
    let broken_off = rest(under_way).await;
    assert!(!broken_off.ends_with(b"\r\n0\r\n\r\n") && broken_off.len() < whole.len(), "{}", broken_off.len());
}
