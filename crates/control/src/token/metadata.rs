//! How others find the token endpoint and verify what it issues: its metadata (RFC 8414) and its keys (RFC 7517).

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use identity::Algorithm;
use serde_json::{Value, json};

use super::grants::Grant;
use crate::answer::Answer;
use crate::app::App;
use crate::problem::Problem;

/// The keys that verify what the token endpoint issues.
#[utoipa::path(get, path = "/jwks", tag = "tokens", security(()),
    responses((status = 200, description = "A JWK set (RFC 7517, section 5)", content_type = "application/jwk-set+json")))]
pub(crate) async fn jwks(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], app.node.tokens.jwks())
}

/// The same keys, where verifiers of what targets are told look for them.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "tokens", security(()),
    responses((status = 200, description = "A JWK set (RFC 7517, section 5)", content_type = "application/jwk-set+json")))]
pub(crate) async fn well_known_jwks(state: State<App>) -> impl IntoResponse {
    jwks(state).await
}

/// What the token endpoint can do (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "tokens", security(()),
    responses((status = 200, description = "Issuer, endpoints, grants and algorithms"),
        (status = 404, description = "`tokens.issuer` is not configured")))]
pub(crate) async fn oauth(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    document(&app)
}

/// The same, where verifiers of OpenID Connect look for the keys of an issuer.
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "tokens", security(()),
    responses((status = 200, description = "Issuer, endpoints, grants and algorithms"),
        (status = 404, description = "`tokens.issuer` is not configured")))]
pub(crate) async fn openid(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    document(&app)
}

fn document(app: &App) -> Result<Answer<Value>, Problem> {
    let issuer = app.node.tokens.public_issuer().ok_or_else(|| Problem::not_found("path: tokens.issuer is not set"))?;
    Ok(Answer::ok(json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "grant_types_supported": Grant::ALL.map(Grant::name),
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "dpop_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "subject_types_supported": ["public"],
    })))
}
