//! Whom Sluice believes, against issuers of other people's making and against one that fails as real ones do: keys that
//! change, issuers that are away, tokens that only their issuer can read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::clock;
use gateway::issuers::{KeySource, TrustedIssuers};
use identity::{IdentityError, Issuer, KeyTiming, Proven};
use model::issuer::{Algorithm, ClaimPath};
use model::secret::Secret;
use model::subject::Subject;
use serde_json::{Value, json};
use store::config::{ClientAuthentication, CredentialSource, IntrospectionConfig};
use testkit::issuer::{Fault, Grant};
use testkit::provider::{OPAQUE, Provider};
use testkit::wait::eventually;

#[path = "issuers/faults.rs"]
mod faults;
#[path = "issuers/opaque.rs"]
mod opaque;
#[path = "issuers/rotation.rs"]
mod rotation;

const LIMIT: Duration = Duration::from_secs(30);

/// The real bounds, but for tests that wait: a thousandth of them would be too short for a busy machine.
const QUICK: KeyTiming = KeyTiming { refresh: 300, max_age: 3_000, min_interval: 200 };

fn issuer(url: &str) -> Issuer {
    Issuer { groups_claim: ClaimPath::new(["groups"]), ..Issuer::new("corp", url, "sluice") }
}

const DISCOVERY: KeySource = KeySource::Discovery { ca_file: None, allow_http: true };

fn trusting(url: &str, timing: KeyTiming) -> TrustedIssuers {
    TrustedIssuers::new([(issuer(url), DISCOVERY)], timing, None)
}

async fn verify(issuers: &TrustedIssuers, token: &str) -> Result<Subject, IdentityError> {
    issuers.verify(token, &Proven::NOTHING).await
}

/// Claims of a good token of this issuer.
fn claims(url: &str) -> Value {
    let now = clock::now().seconds();
    json!({"iss": url, "aud": "sluice", "sub": "order-service", "iat": now, "exp": now + 300, "groups": ["a"]})
}

/// Runs what blocks, beside what the test's own runtime does.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> T
where
    T: Send + 'static,
    E: std::fmt::Debug + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap().unwrap()
}

