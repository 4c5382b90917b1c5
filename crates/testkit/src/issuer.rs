//! A demo OpenID Connect issuer, for tests and the demo alone: it keeps its keys in memory, speaks HTTP on loopback
//! and gives a token to whoever asks this value for one.
//!
//! It has discovery, a key set, a page where people sign in, and a token endpoint for codes and client credentials; its access tokens follow RFC 9068. It can
//! be told to fail in the ways that real issuers do.

mod authorize;
mod http;
mod keys;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

pub use self::authorize::{Page, Twist};
pub use self::keys::Algorithm;
use self::keys::SigningKey;
use crate::random;

/// How long a token is valid unless it is asked for otherwise.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// The audience of its tokens unless asked for otherwise.
pub const DEFAULT_AUDIENCE: &str = "sluice";

/// A running issuer, on a thread of its own. It ends when the value is dropped.
pub struct Issuer {
    state: Arc<State>,
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the token endpoint knows of a client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its `client_id`, which is also its tokens' subject.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The groups in its tokens.
    pub groups: Vec<String>,
    /// How long its tokens are valid.
    pub lifetime: Duration,
}

/// How the issuer fails over HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Every answer is a 500.
    ServerError,
    /// Every answer comes after this delay.
    Slow(Duration),
    /// Every connection is closed before a request is read.
    Down,
    /// Every answer is a 200 that is not JSON.
    Garbage,
    /// Every answer is a 200 with more bytes than any such document needs (8 MiB of blanks, then the document).
    Oversized,
    /// Every answer is a 200 whose body does not end.
    Endless,
    /// Every answer is a 200 of which a byte comes every 100 ms.
    Drip,
}

/// How often each endpoint was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// `/.well-known/openid-configuration`.
    pub discovery: u64,
    /// `/jwks`.
    pub jwks: u64,
    /// `/token`.
    pub token: u64,
}

/// What a token shall say: a subject, and what differs from the usual.
#[derive(Clone, Debug)]
pub struct Grant {
    subject: String,
    groups: Vec<String>,
    lifetime: Duration,
    audience: Value,
    actors: Vec<String>,
    claims: Map<String, Value>,
}

impl Grant {
    /// A token for `subject`: no groups, five minutes, the default audience.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            groups: Vec::new(),
            lifetime: DEFAULT_LIFETIME,
            audience: json!(DEFAULT_AUDIENCE),
            actors: Vec::new(),
            claims: Map::new(),
        }
    }

    fn subject(&self) -> &str {
        &self.subject
    }

    /// With these groups.
    pub fn groups<Group: Into<String>>(mut self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Valid for this long from now, in whole seconds.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// With this audience: a string or an array.
    pub fn audience(mut self, audience: impl Into<Value>) -> Self {
        self.audience = audience.into();
        self
    }

    /// With these actors, the nearest (current) one first, nested as `act` (RFC 8693, 4.1).
    pub fn actors<Actor: Into<String>>(mut self, actors: impl IntoIterator<Item = Actor>) -> Self {
        self.actors = actors.into_iter().map(Into::into).collect();
        self
    }

    /// With this claim in place of what it would be; `null` leaves the claim out.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }
}

pub(crate) struct State {
    url: String,
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    algorithm: Algorithm,
    /// The first one signs; all are published.
    keys: Vec<SigningKey>,
    clients: HashMap<String, Client>,
    fault: Fault,
    requests: Requests,
    desk: authorize::Desk,
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Issuer {
    /// Starts one on a free port with an ES256 key.
    pub fn start() -> Result<Self> {
        Self::start_with(Algorithm::Es256)
    }

    /// Starts one whose keys are for this algorithm.
    pub fn start_with(algorithm: Algorithm) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let inner = Inner {
            algorithm,
            keys: vec![SigningKey::generate(algorithm)?],
            clients: HashMap::new(),
            fault: Fault::None,
            requests: Requests::default(),
            desk: authorize::Desk::default(),
        };
        let state = Arc::new(State { url: format!("http://{address}"), inner: Mutex::new(inner) });
        let (shutdown, ended) = oneshot::channel();
        let serving = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("issuer".into()).spawn(move || {
            // Its failure shows in the test as an issuer that does not answer.
            let _ = runtime.block_on(http::serve(listener, serving, ended));
        })?;
        Ok(Self { state, address, shutdown: Some(shutdown), thread: Some(thread) })
    }

