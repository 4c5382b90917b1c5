//! The keys of the Bot Connector, as its metadata says where they are; those alone that are good for Teams.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use gateway::clock;
use gateway::fetch;
use identity::{IdentityError, Issuers, KeySet};
use model::issuer::{Algorithm, Issuer};
use model::time::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
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
pub(super) struct Keys(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    keys: Option<(Arc<KeySet>, Instant)>,
    asked: Option<Instant>,
}

/// Where keys are fetched, and for which bot.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) metadata_url: String,
    pub(super) ca: Option<PathBuf>,
    pub(super) allow_http: bool,
    pub(super) app_id: String,
}

impl Keys {
    /// Verifies the token of an activity; fetches keys if there are none that it could be signed with. Returns when it ends.
    pub(super) async fn verify(&self, source: &Source, token: &str, service_url: &str) -> Result<Timestamp, String> {
        if !says_connector(token) {
            return Err(String::from("its token does not say that it is the Bot Connector's"));
        }
        let held = Arc::clone(&self.0).lock_owned().await;
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
        // Whoever brought the token may hang up before they are here.
        let fetching = tokio::spawn(renew(held, source.clone())).await;
        let keys = fetching.map_err(|_| "the keys of the Bot Connector cannot be fetched")??;
        check(source, &keys, token, service_url).map_err(|error| error.to_string())
    }
}

/// Fetches the keys, and keeps them.
async fn renew(mut held: OwnedMutexGuard<Held>, source: Source) -> Result<Arc<KeySet>, String> {
    held.asked = Some(Instant::now());
    let keys = Arc::new(fetched(&source).await?);
    held.keys = Some((Arc::clone(&keys), Instant::now()));
    Ok(keys)
}

/// Whether a text has the form of a token, and says that it is the Connector's: nothing is fetched for any other.
fn says_connector(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let [_, claims, _] = parts.as_slice() else { return false };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok();
    let claims = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
    claims.is_some_and(|claims| claims.get("iss").and_then(Value::as_str) == Some(CONNECTOR))
}

fn check(source: &Source, keys: &Arc<KeySet>, token: &str, service_url: &str) -> Result<Timestamp, IdentityError> {
    let mut connector = Issuer::new("bot-connector", CONNECTOR, source.app_id.as_str());
    connector.algorithms = BTreeSet::from([Algorithm::Rs256]);
    (connector.leeway, connector.max_lifetime) = (LEEWAY, Issuer::LONGEST_LIFETIME);
    let issuers = Issuers::new().with_keys(Arc::new(connector), Arc::clone(keys));
    identity::bot_activity(token, &issuers, service_url, clock::now())
}

async fn fetched(source: &Source) -> Result<KeySet, String> {
    let (ca, allow_http) = (source.ca.as_deref(), source.allow_http);
    let get = async |url: &str| fetch::get(url, ca, allow_http).await.map_err(|error| error.to_string());
    let metadata: Value = read(&get(&source.metadata_url).await?)?;
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