/// The provider; none where there is no Node, of which `./dev` tells too.
#[expect(clippy::print_stdout, reason = "nothing is left out silently")]
async fn provider() -> Option<Arc<Provider>> {
    let provider = blocking(Provider::start).await.map(Arc::new);
    if provider.is_none() {
        println!("left out: Node is missing");
    }
    provider
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_certified_provider_are_taken_in_every_algorithm_and_by_either_way_to_them() {
    let Some(provider) = provider().await else { return };
    let issuers = trusting(&provider.url(), KeyTiming::default());
    for algorithm in Algorithm::ALL.map(Algorithm::name) {
        let asked = Arc::clone(&provider);
        let token = blocking(move || asked.token(algorithm)).await;
        let subject = verify(&issuers, &token).await.unwrap();
        assert_eq!(subject.key.to_string(), "corp|order-service", "{algorithm}");
        assert_eq!(subject.groups.join(" "), "corp|cleared corp|orders-reader", "{algorithm}");
        let mut broken = token.into_bytes();
        let middle = broken.iter().rposition(|byte| *byte == b'.').unwrap() + 20;
        broken[middle] = if broken[middle] == b'A' { b'B' } else { b'A' };
        let broken = String::from_utf8(broken).unwrap();
        assert_eq!(verify(&issuers, &broken).await, Err(IdentityError::Signature), "{algorithm}");
    }
    let asked = Arc::clone(&provider);
    let token = blocking(move || asked.token_by_assertion("ES256")).await;
    assert_eq!(verify(&issuers, &token).await.unwrap().groups.join(" "), "corp|payments");
    assert_eq!(provider.requests().unwrap().jwks, 1, "one fetch for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn id_02_no_key_is_used_with_another_algorithm_than_its_own() {
    let Some(provider) = provider().await else { return };
    let (url, issuers) = (provider.url(), trusting(&provider.url(), KeyTiming::default()));
    let signed = async |kid: &str, alg: &str, symmetric: Option<&'static str>| {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": kid});
        let (asked, kid, claims) = (Arc::clone(&provider), kid.to_owned(), claims(&url));
        let token = blocking(move || asked.sign(&kid, &header, &claims, symmetric)).await;
        verify(&issuers, &token).await
    };
    assert!(signed("RS256-1", "RS256", None).await.is_ok());
    // The public key as a secret, in each of its forms.
    for form in ["pem", "der", "jwk"] {
        for kid in ["RS256-1", "ES256-1"] {
            let refused = signed(kid, "HS256", Some(form)).await;
            assert!(matches!(refused, Err(IdentityError::Algorithm(_))), "{kid} {form}: {refused:?}");
        }
    }
    // All of them are one RSA key, so that the signature itself is right.
    for (kid, alg) in [("RS256-1", "PS256"), ("PS256-1", "RS256"), ("RS256-1", "RS512"), ("PS384-1", "PS512")] {
        let refused = signed(kid, alg, None).await;
        assert!(matches!(refused, Err(IdentityError::KeyAlgorithm { .. })), "{kid} {alg}: {refused:?}");
    }
    // A token by another key, under the name of this one.
    for (kid, alg, named) in [("ES256-1", "ES256", "RS256-1"), ("RS256-1", "RS256", "ES256-1")] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": named});
        let (asked, kid, claims) = (Arc::clone(&provider), kid.to_owned(), claims(&url));
        let token = blocking(move || asked.sign(&kid, &header, &claims, None)).await;
        assert!(matches!(verify(&issuers, &token).await, Err(IdentityError::KeyAlgorithm { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn id_03_a_storm_of_unknown_key_ids_makes_one_request_to_a_real_provider() {
    let Some(provider) = provider().await else { return };
    let issuers = Arc::new(trusting(&provider.url(), KeyTiming::default()));
    let asked = Arc::clone(&provider);
    let good = blocking(move || asked.token("RS256")).await;
    assert!(verify(&issuers, &good).await.is_ok());
    // Slow, so that all of them come while one is under way; and after the first fetch none follows for a minute.
    let asked = Arc::clone(&provider);
    blocking(move || asked.delay(Duration::from_millis(200))).await;
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (issuers, asked, claims) = (Arc::clone(&issuers), Arc::clone(&provider), claims(&provider.url()));
        storm.spawn(async move {
            let kid = ["../../dev/null", "' OR 1=1", "RS256-1\u{0}", "other|RS256-1"][number % 4].to_owned()
                + &number.to_string();
            let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": kid});
            let token = blocking(move || asked.sign("RS256-1", &header, &claims, None)).await;
            verify(&issuers, &token).await
        });
    }
    for refused in storm.join_all().await {
        assert!(matches!(refused, Err(IdentityError::UnknownKey { .. })), "{refused:?}");
    }
    assert_eq!(provider.requests().unwrap().jwks, 1, "the first one's; nothing is asked again within a minute");
    assert!(verify(&issuers, &good).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn id_04_nothing_is_fetched_from_where_a_token_says() {
    let Some(provider) = provider().await else { return };
    let issuers = trusting(&provider.url(), QUICK);
    // Somebody who listens, and tells of everyone who comes.
    let tap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    tap.set_nonblocking(true).unwrap();
    let there = format!("http://{}/keys", tap.local_addr().unwrap());
    let elsewhere = format!("{}/evil/jwks", provider.url());
    for (name, value) in [
        ("jku", json!(there)),
        ("jku", json!(elsewhere)),
        ("x5u", json!(there)),
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})),
        ("x5c", json!(["MIIB"])),
        ("iss", json!(there)),
    ] {
        for kid in ["RS256-1", "unknown"] {
            let mut header = json!({"alg": "RS256", "typ": "at+jwt", "kid": kid});
            header[name] = value.clone();
            let (asked, mut claims) = (Arc::clone(&provider), claims(&provider.url()));
            if name == "iss" {
                claims["iss"] = value.clone();
            }
            let token = blocking(move || asked.sign("RS256-1", &header, &claims, None)).await;
            let verified = verify(&issuers, &token).await;
            assert_eq!(verified.is_ok(), kid == "RS256-1" && name != "iss", "{name} {kid}: {verified:?}");
        }
    }
    assert_eq!(tap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody went where a token said");
    assert_eq!(provider.requests().unwrap().elsewhere, 0);
}
