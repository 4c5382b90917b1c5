//! One HTTP exchange, bounded in time and size: discovery documents, key sets, and what witnesses are asked.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::{self, Verify};

/// The whole exchange, from look-up to last byte.
const DEADLINE: Duration = Duration::from_secs(10);

/// A key set of a large issuer is some tens of kilobytes.
const MAX_BODY: usize = 1024 * 1024;

/// Why a document could not be had. Holds no content of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("`{0}` is not an http(s) URL with a host")]
    Url(String),
    #[error("http is allowed to loopback addresses only, and where the configuration has `allow_http = true`")]
    Insecure,
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Deadline,
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is {0}, not 200")]
    Status(StatusCode),
    #[error("the answer is larger than 1 MiB or was cut off")]
    Body,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The media type, without parameters.
    pub(crate) media_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Where to, and what must be so for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint<'a> {
    pub(crate) url: &'a str,
    pub(crate) ca: Option<&'a Path>,
    pub(crate) allow_http: bool,
}

/// Gets one document. Redirects are not followed: an issuer's URLs are configuration.
pub(crate) async fn get(url: &str, ca: Option<&Path>, allow_http: bool) -> Result<Vec<u8>, FetchError> {
    let answer = bounded(Endpoint { url, ca, allow_http }, Method::GET, Vec::new()).await?;
    if answer.status == StatusCode::OK { Ok(answer.body) } else { Err(FetchError::Status(answer.status)) }
}

/// Sends a text, and returns whatever is answered.
pub(crate) async fn post(endpoint: Endpoint<'_>, text: String) -> Result<Answer, FetchError> {
    bounded(endpoint, Method::POST, text.into_bytes()).await
}

async fn bounded(endpoint: Endpoint<'_>, method: Method, body: Vec<u8>) -> Result<Answer, FetchError> {
    match tokio::time::timeout(DEADLINE, exchange(endpoint, method, body)).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Deadline),
    }
}

async fn exchange(endpoint: Endpoint<'_>, method: Method, body: Vec<u8>) -> Result<Answer, FetchError> {
    let invalid = || FetchError::Url(endpoint.url.chars().take(200).collect());
    let uri: Uri = endpoint.url.parse().map_err(|_| invalid())?;
    let host = uri.host().ok_or_else(invalid)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid()),
    };
    let request = request(&uri, method, body)?;
    let tcp = TcpStream::connect((bare, uri.port_u16().unwrap_or(if secure { 443 } else { 80 }))).await?;
    let may_be_plain = endpoint.allow_http && tcp.peer_addr()?.ip().is_loopback();
    if !secure && !may_be_plain {
        return Err(FetchError::Insecure);
    }
    if !secure {
        return send(TokioIo::new(tcp), request).await;
    }
    let connector = TlsConnector::from(tls::client(Verify::Full, endpoint.ca, None, &[b"http/1.1"])?);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| invalid())?;
    send(TokioIo::new(connector.connect(name, tcp).await?), request).await
}

fn request(uri: &Uri, method: Method, body: Vec<u8>) -> Result<Request<Full<Bytes>>, FetchError> {
    let authority = uri.authority().map_or("", hyper::http::uri::Authority::as_str);
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let request = Request::builder().method(&method).uri(path).header(HOST, authority);
    let request = match method {
        Method::POST => request.header(CONTENT_TYPE, "text/plain; charset=utf-8"),
        _ => request.header(ACCEPT, "application/json"),
    };
    request.body(Full::new(body.into())).map_err(|_| FetchError::Url(uri.to_string()))
}

async fn send<I>(io: I, request: Request<Full<Bytes>>) -> Result<Answer, FetchError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let (status, media_type) = (response.status(), media_type(&response));
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|_| FetchError::Body)?;
        Ok(Answer { status, media_type, body: body.to_bytes().to_vec() })
    };
    // When the connection ends, the answer ends too, with the reason: only the answer decides.
    let carried = async move {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer,
        () = carried => Err(FetchError::Body),
    }
}

fn media_type<B>(response: &Response<B>) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(|media_type| media_type.trim().to_ascii_lowercase())
}
