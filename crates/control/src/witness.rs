//! A witness's server: `POST /add-checkpoint` (c2sp.org/tlog-witness), and nothing else.
//!
//! Whoever reaches it may call it: what it answers to hangs on the signatures alone. It has no part in a gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gateway::node::StartError;
use ledger::witness::{MAX_SUBMISSION, Refusal, SIZE_TYPE, Witness};
use tokio_util::sync::CancellationToken;

use crate::listener::Listener;
use crate::routes::bounded;

/// Why a witness cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Plain HTTP stays on the machine.
    #[error("a witness speaks TLS on any address but this machine's own: give it a certificate and its key")]
    NoCertificate,
    /// The address or the certificate cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Binds the listener of a witness.
///
/// # Errors
/// See [`ListenError`].
pub async fn bind(address: SocketAddr, certificate: Option<(PathBuf, PathBuf)>) -> Result<Listener, ListenError> {
    if certificate.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(ListenError::NoCertificate);
    }
    Ok(Listener::at(address, certificate).await?)
}

/// Serves until `stop`, and then lets the calls that run come to their end.
pub async fn serve(witness: Arc<Witness>, listener: Listener, stop: &CancellationToken) {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(MAX_SUBMISSION))
        .layer(middleware::from_fn(bounded))
        .with_state(witness);
    listener.run(router, stop).await;
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let now = gateway::clock::now().0 / 1000;
    match tokio::task::spawn_blocking(move || witness.submit(&body, now)).await {
        Ok(Ok(lines)) => lines.into_response(),
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => {
            tracing::error!(%error, "a task of the witness failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The status codes of c2sp.org/tlog-witness, "add-checkpoint".
fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Malformed => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog => StatusCode::NOT_FOUND,
        Refusal::Unsigned => StatusCode::FORBIDDEN,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        Refusal::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match refusal {
        Refusal::Disk(error) => tracing::error!(%error, "what has to be remembered cannot be written"),
        other => tracing::warn!(reason = %other, "a checkpoint was not cosigned"),
    }
    if let Refusal::Conflict(size) = refusal {
        return (status, [(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_TYPE))], format!("{size}\n"))
            .into_response();
    }
    (status, format!("{refusal}\n")).into_response()
}
