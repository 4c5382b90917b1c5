//! The token endpoint.

use model::event::Event;
use model::subject::SubjectKey;
use serde_json::Value;

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
