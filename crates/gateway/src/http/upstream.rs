//! Connections to targets, kept between requests.
//!
//! A connection carries requests of one subject alone: what a target sends too much of, or too late, can then be taken for an
//! answer to nobody else (SM-16).

use std::collections::HashMap;
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

/// How long after its time one may be let go of.
const TOGETHER: Duration = Duration::from_secs(1);

/// How many are kept that carry nothing, of one subject at one target, and of all.
const MOST_OF_SUBJECT: usize = 128;
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
        // Of its own, so that not all of them look at one lock whenever they are woken.
        let over = self.over.child_token();
        drop(self.tracker.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                _ = task => {}
            }
        }));
    }
}

/// Whose connections, and at which target.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Whose {
    subject: SubjectKey,
    target: Arc<str>,
}

/// Where to, and how.
#[derive(Clone)]
struct Key {
    whose: Whose,
    place: (Arc<str>, u16),
    speaks: Arc<HttpTarget>,
    /// Which certificate Sluice shows there.
    certificate: Option<Digest>,
}

impl Key {
    /// That of a subject's connection to a target, as the target is configured now.
    fn new(
        subject: &SubjectKey,
        target: &TargetConfig,
        speaks: &Arc<HttpTarget>,
        certificate: Option<&OwnCertificate>,
    ) -> Self {
        Self {
            whose: Whose { subject: subject.clone(), target: Arc::clone(&target.target.name) },
            place: (Arc::clone(&target.host), target.port),
            speaks: Arc::clone(speaks),
            certificate: certificate.map(OwnCertificate::digest),
        }
    }

    /// Whether a connection for the other one is as good, of the same subject to the same target.
    fn is_as(&self, other: &Self) -> bool {
        // A revision that changes nothing of the target has another copy of what it says.
        let speaks_alike = Arc::ptr_eq(&self.speaks, &other.speaks) || self.speaks == other.speaks;
        speaks_alike && self.place == other.place && self.certificate == other.certificate
    }
}

struct Kept {
    key: Key,
    line: TargetLine<Upload>,
    until: Instant,
}

impl Kept {
    fn is_good(&self, now: Instant) -> bool {
        !self.line.is_closed() && self.until > now
    }
}

/// What is kept.
#[derive(Default)]
struct Keeping {
    lines: HashMap<Whose, Vec<Kept>>,
    count: usize,
    /// Whether somebody lets go of those whose time is over.
    is_tended: bool,
}

impl Keeping {
    fn retain(&mut self, is_kept: impl Fn(&Kept) -> bool) {
        self.lines.retain(|_, lines| {
            lines.retain(&is_kept);
            !lines.is_empty()
        });
        self.count = self.lines.values().map(Vec::len).sum();
    }
}

/// The connections of a process that carry nothing now, or more than one request.
pub(crate) struct Pool {
    kept: Mutex<Keeping>,
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
    fn kept(&self) -> MutexGuard<'_, Keeping> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is kept, unless it `is_fresh`, or a new one.
    pub(super) async fn lease(
        self: &Arc<Self>,
        subject: &SubjectKey,
        target: &TargetConfig,
        speaks: &Arc<HttpTarget>,
        certificate: Option<Arc<OwnCertificate>>,
        is_fresh: bool,
        limit: Duration,
    ) -> Result<Leased, ConnectError> {
        let key = Key::new(subject, target, speaks, certificate.as_deref());
        if !is_fresh && let Some(line) = self.take(&key) {
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
        let key = Key::new(subject, target, speaks, certificate.as_deref());
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
        let lines = kept.lines.get_mut(&key.whose)?;
        let before = lines.len();
        lines.retain(|kept| kept.is_good(now));
        let at = lines.iter().rposition(|kept| kept.key.is_as(key) && kept.line.is_ready());
        let taken = at.and_then(|at| {
            let found = lines.get_mut(at)?;
            match found.line.share() {
                Some(line) => {
                    found.until = now + KEPT;
                    Some(line)
                }
                None => Some(lines.swap_remove(at).line),
            }
        });
        let gone = before.saturating_sub(lines.len());
        kept.count = kept.count.saturating_sub(gone);
        taken
    }

    /// Keeps one that others may use at the same time.
    fn share(self: &Arc<Self>, key: &Key, line: &TargetLine<Upload>) {
        if let Some(line) = line.share() {
            self.put(key, line);
        }
    }

    /// Takes one back whose last answer was read to its end. It is not given out before it is ready for the next request.
    pub(super) fn give_back(self: &Arc<Self>, leased: Leased) {
        let Leased { line, key, .. } = leased;
        if !line.is_shared() {
            self.put(&key, line);
        }
    }

    fn put(self: &Arc<Self>, key: &Key, line: TargetLine<Upload>) {
        let mut kept = self.kept();
        if kept.count >= MOST {
            let now = Instant::now();
            kept.retain(|kept| kept.is_good(now));
        }
        if kept.count >= MOST {
            return;
        }
        let lines = kept.lines.entry(key.whose.clone()).or_default();
        let alike = lines.iter().filter(|kept| kept.key.is_as(key)).count();
        if alike >= MOST_OF_SUBJECT {
            return;
        }
        lines.push(Kept { key: key.clone(), line, until: Instant::now() + KEPT });
        kept.count = kept.count.saturating_add(1);
        if !std::mem::replace(&mut kept.is_tended, true) {
            hyper::rt::Executor::execute(&self.tasks, Arc::clone(self).tend());
        }
    }

    /// Lets go of those whose time is over, for as long as there are any.
    async fn tend(self: Arc<Self>) {
        loop {
            let next = {
                let mut kept = self.kept();
                let now = Instant::now();
                kept.retain(|kept| kept.is_good(now));
                let next = kept.lines.values().flatten().map(|kept| kept.until).min();
                kept.is_tended = next.is_some();
                next
            };
            match next {
                // Several that end at about the same time are looked at once.
                Some(next) => tokio::time::sleep_until(next + TOGETHER).await,
                None => return,
            }
        }
    }

    /// Ends all of them.
    pub(crate) async fn close(&self) {
        self.kept().retain(|_| false);
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
