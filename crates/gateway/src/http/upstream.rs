//! Connections to targets, kept between requests.
//!
//! A connection carries requests of one subject alone: what a target sends too much of, or too late, can then be taken for an
//! answer to nobody else (SM-16).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::id::Digest;
use model::subject::SubjectKey;
use rustls_pki_types::ServerName;
use store::config::{HttpTarget, HttpVersion, TargetConfig, TlsMode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::upload::Upload;
use crate::gate::TargetLine;
use crate::tls::{self, ALPN_HTTP_1, ALPN_HTTP_2, OwnCertificate, Verify};

/// How long a connection is kept that carries nothing: less than servers do, most of which keep one for a minute or more.
const KEPT: Duration = Duration::from_secs(30);

/// How many are kept that carry nothing, of one subject at one target, and of all.
const MOST_OF_SUBJECT: usize = 16;
const MOST: usize = 1_024;

/// The longest head of an answer, in bytes, and its most fields.
const MAX_HEAD: usize = 64 * 1024;
const MAX_FIELDS: usize = 200;

/// How often a target of HTTP/2 has to show that it is still there.
const PING: Duration = Duration::from_secs(30);

/// Bytes of a stream, and of a connection, that a target may send ahead.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Why a target cannot be reached. The caller is told that it cannot, and no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no answer within the connect timeout")]
    Deadline,
    #[error("cannot connect: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("{0:?} is no name that a certificate can have")]
    Name(Arc<str>),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the target does not speak HTTP/2")]
    Version,
    #[error("the target is spoken to in HTTP/2, whose connections do not turn to other protocols")]
    Turning,
}

/// Runs tasks of the library, and ends with what they are for.
#[derive(Clone)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    over: CancellationToken,
}

impl Tasks {
    /// Those that end when `over` is cancelled.
    pub(super) fn within(over: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), over }
    }

    /// Waits for all of them.
    pub(super) async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let over = self.over.clone();
        drop(self.tracker.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                _ = task => {}
            }
        }));
    }
}

/// Whose connections, and where to.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    subject: SubjectKey,
    target: Arc<str>,
    place: (Arc<str>, u16),
    speaks: Arc<HttpTarget>,
    /// Which certificate Sluice shows there.
    certificate: Option<Digest>,
}

struct Kept {
    key: Key,
    line: TargetLine<Upload>,
    until: Instant,
}

/// The connections of a process that carry nothing now, or more than one request.
pub(crate) struct Pool {
    kept: Mutex<Vec<Kept>>,
    tasks: Tasks,
}

impl Default for Pool {
    fn default() -> Self {
        Self { kept: Mutex::default(), tasks: Tasks::within(CancellationToken::new()) }
    }
}

/// A connection for one request.
pub(super) struct Leased {
    pub(super) line: TargetLine<Upload>,
    /// Whether it has carried a request before: then the target may have ended it just now.
    pub(super) is_used: bool,
    key: Key,
}

impl Pool {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is kept, or a new one.
    pub(super) async fn lease(
        self: &Arc<Self>,
        subject: &SubjectKey,
        target: &TargetConfig,
        speaks: &Arc<HttpTarget>,
        certificate: Option<Arc<OwnCertificate>>,
        limit: Duration,
    ) -> Result<Leased, ConnectError> {
        let place = (Arc::clone(&target.host), target.port);
        let name = Arc::clone(&target.target.name);
        let shown = certificate.as_ref().map(|own| own.digest());
        let key = Key { subject: subject.clone(), target: name, place, speaks: Arc::clone(speaks), certificate: shown };
        if let Some(line) = self.take(&key) {
            return Ok(Leased { line, is_used: true, key });
        }
        let connected = tokio::time::timeout(limit, self.connect(&key, certificate.as_deref(), false)).await;
        let line = connected.map_err(|_| ConnectError::Deadline)??;
        self.share(&key, &line);
        Ok(Leased { line, is_used: false, key })
    }

    /// A new connection of HTTP/1.1, which no other request comes to.
    pub(super) async fn connect_alone(
        &self,
        subject: &SubjectKey,
        target: &TargetConfig,
        speaks: &Arc<HttpTarget>,
        certificate: Option<Arc<OwnCertificate>>,
        limit: Duration,
    ) -> Result<TargetLine<Upload>, ConnectError> {
        let place = (Arc::clone(&target.host), target.port);
        let name = Arc::clone(&target.target.name);
        let shown = certificate.as_ref().map(|own| own.digest());
        let key = Key { subject: subject.clone(), target: name, place, speaks: Arc::clone(speaks), certificate: shown };
        if key.speaks.version == HttpVersion::Two {
            return Err(ConnectError::Turning);
        }
        tokio::time::timeout(limit, self.connect(&key, certificate.as_deref(), true))
            .await
            .map_err(|_| ConnectError::Deadline)?
    }

