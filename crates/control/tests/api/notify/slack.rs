//! Slack: what is posted, and who may answer by a button.

use serde_json::{Value, json};
use testkit::notify::{Callback, Message, Slack};

use super::*;

const TOKEN: &str = "xoxb-test-token";
const SIGNING: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const APPROVE: &str = "approval.approve";
const DENY: &str = "approval.deny";

/// `UALICE` may answer, `UBOB` too, `UORDER` is who asks, `UGUEST` has no group that may answer anything.
const USERS: &str = "\
    [[notify.user]]\nid = \"UALICE\"\nsubject = \"sluice|alice\"\ngroups = [\"sluice|approve\", \"sluice|dba\"]\n\
    [[notify.user]]\nid = \"UBOB\"\nsubject = \"sluice|bob\"\ngroups = [\"sluice|approve\", \"sluice|dba\"]\n\
    [[notify.user]]\nid = \"UORDER\"\nsubject = \"sluice|Order-Service\"\ngroups = [\"sluice|approve\", \"sluice|dba\"]\n\
    [[notify.user]]\nid = \"UCAROL\"\nsubject = \"sluice|carol\"\ngroups = [\"sluice|approve\", \"sluice|dba\"]\n\
    [[notify.user]]\nid = \"ULEAD\"\nsubject = \"sluice|lea\"\ngroups = [\"sluice|approve\", \"sluice|lead\"]\n\
    [[notify.user]]\nid = \"UGUEST\"\nsubject = \"sluice|guest\"\ngroups = [\"sluice|dba\"]\n";

fn configured(dir: &TempDir, slack: &Slack, more: &str) -> String {
    let (token, signing) = (secret(dir, "token", TOKEN), secret(dir, "signing", SIGNING));
    format!(
        "[[notify]]\nname = \"dba\"\nkind = \"slack\"\nchannel = \"{}\"\nteam = \"{}\"\napi_url = \"{}\"\n\
         allow_http = true\ntoken = {{ file = \"{token}\" }}\nsigning_secret = {{ file = \"{signing}\" }}\n{more}{USERS}",
        Slack::CHANNEL,
        Slack::TEAM,
        slack.api_url()
    )
}

async fn start(more: &str) -> (Slack, World) {
    let (dir, slack) = (dir(), Slack::start(TOKEN).await.unwrap());
    let world = World::start_in(Arc::clone(&dir), &configured(&dir, &slack, more)).await;
    (slack, world)
}

impl World {
    async fn called(&self, callback: &Callback) -> u16 {
        let headers: Vec<_> = callback.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.send("POST", "/notify/dba/slack", &headers, &callback.body).await.status
    }

    fn status(&self, id: ApprovalId) -> Status {
        self.node.state.approval(id).unwrap().unwrap().status
    }
}

async fn message(slack: &Slack, id: ApprovalId) -> Message {
    let find = || slack.messages().into_iter().find(|message| message.text.contains(&id.to_string()));
    testkit::wait::eventually(LIMIT, "the message", || std::future::ready(find())).await.unwrap()
}

