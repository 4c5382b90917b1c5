//! The keys of the Bot Connector, as its metadata says where they are; those alone that are good for Teams.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::clock;
use gateway::fetch;
use identity::{IdentityError, Issuers, KeySet};
use model::issuer::{Algorithm, Issuer};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Who signs for the Bot Connector.
const CONNECTOR: &str = "https://api.botframework.com";

/// What a key has to be endorsed for.
const ENDORSED: &str = "msteams";

/// How old keys may be.
const OLDEST: Duration = Duration::from_secs(86_400);

/// How often they are fetched at most, whatever key is asked for.
const APART: Duration = Duration::from_secs(60);

/// How far the Connector's clock may be ahead, in seconds: Microsoft's own libraries take as much.
const LEEWAY: u64 = 300;

/// The keys as they were fetched last.
#[derive(Default)]
pub(super) struct Keys(Mutex<Held>);

#[derive(Default)]
struct Held {
    keys: Option<(Arc<KeySet>, Instant)>,
    asked: Option<Instant>,
}

/// Where keys are fetched, and for which bot.
pub(super) struct Source<'a> {
    pub(super) metadata_url: &'a str,
    pub(super) ca: Option<&'a Path>,
    pub(super) allow_http: bool,
    pub(super) app_id: &'a str,
}

impl Keys {
    /// Verifies the token of an activity; fetches keys if there are none that it could be signed with.
    pub(super) async fn verify(&self, source: &Source<'_>, token: &str, service_url: &str) -> Result<(), String> {
        let mut held = self.0.lock().await;
        let fresh = held.keys.as_ref().filter(|(_, at)| at.elapsed() < OLDEST);
        if let Some((keys, _)) = fresh {
            match check(source, keys, token, service_url) {
                Err(IdentityError::UnknownKey { .. }) => {}
                other => return other.map_err(|error| error.to_string()),
            }
        }
        if held.asked.is_some_and(|at| at.elapsed() < APART) {
            return Err(String::from("its key is not one that the Bot Connector publishes"));
        }
        held.asked = Some(Instant::now());
        let keys = Arc::new(fetched(source).await?);
        held.keys = Some((Arc::clone(&keys), Instant::now()));
        drop(held);
        check(source, &keys, token, service_url).map_err(|error| error.to_string())
    }
}

fn check(source: &Source<'_>, keys: &Arc<KeySet>, token: &str, service_url: &str) -> Result<(), IdentityError> {
    let mut connector = Issuer::new("bot-connector", CONNECTOR, source.app_id);
    connector.algorithms = BTreeSet::from([Algorithm::Rs256]);
    (connector.leeway, connector.max_lifetime) = (LEEWAY, Issuer::LONGEST_LIFETIME);
    let issuers = Issuers::new().with_keys(Arc::new(connector), Arc::clone(keys));
    identity::bot_activity(token, &issuers, service_url, clock::now())
}

async fn fetched(source: &Source<'_>) -> Result<KeySet, String> {
    let get = async |url: &str| fetch::get(url, source.ca, source.allow_http).await.map_err(|error| error.to_string());
    let metadata: Value = read(&get(source.metadata_url).await?)?;
    let text = |at: &str| metadata.get(at).and_then(Value::as_str);
    if text("issuer") != Some(CONNECTOR) {
        return Err(String::from("the metadata is of another issuer than the Bot Connector"));
    }
    let mut keys: Value = read(&get(text("jwks_uri").ok_or("the metadata names no keys")?).await?)?;
    if let Some(list) = keys.get_mut("keys").and_then(Value::as_array_mut) {
        list.retain(|key| {
            let endorsed = key.get("endorsements").and_then(Value::as_array);
            endorsed.is_some_and(|endorsed| endorsed.iter().any(|channel| channel == ENDORSED))
        });
    }
    let allowed = BTreeSet::from([Algorithm::Rs256]);
    KeySet::from_jwks(keys.to_string().as_bytes(), &allowed).map_err(|error| error.to_string())
}

fn read(json: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(json).map_err(|_| String::from("what the Bot Connector publishes is not JSON"))
}
