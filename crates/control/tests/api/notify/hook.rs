//! The generic webhook.

use serde_json::json;
use testkit::notify::{Fault, Webhook};

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn configured(dir: &TempDir, name: &str, url: &str, more: &str) -> String {
    let secret = secret(dir, &format!("{name}.secret"), SECRET);
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\nallow_http = true\n\
         secret = {{ file = \"{secret}\" }}\n{more}"
    )
}

fn kinds(hook: &Webhook) -> Vec<(String, String)> {
    hook.taken().iter().map(|taken| (taken.kind().to_owned(), taken.approval().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_happens_to_an_approval_is_told_in_order_and_signed() {
    let (dir, hook) = (dir(), Webhook::start(SECRET).await.unwrap());
    let world = World::start_in(Arc::clone(&dir), &configured(&dir, "hook", &hook.url(), "")).await;
    let (first, second) = (world.put(asked(1, "DELETE FROM payments")), world.put(asked(2, "DELETE FROM refunds")));
    let body = json!({ "approve": false });
    let path = format!("/v1/approvals/{first}/answer");
    assert_eq!(world.post(&path, &world.token("alice", &["approve", "dba"]), &body).await.status, 200);
    world.take_back(second);
    eventually("five events", || hook.taken().len() >= 5).await;
    let told = |kind: &str, id: ApprovalId| (kind.to_owned(), id.to_string());
    assert_eq!(
        kinds(&hook),
        [
            told("approval.asked", first),
            told("approval.asked", second),
            told("approval.answered", first),
            told("approval.denied", first),
            told("approval.withdrawn", second),
        ]
    );
    let taken = hook.taken();
    assert_eq!(taken[0].body["data"]["asked"]["statement"], "DELETE FROM payments");
    assert_eq!(taken[0].body["data"]["asked"]["on_behalf_of"][0]["id"], "carol");
    assert_eq!(taken[2].body["data"]["answer"]["approver"]["id"], "alice");
    assert_eq!(hook.refused(), Vec::<String>::new());
    let uses = world
        .journal()
        .into_iter()
        .filter(|event| matches!(event, Event::SecretUsed { target, .. } if &**target == "notify:hook"));
    assert_eq!(uses.count(), 1, "that the secret is used is in the record");
}

/// Faults of every kind, and a restart in the middle: nothing is lost, nothing overtakes, and what comes twice has one id.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_sent_again_in_order_with_the_same_id_also_after_a_restart() {
    let (dir, hook) = (dir(), Webhook::start(SECRET).await.unwrap());
    let more = configured(&dir, "hook", &hook.url(), "");
    let world = World::start_in(Arc::clone(&dir), &more).await;
    hook.plan([Some(Fault::Status(503)), Some(Fault::LosesReply), None, Some(Fault::Status(400))]);
    let ids: Vec<ApprovalId> = (1..=4).map(|number| world.put(asked(number, "DELETE FROM payments"))).collect();
    eventually("the second", || hook.taken().iter().any(|taken| taken.approval() == ids[1].to_string())).await;
    hook.always(Some(Fault::Status(500)));
    let last = world.put(asked(5, "DELETE FROM payments"));
    let dir = world.stop().await;
    hook.always(None);
    let world = World::start_in(dir, &more).await;
    eventually("the last", || hook.taken().iter().any(|taken| taken.approval() == last.to_string())).await;
    let mut taken = hook.taken();
    assert_eq!(taken[0].id, taken[1].id, "the first was taken twice");
    taken.dedup_by(|one, other| one.id == other.id);
    let order: Vec<String> = taken.iter().map(|taken| taken.approval().to_owned()).collect();
    let wanted: Vec<String> = ids.iter().chain([&last]).map(ToString::to_string).collect();
    assert_eq!(order, wanted);
    assert_eq!(hook.refused(), Vec::<String>::new());
    drop(world);
}

/// RX-12: a receiver that never answers holds up neither approvals, nor the journal, nor another channel, nor the end.
#[tokio::test(flavor = "multi_thread")]
async fn rx_12_a_channel_that_hangs_holds_up_nothing() {
    let (dir, dead, alive) = (dir(), Webhook::start(SECRET).await.unwrap(), Webhook::start(SECRET).await.unwrap());
    dead.always(Some(Fault::Hangs));
    let more = configured(&dir, "dead", &dead.url(), "") + &configured(&dir, "alive", &alive.url(), "");
    let world = World::start_in(Arc::clone(&dir), &more).await;
    let ids: Vec<ApprovalId> = (1..=30).map(|number| world.put(asked(number, "DELETE FROM payments"))).collect();
    eventually("the other channel", || alive.taken().len() >= 30).await;
    let path = format!("/v1/approvals/{}/answer", ids[0]);
    let token = world.token("alice", &["approve", "dba"]);
    assert_eq!(world.post(&path, &token, &json!({ "approve": true })).await.json()["status"], "approved");
    assert_eq!(dead.posts(), 1, "one at a time");
    let health = world.get("/v1/health", &world.token("reader", &["read"])).await.json();
    assert_eq!(health["channels"][0]["name"], "dead");
    assert!(health["channels"][0]["waiting"].as_i64().unwrap() > 0, "{health}");
    assert_eq!(health["channels"][1]["failures"], 0);
    tokio::time::timeout(LIMIT, world.stop()).await.unwrap();
}

/// A receiver gets what its channel is about and no more; what hides or turns text does not come as itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_tells_of_its_groups_and_targets_and_nothing_in_it_is_hidden() {
    let (dir, hook) = (dir(), Webhook::start(SECRET).await.unwrap());
    let about = "groups = [\"sluice|dba\"]\ntargets = [\"payments\"]\n";
    let world = World::start_in(Arc::clone(&dir), &configured(&dir, "hook", &hook.url(), about)).await;
    let (mut elsewhere, mut others) = (asked(1, "SELECT 1"), asked(2, "SELECT 1"));
    elsewhere.target = "web1".into();
    others.needs[0].groups = vec!["sluice|lead".into()];
    for other in [elsewhere, others] {
        let id = world.put(other);
        world.take_back(id);
    }
    let id = world.put(asked(3, "DELETE FROM \u{202e}payments"));
    world.take_back(id);
    eventually("both events", || hook.taken().len() >= 2).await;
    assert_eq!(
        kinds(&hook),
        [("approval.asked".into(), id.to_string()), ("approval.withdrawn".into(), id.to_string())]
    );
    let taken = &hook.taken()[0];
    assert!(!taken.text.contains('\u{202e}'));
    assert_eq!(taken.body["data"]["asked"]["statement"], "DELETE FROM \u{202e}payments");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_tries_a_channel_out_and_is_told_why_it_fails() {
    let (dir, hook) = (dir(), Webhook::start(SECRET).await.unwrap());
    let world = World::start_in(Arc::clone(&dir), &configured(&dir, "hook", &hook.url(), "")).await;
    let token = world.token("olga", &["operate", "read"]);
    let listed = world.get("/v1/notify", &token).await.json();
    assert_eq!((&listed[0]["name"], &listed[0]["kind"]), (&json!("hook"), &json!("webhook")));
    let reply = world.post("/v1/notify/hook/test", &token, &json!({})).await;
    assert_eq!((reply.status, &reply.json()["sent"]), (200, &json!(true)));
    assert_eq!(hook.taken()[0].kind(), "test");
    let is_act = |event: &Event| matches!(event, Event::AdminAction { action, .. } if &**action == "notify.test");
    assert!(world.journal().iter().any(is_act));
    hook.always(Some(Fault::Status(403)));
    let reply = world.post("/v1/notify/hook/test", &token, &json!({})).await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("403") && !reply.body.contains(&hook.url()), "{}", reply.body);
    assert_eq!(world.post("/v1/notify/other/test", &token, &json!({})).await.status, 404);
    secret(&dir, "hook.secret", "not-a-secret");
    let reply = world.post("/v1/notify/hook/test", &token, &json!({})).await;
    assert!(reply.body.contains("whsec_") && !reply.body.contains("not-a-secret"), "{}", reply.body);
}
