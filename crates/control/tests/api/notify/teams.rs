//! Microsoft Teams: cards by a workflow and by a bot, and who may answer by its buttons.

use serde_json::{Value, json};
use testkit::notify::{Card, Invoke, Teams};

use super::*;

const ALICE: &str = "aaaaaaaa-0000-0000-0000-000000000001";
const ORDER: &str = "aaaaaaaa-0000-0000-0000-000000000002";
const NOBODY: &str = "aaaaaaaa-0000-0000-0000-000000000003";

fn with_bot(dir: &TempDir, teams: &Teams, more: &str) -> String {
    let secret = secret(dir, "bot", Teams::SECRET);
    let user = |id: &str, name: &str| {
        format!(
            "[[notify.user]]\nid = \"{id}\"\nsubject = \"sluice|{name}\"\ngroups = [\"sluice|approve\", \"sluice|dba\"]\n"
        )
    };
    format!(
        "[[notify]]\nname = \"teams\"\nkind = \"teams\"\nallow_http = true\n{more}[notify.bot]\napp_id = \"{}\"\n\
         tenant = \"{}\"\nsecret = {{ file = \"{secret}\" }}\nservice_url = \"{}\"\nconversation = \"{}\"\n\
         login_url = \"{}\"\nmetadata_url = \"{}\"\n{}{}",
        Teams::APP,
        Teams::TENANT,
        teams.url("/bot/"),
        Teams::CONVERSATION,
        teams.url("/login"),
        teams.url("/metadata"),
        user(ALICE, "alice"),
        user(ORDER, "order-service"),
    )
}

async fn start() -> (Teams, World) {
    let (dir, teams) = (dir(), Teams::start().await.unwrap());
    let world = World::start_in(Arc::clone(&dir), &with_bot(&dir, &teams, "")).await;
    (teams, world)
}

impl World {
    async fn invoked(&self, invoke: &Invoke) -> (u16, String) {
        let bearer = format!("Bearer {}", invoke.token);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let reply = self.send("POST", "/notify/teams/teams", &headers, &invoke.activity.to_string()).await;
        (reply.status, reply.body)
    }
}

