//! An issuer's endpoints, and the tokens that it gives.

use std::time::{Duration, SystemTime};

use model::secret::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::http::{self, Answer, HttpError};
use crate::random::NoRandomness;
use crate::tls::Trust;
use crate::token::Token;

/// Why there is no token. Holds nothing secret; what an issuer wrote is cut to printable characters.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// There is no answer.
    #[error("{url}: {error}")]
    Http {
        /// Who was asked.
        url: String,
        /// Why not.
        error: HttpError,
    },
    /// The issuer refuses, in its own words (RFC 6749, section 5.2).
    #[error("the issuer refuses: {code}{}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Such as `invalid_client`.
        code: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// The answer is not what it should be.
    #[error("{url}: {reason}")]
    Answer {
        /// Who was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The issuer does not have what is asked for.
    #[error("the issuer's discovery document names no {0}")]
    NotOffered(&'static str),
    /// The agent of a workload has no token for it.
    #[error("the Workload API gives no token: {0}")]
    WorkloadApi(String),
    /// Nothing random.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A file of this side cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// A person has to do something.
    #[error("{0}")]
    Person(String),
}

impl IssuerError {
    /// Whether another attempt may go better without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http { error, .. } => error.is_transient(),
            // RFC 6749, section 4.1.2.1: what an issuer says of itself, not of the caller.
            Self::Refused { code, .. } => ["temporarily_unavailable", "server_error"].contains(&code.as_str()),
            Self::Answer { .. } | Self::WorkloadApi(_) => true,
            Self::NotOffered(_) | Self::Randomness(_) | Self::File { .. } | Self::Person(_) => false,
        }
    }
}

/// What is asked of an issuer beside the grant itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// `scope`, separated by spaces.
    pub scope: Option<String>,
    /// `audience`, where an issuer goes by that name.
    pub audience: Option<String>,
    /// `resource` (RFC 8707).
    pub resource: Option<String>,
}

impl Wanted {
    /// The form fields.
    pub(crate) fn fields(&self) -> Vec<(&'static str, &str)> {
        let all = [("scope", &self.scope), ("audience", &self.audience), ("resource", &self.resource)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

/// What is needed of a discovery document (OpenID Connect Discovery 1.0, RFC 8414).
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// The issuer, which is the URL that was asked for.
    pub issuer: String,
    /// Where tokens are.
    pub token_endpoint: String,
    /// Where people sign in.
    pub authorization_endpoint: Option<String>,
    /// Where devices begin (RFC 8628).
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens are given back (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Whether an answer to the browser names the issuer (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// Other URLs for clients with a certificate (RFC 8705, section 5).
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
}

impl Metadata {
    /// Where tokens are for a client with a certificate.
    pub(crate) fn mtls_token_endpoint(&self) -> &str {
        self.mtls_endpoint_aliases.token_endpoint.as_deref().unwrap_or(&self.token_endpoint)
    }
}

/// Reads the discovery document of an issuer: OpenID Connect's, or else that of RFC 8414.
///
/// # Errors
/// If there is none, or it is another issuer's.
pub async fn discover(trust: &Trust, issuer: &str) -> Result<Metadata, IssuerError> {
    let below = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let mut url = below;
    let mut answer = get(trust, &url).await?;
    if answer.status == 404
        && let Some(other) = oauth_metadata(issuer)
    {
        url = other;
        answer = get(trust, &url).await?;
    }
    if answer.status != 200 {
        return Err(IssuerError::Answer { url, reason: format!("the answer is {}, not 200", answer.status) });
    }
    let metadata: Metadata = parse(&url, &answer)?;
    // Section 4.3 of the former, 3.3 of the latter: the two must be identical.
    if metadata.issuer != issuer {
        let reason = format!("names another issuer, `{}`", printable(&metadata.issuer));
        return Err(IssuerError::Answer { url, reason });
    }
    Ok(metadata)
}

/// RFC 8414, section 3: the well-known part comes before the issuer's own path.
fn oauth_metadata(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}"))
}

async fn get(trust: &Trust, url: &str) -> Result<Answer, IssuerError> {
    http::get(trust, url).await.map_err(|error| IssuerError::Http { url: url.to_owned(), error })
}

/// What a token endpoint gives.
pub struct Granted {
    /// The access token.
    pub token: Token,
    /// What to get the next one with.
    pub refresh_token: Option<Secret<String>>,
    /// Who signed in, for the client that asked.
    pub id_token: Option<Secret<String>>,
}

/// The answer of a token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

/// Posts a form to an endpoint; what comes with 200 is the answer.
///
/// # Errors
/// The refusal in the issuer's own words, or what is wrong with the answer.
pub(crate) async fn post(
    trust: &Trust,
    url: &str,
    authorization: Option<hyper::header::HeaderValue>,
    fields: &[(&str, &str)],
) -> Result<Answer, IssuerError> {
    let answer = http::post_form(trust, url, authorization, fields).await;
    let answer = answer.map_err(|error| IssuerError::Http { url: url.to_owned(), error })?;
    if answer.status == 200 {
        return Ok(answer);
    }
    match serde_json::from_slice::<Refusal>(answer.body.expose()) {
        Ok(refusal) => Err(IssuerError::Refused {
            code: printable(&refusal.error),
            description: refusal.error_description.as_deref().map(printable),
        }),
        Err(_) => Err(IssuerError::Answer { url: url.to_owned(), reason: format!("the answer is {}", answer.status) }),
    }
}

impl TokenAnswer {
    /// What was granted, if it is understood.
    pub(crate) fn granted(self, url: &str, now: SystemTime) -> Result<Granted, IssuerError> {
        // RFC 6749, section 7.1: a token of a type that is not understood must not be used.
        if !self.token_type.eq_ignore_ascii_case("bearer") {
            let reason = format!("a token of type `{}` is not understood", printable(&self.token_type));
            return Err(IssuerError::Answer { url: url.to_owned(), reason });
        }
        Ok(Granted {
            token: Token::new(self.access_token, self.expires_in.map(Duration::from_secs), now),
            refresh_token: self.refresh_token.map(Secret::new),
            id_token: self.id_token.map(Secret::new),
        })
    }
}

pub(crate) fn parse<T: DeserializeOwned>(url: &str, answer: &Answer) -> Result<T, IssuerError> {
    // The library's own words could quote what is secret: only the place.
    serde_json::from_slice(answer.body.expose()).map_err(|error| IssuerError::Answer {
        url: url.to_owned(),
        reason: format!("the answer lacks something or is no such JSON (line {})", error.line()),
    })
}

/// What somebody else wrote, cut to what a terminal can be shown.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_part_comes_before_the_path() {
        let at = |issuer: &str| oauth_metadata(issuer).unwrap();
        assert_eq!(at("https://a.example"), "https://a.example/.well-known/oauth-authorization-server");
        assert_eq!(at("https://a.example/"), "https://a.example/.well-known/oauth-authorization-server");
        assert_eq!(at("https://a.example/t/1"), "https://a.example/.well-known/oauth-authorization-server/t/1");
    }

    #[test]
    fn what_an_issuer_says_cannot_move_a_cursor() {
        assert_eq!(printable("no\u{1b}[2J\n way"), "no[2J way");
        assert_eq!(printable(&"x".repeat(1000)).len(), 200);
    }
}
