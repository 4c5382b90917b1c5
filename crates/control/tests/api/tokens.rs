//! The token endpoint.

use std::sync::Arc;

use gateway::node::{LOCAL_AUDIENCE, LOCAL_ISSUER_URL, local_key};
use identity::{Claims, SigningKey};
use model::decision::Outcome;
use model::event::Event;
use model::secret::Secret;
use model::subject::SubjectKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Reply, World};

pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

impl World {
    /// Calls the token endpoint.
    pub(crate) async fn call_token(&self, fields: &[(&str, &str)]) -> Reply {
        self.call_token_with(fields, &[]).await
    }

    pub(crate) async fn call_token_with(&self, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([kind]).collect();
        self.send("POST", "/token", &headers, &form(fields)).await
    }

    /// Exchanges a token, with more in the form.
    pub(crate) async fn exchange(&self, token: &str, more: &[(&str, &str)]) -> Reply {
        let fields = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS_TOKEN)];
        let fields: Vec<(&str, &str)> = fields.into_iter().chain(more.iter().copied()).collect();
        self.call_token(&fields).await
    }
}

/// The token of an answer that gives one out.
pub(crate) fn token(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

pub(crate) fn error(reply: &Reply) -> String {
    assert!((400..600).contains(&reply.status), "{}", reply.body);
    reply.json()["error"].as_str().unwrap().to_owned()
}

/// What a token says, unverified.
pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_of_the_same_subject() {
    let world = World::start().await;
    let first = world.token("order-service", &["read", "orders"]);
    let reply = world.exchange(&first, &[]).await;
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["issued_token_type"]), (&"Bearer".into(), &ACCESS_TOKEN.into()));
    assert!(reply.head.to_ascii_lowercase().contains("cache-control: no-store"), "{}", reply.head);
    let second = token(&reply);
    assert_ne!(first, second);
    let (before, after) = (world.get("/v1/whoami", &first).await.json(), world.get("/v1/whoami", &second).await.json());
    for same in ["subject", "kind", "groups", "on_behalf_of", "binding", "may"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    // It is in the journal, and the token itself is nowhere.
    let issued = world.journal().into_iter().find_map(|event| match event {
        Event::TokenIssued { subject, kind, target, issued_for, .. } => Some((subject, kind, target, issued_for)),
        _ => None,
    });
    let (subject, kind, target, issued_for) = issued.unwrap();
    assert_eq!(subject.key, SubjectKey { issuer: "sluice".into(), id: "order-service".into() });
    assert_eq!((&*kind, target, issued_for.as_deref()), ("access_token", None, Some("test")));
    assert_eq!(subject.token_id.as_deref(), claims(&second)["jti"].as_str());
    assert_eq!(subject.expires_at.seconds(), claims(&second)["exp"].as_u64().unwrap());
    assert!(world.journal().iter().all(|event| !format!("{event:?}").contains(&second)));
}

