//! OpenBao and HashiCorp Vault (HTTP API, version 1): logging in, secrets of the KV engine, and leases of the database engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use model::secret::Secret;
use serde_json::{Value, json};
use store::config::{CredentialSource, OpenBaoPath, OpenBaoServer};

use super::pair::{Found, Lease};
use super::{locked, proof};
use crate::fetch::{self, Call, FetchError};
use crate::node::Node;

mod token;

pub(super) use token::Token;

/// Why a server gives nothing. What it said itself is not repeated: it may quote what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it is sealed, or not ready")]
    Sealed,
    #[error("it refuses ({0})")]
    Refuses(StatusCode),
    #[error("there is nothing at that path")]
    Nothing,
    #[error("what it answers is not what its API says: {0}")]
    Answer(&'static str),
    #[error("what proves Sluice to it cannot be had: {0}")]
    Proof(String),
}

/// What became of a renewal.
pub(super) enum Renewal {
    /// It holds for so long from now.
    For(Duration),
    /// It is gone, or not for renewing.
    Refused,
}

/// Every server that is used, by its configuration.
#[derive(Default)]
pub(super) struct Servers(Mutex<HashMap<Arc<OpenBaoServer>, Arc<Server>>>);

impl Servers {
    pub(super) fn server(&self, config: &Arc<OpenBaoServer>) -> Arc<Server> {
        let mut all = locked(&self.0);
        let new = || Arc::new(Server { config: Arc::clone(config), token: tokio::sync::Mutex::default() });
        Arc::clone(all.entry(Arc::clone(config)).or_insert_with(new))
    }

    pub(super) fn all(&self) -> Vec<Arc<Server>> {
        locked(&self.0).values().cloned().collect()
    }
}

/// A server, and the token that Sluice has there.
pub(super) struct Server {
    config: Arc<OpenBaoServer>,
    token: tokio::sync::Mutex<Option<Arc<Token>>>,
}

impl Server {
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// What is at a path.
    pub(super) async fn find(self: &Arc<Self>, node: &Node, path: &OpenBaoPath) -> Result<Found, ServerError> {
        let at = match path {
            OpenBaoPath::Kv { path, .. } | OpenBaoPath::Lease(path) => path,
        };
        let asked = Instant::now();
        let mut token = self.token(node, None).await?;
        let mut answer = self.ask(Method::GET, at, &token, None).await;
        if matches!(answer, Err(ServerError::Refuses(StatusCode::FORBIDDEN))) {
            // The token may have been revoked.
            token = self.token(node, Some(&token)).await?;
            answer = self.ask(Method::GET, at, &token, None).await;
        }
        let answer = answer?;
        match path {
            OpenBaoPath::Kv { field, user_field, .. } => kv(&answer, field, user_field.as_deref()),
            OpenBaoPath::Lease(_) => self.leased(&answer, token, asked),
        }
    }

    /// A user and a password that were made for Sluice.
    fn leased(self: &Arc<Self>, answer: &Value, token: Arc<Token>, asked: Instant) -> Result<Found, ServerError> {
        let id = text(answer.get("lease_id")).ok_or(ServerError::Answer("no lease_id"))?;
        let given = seconds(answer.get("lease_duration")).ok_or(ServerError::Answer("no lease_duration"))?;
        let is_renewable = answer.get("renewable").and_then(Value::as_bool).unwrap_or(false);
        let data = answer.get("data");
        let user = text(data.and_then(|data| data.get("username"))).ok_or(ServerError::Answer("no username"))?;
        let password = text(data.and_then(|data| data.get("password"))).ok_or(ServerError::Answer("no password"))?;
        let lease = Lease { id: id.to_owned(), server: Arc::clone(self), token, given, is_renewable };
        Ok(Found {
            user: Some(user.into()),
            password: Secret::new(password.to_owned()),
            until: Some(asked + given),
            lease: Some(lease),
        })
    }