    fn take(&self, key: &Key) -> Option<TargetLine<Upload>> {
        let mut kept = self.kept();
        let now = Instant::now();
        kept.retain(|kept| !kept.line.is_closed() && kept.until > now);
        let at = kept.iter().rposition(|kept| kept.key == *key && kept.line.is_ready())?;
        let found = kept.get_mut(at)?;
        match found.line.share() {
            Some(line) => {
                found.until = now + KEPT;
                Some(line)
            }
            None => Some(kept.swap_remove(at).line),
        }
    }

    /// Keeps one that others may use at the same time.
    fn share(self: &Arc<Self>, key: &Key, line: &TargetLine<Upload>) {
        if let Some(line) = line.share() {
            self.put(key, line);
        }
    }

    /// Takes one back whose last answer was read to its end: once it is ready for the next request.
    pub(super) fn give_back(self: &Arc<Self>, leased: Leased) {
        let Leased { mut line, key, .. } = leased;
        if line.is_shared() {
            return;
        }
        if line.is_ready() {
            self.put(&key, line);
            return;
        }
        let pool = Arc::clone(self);
        hyper::rt::Executor::execute(&self.tasks, async move {
            if matches!(tokio::time::timeout(KEPT, line.ready()).await, Ok(true)) {
                pool.put(&key, line);
            }
        });
    }

    fn put(self: &Arc<Self>, key: &Key, line: TargetLine<Upload>) {
        let mut kept = self.kept();
        let of_subject = kept.iter().filter(|kept| kept.key == *key).count();
        if of_subject < MOST_OF_SUBJECT && kept.len() < MOST {
            kept.push(Kept { key: key.clone(), line, until: Instant::now() + KEPT });
        }
        drop(kept);
        let pool = Arc::clone(self);
        hyper::rt::Executor::execute(&self.tasks, async move {
            tokio::time::sleep(KEPT).await;
            pool.let_go();
        });
    }

    /// Lets go of those whose time is over. One that is used again meanwhile is looked at again when it is put back.
    fn let_go(&self) {
        let now = Instant::now();
        self.kept().retain(|kept| !kept.line.is_closed() && kept.until > now);
    }

    /// Ends all of them.
    pub(crate) async fn close(&self) {
        self.kept().clear();
        self.tasks.over.cancel();
        self.tasks.finished().await;
    }

    async fn connect(
        &self,
        key: &Key,
        own: Option<&OwnCertificate>,
        is_alone: bool,
    ) -> Result<TargetLine<Upload>, ConnectError> {
        let (host, port) = &key.place;
        let tcp = TcpStream::connect((&**host, *port)).await?;
        tcp.set_nodelay(true)?;
        let verify = match key.speaks.tls.mode {
            TlsMode::Off => return self.handshake(tcp, key.speaks.version == HttpVersion::Two).await,
            TlsMode::Require => Verify::Nothing,
            TlsMode::VerifyFull => Verify::Full,
        };
        let alpn: &[&[u8]] = match key.speaks.version {
            HttpVersion::Auto if !is_alone => &[ALPN_HTTP_2, ALPN_HTTP_1],
            HttpVersion::Auto | HttpVersion::One => &[ALPN_HTTP_1],
            HttpVersion::Two => &[ALPN_HTTP_2],
        };
        let settings = &key.speaks.tls;
        let tls = tls::client(verify, settings.ca_file.as_deref(), own, alpn)?;
        let name = ServerName::try_from(host.to_string()).map_err(|_| ConnectError::Name(Arc::clone(host)))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await?;
        let is_two = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2);
        if key.speaks.version == HttpVersion::Two && !is_two {
            return Err(ConnectError::Version);
        }
        self.handshake(stream, is_two).await
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        is_two: bool,
    ) -> Result<TargetLine<Upload>, ConnectError> {
        use hyper::rt::Executor;
        let stream = TokioIo::new(stream);
        if is_two {
            let mut builder = http2::Builder::new(self.tasks.clone());
            builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
            builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
            builder.max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
            let (line, connection) = builder.handshake(stream).await?;
            self.tasks.execute(connection);
            return Ok(TargetLine::Two(line));
        }
        let mut builder = http1::Builder::new();
        builder.max_header_size(MAX_HEAD).max_headers(MAX_FIELDS);
        let (line, connection) = builder.handshake(stream).await?;
        self.tasks.execute(connection.with_upgrades());
        Ok(TargetLine::One(line))
    }
}
