//! Signing in by a browser on this machine: an authorization code with PKCE, brought back to a loopback address (RFC 6749,
//! section 4.1; RFC 7636; RFC 8252).

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::secret::Secret;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::callback::{self, Expected, Heard, PATH};
use super::id_token;
use super::pkce::Pkce;
use crate::issuer::{Granted, IssuerError, Metadata, Wanted};
use crate::random;
use crate::source::client::Client;

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a browser may take for a request.
const REQUEST: Duration = Duration::from_secs(10);

/// How many connections are served at a time: a browser opens one or two.
const CONNECTIONS: usize = 16;

/// What the browser shows in the end.
const DONE: &str = "You are signed in. This page can be closed.";
const FAILED: &str = "You are not signed in. The command line says why; this page can be closed.";

/// Signs a person in. `show` gets the address that a browser has to open.
///
/// # Errors
/// Why nobody is signed in.
pub async fn sign_in(client: &Client, wanted: &Wanted, show: impl FnOnce(&str)) -> Result<Granted, IssuerError> {
    let metadata = client.discover().await?;
    let endpoint = metadata.authorization_endpoint.as_deref();
    let endpoint = endpoint.ok_or(IssuerError::NotOffered("authorization_endpoint"))?;
    let attempt = Attempt::begin(&metadata).await?;
    show(&attempt.url(endpoint, client, wanted));
    let code = tokio::time::timeout(PATIENCE, attempt.wait()).await;
    let code = code.map_err(|_| IssuerError::Person("nobody signed in within five minutes".to_owned()))??;
    attempt.redeem(client, &metadata, &code).await
}

/// One login: what is random in it is used once.
struct Attempt {
    listener: TcpListener,
    redirect_uri: String,
    nonce: String,
    pkce: Pkce,
    expected: Arc<Expected>,
}

impl Attempt {
    async fn begin(metadata: &Metadata) -> Result<Self, IssuerError> {
        let failed = |error: std::io::Error| IssuerError::Person(format!("no loopback port for the browser: {error}"));
        // By address and not by name, which might be somebody else's (RFC 8252, section 8.3).
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let authority = listener.local_addr().map_err(failed)?.to_string();
        let expected = Expected {
            state: random::word()?,
            issuer: metadata.issuer.clone(),
            names_issuer: metadata.authorization_response_iss_parameter_supported,
            authority: authority.clone(),
        };
        Ok(Self {
            listener,
            redirect_uri: format!("http://{authority}{PATH}"),
            nonce: random::word()?,
            pkce: Pkce::new()?,
            expected: Arc::new(expected),
        })
    }

    /// What the browser opens.
    fn url(&self, endpoint: &str, client: &Client, wanted: &Wanted) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", client.id.as_str()),
                ("redirect_uri", self.redirect_uri.as_str()),
                ("state", self.expected.state.as_str()),
                ("nonce", self.nonce.as_str()),
                ("code_challenge", self.pkce.challenge.as_str()),
                ("code_challenge_method", "S256"),
            ])
            .extend_pairs(wanted.fields())
            .finish();
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{joint}{query}")
    }

    /// Answers browsers until one brings this login's answer.
    async fn wait(&self) -> Result<Secret<String>, IssuerError> {
        let (tell, mut told) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, Arc::clone(&self.expected), tell.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
                Some(answer) = told.recv() => {
                    // The page that says so is still on its way.
                    let _ = tokio::time::timeout(REQUEST, connections.join_next()).await;
                    return answer;
                }
            }
        }
    }

    /// Exchanges the code for tokens.
    async fn redeem(
        &self,
        client: &Client,
        metadata: &Metadata,
        code: &Secret<String>,
    ) -> Result<Granted, IssuerError> {
        let now = SystemTime::now();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", self.pkce.verifier.expose().as_str()),
        ];
        let granted = client.grant(metadata, &fields, now).await?;
        check_id_token(&granted, metadata, client, Some(&self.nonce), now)?;
        Ok(granted)
    }
}

/// Whether the ID token, where there is one, belongs to this login.
pub(super) fn check_id_token(
    granted: &Granted,
    metadata: &Metadata,
    client: &Client,
    nonce: Option<&str>,
    now: SystemTime,
) -> Result<(), IssuerError> {
    let Some(token) = &granted.id_token else { return Ok(()) };
    let expected = id_token::Expected { issuer: &metadata.issuer, client: &client.id, nonce };
    id_token::check(token.expose(), &expected, now).map_err(|error| IssuerError::Person(error.to_string()))
}

type Answer = Result<Secret<String>, IssuerError>;

async fn serve(stream: TcpStream, expected: Arc<Expected>, tell: mpsc::Sender<Answer>) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (heard, tell) = (hear(&request, &expected), tell.clone());
        async move { Ok::<_, Infallible>(respond(heard, &tell)) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST).keep_alive(false).max_buf_size(16 << 10);
    let _ = tokio::time::timeout(REQUEST, server.serve_connection(TokioIo::new(stream), service)).await;
}

fn hear(request: &Request<Incoming>, expected: &Expected) -> Heard {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    };
    let asked = callback::Request {
        method: request.method().as_str(),
        host,
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
    };
    callback::judge(asked, expected)
}

/// Says to the browser what it is to show, and to the login what was heard.
fn respond(heard: Heard, tell: &mpsc::Sender<Answer>) -> Response<Full<Bytes>> {
    let (status, text) = match heard {
        Heard::Foreign(status, text) => (status, text),
        Heard::Code(code) => (200, if tell.try_send(Ok(code)).is_ok() { DONE } else { FAILED }),
        Heard::Refused(error) => {
            let _ = tell.try_send(Err(error));
            (200, FAILED)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // The code is in the address: no page and no cache is to have it.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
