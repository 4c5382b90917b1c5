//! Signing in at an issuer: the authorization code, with PKCE (RFC 6749, section 4.1; RFC 7636; OpenID Connect Core 1.0).
//!
//! Who somebody is says the same token that every other caller shows, verified in the same way. The ID token beside it shows
//! that it was issued for this sign-in and no other. Neither is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use identity::{Expected, IdentityError, Issuer, Proven};
use model::issuer::Profile;
use model::secret::Secret;
use model::subject::Subject;
use serde::Deserialize;
use store::config::ConsoleConfig;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::fetch::{self, Call, FetchError};
use crate::introspection::ask::{authenticate, form_encoded};
use crate::issuers::{DiscoveryDocument, KeysError, discover};
use crate::node::Node;

/// The whole exchange of the code: somebody waits for it.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why nobody is signed in: the true reason, for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The issuer is not configured any more.
    #[error("the issuer is not configured")]
    NoIssuer,
    /// The issuer cannot be asked about itself, or does not say what it has to.
    #[error("the discovery document: {0}")]
    Discovery(String),
    /// The client's secret cannot be had.
    #[error("the client's secret: {0}")]
    Secret(String),
    /// The token endpoint does not answer.
    #[error("the token endpoint: {0}")]
    Exchange(String),
    /// The code was refused.
    #[error("the code was refused: {0}")]
    Refused(StatusCode),
    /// What came is not believed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The two tokens name different people.
    #[error("the ID token and the access token name different subjects")]
    Mismatch,
}

/// What one sign-in is tied to.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// What the ID token has to name.
    pub nonce: &'a str,
}

/// The answer of a token endpoint.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Granted {
    access_token: Option<String>,
    id_token: Option<String>,
}

struct Place {
    issuer: Arc<Issuer>,
    ca: Option<PathBuf>,
    allow_http: bool,
    document: DiscoveryDocument,
}

impl Node {
    /// Where a browser is sent to sign in. `challenge` is the verifier's (RFC 7636, S256).
    ///
    /// # Errors
    /// The issuer does not say where.
    pub async fn sign_in_at(
        &self,
        console: &ConsoleConfig,
        attempt: &Attempt<'_>,
        (state, challenge): (&str, &str),
    ) -> Result<String, SignInError> {
        let place = self.place(console).await?;
        let endpoint = place.document.authorization_endpoint.as_deref().unwrap_or_default();
        let is_safe = endpoint.starts_with("https://") || place.allow_http && endpoint.starts_with("http://");
        if !is_safe || endpoint.contains('#') {
            return Err(SignInError::Discovery(String::from("it names no authorization_endpoint")));
        }
        let parameters = [
            ("response_type", "code"),
            ("client_id", &console.client_id),
            ("redirect_uri", attempt.redirect_uri),
            ("scope", &console.scope),
            ("state", state),
            ("nonce", attempt.nonce),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ];
        let resource = console.resource.as_deref().map(|resource| ("resource", resource));
        let begin = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{begin}{}", form(parameters.into_iter().chain(resource))))
    }

    /// Redeems a code, and says who signed in.
    ///
    /// # Errors
    /// The true reason, for the log; whoever signs in is told only that it did not succeed.
    pub async fn sign_in(
        &self,
        console: &ConsoleConfig,
        attempt: &Attempt<'_>,
        code: &str,
        verifier: &Secret<String>,
    ) -> Result<Subject, SignInError> {
        let place = self.place(console).await?;
        let granted = self.redeem(console, &place, attempt, code, verifier).await?;
        let id_token =
            granted.id_token.as_deref().ok_or_else(|| SignInError::Exchange(String::from("it gave no ID token")))?;
        let expected = Expected { issuer: &console.issuer, client_id: &console.client_id, nonce: attempt.nonce };
        let named = self.issuers.id_token(id_token, &expected).await?;
        let shown = match (place.issuer.profile, granted.access_token.as_deref()) {
            (Profile::IdToken, _) => id_token,
            (_, Some(token)) => token,
            (_, None) => return Err(SignInError::Exchange(String::from("it gave no access token"))),
        };
        let subject = self.issuers.verify(shown, &Proven::default()).await?;
        // What names a subject may be another claim, which need not be in both.
        let is_comparable = &*place.issuer.id_claim == "sub" && subject.on_behalf_of.is_empty();
        if subject.key.issuer != place.issuer.alias || is_comparable && subject.key.id != named {
            return Err(SignInError::Mismatch);
        }
        Ok(subject)
    }

    async fn place(&self, console: &ConsoleConfig) -> Result<Place, SignInError> {
        let (issuer, ca, allow_http) = self.issuers.named(&console.issuer).ok_or(SignInError::NoIssuer)?;
        let document = discover(&issuer, ca.as_deref(), allow_http).await;
        let document = document.map_err(|error: KeysError| SignInError::Discovery(error.to_string()))?;
        Ok(Place { issuer, ca, allow_http, document })
    }

    async fn redeem(
        &self,
        console: &ConsoleConfig,
        place: &Place,
        attempt: &Attempt<'_>,
        code: &str,
        verifier: &Secret<String>,
    ) -> Result<Granted, SignInError> {
        let endpoint = place.document.token_endpoint.as_deref();
        let url = endpoint.ok_or_else(|| SignInError::Discovery(String::from("it names no token_endpoint")))?;
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", attempt.redirect_uri),
            ("code_verifier", verifier.expose()),
        ];
        let resource = console.resource.as_deref().map(|resource| ("resource", resource));
        let mut body = form(parameters.into_iter().chain(resource));
        let mut headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ]);
        match self.secret_of(console)? {
            Some(secret) => authenticate(console.method, &console.client_id, &secret, &mut headers, &mut body)
                .ok_or_else(|| SignInError::Secret(String::from("it is not usable")))?,
            None => body.push_str(&format!("&client_id={}", form_encoded(&console.client_id))),
        }
        let call = Call { url, ca: place.ca.as_deref(), allow_http: place.allow_http, headers };
        let answer = fetch::post(&call, Bytes::from(body), DEADLINE).await;
        let answer = answer.map_err(|error: FetchError| SignInError::Exchange(error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(SignInError::Refused(answer.status));
        }
        let body = answer.body.unwrap_or_default();
        serde_json::from_slice(&body).map_err(|_| SignInError::Exchange(String::from("its answer is not JSON")))
    }

    fn secret_of(&self, console: &ConsoleConfig) -> Result<Option<Secret<String>>, SignInError> {
        let Some(source) = &console.client_secret else { return Ok(None) };
        let found = store::credential::resolve(source, &|name| self.secret(name));
        found.map(Some).map_err(|error| SignInError::Secret(error.to_string()))
    }
}

fn form<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    parameters.map(|(name, value)| format!("{name}={}", form_encoded(value))).collect::<Vec<_>>().join("&")
}
