//! How it is: a small HTTP endpoint on a loopback address.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::keeper::Current;
use crate::postgres::House;

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// How many connections are served at a time.
const CONNECTIONS: usize = 16;

/// Answers `GET /healthz` until `stop`: 200 while there is a token that lasts, else 503, with what is known.
pub async fn serve(listener: TcpListener, house: Arc<House>, stop: CancellationToken) {
    let Ok(address) = listener.local_addr() else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                let Ok((stream, _)) = accepted else { continue };
                let house = Arc::clone(&house);
                connections.spawn(async move {
                    let service = hyper::service::service_fn(|request: Request<Incoming>| {
                        let response = respond(&request, &house, address);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let mut server = hyper::server::conn::http1::Builder::new();
                    server.timer(TokioTimer::new()).header_read_timeout(REQUEST).keep_alive(false);
                    let served = server.serve_connection(TokioIo::new(stream), service);
                    let _ = tokio::time::timeout(REQUEST, served).await;
                });
            }
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Binds the endpoint.
///
/// # Errors
/// If the address is taken, or is not a loopback one.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let reason = "health is told to this machine alone: name a loopback address";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason));
    }
    TcpListener::bind(address).await
}

fn respond(request: &Request<Incoming>, house: &House, address: SocketAddr) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let (status, body) = match (request.method(), request.uri().path()) {
        _ if !is_here(host, address) => (StatusCode::MISDIRECTED_REQUEST, json!({ "detail": "no such host" })),
        (&Method::GET, "/healthz") => {
            told(&house.keeper.watch().borrow(), house.sessions.count(), house.gateway.address(), SystemTime::now())
        }
        _ => (StatusCode::NOT_FOUND, json!({ "detail": "GET /healthz" })),
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a request names this address. A name that was made to point here (DNS rebinding) does not.
fn is_here(host: Option<&str>, address: SocketAddr) -> bool {
    host.is_none_or(|host| host == address.to_string() || host == format!("localhost:{}", address.port()))
}

fn told(current: &Current, sessions: usize, gateway: &str, now: SystemTime) -> (StatusCode, Value) {
    let is_well = !current.token.is_over(now);
    let seconds = current.token.expires_at().map(|end| end.duration_since(now).unwrap_or_default().as_secs());
    let body = json!({
        "ok": is_well,
        "gateway": gateway,
        "token_seconds_left": seconds,
        "failing": current.failing.as_deref(),
        "sessions": sessions,
    });
    (if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;

    #[test]
    fn it_is_well_while_there_is_a_token_that_lasts() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let token = Token::new("secret".into(), Some(Duration::from_secs(60)), now);
        let mut current = Current { token: Arc::new(token), number: 1, failing: None };
        let (status, body) = told(&current, 3, "sluice:5432", now);
        assert_eq!((status, &body["token_seconds_left"], &body["sessions"]), (StatusCode::OK, &json!(60), &json!(3)));
        current.failing = Some("the issuer is away".into());
        assert_eq!(told(&current, 3, "sluice:5432", now).0, StatusCode::OK);
        let (status, body) = told(&current, 3, "sluice:5432", now + Duration::from_secs(60));
        assert_eq!((status, &body["failing"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("the issuer is away")));
        assert!(!body.to_string().contains("secret"));
    }

    #[test]
    fn id_32_a_name_that_was_made_to_point_here_is_told_nothing() {
        let address = "127.0.0.1:9090".parse().unwrap();
        for (host, here) in [
            (Some("127.0.0.1:9090"), true),
            (Some("localhost:9090"), true),
            (None, true),
            (Some("evil.example:9090"), false),
            (Some("127.0.0.1"), false),
            (Some(""), false),
        ] {
            assert_eq!(is_here(host, address), here, "{host:?}");
        }
    }

    #[tokio::test]
    async fn health_is_told_to_this_machine_alone() {
        assert!(bind("0.0.0.0:0".parse().unwrap()).await.is_err());
        assert!(bind("127.0.0.1:0".parse().unwrap()).await.is_ok());
    }
}