#[tokio::test]
async fn what_is_not_accepted_is_not_exchanged() {
    let world = World::start().await;
    let good = world.token("order-service", &[]);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    for refused in ["", "x", "a.b.c", &forged, &format!("{good}.{good}")] {
        let reply = world.exchange(refused, &[]).await;
        assert_eq!((reply.status, error(&reply).as_str()), (400, "invalid_request"), "{refused}");
    }
    let reasons: Vec<String> = world
        .journal()
        .into_iter()
        .filter_map(|event| match event {
            Event::TokenRefused { reason, .. } => Some(reason.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("signature is wrong")), "{reasons:?}");
    // The caller is told the same of each.
    let told = |reply: &Reply| reply.json()["error_description"].clone();
    assert_eq!(told(&world.exchange("x", &[]).await), told(&world.exchange(&forged, &[]).await));
}

#[tokio::test]
async fn a_jwt_is_a_grant_of_its_own_too() {
    let world = World::start().await;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let assertion = world.token("order-service", &["read"]);
    let issued = token(&world.call_token(&[("grant_type", grant), ("assertion", &assertion)]).await);
    assert_eq!(world.get("/v1/whoami", &issued).await.json()["subject"]["id"], "order-service");
    let refused = world.call_token(&[("grant_type", grant), ("assertion", "a.b.c")]).await;
    assert_eq!(error(&refused), "invalid_grant");
    assert_eq!(error(&world.call_token(&[("grant_type", "password")]).await), "unsupported_grant_type");
    assert_eq!(error(&world.call_token(&[]).await), "invalid_request");
}

/// Asks for a password.
const PASSWORD: (&str, &str) = ("requested_token_type", "urn:sluice:token-type:database-password");
const AT_PAYMENTS: (&str, &str) = ("audience", "payments");

/// An issuer of the tests' own, as `corp`.
struct Corp(SigningKey);

impl Corp {
    const URL: &str = "https://id.corp.example";

    /// With a world that trusts it, and has more in its configuration.
    async fn and_world(more: &str) -> (Self, World) {
        let (dir, key) = (Arc::new(TempDir::new().unwrap()), SigningKey::from_seed(&Secret::new([5; 32])).unwrap());
        std::fs::write(dir.path().join("corp.json"), key.jwks()).unwrap();
        let issuer = format!(
            "[[issuer]]\nalias = \"corp\"\nurl = \"{}\"\naudience = \"sluice\"\njwks_file = \"corp.json\"\n\
             groups_claim = \"groups\"\n{more}",
            Self::URL
        );
        (Self(key), World::start_in(dir, &issuer).await)
    }

    fn token(&self, subject: &str, audience: &str, lifetime: u64) -> String {
        let groups = [Arc::from("orders")];
        let claims = Claims { issuer: Self::URL, audience, subject, groups: &groups, lifetime, token_id: "corp-1" };
        self.0.sign(&claims, gateway::clock::now()).expose().clone()
    }
}

impl World {
    fn token_for(&self, name: &str, groups: &[&str], lifetime: u64) -> String {
        let groups: Vec<Arc<str>> = groups.iter().map(|group| Arc::from(*group)).collect();
        let (issuer, audience) = (LOCAL_ISSUER_URL, LOCAL_AUDIENCE);
        let claims = Claims { issuer, audience, subject: name, groups: &groups, lifetime, token_id: "t" };
        local_key(&self.node.layout()).unwrap().sign(&claims, gateway::clock::now()).expose().clone()
    }

    async fn delegate(&self, whom: &str, actor: &str) -> Reply {
        self.exchange(whom, &[("actor_token", actor), ("actor_token_type", ACCESS_TOKEN)]).await
    }
}

#[tokio::test]
async fn a_subject_of_another_issuer_stays_what_it_is() {
    let (corp, world) = Corp::and_world("").await;
    let issued = token(&world.exchange(&corp.token("order-service", "sluice", 300), &[]).await);
    let who = world.get("/v1/whoami", &issued).await.json();
    assert_eq!(who["subject"], json!({"issuer": "corp", "id": "order-service"}));
    assert_eq!((&who["kind"], &who["groups"]), (&json!("service"), &json!(["corp|orders"])));
    // And one whose name looks like an administrator's is nobody's but corp's.
    let issued = token(&world.exchange(&corp.token("sluice|admin", "sluice", 300), &[]).await);
    let who = world.get("/v1/whoami", &issued).await.json();
    assert_eq!((&who["subject"]["issuer"], &who["may"]), (&json!("corp"), &json!([])));
}

#[tokio::test]
async fn an_expired_or_foreign_token_is_not_exchanged() {
    let (corp, world) = Corp::and_world("").await;
    let wrong_audience = corp.token("order-service", "another", 300);
    assert_eq!(error(&world.exchange(&wrong_audience, &[]).await), "invalid_request");
    let long = corp.token("order-service", "sluice", 3601);
    assert_eq!(error(&world.exchange(&long, &[]).await), "invalid_request");
    let past = model::time::Timestamp(gateway::clock::now().0 - 10_000);
    let claims = Claims {
        issuer: Corp::URL,
        audience: "sluice",
        subject: "order-service",
        groups: &[],
        lifetime: 5,
        token_id: "old",
    };
    let expired = corp.0.sign(&claims, past).expose().clone();
    assert_eq!(error(&world.exchange(&expired, &[]).await), "invalid_request");
    for reason in ["another audience", "lives 3601 s", "expired"] {
        let journal = world.journal();
        let has = |event: &Event| matches!(event, Event::TokenRefused { reason: why, .. } if why.contains(reason));
        assert!(journal.iter().any(has), "{reason}");
    }
}

#[tokio::test]
async fn no_chain_of_exchanges_prolongs_a_token() {
    let world = World::start().await;
    let first = world.token_for("order-service", &[], 90);
    let end = claims(&first)["exp"].as_u64().unwrap();
    let mut held = first;
    for _ in 0..5 {
        held = token(&world.exchange(&held, &[]).await);
        assert_eq!(claims(&held)["exp"].as_u64().unwrap(), end);
    }
    // Nor does it go on for ever.
    let mut last = world.exchange(&held, &[]).await;
    for _ in 0..20 {
        if last.status != 200 {
            break;
        }
        last = world.exchange(&token(&last), &[]).await;
    }
    assert_eq!(error(&last), "invalid_request");
    // A longer one is cut to the configured bound, once and for all.
    let long = token(&world.exchange(&world.token_for("order-service", &[], 3600), &[]).await);
    let bound = claims(&long)["exp"].as_u64().unwrap();
    assert!(bound <= gateway::clock::now().seconds() + 600);
    assert_eq!(claims(&token(&world.exchange(&long, &[]).await))["exp"].as_u64().unwrap(), bound);
}

#[tokio::test]
async fn who_may_act_for_whom_is_policy() {
    let world = World::start().await;
    let (jane, stranger) = (world.token("jane", &["customers"]), world.token("joe", &["staff"]));
    let agent = world.token_for("agent", &["agents", "read"], 60);
    let reply = world.delegate(&jane, &agent).await;
    let acting = token(&reply);
    let who = world.get("/v1/whoami", &acting).await.json();
    assert_eq!(who["subject"]["id"], "agent");
    assert_eq!(who["groups"], json!(["sluice|agents", "sluice|read"]), "the agent's own groups");
    assert_eq!(who["on_behalf_of"], json!([{"issuer": "sluice", "id": "jane"}]));
    assert_eq!(claims(&acting)["exp"], claims(&agent)["exp"], "until the first of the two ends");
    assert_eq!(
        (&claims(&acting)["sub"], &claims(&acting)["act"]["sub"]),
        (&json!("sluice|jane"), &json!("sluice|agent"))
    );

    for (whom, actor) in [(&stranger, &agent), (&jane, &world.token("other", &["staff"]))] {
        let refused = world.delegate(whom, actor).await;
        assert_eq!(error(&refused), "unauthorized_client");
        assert!(refused.body.contains("delegate"), "{}", refused.body);
    }
    let denied = |event: &Event| {
        matches!(event,
        Event::AdminAction { action, object, outcome: Outcome::Deny, .. } if &**action == "delegate" && &**object == "sluice|joe")
    };
    assert!(world.journal().iter().any(denied));
    // A refused actor is none, whoever it says it is; and nobody acts for itself, or by way of another.
    for (whom, actor) in [(&jane, "a.b.c"), (&agent, &agent), (&jane, &acting), (&acting, &agent)] {
        assert_eq!(error(&world.delegate(whom, actor).await), "invalid_request");
    }
    let untyped = world.exchange(&jane, &[("actor_token", &agent)]).await;
    assert_eq!(error(&untyped), "invalid_request");
}

#[tokio::test]
async fn a_token_for_one_target_is_good_for_nothing_else() {
    let world = World::start().await;
    let orders = world.token("order-service", &["orders", "read"]);
    let at_payments = token(&world.exchange(&orders, &[AT_PAYMENTS]).await);
    assert_eq!(claims(&at_payments)["aud"], "urn:sluice:target:payments");
    assert_eq!(world.get("/v1/whoami", &at_payments).await.status, 401);
    assert_eq!(error(&world.exchange(&at_payments, &[]).await), "invalid_request", "it becomes no wider");
    let uri = ("resource", "urn:sluice:target:payments");
    let again = token(&world.exchange(&at_payments, &[uri]).await);
    assert_eq!(claims(&again)["aud"], claims(&at_payments)["aud"]);
    // A target that there is not, and one where the subject may not be, look the same.
    let nobody = world.token("nobody", &["read"]);
    let hidden = world.exchange(&nobody, &[AT_PAYMENTS]).await;
    let missing = world.exchange(&nobody, &[("audience", "no-such-target")]).await;
    assert_eq!((error(&hidden).as_str(), &hidden.body), ("invalid_target", &missing.body));
    for wrong in [
        vec![AT_PAYMENTS, ("audience", "orders")],
        vec![("resource", "https://payments.example")],
        vec![AT_PAYMENTS, ("resource", "urn:sluice:target:orders")],
    ] {
        assert_eq!(error(&world.exchange(&orders, &wrong).await), "invalid_target", "{wrong:?}");
    }
}

#[tokio::test]
async fn a_password_is_for_one_target_and_is_exchanged_for_nothing() {
    let world = World::start().await;
    let orders = world.token_for("order-service", &["orders"], 120);
    let reply = world.exchange(&orders, &[PASSWORD, AT_PAYMENTS]).await;
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["issued_token_type"]), (&json!("N_A"), &json!(PASSWORD.1)));
    assert!(answer["expires_in"].as_u64().unwrap() <= 120);
    let password = token(&reply);
    assert!(password.len() == 43 && password.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    assert_eq!(error(&world.exchange(&password, &[AT_PAYMENTS]).await), "invalid_request");
    assert_eq!(error(&world.exchange(&password, &[PASSWORD, AT_PAYMENTS]).await), "invalid_request");
    assert_eq!(world.get("/v1/whoami", &password).await.status, 401);
    assert_eq!(error(&world.exchange(&orders, &[PASSWORD]).await), "invalid_request", "without a target");
    assert!(world.journal().iter().all(|event| !format!("{event:?}").contains(&password)));
    // What belongs to protocols that are not spoken yet is not issued.
    for kind in ["urn:sluice:token-type:ssh-certificate", "urn:sluice:token-type:kubernetes", "x"] {
        let reply = world.exchange(&orders, &[("requested_token_type", kind), AT_PAYMENTS]).await;
        assert_eq!(error(&reply), "invalid_request", "{kind}");
    }
}

