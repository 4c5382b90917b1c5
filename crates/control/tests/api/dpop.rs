//! ID-19: proofs of possession (RFC 9449) at the token endpoint and on every call.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::event::Event;
use serde_json::{Value, json};

use crate::tokens::{ACCESS_TOKEN, EXCHANGE, claims, error, token};
use crate::world::{Reply, World};

static NEXT: AtomicU64 = AtomicU64::new(1);

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A caller with a key of its own.
struct Holder {
    pair: EcdsaKeyPair,
    jwk: Value,
}

impl Holder {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)});
        Self { pair, jwk }
    }

    /// A proof with what is always in one, and more.
    fn proof(&self, method: &str, url: &str, more: Value) -> String {
        let id = format!("j-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut claims = json!({"jti": id, "htm": method, "htu": url, "iat": gateway::clock::now().seconds()});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk});
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        format!("{signed}.{}", b64(self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap()))
    }

    /// A proof for a call with a token.
    fn proof_for(&self, method: &str, url: &str, token: &str, nonce: &str) -> String {
        self.proof(method, url, json!({"ath": b64(digest(&SHA256, token.as_bytes())), "nonce": nonce}))
    }
}

fn nonce(reply: &Reply) -> String {
    let line = reply.head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("dpop-nonce").then(|| value.to_owned())
    });
    line.unwrap_or_else(|| panic!("no nonce: {} {}", reply.head, reply.body))
}

impl World {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn exchange_with(&self, token: &str, proof: &str) -> Reply {
        let fields = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS_TOKEN)];
        self.call_token_with(&fields, &[("DPoP", proof)]).await
    }

    /// A token bound to the holder's key, and a nonce.
    async fn bound(&self, holder: &Holder, bearer: &str) -> (String, String) {
        let first = self.exchange_with(bearer, &holder.proof("POST", &self.url("/token"), json!({}))).await;
        assert_eq!((first.status, error(&first).as_str()), (400, "use_dpop_nonce"));
        let nonce = nonce(&first);
        let proof = holder.proof("POST", &self.url("/token"), json!({"nonce": nonce}));
        let second = self.exchange_with(bearer, &proof).await;
        assert_eq!(second.json()["token_type"], "DPoP", "{}", second.body);
        (token(&second), nonce)
    }

    async fn whoami(&self, scheme: &str, token: &str, proofs: &[&str]) -> Reply {
        let authorization = format!("{scheme} {token}");
        let proofs = proofs.iter().map(|proof| ("DPoP", *proof));
        let headers: Vec<(&str, &str)> =
            [("Authorization", authorization.as_str())].into_iter().chain(proofs).collect();
        self.send("GET", "/v1/whoami", &headers, "").await
    }
}

#[tokio::test]
async fn id_19_a_bound_token_counts_with_a_fresh_proof_for_this_call_alone() {
    let world = World::start().await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let (bound, nonce) = world.bound(&holder, &world.token("order-service", &["read"])).await;
    let url = world.url("/v1/whoami");
    let good = || holder.proof_for("GET", &url, &bound, &nonce);

    let proof = good();
    let who = world.whoami("DPoP", &bound, &[&proof]).await;
    assert_eq!((who.status, who.json()["binding"].as_str()), (200, Some("dpop")), "{}", who.body);
    assert!(!self::nonce(&who).is_empty());
    assert_eq!(world.whoami("DPoP", &bound, &[&proof]).await.status, 401, "the same proof again");

    assert_eq!(world.whoami("Bearer", &bound, &[]).await.status, 401, "as if it were not bound");
    assert_eq!(world.whoami("Bearer", &bound, &[&good()]).await.status, 401, "under the wrong scheme");
    assert_eq!(world.whoami("DPoP", &bound, &[]).await.status, 401, "without a proof");
    assert_eq!(world.whoami("DPoP", &bound, &[&good(), &good()]).await.status, 401, "with two proofs");
    let other = Holder::new();
    let wrong = [
        ("another key", thief.proof_for("GET", &url, &bound, &nonce)),
        ("another method", holder.proof_for("POST", &url, &bound, &nonce)),
        ("another path", holder.proof_for("GET", &world.url("/v1/revision"), &bound, &nonce)),
        ("another server", holder.proof_for("GET", "https://other.example/v1/whoami", &bound, &nonce)),
        ("another scheme", holder.proof_for("GET", &url.replace("http:", "https:"), &bound, &nonce)),
        ("a query", holder.proof_for("GET", &format!("{url}?x=1"), &bound, &nonce)),
        ("another token", holder.proof_for("GET", &url, "a.b.c", &nonce)),
        ("no token", holder.proof("GET", &url, json!({"nonce": nonce}))),
        ("the token endpoint's", holder.proof("POST", &world.url("/token"), json!({"nonce": nonce}))),
        ("no proof at all", bound.clone()),
        ("nonsense", "x".to_owned()),
        ("a stranger", other.proof_for("GET", &url, &bound, &nonce)),
    ];
    for (what, proof) in wrong {
        let reply = world.whoami("DPoP", &bound, &[&proof]).await;
        assert_eq!(reply.status, 401, "{what}");
        assert!(!reply.head.to_ascii_lowercase().contains("dpop-nonce"), "{what}: {}", reply.head);
    }
    // A query of the call itself is none of the proof's business.
    let authorization = format!("DPoP {bound}");
    let proof = good();
    let headers = [("Authorization", authorization.as_str()), ("DPoP", proof.as_str())];
    assert_eq!(world.send("GET", "/v1/whoami?x=1", &headers, "").await.status, 200);
}

