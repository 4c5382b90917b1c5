//! One exchange with an issuer, bounded in time and size.
//!
//! The gateway has a client of its own (`gateway::fetch`), as neither crate may depend on the other; this one is the
//! command line's too.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use model::secret::Secret;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::{TlsError, Trust};

/// The whole exchange, from look-up to last byte.
const DEADLINE: Duration = Duration::from_secs(10);

/// Documents and answers of an issuer are some kilobytes.
const MAX_BODY: usize = 1 << 20;

/// Why there is no answer. Says nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not an `http` or `https` URL with a host.
    #[error("`{0}` is not an http(s) URL with a host")]
    Url(String),
    /// In clear, to somewhere else than this machine.
    #[error("http is allowed to loopback addresses only: use https")]
    Insecure,
    /// Too late.
    #[error("no answer in time")]
    Deadline,
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection broke.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The answer is too long, or was cut off.
    #[error("the answer is larger than 1 MiB or was cut off")]
    Body,
}

impl HttpError {
    /// Whether another attempt may go better without anybody changing the configuration.
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Url(_) | Self::Insecure | Self::Tls(_))
    }
}

/// An answer, whatever it says.
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its body.
    pub body: Secret<Vec<u8>>,
}

/// A connection to a server, whichever kind it is.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Gets a JSON document. Redirects are not followed.
///
/// # Errors
/// If there is no answer.
pub async fn get(trust: &Trust, url: &str) -> Result<Answer, HttpError> {
    let build = Request::builder().method(Method::GET);
    within(exchange(trust, url, build, Bytes::new())).await
}

/// Posts a form. Redirects are not followed.
///
/// # Errors
/// If there is no answer.
pub async fn post_form(
    trust: &Trust,
    url: &str,
    authorization: Option<HeaderValue>,
    fields: &[(&str, &str)],
) -> Result<Answer, HttpError> {
    let mut build = Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(mut authorization) = authorization {
        authorization.set_sensitive(true);
        build = build.header(AUTHORIZATION, authorization);
    }
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    within(exchange(trust, url, build, body.into())).await
}

async fn within(exchange: impl Future<Output = Result<Answer, HttpError>>) -> Result<Answer, HttpError> {
    tokio::time::timeout(DEADLINE, exchange).await.unwrap_or(Err(HttpError::Deadline))
}

/// Connects to the server of a URL: encrypted and verified, or in clear to this machine.
///
/// # Errors
/// If the URL is none, or nobody is there who can prove the name.
pub async fn connect(trust: &Trust, uri: &Uri) -> Result<Box<dyn Connection>, HttpError> {
    let invalid = || HttpError::Url(uri.to_string().chars().take(200).collect());
    let host = uri.host().ok_or_else(invalid)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid()),
    };
    let tcp = TcpStream::connect((bare, uri.port_u16().unwrap_or(if secure { 443 } else { 80 }))).await?;
    if !secure {
        let is_here = tcp.peer_addr()?.ip().is_loopback();
        return if is_here { Ok(Box::new(tcp)) } else { Err(HttpError::Insecure) };
    }
    let connector = TlsConnector::from(trust.client(&[b"http/1.1"])?);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| invalid())?;
    Ok(Box::new(connector.connect(name, tcp).await?))
}

async fn exchange(
    trust: &Trust,
    url: &str,
    build: hyper::http::request::Builder,
    body: Bytes,
) -> Result<Answer, HttpError> {
    let invalid = || HttpError::Url(url.chars().take(200).collect());
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let authority = uri.authority().map_or("", hyper::http::uri::Authority::as_str);
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let build = build.uri(path).header(HOST, authority).header(ACCEPT, "application/json");
    let request = build.body(Full::new(body)).map_err(|_| invalid())?;
    let io = TokioIo::new(connect(trust, &uri).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|_| HttpError::Body)?;
        Ok(Answer { status, body: Secret::new(body.to_bytes().to_vec()) })
    };
    // When the connection ends, the answer ends too, with the reason: only the answer decides.
    let carried = async move {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = answer => answer,
        () = carried => Err(HttpError::Body),
    }
}