#[tokio::test]
async fn no_subject_fills_the_memory_with_passwords() {
    let (_, world) = Corp::and_world("[tokens]\nmax_passwords_per_subject = 3\n").await;
    let orders = world.token("order-service", &["orders"]);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(world.exchange(&orders, &[PASSWORD, AT_PAYMENTS]).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let other = world.token("other-service", &["orders"]);
    assert_eq!(world.exchange(&other, &[PASSWORD, AT_PAYMENTS]).await.status, 200);
    let whose = SubjectKey { issuer: "sluice".into(), id: "order-service".into() };
    assert_eq!(world.node.issued.drop_of(&whose).unwrap(), 3);
    assert_eq!(world.exchange(&orders, &[PASSWORD, AT_PAYMENTS]).await.status, 200);
}

#[tokio::test]
async fn others_find_the_endpoint_and_its_keys_where_it_has_a_url() {
    let silent = World::start().await;
    let get = async |world: &World, path: &str| world.send("GET", path, &[], "").await;
    let (oauth, openid) = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration");
    assert_eq!((get(&silent, oauth).await.status, get(&silent, openid).await.status), (404, 404));
    assert_eq!(claims(&token(&silent.exchange(&silent.token("a", &[]), &[]).await))["iss"], "urn:sluice:tokens");
    let url = "https://sluice.example.com:7632";
    let (_, world) = Corp::and_world(&format!("[tokens]\nissuer = \"{url}\"\n")).await;
    let document = get(&world, oauth).await.json();
    assert_eq!(document, get(&world, openid).await.json());
    assert_eq!((&document["issuer"], &document["jwks_uri"]), (&json!(url), &json!(format!("{url}/jwks"))));
    let issued = token(&world.exchange(&world.token("a", &[]), &[]).await);
    assert_eq!(claims(&issued)["iss"], url);
    let keys = get(&world, "/jwks").await;
    let set = identity::KeySet::from_jwks(keys.body.as_bytes(), &identity::Algorithm::ALL.into()).unwrap();
    assert_eq!(set.ids().count(), 1);
    assert!(!keys.body.contains("\"d\""));
}

#[tokio::test]
async fn a_password_that_is_given_up_ends_alone() {
    let world = World::start().await;
    let made_of = world.token_for("order-service", &["orders"], 200);
    let (first, second) = (
        token(&world.exchange(&made_of, &[PASSWORD, AT_PAYMENTS]).await),
        token(&world.exchange(&made_of, &[PASSWORD, AT_PAYMENTS]).await),
    );
    let log_in =
        async |password: &str| world.node.issuers.log_in(password, &identity::Proven::NOTHING, "payments").await;
    let live = log_in(&first).await.unwrap();
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(world.send("POST", "/revoke", &kind, &form(&[("token", &first)])).await.status, 200);
    assert!(log_in(&first).await.is_err() && world.node.issuers.standing(&live).is_err());
    assert!(log_in(&second).await.is_ok());
    assert_eq!(world.get("/v1/whoami", &made_of).await.status, 200);
    assert!(world.journal().iter().all(|event| !format!("{event:?}").contains(&first)));
}

#[tokio::test]
async fn what_is_issued_for_a_token_that_is_given_up_is_given_up_too() {
    let world = World::start().await;
    let (first, other) = (world.token_for("order-service", &["orders"], 200), world.token("other", &["orders"]));
    let second = token(&world.exchange(&first, &[]).await);
    let third = token(&world.exchange(&second, &[]).await);
    let password = token(&world.exchange(&second, &[PASSWORD, AT_PAYMENTS]).await);
    let log_in = async |password: &str| {
        world.node.issuers.log_in(password, &identity::Proven::NOTHING, "payments").await.map(|subject| subject.key.id)
    };
    assert_eq!(log_in(&password).await.as_deref().unwrap(), "order-service");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let revoke = async |token: &str| world.send("POST", "/revoke", &kind, &form(&[("token", token)])).await.status;
    // What was made later ends alone; what it was made of goes on.
    assert_eq!(revoke(&third).await, 200);
    let status = async |token: &str| world.get("/v1/whoami", token).await.status;
    assert_eq!((status(&first).await, status(&second).await, status(&third).await), (200, 200, 401));
    let again = token(&world.exchange(&second, &[]).await);
    assert_eq!(revoke(&first).await, 200);
    assert_eq!((status(&first).await, status(&second).await, status(&again).await), (401, 401, 401));
    assert!(log_in(&password).await.is_err());
    assert_eq!(error(&world.exchange(&again, &[]).await), "invalid_request");
    assert_eq!(status(&other).await, 200);
}

#[tokio::test]
async fn what_is_issued_for_a_token_that_is_revoked_by_its_id_ends_with_it() {
    let world = World::start().await;
    let first = world.token_for("order-service", &["orders"], 200);
    let second = token(&world.exchange(&first, &[]).await);
    let third = token(&world.exchange(&second, &[]).await);
    let password = token(&world.exchange(&second, &[PASSWORD, AT_PAYMENTS]).await);
    let log_in = async |password: &str| {
        world.node.issuers.log_in(password, &identity::Proven::NOTHING, "payments").await.is_ok()
    };
    assert!(log_in(&password).await);
    let issuer = world.get("/v1/whoami", &first).await.json()["subject"]["issuer"].as_str().unwrap().to_owned();
    let named = format!("{issuer}|{}", claims(&first)["jti"].as_str().unwrap());
    let operator = world.token("ops", &["sessions"]);
    assert_eq!(world.post("/v1/revocations", &operator, &json!({ "token_id": named })).await.status, 200);
    for token in [&first, &second, &third] {
        assert_eq!(world.get("/v1/whoami", token).await.status, 401);
    }
    assert!(!log_in(&password).await);
}

#[tokio::test]
async fn a_form_is_no_longer_than_any_other_call() {
    let world = World::start().await;
    let long = world.call_token(&[("grant_type", &"x".repeat(200_000))]).await;
    assert_eq!((long.status, error(&long).as_str()), (400, "invalid_request"));
}
