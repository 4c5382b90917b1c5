//! One GET, bounded in time and size: discovery documents and key sets.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode, Uri};
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
    #[error("http is allowed to loopback addresses only, and where the issuer has `allow_http = true`")]
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

/// Gets one document. Redirects are not followed: an issuer's URLs are configuration.
pub(crate) async fn get(url: &str, ca: Option<&Path>, allow_http: bool) -> Result<Vec<u8>, FetchError> {
    match tokio::time::timeout(DEADLINE, exchange(url, ca, allow_http)).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Deadline),
    }
}

async fn exchange(url: &str, ca: Option<&Path>, allow_http: bool) -> Result<Vec<u8>, FetchError> {
    let invalid = || FetchError::Url(url.chars().take(200).collect());
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let host = uri.host().ok_or_else(invalid)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid()),
    };
    let tcp = TcpStream::connect((bare, uri.port_u16().unwrap_or(if secure { 443 } else { 80 }))).await?;
    let may_be_plain = allow_http && tcp.peer_addr()?.ip().is_loopback();
    if !secure && !may_be_plain {
        return Err(FetchError::Insecure);
    }
    if !secure {
        return request(TokioIo::new(tcp), &uri).await;
    }
    let connector = TlsConnector::from(tls::client(Verify::Full, ca, None, &[b"http/1.1"])?);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| invalid())?;
    request(TokioIo::new(connector.connect(name, tcp).await?), &uri).await
}

async fn request<I>(io: I, uri: &Uri) -> Result<Vec<u8>, FetchError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let authority = uri.authority().map_or("", hyper::http::uri::Authority::as_str);
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url(uri.to_string()))?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        body.map(|body| body.to_bytes().to_vec()).map_err(|_| FetchError::Body)
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