    /// Asks for more time.
    pub(super) async fn renew(&self, node: &Node, lease: &str, increment: Duration) -> Result<Renewal, ServerError> {
        let body = json!({ "lease_id": lease, "increment": increment.as_secs() });
        let token = self.token(node, None).await?;
        match self.ask(Method::PUT, "sys/leases/renew", &token, Some(&body)).await {
            Ok(answer) => Ok(seconds(answer.get("lease_duration")).map_or(Renewal::Refused, Renewal::For)),
            Err(ServerError::Refuses(_) | ServerError::Nothing) => Ok(Renewal::Refused),
            Err(error) => Err(error),
        }
    }

    /// Gives a lease back: the server removes what it had made for it.
    pub(super) async fn revoke(&self, node: &Node, lease: &str) -> Result<(), ServerError> {
        let token = self.token(node, None).await?;
        let body = json!({ "lease_id": lease });
        self.ask(Method::PUT, "sys/leases/revoke", &token, Some(&body)).await.map(drop)
    }

    /// One exchange; the JSON of the answer, null if it has none.
    async fn ask(&self, method: Method, path: &str, token: &Token, body: Option<&Value>) -> Result<Value, ServerError> {
        let mut value = HeaderValue::from_str(token.secret().expose())
            .map_err(|_| ServerError::Proof("the token is not one".to_owned()))?;
        value.set_sensitive(true);
        self.exchange(method, path, Some(value), body).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        token: Option<HeaderValue>,
        body: Option<&Value>,
    ) -> Result<Value, ServerError> {
        let mut headers = HeaderMap::new();
        // Asked for by the server's own agents, so that nobody can be made to ask it by a mere link.
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if let Some(token) = token {
            headers.insert(HeaderName::from_static("x-vault-token"), token);
        }
        if let Some(namespace) = &self.config.namespace {
            let value = HeaderValue::from_str(namespace).map_err(|_| ServerError::Answer("the namespace"))?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), value);
        }
        let url = format!("{}/v1/{path}", self.config.url);
        // The configuration lets plain HTTP through only to this machine.
        let allow_http = self.config.url.starts_with("http://");
        let call = Call { url: &url, ca: self.config.ca_file.as_deref(), allow_http, headers };
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = fetch::call(&call, method, body.into(), self.config.timeout).await?;
        match answer.status {
            StatusCode::OK => {
                let body = answer.body.ok_or(FetchError::Body)?;
                serde_json::from_slice(&body).map_err(|_| ServerError::Answer("no JSON"))
            }
            StatusCode::NO_CONTENT => Ok(Value::Null),
            StatusCode::NOT_FOUND => Err(ServerError::Nothing),
            StatusCode::SERVICE_UNAVAILABLE => Err(ServerError::Sealed),
            status if status.is_client_error() => Err(ServerError::Refuses(status)),
            status => Err(FetchError::Status(status).into()),
        }
    }

    /// A secret that proves Sluice to the server.
    async fn proof(&self, node: &Node, source: &CredentialSource) -> Result<Secret<String>, ServerError> {
        let server = format!("openbao:{}", self.config.name);
        proof(node, &server, source).await.map_err(ServerError::Proof)
    }
}

/// Fields of a secret of the KV engine, version 2.
fn kv(answer: &Value, field: &str, user_field: Option<&str>) -> Result<Found, ServerError> {
    let data = answer.get("data").and_then(|data| data.get("data"));
    let data = data.ok_or(ServerError::Answer("no secret of a KV engine, version 2"))?;
    let password = text(data.get(field)).ok_or(ServerError::Answer("the secret has no such field"))?;
    let user = match user_field {
        None => None,
        Some(field) => Some(text(data.get(field)).ok_or(ServerError::Answer("the secret has no such field"))?.into()),
    };
    Ok(Found { user, ..Found::password(Secret::new(password.to_owned())) })
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The longest time that is believed.
const LONGEST: u64 = 366 * 86_400;

fn seconds(value: Option<&Value>) -> Option<Duration> {
    let seconds = value.and_then(Value::as_u64).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds.min(LONGEST)))
}
