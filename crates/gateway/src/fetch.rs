//! One exchange over HTTP, bounded in time and size: discovery documents and key sets, what witnesses are asked, and events
//! for a sink.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::{self, Verify};

/// The whole exchange for a document, from look-up to last byte.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A key set of a large issuer is some tens of kilobytes.
const MAX_BODY: usize = 1024 * 1024;

/// Why a document could not be had. Holds no content of it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What was asked for is no URL.
    #[error("`{0}` is not an http(s) URL with a host")]
    Url(String),
    /// It would go in clear to another machine.
    #[error("http is allowed to loopback addresses only, and where the configuration has `allow_http = true`")]
    Insecure,
    /// The whole exchange took too long.
    #[error("no answer in time")]
    Deadline,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// TLS, or who is at the other end.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// What came is not HTTP.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The status.
    #[error("the answer is {0}, not 200")]
    Status(StatusCode),
    /// The body.
    #[error("the answer is larger than 1 MiB or was cut off")]
    Body,
}

/// What is asked of a server.
pub struct Call<'a> {
    /// The whole URL.
    pub url: &'a str,
    /// Trust anchors in place of the operating system's.
    pub ca: Option<&'a Path>,
    /// Whether plain HTTP to a loopback address will do.
    pub allow_http: bool,
    /// Of the request, beside those that each has.
    pub headers: HeaderMap,
}

/// An answer, whatever it says.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; `None` if it was too long or cut off.
    pub body: Option<Bytes>,
}

impl Answer {
    /// The media type, without parameters.
    pub fn media_type(&self) -> Option<String> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        value.split(';').next().map(|media_type| media_type.trim().to_ascii_lowercase())
    }
}

/// Gets one document in JSON. Redirects are not followed: an issuer's URLs are configuration.
///
/// # Errors
/// If it could not be had.
pub async fn get(url: &str, ca: Option<&Path>, allow_http: bool) -> Result<Vec<u8>, FetchError> {
    get_as("application/json", url, ca, allow_http).await
}

/// Likewise in any form.
pub(crate) async fn get_any(url: &str, ca: Option<&Path>, allow_http: bool) -> Result<Vec<u8>, FetchError> {
    get_as("*/*", url, ca, allow_http).await
}

async fn get_as(form: &'static str, url: &str, ca: Option<&Path>, allow_http: bool) -> Result<Vec<u8>, FetchError> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(form))]);
    let call = Call { url, ca, allow_http, headers };
    let answer = within(DEADLINE, exchange(&call, Method::GET, Bytes::new())).await?;
    match answer.status {
        StatusCode::OK => answer.body.map(|body| body.to_vec()).ok_or(FetchError::Body),
        status => Err(FetchError::Status(status)),
    }
}

/// Posts a body and returns whatever is answered. Redirects are not followed.
///
/// # Errors
/// If nothing was answered.
pub async fn post(call: &Call<'_>, body: Bytes, deadline: Duration) -> Result<Answer, FetchError> {
    self::call(call, Method::POST, body, deadline).await
}

/// Sends a request of this method and returns whatever is answered. Redirects are not followed.
///
/// # Errors
/// If nothing was answered.
pub async fn call(call: &Call<'_>, method: Method, body: Bytes, deadline: Duration) -> Result<Answer, FetchError> {
    within(deadline, exchange(call, method, body)).await
}

async fn within(
    deadline: Duration,
    exchange: impl Future<Output = Result<Answer, FetchError>>,
) -> Result<Answer, FetchError> {
    tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(FetchError::Deadline))
}

/// A connection to a server, whichever kind it is.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Connects to the server of a URL: encrypted and verified, or in clear to this machine, where that is allowed.
pub(crate) async fn connect(uri: &Uri, ca: Option<&Path>, allow_http: bool) -> Result<Box<dyn Connection>, FetchError> {
    let invalid = || FetchError::Url(uri.to_string().chars().take(200).collect());
    let host = uri.host().ok_or_else(invalid)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid()),
    };
    let tcp = TcpStream::connect((bare, uri.port_u16().unwrap_or(if secure { 443 } else { 80 }))).await?;
    let peer = tcp.peer_addr()?.ip();
    let may_be_plain = allow_http && (peer.is_loopback() || is_beside(peer));
    if !secure && !may_be_plain {
        return Err(FetchError::Insecure);
    }
    if !secure {
        return Ok(Box::new(tcp));
    }
    let connector = TlsConnector::from(tls::client(Verify::Full, ca, None, &[b"http/1.1"])?);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| invalid())?;
    Ok(Box::new(connector.connect(name, tcp).await?))
}

/// Whether it is one of the addresses, link-local and of the machine itself, at which AWS gives containers their keys.
fn is_beside(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => matches!(peer.octets(), [169, 254, 170, 2 | 23]),
        IpAddr::V6(peer) => peer.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23],
    }
}

async fn exchange(call: &Call<'_>, method: Method, body: Bytes) -> Result<Answer, FetchError> {
    let uri: Uri = call.url.parse().map_err(|_| FetchError::Url(call.url.chars().take(200).collect()))?;
    let io = connect(&uri, call.ca, call.allow_http).await?;
    send(TokioIo::new(io), request(call, &uri, method, body)?, MAX_BODY).await
}

fn request(call: &Call<'_>, uri: &Uri, method: Method, body: Bytes) -> Result<Request<Full<Bytes>>, FetchError> {
    let authority = uri.authority().map_or("", hyper::http::uri::Authority::as_str);
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(body))
        .map_err(|_| FetchError::Url(call.url.chars().take(200).collect()))?;
    *request.headers_mut() = call.headers.clone();
    let host = HeaderValue::from_str(authority).map_err(|_| FetchError::Url(authority.to_owned()))?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

/// Sends a request and takes the answer, of which the body has at most so many bytes.
pub(crate) async fn send<I, B>(io: I, request: Request<B>, most: usize) -> Result<Answer, FetchError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: hyper::body::Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = Limited::new(response.into_body(), most).collect().await;
        Ok(Answer { status, headers, body: body.ok().map(http_body_util::Collected::to_bytes) })
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
