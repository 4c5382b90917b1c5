//! The places that events are sent to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use model::event::Event;
use store::config::{SinkConfig, SinkKind};
use store::credential::CredentialError;

use self::collector::Collector;
use self::hook::Hook;
use self::local::Local;
use self::syslog::Syslog;
use super::feed::Batch;
use crate::fetch::FetchError;
use crate::node::Node;
use crate::tls::TlsError;

mod collector;
mod headers;
mod hook;
mod local;
mod syslog;

pub(super) use headers::headers_in;

/// Where a sink's events go.
#[derive(Debug)]
pub(super) enum Outlet {
    Local(Local),
    Syslog(Syslog),
    Collector(Collector),
    Hook(Hook),
}

/// Why a batch was not taken. Nothing of it, of a URL or of a header is in here: it is logged.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The receiver did not take it in time.
    #[error("no answer in time")]
    Deadline,
    /// The place cannot be written or reached.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The receiver's certificate, or the CA for it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A name that no certificate can have.
    #[error("its host is not a name that a certificate can have")]
    Name,
    /// The exchange failed.
    #[error("the exchange failed: {0}")]
    Exchange(String),
    /// A secret or a header cannot be read.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A line of the headers' file is not a header.
    #[error("line {0} of its headers_file is not a header: write `Name: value`")]
    Header(usize),
    /// The receiver asks to come again later.
    #[error("the answer is {0}")]
    Later(StatusCode, Option<Duration>),
    /// The receiver will not have it.
    #[error("the answer is {0}: the receiver REFUSES these events; they are sent again until it takes them")]
    Refused(StatusCode),
    /// The receiver left its side open.
    #[error("the receiver did not close its side of the connection after Sluice had closed its own")]
    Open,
    /// The receiver closed before it had read everything.
    #[error("the receiver did not close its side in order, so it may not have read everything")]
    Unread,
    /// The thread that writes is gone.
    #[error("the thread that writes has ended")]
    Ended,
}

impl Failure {
    /// Whether the receiver will not have the batch as it is.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// How long the receiver asked to wait.
    pub const fn asked_to_wait(&self) -> Option<Duration> {
        match self {
            Self::Later(_, wait) => *wait,
            _ => None,
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Deadline => Self::Deadline,
            FetchError::Connect(error) => Self::Io(error),
            FetchError::Tls(error) => Self::Tls(error),
            // It shows the URL, which may hold a secret.
            FetchError::Url(_) => Self::Exchange("its URL cannot be used".into()),
            other => Self::Exchange(other.to_string()),
        }
    }
}

impl Outlet {
    /// What a sink's configuration names.
    pub(super) fn of(config: &SinkConfig, node: &Arc<Node>) -> std::io::Result<Self> {
        Ok(match &config.kind {
            SinkKind::File(path) => Self::Local(Local::file(path)?),
            SinkKind::Stdout => Self::Local(Local::stdout()?),
            SinkKind::Syslog { host, port, tls, ca_file } => {
                Self::Syslog(Syslog { host: Arc::clone(host), port: *port, tls: *tls, ca_file: ca_file.clone() })
            }
            SinkKind::Otlp(receiver) => Self::Collector(Collector(receiver.clone())),
            SinkKind::Webhook { receiver, secret } => Self::Hook(Hook {
                name: Arc::clone(&config.name),
                receiver: receiver.clone(),
                secret: secret.clone(),
                node: Arc::clone(node),
            }),
        })
    }

    /// What its use has to stand in the journal for, once for each start.
    pub(super) fn uses(&self) -> Option<Event> {
        match self {
            Self::Hook(hook) => Some(hook.use_of_secret()),
            Self::Local(_) | Self::Syslog(_) | Self::Collector(_) => None,
        }
    }

    /// Sends a batch and waits until it is taken; returns how many of its events the receiver said it rejected.
    ///
    /// # Errors
    /// If it was not taken, or nobody knows: it is to be sent again, whole.
    pub(super) async fn deliver(&mut self, batch: &Batch, deadline: Duration) -> Result<u64, Failure> {
        match self {
            Self::Local(local) => local.deliver(batch, deadline).await.map(|()| 0),
            Self::Syslog(syslog) => syslog.deliver(batch, deadline).await.map(|()| 0),
            Self::Collector(collector) => collector.deliver(batch, deadline).await,
            Self::Hook(hook) => hook.deliver(batch, deadline).await.map(|()| 0),
        }
    }
}

/// Whether a URL of the configuration is plain HTTP: it lets that through only where the operator allowed it.
pub fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// What an answer says of what was posted.
///
/// # Errors
/// It was not taken.
pub fn judge(answer: &crate::fetch::Answer) -> Result<(), Failure> {
    let status = answer.status;
    let is_later = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if status.is_success() {
        Ok(())
    } else if is_later || status.is_server_error() {
        Err(Failure::Later(status, retry_after(&answer.headers)))
    } else {
        Err(Failure::Refused(status))
    }
}

/// Seconds of `Retry-After` (RFC 9110, section 10.2.3). A date there is not regarded: clocks differ.
fn retry_after(headers: &hyper::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(hyper::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The headers of a receiver: those that each request has, and those of its file.
///
/// # Errors
/// The file cannot be read.
pub async fn headers_of(file: Option<&Path>) -> Result<hyper::HeaderMap, Failure> {
    use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
    let mut headers = hyper::HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION"))));
    if let Some(path) = file.map(Path::to_owned) {
        let read = tokio::task::spawn_blocking(move || headers_in(&path)).await.map_err(|_| Failure::Ended)?;
        headers.extend(read?);
    }
    Ok(headers)
}
