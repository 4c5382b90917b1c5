//! The demo issuer's endpoints.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::{Client, Fault, Grant, State, authorize};

/// Serves until `ended` is.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    state: Arc<State>,
    ended: oneshot::Receiver<()>,
) -> Result<()> {
    let listener = Listener { listener: TcpListener::from_std(listener)?, state: Arc::clone(&state) };
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize::ask).post(authorize::answer))
        .route("/token", post(token))
        .layer(from_fn_with_state(Arc::clone(&state), fail))
        .with_state(state);
    tokio::select! {
        served = axum::serve(listener, router).into_future() => Ok(served?),
        _ = ended => Ok(()),
    }
}

/// Accepts connections, and closes them at once while the issuer is down.
struct Listener {
    listener: TcpListener,
    state: Arc<State>,
}

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = axum::serve::Listener::accept(&mut self.listener).await;
            if self.state.lock().fault != Fault::Down {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn fail(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let fault = state.lock().fault;
    let mut response = match fault {
        Fault::None | Fault::Down => next.run(request).await,
        Fault::Slow(delay) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Fault::ServerError => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::Garbage => ([(CONTENT_TYPE, "application/json")], "<html>not JSON</html>").into_response(),
        Fault::Endless => pieces(vec![b' '; 64 * 1024], Duration::ZERO),
        Fault::Drip => pieces(vec![b' '], Duration::from_millis(100)),
        Fault::Oversized => {
            let body = format!("{}{}", " ".repeat(8 * 1024 * 1024), state.jwks());
            ([(CONTENT_TYPE, "application/json")], body).into_response()
        }
    };
    // One request for each connection, so that a fault decides over the very next request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A body of this piece again and again, for as long as it is read.
fn pieces(piece: Vec<u8>, pause: Duration) -> Response {
    let endless = tokio_util::io::ReaderStream::new(Pieces { piece, pause, next: Box::pin(tokio::time::sleep(pause)) });
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(endless)).into_response()
}

struct Pieces {
    piece: Vec<u8>,
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.next.as_mut().poll(context));
        let next = tokio::time::Instant::now() + self.pause;
        self.next.as_mut().reset(next);
        let length = self.piece.len().min(buffer.remaining());
        buffer.put_slice(self.piece.get(..length).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

/// OpenID Connect Discovery 1.0, 4.2.
async fn discovery(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    state.lock().requests.discovery += 1;
    let algorithm = state.lock().algorithm.name();
    Json(json!({
        "issuer": state.url,
        "jwks_uri": format!("{}/jwks", state.url),
        "token_endpoint": format!("{}/token", state.url),
        "authorization_endpoint": format!("{}/authorize", state.url),
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["client_credentials", "authorization_code"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": ["token", "code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm],
    }))
}

async fn jwks(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    state.lock().requests.jwks += 1;
    Json(state.jwks())
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
}

/// The client credentials grant (RFC 6749, 4.4), and codes.
async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, Form(request): Form<TokenRequest>) -> Response {
    state.lock().requests.token += 1;
    if request.grant_type == "authorization_code" {
        let TokenRequest { client_id, client_secret, code, redirect_uri, code_verifier, .. } = request;
        let redeemed = authorize::Redeemed { code, redirect_uri, code_verifier, client_id, client_secret };
        return authorize::redeem(&state, &headers, redeemed);
    }
    if request.grant_type != "client_credentials" {
        return refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let posted = request.client_id.zip(request.client_secret);
    let Some(client) = basic_credentials(&headers).or(posted).and_then(|pair| authenticated(&state, pair)) else {
        return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let lifetime = client.lifetime;
    match state.issue(Grant::new(client.id).groups(client.groups).lifetime(lifetime)) {
        Ok(token) => {
            let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime.as_secs() });
            ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn authenticated(state: &State, (id, secret): (String, String)) -> Option<Client> {
    state.lock().clients.get(&id).filter(|client| client.secret == secret).cloned()
}

/// The credentials of the Basic scheme (RFC 7617). Ids and secrets here need no form encoding.
pub(super) fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

/// RFC 6749, 5.2.
pub(super) fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
