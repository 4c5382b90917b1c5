//! AWS: secrets of Secrets Manager, and the tokens that RDS takes for passwords (IAM database authentication).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use model::secret::Secret;
use serde_json::{Value, json};
use store::config::{AwsAccess, AwsAccount, AwsSecret};

use super::Wanted;
use super::pair::Found;
use crate::clock;
use crate::fetch::{self, Call, FetchError};
use crate::node::Node;

mod access;
mod sign;

pub(super) use sign::encode;
pub(crate) use sign::{AwsKeys, Payload, sign_request};

/// Why AWS gives nothing. What it said itself is not repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AwsError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it refuses ({0})")]
    Refuses(StatusCode),
    #[error("what it answers is not what its API says: {0}")]
    Answer(&'static str),
    #[error("what proves Sluice to it cannot be had: {0}")]
    Proof(String),
    #[error("the request cannot be signed")]
    Sign,
    #[error("the target's user has to be named")]
    NoUser,
}

/// How long a token of RDS is good for a login, as the service has it.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// How long one is used: long enough not to sign for each login, and far from its end.
const TOKEN_USE: Duration = Duration::from_secs(5 * 60);

/// How long a key is used before it is read again: it may have been rotated.
const KEY_USE: Duration = Duration::from_secs(60);

/// How long keys of a role are used: AWS gives them for 15 minutes at least, and has new ones 5 minutes before their end.
const ROLE_USE: Duration = Duration::from_secs(4 * 60);

/// A secret of Secrets Manager (`GetSecretValue`), as it is now.
pub(super) async fn secret(node: &Node, secret: &AwsSecret) -> Result<Found, AwsError> {
    let account = &secret.account;
    let keys = access::keys(node, account).await?;
    let url = format!("{}/", account.secrets_url);
    let body = json!({ "SecretId": secret.id }).to_string();
    let wanted = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "secretsmanager.GetSecretValue")];
    let signed = sign::headers(&keys, &account.region, "secretsmanager", &url, &wanted, &body, now())?;
    let answer = exchange(account, Method::POST, &url, &signed, body).await?;
    let text = answer.get("SecretString").and_then(Value::as_str).ok_or(AwsError::Answer("it is no text"))?;
    let Some(field) = &secret.field else { return Ok(Found::password(Secret::new(text.to_owned()))) };
    let fields: Value = serde_json::from_str(text).map_err(|_| AwsError::Answer("the secret has no fields"))?;
    let named = |name: &str| fields.get(name).and_then(Value::as_str);
    let missing = AwsError::Answer("the secret has no such field");
    let password = named(field).ok_or(missing)?.to_owned();
    let user = match &secret.user_field {
        None => None,
        Some(field) => Some(named(field).ok_or(AwsError::Answer("the secret has no such field"))?.into()),
    };
    Ok(Found { user, ..Found::password(Secret::new(password)) })
}

/// A token for the target's user: a signed URL that RDS verifies, without a call to anybody.
pub(super) async fn rds_token(node: &Node, account: &AwsAccount, wanted: Wanted<'_>) -> Result<Found, AwsError> {
    let (user, target) = (wanted.user.ok_or(AwsError::NoUser)?, wanted.target);
    let keys = access::keys(node, account).await?;
    let place = format!("{}:{}", target.host, target.port);
    let token = sign::rds_token(&keys, &account.region, &place, user, TOKEN_LIFE, now())?;
    Ok(Found { until: Some(Instant::now() + TOKEN_USE), ..Found::password(Secret::new(token)) })
}

/// The keys that requests are signed with, in the form that AWS writes them.
pub(super) async fn keys(node: &Node, account: &AwsAccount) -> Result<Found, AwsError> {
    let keys = access::keys(node, account).await?;
    let used = match &account.access {
        AwsAccess::Key { .. } => KEY_USE,
        AwsAccess::WebIdentity { .. } | AwsAccess::Container { .. } => ROLE_USE,
    };
    Ok(Found { until: Some(Instant::now() + used), ..Found::password(keys.written()) })
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(clock::now().0)
}

/// One exchange; the JSON of the answer.
async fn exchange(
    account: &AwsAccount,
    method: Method,
    url: &str,
    headers: &[(String, String)],
    body: String,
) -> Result<Value, AwsError> {
    let mut told = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| AwsError::Sign)?;
        told.insert(name, HeaderValue::from_str(value).map_err(|_| AwsError::Sign)?);
    }
    // The configuration lets plain HTTP through only to this machine and the addresses that containers have.
    let call = Call { url, ca: None, allow_http: url.starts_with("http://"), headers: told };
    let answer = fetch::call(&call, method, body.into(), account.timeout).await?;
    match answer.status {
        StatusCode::OK => {
            let body = answer.body.ok_or(FetchError::Body)?;
            serde_json::from_slice(&body).map_err(|_| AwsError::Answer("no JSON"))
        }
        status if status.is_client_error() => Err(AwsError::Refuses(status)),
        status => Err(FetchError::Status(status).into()),
    }
}