    /// Its identifier, the `iss` of its tokens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.url())
    }

    /// Its token endpoint.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.url())
    }

    /// Its key set, as it is served.
    pub fn jwks(&self) -> Value {
        self.state.jwks()
    }

    /// Makes a client of the token endpoint, with a random secret and the default lifetime.
    pub fn register(&self, id: &str, groups: &[&str]) -> Result<Client> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let client = Client { id: id.to_owned(), secret: random::word()?, groups, lifetime: DEFAULT_LIFETIME };
        self.register_client(client.clone());
        Ok(client)
    }

    /// Makes or replaces a client of the token endpoint.
    pub fn register_client(&self, client: Client) {
        self.state.lock().clients.insert(client.id.clone(), client);
    }

    /// An access token, signed with the current key.
    pub fn issue(&self, grant: Grant) -> Result<String> {
        self.state.issue(grant)
    }

    /// Exactly these claims, under the header that its access tokens have.
    pub fn issue_raw(&self, claims: &Value) -> Result<String> {
        self.state.sign_claims(claims)
    }

    /// A header and a payload signed as they are, byte for byte: duplicate keys, other types, no JSON at all.
    pub fn sign(&self, header: &str, payload: &str) -> Result<String> {
        self.state.lock().current()?.sign(header, payload)
    }

    /// The id of the key that signs now.
    pub fn key_id(&self) -> Result<String> {
        Ok(self.state.lock().current()?.id().to_owned())
    }

    /// Signs with a new key from now on. The old ones stay published if `keep_old`.
    pub fn rotate_keys(&self, keep_old: bool) -> Result<()> {
        let mut inner = self.state.lock();
        let key = SigningKey::generate(inner.algorithm)?;
        if !keep_old {
            inner.keys.clear();
        }
        inner.keys.insert(0, key);
        Ok(())
    }

    /// Fails in this way from now on, until told otherwise.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().fault = fault;
    }

    /// How often each endpoint was asked until now.
    pub fn requests(&self) -> Requests {
        self.state.lock().requests
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn current(&self) -> Result<&SigningKey> {
        self.keys.first().context("the issuer has no key")
    }
}

impl State {
    fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.lock().keys.iter().map(|key| key.public().clone()).collect();
        json!({ "keys": keys })
    }

    fn issue(&self, grant: Grant) -> Result<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let mut claims = json!({
            "iss": self.url,
            "sub": grant.subject,
            "client_id": grant.subject,
            "aud": grant.audience,
            "iat": now,
            "exp": now + grant.lifetime.as_secs(),
            "jti": random::word()?,
            "groups": grant.groups,
        });
        let claim_map = claims.as_object_mut().context("claims are an object")?;
        let nested = grant.actors.iter().rev().fold(None, |inner: Option<Value>, actor| {
            let mut act = Map::from_iter([("sub".to_owned(), json!(actor))]);
            act.extend(inner.map(|inner| ("act".to_owned(), inner)));
            Some(Value::Object(act))
        });
        claim_map.extend(nested.map(|act| ("act".to_owned(), act)));
        claim_map.extend(grant.claims);
        claim_map.retain(|_, value| !value.is_null());
        self.sign_claims(&claims)
    }

    /// An ID token for a client, as it was asked for.
    fn identify(&self, subject: &str, audience: &str, nonce: &str) -> Result<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let claims =
            json!({ "iss": self.url, "sub": subject, "aud": audience, "nonce": nonce, "iat": now, "exp": now + 60 });
        let inner = self.lock();
        let key = inner.current()?;
        let header = json!({ "typ": "JWT", "alg": key.algorithm().name(), "kid": key.id() });
        key.sign(&header.to_string(), &claims.to_string())
    }

    fn sign_claims(&self, claims: &Value) -> Result<String> {
        let inner = self.lock();
        let key = inner.current()?;
        let header = json!({ "typ": "at+jwt", "alg": key.algorithm().name(), "kid": key.id() });
        key.sign(&header.to_string(), &claims.to_string())
    }
}