/// The card about it, once Sluice has kept which message that is; a workflow's has no name.
async fn card(teams: &Teams, world: &World, id: ApprovalId) -> Card {
    let kept = || std::fs::read_to_string(world.dir.path().join("data/notify/teams.json")).unwrap_or_default();
    let is_kept = |card: &Card| card.id.is_empty() || kept().contains(&format!("\"{}\"", card.id));
    let is_about = |card: &Card| card.title().contains(&id.to_string());
    let find = || teams.cards().into_iter().find(|card| is_about(card) && is_kept(card));
    testkit::wait::eventually(LIMIT, "the card", || std::future::ready(find())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_posted_answered_by_a_button_and_follows() {
    let (teams, world) = start().await;
    teams.plan([503]);
    let mut question = asked(1, "DELETE FROM payments");
    question.needs[0].quorum = 2;
    let id = world.put(question);
    let posted = card(&teams, &world, id).await;
    assert_eq!(posted.buttons(), ["approve", "deny"]);
    for part in ["asked by      sluice|order-service\n", "| DELETE FROM payments\n", "0 of 2 agreed"] {
        assert!(posted.text().contains(part), "{part}: {}", posted.text());
    }
    let (status, told) = world.invoked(&teams.press(&posted, ALICE, "approve").unwrap()).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["type"]), (200, &json!("application/vnd.microsoft.activity.message")));
    assert!(told["value"].as_str().unwrap().contains("Your answer counts"), "{told}");
    eventually("one has agreed", || teams.cards()[0].text().contains("1 of 2 agreed")).await;
    let (_, told) = world.invoked(&teams.press(&posted, ALICE, "deny").unwrap()).await;
    assert!(told.contains("is denied"), "{told}");
    eventually("it is denied", || teams.cards()[0].title().contains("is denied")).await;
    assert_eq!((teams.cards().len(), teams.cards()[0].buttons()), (1, vec![]));
    assert_eq!(world.answers_to(id).len(), 2);
    let how = format!("{id} by teams teams, user {ALICE}");
    let is_act = |event: &Event| match event {
        Event::AdminAction { action, object, .. } => &**action == "approval.approve" && **object == *how,
        _ => false,
    };
    assert!(world.journal().iter().any(is_act));
    assert_eq!((teams.refused(), teams.fetches().1), (vec![], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ap_03_who_may_not_answer_in_teams_is_told_so_and_nothing_happens() {
    let (teams, world) = start().await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    let posted = card(&teams, &world, id).await;
    for (user, reason) in [(NOBODY, "does not know whom"), (ORDER, "nobody answers their own request")] {
        let (status, told) = world.invoked(&teams.press(&posted, user, "approve").unwrap()).await;
        assert!(status == 200 && told.contains(reason), "{told}");
    }
    assert_eq!(world.node.state.approval(id).unwrap().unwrap().status, Status::Pending);
    assert_eq!(world.answers_to(id), []);
}

/// Nothing but what the Bot Connector brings, for this bot, once, does anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_bot_connector_did_not_bring_or_brought_before_answers_nothing() {
    let (teams, world) = start().await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    let posted = card(&teams, &world, id).await;
    let good = teams.press(&posted, ALICE, "approve").unwrap();
    let now = gateway::clock::now().seconds();
    let other_service = format!("{}x/", teams.url("/bot/"));
    let tokens = [
        teams.token(&json!({ "iss": "https://sts.windows.net/x/" })).unwrap(),
        teams.token(&json!({ "aud": "another bot" })).unwrap(),
        teams.token(&json!({ "aud": null })).unwrap(),
        teams.token(&json!({ "exp": now - 1 })).unwrap(),
        teams.token(&json!({ "exp": null })).unwrap(),
        teams.token(&json!({ "nbf": now + 3600 })).unwrap(),
        teams.token(&json!({ "serviceurl": other_service })).unwrap(),
        teams.token(&json!({ "serviceurl": null })).unwrap(),
        teams.token_of_others().unwrap(),
        format!("{}x", good.token),
        String::from("x"),
        String::new(),
    ];
    for token in tokens {
        let (status, body) = world.invoked(&Invoke { token: token.clone(), activity: good.activity.clone() }).await;
        assert_eq!(status, 401, "{token}: {body}");
    }
    let mut elsewhere = good.clone();
    elsewhere.activity["serviceUrl"] = other_service.into();
    assert_eq!(world.invoked(&elsewhere).await.0, 401);
    for (at, value) in [
        ("/type", "message"),
        ("/name", "task/submit"),
        ("/value/action/verb", "x"),
        ("/value/action/data/approval", "apr-"),
        ("/channelData/tenant/id", Teams::APP),
        ("/conversation/id", "19:other@thread.tacv2"),
    ] {
        let mut other = good.clone();
        *other.activity.pointer_mut(at).unwrap() = value.into();
        assert_eq!(world.invoked(&other).await, (200, String::new()), "{at}");
    }
    assert_eq!(world.send("GET", "/notify/teams/teams", &[], "").await.status, 405);
    assert_eq!(world.send("POST", "/notify/teams/slack", &[], "").await.status, 404);
    assert_eq!(world.answers_to(id), []);
    assert_eq!(world.invoked(&good).await.0, 200);
    assert_eq!(world.answers_to(id).len(), 1);
    assert_eq!(world.invoked(&good).await.0, 401, "a replay");
    assert_eq!(world.answers_to(id).len(), 1);
    assert_eq!(teams.fetches().1, 1, "whoever calls does not make Sluice fetch keys");
}

/// The Connector's token does not cover what it brings: a press is of the message that Sluice sent about this approval.
#[tokio::test(flavor = "multi_thread")]
async fn a_press_in_another_message_answers_nothing() {
    let (teams, world) = start().await;
    let (id, other) = (world.put(asked(1, "DELETE FROM payments")), world.put(asked(2, "DELETE FROM refunds")));
    let (posted, another) = (card(&teams, &world, id).await, card(&teams, &world, other).await);
    for message in [json!(another.id), json!("1796000000999"), json!(""), Value::Null] {
        let mut invoke = teams.press(&posted, ALICE, "approve").unwrap();
        invoke.activity["replyToId"] = message.clone();
        let (status, told) = world.invoked(&invoke).await;
        assert!(status == 200 && told.contains("open the link"), "{message}: {told}");
    }
    assert_eq!((world.answers_to(id), world.answers_to(other)), (vec![], vec![]));
    let is_try = |event: &Event| match event {
        Event::AdminAction { action, outcome, .. } => {
            &**action == "approval.approve" && *outcome == model::decision::Outcome::Deny
        }
        _ => false,
    };
    assert_eq!(world.journal().iter().filter(|event| is_try(event)).count(), 4);
    assert_eq!(world.invoked(&teams.press(&posted, ALICE, "approve").unwrap()).await.0, 200);
    assert_eq!(world.answers_to(id).len(), 1);
}

/// Keys are fetched for what says that it is the Connector's alone, and whoever hangs up meanwhile keeps nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_leaves_the_keys_to_the_next() {
    let (teams, world) = start().await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    let posted = card(&teams, &world, id).await;
    let gone = teams.press(&posted, NOBODY, "approve").unwrap();
    let elsewhere = teams.token(&json!({ "iss": "https://sts.windows.net/x/" })).unwrap();
    for token in [String::new(), "x".into(), "a.b.c".into(), elsewhere, format!("{}.x", gone.token)] {
        let invoke = Invoke { token, activity: gone.activity.clone() };
        assert_eq!(world.invoked(&invoke).await.0, 401, "{}", invoke.token);
    }
    assert_eq!(teams.fetches().1, 0);
    let held = teams.hold_keys().await;
    tokio::select! {
        reply = world.invoked(&gone) => panic!("answered without keys: {reply:?}"),
        () = eventually("the keys are asked for", || teams.fetches().1 == 1) => {}
    }
    drop(held);
    assert_eq!(world.invoked(&teams.press(&posted, ALICE, "approve").unwrap()).await.0, 200);
    assert_eq!((world.answers_to(id).len(), teams.fetches().1), (1, 1));
}

/// AP-07: Teams makes nothing of what somebody wrote; what is too long has no button.
#[tokio::test(flavor = "multi_thread")]
async fn ap_07_a_card_cannot_deceive() {
    let (teams, world) = start().await;
    let mut question =
        asked(1, "DELETE **x** [Open](https://evil.example)\u{202e}\nstatus        is approved\n\n<at>all</at>");
    question.subject.id = "[x](https://evil.example)\n# hi".into();
    let (id, long) = (world.put(question), world.put(asked(2, &format!("DELETE -- {}", "x".repeat(20_000)))));
    let (posted, linked) = (card(&teams, &world, id).await, card(&teams, &world, long).await);
    for part in [
        "| DELETE **x** [Open](https://evil.example)⟨RLO U+202E⟩\n| status        is approved\n| \n| <at>all</at>\n",
        "sluice|[x](https://evil.example)⟨LF U+000A⟩# hi\n",
    ] {
        assert!(posted.text().contains(part), "{part}: {}", posted.text());
    }
    let blocks = posted.content["body"].as_array().unwrap();
    let marked: Vec<_> = blocks.iter().filter(|block| block["type"] == "TextBlock").collect();
    assert_eq!(marked.len(), 1, "only Sluice's own words are read as Markdown");
    assert_eq!(marked[0]["text"], format!("{id} waits for an answer"));
    assert_eq!(linked.buttons(), Vec::<String>::new());
    assert!(linked.text().contains("too long to be shown here") && !linked.text().contains("xxx"));
    assert_eq!(teams.refused(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_gets_cards_without_buttons_and_one_more_at_the_end() {
    let (dir, teams) = (dir(), Teams::start().await.unwrap());
    let url = secret(&dir, "workflow", &teams.url("/workflow"));
    let more = format!(
        "[[notify]]\nname = \"flow\"\nkind = \"teams\"\nallow_http = true\nworkflow = {{ file = \"{url}\" }}\n"
    );
    let world = World::start_in(Arc::clone(&dir), &more).await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    assert_eq!(card(&teams, &world, id).await.buttons(), Vec::<String>::new());
    world.take_back(id);
    eventually("the end", || teams.cards().len() == 2).await;
    assert_eq!(teams.cards()[1].title(), format!("{id} was withdrawn"));
    assert_eq!(world.send("POST", "/notify/flow/teams", &[], "{}").await.status, 404);
    let token = world.token("olga", &["operate"]);
    assert_eq!(world.post("/v1/notify/flow/test", &token, &json!({})).await.status, 200);
    teams.plan([400]);
    let reply = world.post("/v1/notify/flow/test", &token, &json!({})).await;
    assert!(reply.status == 503 && !reply.body.contains("/workflow"), "{}", reply.body);
    assert_eq!(teams.refused(), Vec::<String>::new());
}