#[tokio::test]
async fn id_19_a_stale_or_foreign_nonce_gets_a_new_one_and_nothing_else() {
    let world = World::start().await;
    let holder = Holder::new();
    let (bound, nonce) = world.bound(&holder, &world.token("order-service", &["read"])).await;
    let url = world.url("/v1/whoami");
    let other = World::start().await;
    let (_, foreign) = other.bound(&holder, &other.token("order-service", &[])).await;
    for stale in ["", "AAAA", &foreign, &format!("{}AAAA", &nonce[..nonce.len() - 4])] {
        let reply = world.whoami("DPoP", &bound, &[&holder.proof_for("GET", &url, &bound, stale)]).await;
        assert_eq!(reply.status, 401);
        assert!(reply.head.contains("use_dpop_nonce"), "{}", reply.head);
        let again = holder.proof_for("GET", &url, &bound, &self::nonce(&reply));
        assert_eq!(world.whoami("DPoP", &bound, &[&again]).await.status, 200);
    }
}

#[tokio::test]
async fn id_19_a_bearer_token_has_no_business_under_the_scheme_of_proofs() {
    let world = World::start().await;
    let (holder, bearer) = (Holder::new(), world.token("order-service", &["read"]));
    let (_, nonce) = world.bound(&holder, &bearer).await;
    let proof = holder.proof_for("GET", &world.url("/v1/whoami"), &bearer, &nonce);
    assert_eq!(world.whoami("DPoP", &bearer, &[&proof]).await.status, 401);
    assert_eq!(world.whoami("Bearer", &bearer, &[]).await.status, 200);
}

#[tokio::test]
async fn id_19_a_bound_token_never_becomes_one_that_anybody_can_use() {
    let world = World::start().await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let (bound, nonce) = world.bound(&holder, &world.token("order-service", &["orders"])).await;
    let url = world.url("/token");
    assert_eq!(error(&world.exchange(&bound, &[]).await), "invalid_request", "without a proof");
    let stolen = world.exchange_with(&bound, &thief.proof("POST", &url, json!({"nonce": nonce}))).await;
    assert_eq!(error(&stolen), "invalid_request", "with a proof of another key");
    let proof = holder.proof("POST", &url, json!({"nonce": nonce}));
    let again = world.exchange_with(&bound, &proof).await;
    assert_eq!(again.json()["token_type"], "DPoP");
    assert_eq!(claims(&token(&again))["cnf"], claims(&bound)["cnf"]);
    assert_eq!(error(&world.exchange_with(&bound, &proof).await), "invalid_dpop_proof", "the same proof again");
    // Nor as a password, which no client can prove anything with.
    let kind = "urn:sluice:token-type:database-password";
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", bound.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", kind),
        ("audience", "payments"),
    ];
    let proof = holder.proof("POST", &url, json!({"nonce": nonce}));
    assert_eq!(error(&world.call_token_with(&fields, &[("DPoP", &proof)]).await), "invalid_request");
    let why = world.journal().into_iter().filter_map(|event| match event {
        Event::TokenRefused { reason, .. } => Some(reason.to_string()),
        _ => None,
    });
    let why: Vec<String> = why.collect();
    for expected in ["there is no DPoP proof", "the DPoP proof is by another key", "the proof was used before"] {
        assert!(why.iter().any(|reason| reason.contains(expected)), "{expected}: {why:?}");
    }
}

#[tokio::test]
async fn id_19_a_proof_names_the_configured_url_whatever_host_is_called() {
    let url = "http://127.0.0.1:9";
    let dir = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let world = World::start_in(dir, &format!("[tokens]\nissuer = \"{url}\"\n")).await;
    let (holder, bearer) = (Holder::new(), world.token("order-service", &["read"]));
    let (bound, nonce) = world.bound(&holder, &bearer).await;
    let authorization = format!("DPoP {bound}");
    let call = async |host: &str, htu: &str| {
        let proof = holder.proof_for("GET", htu, &bound, &nonce);
        let headers = [("Host", host), ("Authorization", authorization.as_str()), ("DPoP", proof.as_str())];
        world.send("GET", "/v1/whoami", &headers, "").await.status
    };
    let own = world.address.to_string();
    assert_eq!(call(&own, &world.url("/v1/whoami")).await, 200);
    assert_eq!(call(&own, &format!("{url}/v1/whoami")).await, 401, "another name than was called");
    assert_eq!(call("127.0.0.1:9", &format!("{url}/v1/whoami")).await, 200);
    assert_eq!(call("127.0.0.1:9", &world.url("/v1/whoami")).await, 401);
    // A host that is none of Sluice's does not make a proof for it good.
    assert_ne!(call("evil.example", "http://evil.example/v1/whoami").await, 200);
}
