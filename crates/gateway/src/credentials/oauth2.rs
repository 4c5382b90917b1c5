//! Tokens that an issuer gives to Sluice itself, as its client (client credentials, RFC 6749, section 4.4).

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use model::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use store::config::{OAuth2Client, OAuth2Proof};

use super::aws::encode;
use super::pair::Found;
use super::proof;
use crate::fetch::{self, Answer, Call, FetchError};
use crate::node::Node;

mod assertion;

/// Why an issuer gives no token. What it said itself is not repeated, but for the codes that the protocol has.
#[derive(Debug, thiserror::Error)]
pub(super) enum OAuth2Error {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the issuer refuses ({0}): {1}")]
    Refuses(StatusCode, &'static str),
    #[error("what the issuer answers is not what RFC 6749 says: {0}")]
    Answer(&'static str),
    #[error("what proves Sluice to the issuer cannot be had: {0}")]
    Proof(String),
    #[error("the client's key cannot be used: {0}")]
    Key(&'static str),
}

/// The codes of an error (RFC 6749, section 5.2; RFC 8707, section 2).
const CODES: [&str; 7] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// The type of a JWT as client assertion (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long a token is used whose issuer does not say how long it is good, and the longest that any is.
const UNTOLD: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long before its end a token is used no more, if that is less than a tenth of its time.
const MARGIN: Duration = Duration::from_secs(30);

/// The answer of a token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    /// Seconds; some issuers write them as a text.
    expires_in: Option<Value>,
}

/// Asks the issuer for a token.
pub(super) async fn token(node: &Node, client: &OAuth2Client) -> Result<Found, OAuth2Error> {
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json")),
        (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
    ]);
    let form = prove(node, client, &mut headers).await?;
    let call = Call {
        url: &client.token_url,
        ca: client.ca_file.as_deref(),
        // The configuration lets plain HTTP through only to this machine.
        allow_http: client.token_url.starts_with("http://"),
        headers,
    };
    let asked = Instant::now();
    let answer = fetch::post(&call, form.expose().clone().into(), client.timeout).await?;
    read(&answer, asked)
}

/// The form, with what proves who asks; that may stand in the headers.
async fn prove(node: &Node, client: &OAuth2Client, headers: &mut HeaderMap) -> Result<Secret<String>, OAuth2Error> {
    let mut form = String::from("grant_type=client_credentials");
    let mut add = |name: &str, value: &str| form.extend(["&", name, "=", &encode(value)]);
    for (name, value) in &client.asks {
        add(name, value);
    }
    let named = format!("oauth2:{}", client.token_url);
    let secret = async |source| proof(node, &named, source).await.map_err(OAuth2Error::Proof);
    match &client.proof {
        OAuth2Proof::Basic(source) => {
            // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
            let joined = format!("{}:{}", encode(&client.id), encode(secret(source).await?.expose()));
            let value = Secret::new(format!("Basic {}", STANDARD.encode(Secret::new(joined).expose())));
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| OAuth2Error::Key("it is no text"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        OAuth2Proof::Post(source) => {
            add("client_id", &client.id);
            add("client_secret", secret(source).await?.expose());
        }
        OAuth2Proof::Key { key, id, audience } => {
            let key = secret(key).await?;
            let audience = audience.as_deref().unwrap_or(&client.token_url);
            let assertion = assertion::sign(&key, id.as_deref(), &client.id, audience)?;
            add("client_id", &client.id);
            add("client_assertion_type", JWT_BEARER);
            add("client_assertion", assertion.expose());
        }
    }
    Ok(Secret::new(form))
}

fn read(answer: &Answer, asked: Instant) -> Result<Found, OAuth2Error> {
    let body = answer.body.as_deref().ok_or(FetchError::Body)?;
    if answer.status != StatusCode::OK {
        let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let code = said.get("error").and_then(Value::as_str);
        let code = CODES.into_iter().find(|known| Some(*known) == code).unwrap_or("it does not say why");
        return Err(OAuth2Error::Refuses(answer.status, code));
    }
    let granted: Granted = serde_json::from_slice(body).map_err(|_| OAuth2Error::Answer("it holds no token"))?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err(OAuth2Error::Answer("the token is no bearer token"));
    }
    let good_for = match &granted.expires_in {
        None | Some(Value::Null) => UNTOLD,
        Some(Value::String(seconds)) => Duration::from_secs(seconds.parse().map_err(|_| NO_TIME)?),
        Some(seconds) => Duration::from_secs(seconds.as_u64().ok_or(NO_TIME)?),
    };
    let good_for = good_for.min(LONGEST);
    let until = asked + good_for.saturating_sub(MARGIN.min(good_for / 10));
    Ok(Found { until: Some(until), ..Found::password(Secret::new(granted.access_token)) })
}

const NO_TIME: OAuth2Error = OAuth2Error::Answer("`expires_in` is no number of seconds");

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body }
    }

    #[test]
    fn a_token_is_used_until_shortly_before_its_end() {
        let now = Instant::now();
        for (expires, used) in [("60", 54), ("3600", 3570), ("\"600\"", 570), ("null", 270), ("999999999", 86_370)] {
            let body = format!("{{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":{expires}}}");
            let found = read(&answer(200, &body), now).unwrap();
            assert_eq!(found.password.expose(), "t");
            assert_eq!(found.until, Some(now + Duration::from_secs(used)), "{expires}");
        }
    }

    #[test]
    fn what_is_no_token_says_why_and_nothing_else() {
        let says = |status, body| read(&answer(status, body), Instant::now()).err().map(|error| error.to_string());
        for body in [
            "",
            "{}",
            "{\"access_token\":\"t\"}",
            "{\"access_token\":\"t\",\"token_type\":\"DPoP\"}",
            "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":-1}",
        ] {
            assert!(says(200, body).unwrap().starts_with("what the issuer answers"), "{body}");
        }
        let refused = says(401, "{\"error\":\"invalid_client\",\"error_description\":\"s3cret\"}").unwrap();
        assert_eq!(refused, "the issuer refuses (401 Unauthorized): invalid_client");
        assert!(!says(400, "{\"error\":\"s3cret\"}").unwrap().contains("s3cret"));
        assert!(says(302, "").is_some());
    }
}
