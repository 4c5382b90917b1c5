//! Certificates of callers' SSH keys.

use model::event::Event;
use ssh_key::Certificate;

use crate::tokens::{ACCESS_TOKEN, error, token};
use crate::world::{Reply, World};

const CERTIFICATE: &str = "urn:sluice:token-type:ssh-certificate";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbnx30wS9/8yPUhuDtlqfcnCCQFIMYEr7x3ozzzMve+ me@laptop";

async fn ask(world: &World, shown: &str, more: &[(&str, &str)]) -> Reply {
    let fields = [("requested_token_type", CERTIFICATE)];
    world.exchange(shown, &[&fields, more].concat()).await
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_certificate_of_ones_ssh_key() {
    let world = World::start().await;
    let shown = world.token("order-service", &["orders"]);
    let reply = ask(&world, &shown, &[("public_key", KEY)]).await;
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["issued_token_type"]), (&"N_A".into(), &CERTIFICATE.into()));
    let seconds = answer["expires_in"].as_u64().unwrap();
    assert!((1..=300).contains(&seconds), "no longer than what was shown: {seconds}");
    let certificate = Certificate::from_openssh(&token(&reply)).unwrap();
    assert_eq!(certificate.valid_principals(), ["sluice:caller"]);
    assert!(certificate.key_id().starts_with("sluice|order-service "), "{}", certificate.key_id());
    assert!(certificate.extensions().is_empty() && certificate.critical_options().is_empty());
    let issued = world.journal().into_iter().find_map(|event| match event {
        Event::TokenIssued { subject, kind, target, .. } => Some((subject, kind, target)),
        _ => None,
    });
    let (subject, kind, target) = issued.unwrap();
    assert_eq!((&*kind, target, subject.binding), ("ssh_certificate", None, model::subject::Binding::Ssh));
    assert_eq!(certificate.valid_before(), subject.expires_at.seconds());
    // It is for SSH, and for nothing else.
    let line = token(&reply);
    assert_eq!(error(&world.exchange(&line, &[]).await), "invalid_request");
    assert_eq!(world.get("/v1/whoami", &line).await.status, 401);
}

#[tokio::test]
async fn a_certificate_may_be_for_one_target() {
    let world = World::start().await;
    let at = async |group: &str, target: &str| {
        ask(&world, &world.token("robot", &[group]), &[("public_key", KEY), ("audience", target)]).await
    };
    assert_eq!(at("hosts", "web1").await.status, 200, "one of its logins will do");
    // A host where it may be nobody looks like one that there is not.
    assert_eq!(error(&at("orders", "web1").await), "invalid_target");
    assert_eq!(at("orders", "web1").await.body, at("orders", "nowhere").await.body);
    let targets = world.journal().into_iter().filter_map(|event| match event {
        Event::TokenIssued { target, .. } => target.map(|target| target.to_string()),
        _ => None,
    });
    assert_eq!(targets.collect::<Vec<_>>(), ["web1"]);
}

#[tokio::test]
async fn nothing_is_signed_that_is_no_good_public_key() {
    let world = World::start().await;
    let shown = world.token("order-service", &[]);
    assert_eq!(error(&ask(&world, &shown, &[]).await), "invalid_request");
    for wrong in ["ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", &format!("{KEY}\n{KEY}")] {
        let reply = ask(&world, &shown, &[("public_key", wrong)]).await;
        assert_eq!(error(&reply), "invalid_request", "{wrong}");
        assert!(reply.body.contains("public_key"), "{}", reply.body);
    }
    let other = world.exchange(&shown, &[("requested_token_type", ACCESS_TOKEN), ("public_key", "x")]).await;
    assert_eq!(other.status, 200, "{}", other.body);
    assert!(
        !world
            .journal()
            .iter()
            .any(|event| { matches!(event, Event::TokenIssued { kind, .. } if &**kind == "ssh_certificate") })
    );
}

#[tokio::test]
async fn certificates_and_passwords_share_one_bound() {
    let more = "[tokens]\nmax_passwords_per_subject = 1\n";
    let world = World::start_in(std::sync::Arc::new(tempfile::TempDir::new().unwrap()), more).await;
    let shown = world.token("order-service", &[]);
    assert_eq!(ask(&world, &shown, &[("public_key", KEY)]).await.status, 200);
    assert_eq!(ask(&world, &shown, &[("public_key", KEY)]).await.status, 429);
}
