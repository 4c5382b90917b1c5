//! SAML at the token endpoint: assertions of an independent implementation, with metadata that changes while Sluice runs.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::event::Event;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::saml::{AUDIENCE, ENTITY_ID, RECIPIENT, Signer, SimpleSamlPhp, assertions, metadata, xmlsec1};

use crate::tokens::{EXCHANGE, error, token};
use crate::world::{Reply, World};

const BEARER: &str = "urn:ietf:params:oauth:grant-type:saml2-bearer";

/// A provider's key, and what it makes: in threads of its own, for it runs programs.
struct Provider {
    signer: Signer,
}

impl Provider {
    async fn new() -> Self {
        Self { signer: blocking(|| Signer::generate().unwrap()).await }
    }

    async fn assertion(&self, changes: Value) -> String {
        let mut options = self.signer.options("svc:etl", &["data-eng"]);
        options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        blocking(move || assertions(&[options]).unwrap().remove(0)).await
    }

    fn publish(&self, dir: &Path) {
        std::fs::write(dir.join("idp.xml"), metadata(ENTITY_ID, &[&self.signer], "")).unwrap();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn configured(more: &str) -> String {
    format!(
        "[[saml]]\nalias = \"corp\"\nentity_id = \"{ENTITY_ID}\"\naudience = \"{AUDIENCE}\"\nrecipient = \"{RECIPIENT}\"\n\
         groups_attribute = \"groups\"\n{more}"
    )
}

const FROM_FILE: &str = "metadata_file = \"idp.xml\"\n";

async fn world(more: &str) -> (Provider, World) {
    let (provider, dir) = (Provider::new().await, Arc::new(TempDir::new().unwrap()));
    provider.publish(dir.path());
    (provider, World::start_in(dir, &configured(more)).await)
}

impl World {
    async fn redeem(&self, assertion: &str) -> Reply {
        let assertion = URL_SAFE_NO_PAD.encode(assertion);
        self.call_token(&[("grant_type", BEARER), ("assertion", &assertion)]).await
    }

    /// Why the last call was refused.
    fn reason(&self) -> String {
        let refusals = self.journal().into_iter().filter_map(|event| match event {
            Event::TokenRefused { reason, .. } => Some(reason.to_string()),
            _ => None,
        });
        refusals.last().unwrap_or_default()
    }
}

#[tokio::test]
async fn an_assertion_is_exchanged_for_a_token_of_its_subject() {
    let (provider, world) = world(FROM_FILE).await;
    let assertion = provider.assertion(json!({})).await;
    let issued = token(&world.redeem(&assertion).await);
    let who = world.get("/v1/whoami", &issued).await.json();
    assert_eq!(who["subject"], json!({"issuer": "corp", "id": "svc:etl"}));
    assert_eq!((&who["kind"], &who["groups"]), (&json!("service"), &json!(["corp|data-eng"])));
    // The journal tells which assertion it was issued for, and the token goes on like any other.
    let id = assertion.split(" ID=\"").nth(1).unwrap().split('"').next().unwrap();
    let events = world.journal();
    assert!(events.iter().any(|event| matches!(event, Event::TokenIssued { issued_for: Some(by), .. } if &**by == id)));
    let again = world.exchange(&issued, &[]).await;
    assert_eq!(again.status, 200, "{}", again.body);
}

#[tokio::test]
async fn id_21_an_assertion_is_used_once_and_a_restart_forgets_nothing() {
    let (provider, world) = world(FROM_FILE).await;
    let assertion = provider.assertion(json!({})).await;
    token(&world.redeem(&assertion).await);
    let again = world.redeem(&assertion).await;
    assert_eq!((error(&again), world.reason().as_str()), ("invalid_grant".into(), "the assertion was used before"));
    let world = World::start_in(world.stop().await, &configured(FROM_FILE)).await;
    let again = world.redeem(&assertion).await;
    assert_eq!((error(&again), world.reason().as_str()), ("invalid_grant".into(), "the assertion was used before"));
    // Written otherwise, it is the same.
    let again = world.redeem(&assertion.replace("<saml:Subject>", "<!-- --><saml:Subject>")).await;
    assert_eq!((error(&again), world.reason().as_str()), ("invalid_grant".into(), "the assertion was used before"));
}

#[tokio::test]
async fn id_21_what_is_refused_is_told_nothing_and_the_journal_has_the_reason() {
    let (provider, world) = world(FROM_FILE).await;
    let stranger = Provider::new().await;
    let cases = [
        (provider.assertion(json!({"recipient": "https://other.example/token"})).await, "another recipient"),
        (provider.assertion(json!({"audiences": "urn:other"})).await, "another audience"),
        (provider.assertion(json!({"inResponseTo": "_1"})).await, "answers a request"),
        (provider.assertion(json!({"issuer": "https://other.example"})).await, "is not configured"),
        (provider.assertion(json!({"lifetimeInSeconds": -5})).await, "expired"),
        (stranger.assertion(json!({})).await, "by no key in the metadata"),
        (provider.assertion(json!({})).await.replace("svc:etl", "svc:admin"), "its digest is another"),
        (String::from("<a/>"), "neither an assertion nor a response"),
    ];
    let mut answers = std::collections::BTreeSet::new();
    for (assertion, reason) in cases {
        let reply = world.redeem(&assertion).await;
        assert_eq!(error(&reply), "invalid_grant");
        answers.insert(reply.body);
        assert!(world.reason().contains(reason), "{}, not {reason}", world.reason());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let assertion = URL_SAFE_NO_PAD.encode(provider.assertion(json!({})).await);
    let elsewhere =
        [("grant_type", EXCHANGE), ("subject_token", &*assertion), ("subject_token_type", crate::tokens::ACCESS_TOKEN)];
    assert_eq!(error(&world.call_token(&elsewhere).await), "invalid_request");
    assert_eq!(error(&world.call_token(&[("grant_type", BEARER)]).await), "invalid_request");
}

#[tokio::test]
async fn a_new_key_is_found_when_it_is_used_and_an_old_one_is_gone() {
    let (provider, world) = world(FROM_FILE).await;
    token(&world.redeem(&provider.assertion(json!({})).await).await);
    let next = Provider::new().await;
    next.publish(world.dir.path());
    token(&world.redeem(&next.assertion(json!({})).await).await);
    assert_eq!(error(&world.redeem(&provider.assertion(json!({})).await).await), "invalid_grant");
    assert!(world.reason().contains("by no key in the metadata of provider `corp`"), "{}", world.reason());
    // What cannot be read changes nothing.
    std::fs::write(world.dir.path().join("idp.xml"), "<broken").unwrap();
    assert_eq!(error(&world.redeem(&provider.assertion(json!({})).await).await), "invalid_grant");
    token(&world.redeem(&next.assertion(json!({})).await).await);
}

#[tokio::test]
async fn metadata_that_has_to_be_signed_is_not_believed_without() {
    let federation = blocking(|| Signer::generate().unwrap()).await;
    let (provider, dir) = (Provider::new().await, Arc::new(TempDir::new().unwrap()));
    provider.publish(dir.path());
    std::fs::write(dir.path().join("federation.pem"), &federation.certificate).unwrap();
    let more = format!("{FROM_FILE}metadata_cert = \"federation.pem\"\n");
    let world = World::start_in(dir, &configured(&more)).await;
    assert_eq!(error(&world.redeem(&provider.assertion(json!({})).await).await), "invalid_grant");
    assert!(world.reason().contains("metadata of provider `corp` is missing or too old"), "{}", world.reason());
    let template = metadata(ENTITY_ID, &[&provider.signer], "ID=\"_m\"")
        .replace("<md:IDPSSODescriptor", &format!("{}<md:IDPSSODescriptor", xmlsec1::template("_m")));
    let signed = blocking(move || xmlsec1::sign(&template, &federation).unwrap()).await;
    std::fs::write(world.dir.path().join("idp.xml"), signed).unwrap();
    token(&world.redeem(&provider.assertion(json!({})).await).await);
}

#[tokio::test]
async fn a_machine_logs_in_at_simplesamlphp_and_brings_its_answer() {
    let provider = Provider::new().await;
    let signer = provider.signer.clone();
    let idp = Arc::new(blocking(move || SimpleSamlPhp::start(&signer).unwrap()).await);
    let more = format!("metadata_url = \"{}\"\nallow_http = true\nsolicited = true\n", idp.metadata_url());
    let world = World::start_in(Arc::new(TempDir::new().unwrap()), &configured(&more)).await;
    let now = gateway::clock::now().to_string();
    let log_in = Arc::clone(&idp);
    let response = blocking(move || log_in.response(AUDIENCE, "_of_the_machine", &now).unwrap()).await;
    let reply = world.redeem(&response).await;
    assert_eq!(reply.status, 200, "{}", world.reason());
    let issued = token(&reply);
    let who = world.get("/v1/whoami", &issued).await.json();
    assert_eq!(who["subject"], json!({"issuer": "corp", "id": "svc:etl"}));
    assert_eq!(who["groups"], json!(["corp|ci", "corp|data-eng"]));
    assert_eq!(error(&world.redeem(&response).await), "invalid_grant");
}

#[tokio::test]
async fn a_provider_that_is_taken_out_is_not_believed_in_tokens_either() {
    let (provider, world) = world(FROM_FILE).await;
    let issued = token(&world.redeem(&provider.assertion(json!({})).await).await);
    assert_eq!(world.get("/v1/whoami", &issued).await.status, 200);
    let world = World::start_in(world.stop().await, "").await;
    assert_eq!(world.get("/v1/whoami", &issued).await.status, 401);
    assert_eq!(error(&world.redeem(&provider.assertion(json!({})).await).await), "invalid_grant");
    assert!(world.reason().contains("no provider is configured") || world.reason().contains("is not configured"));
}