/// The last that this user was told.
async fn told(slack: &Slack, user: &str, count: usize) -> String {
    let find = || {
        let all: Vec<_> = slack.told().into_iter().filter(|(whom, _)| whom == user).collect();
        (all.len() >= count).then(|| all.last().unwrap().1.clone())
    };
    testkit::wait::eventually(LIMIT, "what the user is told", || std::future::ready(find())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_posted_answered_by_a_button_and_its_message_follows() {
    let (slack, world) = start("").await;
    let mut question = asked(1, "DELETE FROM payments");
    question.needs[0].quorum = 2;
    let id = world.put(question);
    let posted = message(&slack, id).await;
    let text = posted.sections();
    for part in [
        "sluice|order-service",
        "sluice|carol",
        "payments / payments",
        "| DELETE FROM payments",
        "delete-needs-dba",
        "| delete table public.payments",
        "| clean up",
        "0 of 2 agreed",
        "left when this was written",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(posted.buttons(), [APPROVE, DENY]);
    assert_eq!(world.called(&Slack::press(&posted, "UALICE", APPROVE, SIGNING).unwrap()).await, 200);
    assert!(told(&slack, "UALICE", 1).await.contains("Your answer counts"));
    eventually("one has agreed", || slack.messages()[0].sections().contains("1 of 2 agreed")).await;
    assert_eq!(world.called(&Slack::press(&posted, "UALICE", APPROVE, SIGNING).unwrap()).await, 200);
    assert!(
        told(&slack, "UALICE", 2).await.contains("you have answered it already"),
        "AP-04: people count, not presses"
    );
    assert_eq!(world.called(&Slack::press(&posted, "UBOB", APPROVE, SIGNING).unwrap()).await, 200);
    eventually("it is approved", || slack.messages()[0].text.contains("is approved")).await;
    assert_eq!((world.status(id), slack.messages()[0].buttons()), (Status::Approved, vec![]));
    assert!(slack.messages()[0].sections().contains("sluice|bob agreed"));
    let answers: Vec<_> = world.answers_to(id).iter().map(|answer| answer.approver.to_string()).collect();
    assert_eq!(answers, ["sluice|alice", "sluice|bob"]);
    let acts = world.journal().into_iter().filter_map(|event| match event {
        Event::AdminAction { subject, action, object, .. } if &*action == "approval.approve" => Some((subject, object)),
        _ => None,
    });
    let (by, how) = acts.last().unwrap();
    assert_eq!((by.to_string(), &*how), ("sluice|bob".into(), &*format!("{id} by slack dba, user UBOB")));
    assert_eq!((slack.refused(), slack.messages().len()), (vec![], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_and_an_end_without_an_answer_are_shown() {
    let (slack, world) = start("").await;
    let (denied, gone) = (world.put(asked(1, "DELETE FROM payments")), world.put(asked(2, "DELETE FROM payments")));
    let posted = message(&slack, denied).await;
    message(&slack, gone).await;
    world.called(&Slack::press(&posted, "UALICE", DENY, SIGNING).unwrap()).await;
    world.take_back(gone);
    for (id, word) in [(denied, "is denied"), (gone, "was withdrawn")] {
        eventually(word, || {
            slack.messages().iter().any(|one| one.text == format!("{id} {word}") && one.buttons().is_empty())
        })
        .await;
    }
}

/// AP-03 and what is beside it: the rules for people are those of any answer.
#[tokio::test(flavor = "multi_thread")]
async fn ap_03_who_may_not_answer_is_told_so_alone_and_nothing_happens() {
    let (slack, world) = start("groups = [\"sluice|dba\"]\n").await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    let posted = message(&slack, id).await;
    for (user, reason) in [
        ("UNOBODY", "does not know whom UNOBODY stands for"),
        ("UORDER", "nobody answers their own request"),
        ("UCAROL", "nobody answers their own request"),
        ("ULEAD", "none of your groups may answer it"),
        ("UGUEST", "admin:approve"),
    ] {
        assert_eq!(world.called(&Slack::press(&posted, user, APPROVE, SIGNING).unwrap()).await, 200, "{user}");
        let said = told(&slack, user, 1).await;
        assert!(said.contains("does not count") && said.contains(reason), "{user}: {said}");
    }
    let revoked = json!({ "subject": "sluice|alice", "reason": "left" });
    let reply = world.post("/v1/revocations", &world.token("sam", &["sessions"]), &revoked).await;
    assert!(reply.status < 300, "{}", reply.body);
    world.called(&Slack::press(&posted, "UALICE", APPROVE, SIGNING).unwrap()).await;
    assert!(told(&slack, "UALICE", 1).await.contains("not believed any more"), "revoked here, whatever Slack says");
    assert_eq!((world.status(id), world.answers_to(id)), (Status::Pending, vec![]));
    let tries = world.journal().into_iter().filter(|event| match event {
        Event::AdminAction { action, outcome, .. } => {
            &**action == "approval.approve" && *outcome == model::decision::Outcome::Deny
        }
        _ => false,
    });
    assert_eq!(tries.count(), 6, "each try is in the record");
    // One that the channel is not told of cannot be answered by it, though Slack signs it.
    let mut elsewhere = asked(2, "DELETE FROM payments");
    elsewhere.needs[0].groups = vec!["sluice|lead".into()];
    let other = world.put(elsewhere);
    let forged = Message { blocks: renamed(&posted, id, other), ..posted };
    world.called(&Slack::press(&forged, "ULEAD", APPROVE, SIGNING).unwrap()).await;
    assert!(told(&slack, "ULEAD", 2).await.contains("this channel is not told of it"));
    assert_eq!(world.status(other), Status::Pending);
}

fn renamed(message: &Message, from: ApprovalId, to: ApprovalId) -> Vec<Value> {
    let blocks = serde_json::to_string(&message.blocks).unwrap().replace(&from.to_string(), &to.to_string());
    serde_json::from_str(&blocks).unwrap()
}

/// Nothing but Slack's own word, fresh and for the first time, does anything; and no GET does.
#[tokio::test(flavor = "multi_thread")]
async fn what_slack_did_not_sign_or_signed_before_answers_nothing() {
    let (slack, world) = start("").await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    let posted = message(&slack, id).await;
    let good = Slack::press(&posted, "UALICE", APPROVE, SIGNING).unwrap();
    let payload = form_value(&good.body);
    let with = |name: &str, value: Option<&str>| {
        let mut headers: Vec<_> = good.headers.iter().filter(|(known, _)| known != name).cloned().collect();
        headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        Callback { headers, body: good.body.clone() }
    };
    let forged = [
        Slack::press(&posted, "UALICE", APPROVE, "another secret").unwrap(),
        Slack::signed(&payload, SIGNING, 301).unwrap(),
        Slack::signed(&payload, SIGNING, 0).map(|signed| Callback { body: signed.body + "&x=y", ..signed }).unwrap(),
        with("X-Slack-Signature", None),
        with("X-Slack-Signature", Some("v0=")),
        with("X-Slack-Request-Timestamp", None),
        with("X-Slack-Request-Timestamp", Some("99999999999999999999")),
    ];
    for callback in &forged {
        assert_eq!(world.called(callback).await, 401, "{callback:?}");
    }
    // Signed, and of another workspace, channel or kind: passed over.
    for (at, value) in [
        ("/team/id", "T999"),
        ("/channel/id", "C999"),
        ("/type", "view_submission"),
        ("/actions/0/action_id", "x"),
        ("/actions/0/value", "apr-"),
        ("/user/id", ""),
        ("/user/team_id", "T999"),
    ] {
        let mut other = payload.clone();
        *other.pointer_mut(at).unwrap() = value.into();
        let passed = Slack::signed(&other, SIGNING, 0).unwrap();
        assert_eq!(world.called(&passed).await, 200, "{at}");
        assert_eq!(world.called(&passed).await, 200, "{at}: only what answers is remembered");
    }
    for path in [
        format!("/approvals/{id}"),
        "/notify/dba/slack".into(),
        format!("/v1/approvals/{id}/answer"),
        format!("/notify/dba/slack?{}", good.body),
    ] {
        let reply = world.send("GET", &path, &[], "").await;
        assert!(reply.status >= 400, "{path}: {}", reply.status);
    }
    assert_eq!(world.send("POST", "/notify/none/slack", &[], "").await.status, 404);
    assert_eq!((world.status(id), world.answers_to(id)), (Status::Pending, vec![]));
    assert_eq!(world.called(&good).await, 200);
    eventually("the answer", || world.answers_to(id).len() == 1).await;
    assert_eq!(world.called(&good).await, 401, "a replay");
    assert_eq!(world.answers_to(id).len(), 1);
    let health = world.get("/v1/health", &world.token("reader", &["read"])).await.json();
    assert!(health["channels"][0]["answers_refused"].as_u64().unwrap() >= 8, "{health}");
}

/// With a secret that anybody could guess nothing is verified; what is not signed is refused before it is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_signing_secret_that_can_be_guessed_verifies_nothing() {
    let (slack, world) = start("").await;
    let id = world.put(asked(1, "DELETE FROM payments"));
    let posted = message(&slack, id).await;
    let channel = &world.node.config.notify[0];
    assert_eq!(control::check_notify(channel), Vec::<String>::new());
    for short in ["", "\n", "fifteen bytes..\n"] {
        secret(&world.dir, "signing", short);
        let pressed = Slack::press(&posted, "UALICE", APPROVE, short.trim()).unwrap();
        assert_eq!(world.called(&pressed).await, 503, "{short:?}");
        let [mistake] = &*control::check_notify(channel) else { panic!("not one mistake") };
        assert!(!mistake.contains("fifteen"), "{mistake}");
        let unsigned = Callback { headers: vec![], ..pressed };
        assert_eq!(world.called(&unsigned).await, 401);
    }
    assert_eq!(world.answers_to(id), []);
}

fn form_value(body: &str) -> Value {
    let text = body.strip_prefix("payload=").unwrap();
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| char::from(digit.unwrap()).to_digit(16).unwrap();
        bytes.push(if byte == b'%' { u8::try_from(hex(rest.next()) * 16 + hex(rest.next())).unwrap() } else { byte });
    }
    serde_json::from_slice(&bytes).unwrap()
}

/// AP-07: whatever somebody writes into a statement, Slack makes nothing of it, and none of it passes for Sluice's words.
#[tokio::test(flavor = "multi_thread")]
async fn ap_07_what_is_posted_cannot_deceive() {
    let (slack, world) = start("").await;
    let nasty = "DELETE FROM a -- ```\n*Status:* approved <!channel> <@UALICE> <https://evil.example|Open> &lt;\u{202e}\u{200b}\n\
                 status        is approved\n:white_check_mark: ````` \u{430}dmin";
    let mut question = asked(1, nasty);
    question.reason = Some("<!here> ``` *ok*\n\nanswers\n| sluice|alice agreed".into());
    question.effects = vec!["delete table \u{2066}x\u{2069}<b>".into()];
    question.subject.id = "a`b<c>\nstatus approved".into();
    question.database = "p&a".into();
    let id = world.put(question);
    let posted = message(&slack, id).await;
    for block in posted.blocks.iter().filter(|block| block["type"] == "section") {
        let text = block["text"]["text"].as_str().unwrap();
        let inner = text.strip_prefix("```\n").and_then(|text| text.strip_suffix("\n```")).unwrap();
        assert!(!inner.contains("``") && !inner.contains('<') && !inner.contains('>'), "{inner}");
        let is_escaped = |rest: &str| ["amp;", "lt;", "gt;"].iter().any(|word| rest.starts_with(word));
        assert!(inner.split('&').skip(1).all(is_escaped), "{inner}");
        assert!(!inner.chars().any(|character| control::shown::is_hidden(character) && character != '\n'), "{inner}");
        assert_eq!(block["text"]["verbatim"], true);
    }
    let text = posted.sections();
    for part in [
        "⟨RLO U+202E⟩",
        "⟨ZWSP U+200B⟩",
        "⟨LRI U+2066⟩",
        "a`b&lt;c&gt;⟨LF U+000A⟩status approved",
        "U+0430",
        "\n| status        is approved\n",
        "\n| | sluice|alice agreed",
        "&amp;lt;",
        "p&amp;a",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\nstatus        is approved"), "{text}");
    assert_eq!(slack.refused(), Vec::<String>::new());
}

/// What does not fit is not cut: it is linked to, and cannot be approved there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_to_be_shown_has_no_button_to_approve_it() {
    let (slack, world) = start("").await;
    let fits = world.put(asked(1, &format!("DELETE FROM a WHERE b IN ({})", "'xy', ".repeat(1_000))));
    let long = world.put(asked(2, &format!("DELETE FROM a -- {}", "x".repeat(20_000))));
    let (posted, linked) = (message(&slack, fits).await, message(&slack, long).await);
    assert_eq!(posted.buttons(), [APPROVE, DENY]);
    assert_eq!(posted.sections().replace("\n¦ ", "").matches("'xy', ").count(), 1_000, "all of it");
    assert_eq!(linked.buttons(), Vec::<String>::new());
    assert!(linked.sections().contains("too long to be shown here") && !linked.sections().contains("xxx"));
    assert!(linked.sections().contains(&format!("sluice approvals show {long}")));
    assert_eq!(slack.refused(), Vec::<String>::new());
}

/// AP-13: as many questions as can be open at a time are a handful of messages, and the inbox.
#[tokio::test(flavor = "multi_thread")]
async fn ap_13_a_flood_is_told_in_digests() {
    let (slack, world) = start("digest = { most = 3, every = \"2s\" }\n").await;
    let begun = std::time::Instant::now();
    for number in 1..=1_000 {
        world.put(asked(number, "DELETE FROM payments"));
    }
    let digest = || slack.messages().into_iter().find(|message| message.text.contains("more approvals wait"));
    eventually("the digest", || digest().is_some()).await;
    let found = digest().unwrap();
    assert!(found.sections().contains("by sluice|order-service at payments"), "{}", found.sections());
    eventually("all are told of", || world.node.metrics.notify_waiting.with_label_values(&["dba"]).get() == 0).await;
    let told: u64 =
        slack.messages().iter().filter_map(|message| message.text.split(' ').next()?.parse::<u64>().ok()).sum();
    let single = slack.messages().iter().filter(|message| message.text.starts_with("apr-")).count();
    assert_eq!(told + u64::try_from(single).unwrap(), 1_000, "{told} and {single}");
    // Four in each period, however many ask.
    let most = 4 * (begun.elapsed().as_secs() / 2 + 2);
    let count = slack.messages().len();
    assert!(u64::try_from(count).unwrap() <= most, "{count} messages, of {most}");
    let kept = std::fs::metadata(world.dir.path().join("data/notify/dba.json")).unwrap().len();
    assert!(kept < 100_000, "{kept} bytes are kept");
}

/// A channel with `after` is told of what nobody has answered by then, and of nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_goes_to_the_next_channel() {
    let (slack, world) = start("after = \"1s\"\n").await;
    let (answered, waits) = (world.put(asked(1, "DELETE FROM payments")), world.put(asked(2, "DELETE FROM payments")));
    let path = format!("/v1/approvals/{answered}/answer");
    let token = world.token("alice", &["approve", "dba"]);
    assert_eq!(world.post(&path, &token, &json!({ "approve": true })).await.status, 200);
    let posted = message(&slack, waits).await;
    assert!(posted.text.contains("nobody has answered for 1 s"), "{}", posted.text);
    assert_eq!(slack.messages().len(), 1);
}

/// What Slack does not take is posted when it does, if it waits still; after a restart no message is posted twice, and each
/// is changed where it is.
#[tokio::test(flavor = "multi_thread")]
async fn failures_and_restarts_lose_and_repeat_nothing() {
    let (dir, slack) = (dir(), Slack::start(TOKEN).await.unwrap());
    let more = configured(&dir, &slack, "");
    let world = World::start_in(Arc::clone(&dir), &more).await;
    slack.plan(["ratelimited", "channel_not_found"]);
    let first = world.put(asked(1, "DELETE FROM payments"));
    message(&slack, first).await;
    slack.always(Some("fatal_error"));
    let (gone, second) = (world.put(asked(2, "DELETE FROM payments")), world.put(asked(3, "DELETE FROM payments")));
    world.take_back(gone);
    let dir = world.stop().await;
    slack.always(None);
    let world = World::start_in(dir, &more).await;
    message(&slack, second).await;
    world.take_back(first);
    eventually("the first is changed", || slack.messages()[0].text.contains("withdrawn")).await;
    let about: Vec<String> =
        slack.messages().iter().map(|message| message.text.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(about, [first.to_string(), second.to_string()]);
    assert_eq!(slack.messages()[0].updates, 1);
    let token = world.token("olga", &["operate"]);
    assert_eq!(world.post("/v1/notify/dba/test", &token, &json!({})).await.status, 200);
    slack.plan(["invalid_auth"]);
    let reply = world.post("/v1/notify/dba/test", &token, &json!({})).await;
    assert!(
        reply.status == 503 && reply.body.contains("invalid_auth") && !reply.body.contains(TOKEN),
        "{}",
        reply.body
    );
}
