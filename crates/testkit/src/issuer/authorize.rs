//! Where people sign in: the authorization code flow with PKCE (RFC 6749, section 4.1; RFC 7636; OpenID Connect Core 1.0).

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Form;
use axum::extract::{Query, State as Shared};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use super::http::{basic_credentials, refusal};
use super::{Grant, State};
use crate::random;

/// A client for people: a page, to which browsers come back.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its `client_id`.
    pub id: String,
    /// Its secret; `None` for a public client.
    pub secret: Option<String>,
    /// The path to which browsers come back, at any port of this machine (RFC 8252, section 7.3).
    pub path: String,
}

/// What goes wrong at a sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Twist {
    /// Nothing.
    #[default]
    None,
    /// The ID token has another nonce.
    Nonce,
    /// The ID token is for another client.
    Audience,
    /// The ID token names somebody else than the access token.
    Subject,
    /// There is no ID token.
    NoIdToken,
}

/// What browsers are asked with, and who may answer.
#[derive(Default)]
pub(crate) struct Desk {
    pages: BTreeMap<String, Page>,
    people: BTreeMap<String, Grant>,
    codes: BTreeMap<String, Code>,
    twist: Twist,
}

struct Code {
    asked: Asked,
    grant: Grant,
}

/// The query of the authorization endpoint.
#[derive(Clone, Deserialize)]
pub(crate) struct Asked {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
}

impl super::Issuer {
    /// Makes a client for people.
    pub fn register_page(&self, page: Page) {
        self.state.lock().desk.pages.insert(page.id.clone(), page);
    }

    /// Lets somebody sign in by their name, to get tokens with this grant.
    pub fn admit(&self, name: &str, grant: Grant) {
        self.state.lock().desk.people.insert(name.to_owned(), grant);
    }

    /// Does this wrong from now on.
    pub fn twist(&self, twist: Twist) {
        self.state.lock().desk.twist = twist;
    }
}

impl Desk {
    /// Whether the request is one that a browser may be sent back for.
    fn is_right(&self, asked: &Asked) -> bool {
        let back = asked
            .redirect_uri
            .strip_prefix("http://127.0.0.1:")
            .or(asked.redirect_uri.strip_prefix("http://localhost:"));
        let path = back.and_then(|rest| rest.split_once('/')).map(|(_, path)| format!("/{path}"));
        let page = self.pages.get(&asked.client_id);
        page.is_some_and(|page| Some(&page.path) == path.as_ref())
            && asked.response_type == "code"
            && asked.scope.split(' ').any(|word| word == "openid")
            && asked.code_challenge_method == "S256"
            && asked.code_challenge.len() == 43
            && asked.state.len() >= 16
            && asked.nonce.len() >= 16
    }
}

/// Asks who somebody is.
pub(super) async fn ask(Shared(state): Shared<Arc<State>>, Query(asked): Query<Asked>) -> Response {
    let inner = state.lock();
    if !inner.desk.is_right(&asked) {
        return (StatusCode::BAD_REQUEST, "not a request of this issuer's clients").into_response();
    }
    let field = |name: &str, value: &str| format!("<input type=hidden name={name} value=\"{}\">", escaped(value));
    let fields = [
        field("response_type", &asked.response_type),
        field("client_id", &asked.client_id),
        field("redirect_uri", &asked.redirect_uri),
        field("scope", &asked.scope),
        field("state", &asked.state),
        field("nonce", &asked.nonce),
        field("code_challenge", &asked.code_challenge),
        field("code_challenge_method", &asked.code_challenge_method),
    ];
    let names = inner.desk.people.keys().map(|name| {
        let name = escaped(name);
        format!("<button name=person value=\"{name}\">{name}</button> ")
    });
    let page = format!(
        "<!doctype html><html lang=en><title>Sign in</title><h1>Who are you?</h1><form method=post>{}{}</form></html>",
        fields.concat(),
        names.collect::<String>()
    );
    Html(page).into_response()
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Said {
    person: String,
    #[serde(flatten)]
    asked: Asked,
}

/// Sends the browser back with a code.
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, Form(said): Form<Said>) -> Response {
    let mut inner = state.lock();
    let (Some(grant), true) = (inner.desk.people.get(&said.person).cloned(), inner.desk.is_right(&said.asked)) else {
        return (StatusCode::BAD_REQUEST, "nobody of that name").into_response();
    };
    let Ok(code) = random::word() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    // Neither has a character that would have to be escaped.
    let back = format!("{}?code={code}&state={}&iss={}", said.asked.redirect_uri, said.asked.state, state.url);
    inner.desk.codes.insert(code, Code { asked: said.asked, grant });
    (StatusCode::SEE_OTHER, [(LOCATION, back)]).into_response()
}

/// The parameters of the token endpoint for a code.
pub(super) struct Redeemed {
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
}

/// Gives tokens for a code, once, to the client that asked, who knows what the challenge was made of.
pub(super) fn redeem(state: &State, headers: &HeaderMap, redeemed: Redeemed) -> Response {
    let (id, secret) = match basic_credentials(headers) {
        Some((id, secret)) => (id, Some(secret)),
        None => (redeemed.client_id.unwrap_or_default(), redeemed.client_secret),
    };
    let (code, twist) = {
        let mut inner = state.lock();
        if inner.desk.pages.get(&id).is_none_or(|page| page.secret != secret) {
            return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        (redeemed.code.and_then(|code| inner.desk.codes.remove(&code)), inner.desk.twist)
    };
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, redeemed.code_verifier.unwrap_or_default().as_bytes()));
    let is_right = |code: &Code| {
        code.asked.client_id == id
            && Some(&code.asked.redirect_uri) == redeemed.redirect_uri.as_ref()
            && code.asked.code_challenge == challenge
    };
    let Some(Code { asked, grant }) = code.filter(is_right) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let subject = if twist == Twist::Subject { "somebody-else" } else { grant.subject() };
    let nonce = if twist == Twist::Nonce { "another" } else { &asked.nonce };
    let audience = if twist == Twist::Audience { "another" } else { &id };
    let tokens = state.identify(subject, audience, nonce).and_then(|identity| Ok((state.issue(grant)?, identity)));
    match tokens {
        Ok((access, _)) if twist == Twist::NoIdToken => {
            axum::Json(json!({ "access_token": access, "token_type": "Bearer" })).into_response()
        }
        Ok((access, identity)) => {
            axum::Json(json!({ "access_token": access, "id_token": identity, "token_type": "Bearer" })).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
