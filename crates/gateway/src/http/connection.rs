//! A connection of a client, from its TLS handshake to its end, and what its requests share.
//!
//! Which version of HTTP is spoken is settled in the handshake (ALPN), so that nothing is guessed from the first bytes.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::body::Incoming;
use hyper::header::UPGRADE;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::event::Event;
use model::id::SessionId;
use rustls::ServerConfig;
use store::config::HttpListen;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex as Turns, mpsc};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::asking::CameOn;
use super::exchange;
use super::guarded::{Freedom, Guarded};
use super::proof::Proofs;
use super::proxy::Within;
use super::session::{End, Session};
use crate::clock;
use crate::gate::{AnswerBody, Carrying, ClientExchange, Cut};
use crate::listener::Accepted;
use crate::node::Node;
use crate::sessions::Admitted;
use crate::tls::{ALPN_HTTP_2, ClientCertificate, Leaves};

/// How often a client may be refused on one connection before anybody is known on it: as often as with SSH.
const ATTEMPTS: usize = 6;

/// How long the end of a connection may take, for what was sent last.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often a client of HTTP/2 has to show that it is still there.
const PING: Duration = Duration::from_secs(30);

/// The most bytes of an answer that wait in the library, for each stream of HTTP/2.
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes of a stream, and of a connection, that a client may send ahead (RFC 9113, section 6.9).
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// A task of a connection. All of them are polled by whoever serves that, so that nothing of a request wakes another thread.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is given to whoever serves a connection.
enum Given {
    /// It is brought to its end, also where the connection has ended.
    Ours(Task),
    /// It is the library's, and ends with the connection at the latest.
    Library(Task),
}

/// What the connections of a listener share.
pub(super) struct Shared {
    pub(super) settings: HttpListen,
    /// What proofs of possession are verified with.
    pub(super) proofs: Proofs,
    /// What is shown in connections that callers ask for, where they can be seen into.
    pub(super) leaves: Option<Leaves>,
    /// Cancelled when nothing more is taken.
    pub(super) stop: CancellationToken,
}

/// What the requests of one connection share.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    /// What a caller is told where there is no session yet.
    pub(super) id: SessionId,
    pub(super) source: IpAddr,
    pub(super) shared: Arc<Shared>,
    /// What it is within, if it is within another one.
    pub(super) within: Option<Within>,
    /// The name that the client asked for in the handshake.
    pub(super) server_name: Option<Box<str>>,
    /// What it proved there, if it showed one.
    pub(super) certificate: Option<ClientCertificate>,
    /// Lets something else than HTTP be spoken on it, whose end is its own.
    pub(super) freedom: Freedom,
    /// Those that live; held while one is looked for or begun, so that no two are the same.
    pub(super) sessions: Turns<Vec<Arc<Session>>>,
    /// Cancelled when the connection has to end at once.
    pub(super) over: CancellationToken,
    tasks: mpsc::UnboundedSender<Given>,
    logging_in: Mutex<Option<Admitted<IpAddr>>>,
    refused: AtomicUsize,
    activity: Activity,
}

/// When something was asked last, and how much is under way.
struct Activity {
    began: Instant,
    running: AtomicUsize,
    /// Milliseconds from the beginning.
    ended: AtomicU64,
}

/// A request that is under way.
pub(super) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.activity.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.activity.ended.store(now, Ordering::Relaxed);
        self.0.activity.running.fetch_sub(1, Ordering::Release);
    }
}

impl Connection {
    /// How a head came on it.
    pub(super) fn came(&self) -> CameOn<'_> {
        CameOn {
            server_name: self.server_name.as_deref(),
            within: self.within.as_ref(),
            is_proxy: self.within.is_none() && self.shared.settings.forward.is_some(),
        }
    }

    /// Waits until it takes no more requests; how long those that run may take then. Cancel safe.
    async fn winds_down(&self) -> Duration {
        let opener_is_over = async {
            match &self.within {
                Some(within) => within.over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.stop.cancelled() => self.node.config.sessions.drain,
            () = opener_is_over => GOODBYE,
        }
    }

    /// Has something done for as long as the connection lives.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Nobody takes tasks any more where the connection ends.
        let _ = self.tasks.send(Given::Ours(Box::pin(task)));
    }

    /// Somebody is known on it.
    pub(super) fn is_logged_in(&self) {
        locked(&self.logging_in).take();
    }

    fn waits_for_login(&self) -> bool {
        locked(&self.logging_in).is_some()
    }

    /// Journals why a request did not come to belong to a session. Whether that was once too often.
    pub(super) fn refuse(&self, reason: &str) -> bool {
        self.node.metrics.sessions_refused.inc();
        tracing::info!(session = %self.id, reason, "request refused");
        let (session, source) = (self.id, self.source);
        self.node.recorder.note(Event::SessionRefused { session, source, reason: reason.into() });
        self.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= ATTEMPTS && self.waits_for_login()
    }

    fn busy(self: &Arc<Self>) -> Busy {
        self.activity.running.fetch_add(1, Ordering::Acquire);
        Busy(Arc::clone(self))
    }

    /// When it is to end, as things are; `None` while something runs.
    fn ends_at(&self, login: Instant) -> Option<Instant> {
        if self.waits_for_login() {
            return Some(login);
        }
        let ended = Duration::from_millis(self.activity.ended.load(Ordering::Relaxed));
        let is_idle = self.activity.running.load(Ordering::Acquire) == 0;
        is_idle.then(|| self.activity.began + ended + self.shared.settings.idle_timeout)
    }

    /// Takes a request, and gives its answer once that begins.
    async fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<AnswerBody>, Cut> {
        let (mut client, begins) = ClientExchange::new();
        if request.headers().contains_key(UPGRADE) || *request.method() == Method::CONNECT {
            client.may_turn(hyper::upgrade::on(&mut request));
        }
        let busy = self.busy();
        self.spawn(exchange::serve(Arc::clone(&self), busy, request, client));
        begins.await.map_err(|_| Cut)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection to its end.
pub(super) async fn serve(node: Arc<Node>, accepted: Accepted, shared: Arc<Shared>, tls: Arc<ServerConfig>) {
    let Ok(id) = clock::random_bits().map(SessionId::from_bits) else { return };
    let Accepted { stream, source, logging_in } = accepted;
    let _ = stream.set_nodelay(true);
    let login = Instant::now() + node.config.limits.login_timeout;
    let refuse = |reason: String| {
        node.metrics.sessions_refused.inc();
        tracing::info!(session = %id, reason, "connection refused");
        node.recorder.note(Event::SessionRefused { session: id, source, reason: reason.into() });
    };
    let stream = match tokio::time::timeout_at(login, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(format!("TLS: {error}")),
        Err(_) => return refuse("the TLS handshake took too long".to_owned()),
    };
    let certificate = ClientCertificate::of(stream.get_ref().1);
    let (over, logging_in) = (CancellationToken::new(), Some(logging_in));
    let begun = Begun { node: Arc::clone(&node), id, source, shared, within: None, certificate, over, logging_in };
    begun.serve(stream, login).await;
}

/// Serves a connection that a caller asked for within another one, to its end. Who opened it has logged in.
///
/// It is served by a task of the outer one, whose type must not hang on its own.
pub(super) fn serve_within<'a>(
    outer: &'a Connection,
    within: Within,
    stream: Carrying,
    tls: Arc<ServerConfig>,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        let Ok(id) = clock::random_bits().map(SessionId::from_bits) else { return };
        let login = Instant::now() + outer.node.config.limits.login_timeout;
        let accepted = tokio::select! {
            biased;
            () = within.over() => return,
            accepted = tokio::time::timeout_at(login, TlsAcceptor::from(tls).accept(stream)) => accepted,
        };
        let handshake = match accepted {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(format!("TLS to what was asked for: {error}")),
            Err(_) => Err("the TLS handshake to what was asked for took too long".to_owned()),
        };
        let stream = match handshake {
            Ok(stream) => stream,
            Err(reason) => {
                // Somebody is known, so that it is not once too often.
                let _ = outer.refuse(&reason);
                return;
            }
        };
        let (node, shared, over) = (Arc::clone(&outer.node), Arc::clone(&outer.shared), outer.over.child_token());
        let (source, within) = (outer.source, Some(within));
        let begun = Begun { node, id, source, shared, within, certificate: None, over, logging_in: None };
        begun.serve(stream, login).await;
    })
}

/// What a connection begins with, once its handshake is over.
struct Begun {
    node: Arc<Node>,
    id: SessionId,
    source: IpAddr,
    shared: Arc<Shared>,
    within: Option<Within>,
    certificate: Option<ClientCertificate>,
    over: CancellationToken,
    logging_in: Option<Admitted<IpAddr>>,
}

/// What a connection is spoken on.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

impl Begun {
    async fn serve(self, stream: TlsStream<impl Stream>, login: Instant) {
        let (_, handshake) = stream.get_ref();
        let is_two = handshake.alpn_protocol() == Some(ALPN_HTTP_2);
        let (tasks, given) = mpsc::unbounded_channel();
        let library = Library(tasks.clone());
        let Self { node, id, source, shared, within, certificate, over, logging_in } = self;
        let connection = Arc::new(Connection {
            id,
            source,
            shared,
            within,
            server_name: handshake.server_name().map(Into::into),
            certificate,
            freedom: Freedom::default(),
            sessions: Turns::default(),
            over,
            tasks,
            logging_in: Mutex::new(logging_in),
            refused: AtomicUsize::new(0),
            activity: Activity { began: Instant::now(), running: AtomicUsize::new(0), ended: AtomicU64::new(0) },
            node,
        });
        let (ours, librarys) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut driving = Driving { connection: &connection, given, ours, librarys, login };
        if is_two {
            driving.drive(serve_two(&connection, stream, library)).await;
        } else {
            driving.drive(serve_one(&connection, stream)).await;
        }
        driving.end().await;
    }
}

fn serve_one(connection: &Arc<Connection>, stream: TlsStream<impl Stream>) -> impl Serving {
    let serving = Arc::clone(connection);
    let service = service_fn(move |request| Arc::clone(&serving).answer(request));
    let mut builder = http1::Builder::new();
    // What is longer than that is answered with 431 by the library. How long a head may take is bounded by `ends_at`.
    let most = connection.shared.settings.max_header;
    builder.max_header_size(most).max_buf_size(most.max(64 * 1024));
    builder.timer(TokioTimer::new()).header_read_timeout(None).half_close(false);
    let stream = Guarded::new(stream, most, connection.freedom.clone());
    builder.serve_connection(TokioIo::new(stream), service).with_upgrades()
}

/// Gives the tasks of the library to whoever serves its connection.
#[derive(Clone)]
struct Library(mpsc::UnboundedSender<Given>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Library {
    fn execute(&self, task: F) {
        let _ = self.0.send(Given::Library(Box::pin(task)));
    }
}

fn serve_two(connection: &Arc<Connection>, stream: TlsStream<impl Stream>, library: Library) -> impl Serving {
    let serving = Arc::clone(connection);
    let service = service_fn(move |request| Arc::clone(&serving).answer(request));
    let most = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(library);
    builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    builder.max_header_list_size(most(connection.shared.settings.max_header));
    builder.max_concurrent_streams(most(connection.shared.settings.max_streams)).max_send_buf_size(SEND_BUFFER);
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.serve_connection(TokioIo::new(stream), service)
}

/// A connection as the library serves it.
trait Serving: Future<Output = hyper::Result<()>> {
    /// Takes no more requests, and ends once those that run are answered.
    fn wind_down(self: Pin<&mut Self>);
}

impl<T, S> Serving for http1::UpgradeableConnection<TokioIo<Guarded<TlsStream<T>>>, S>
where
    T: Stream,
    S: hyper::service::HttpService<Incoming, ResBody = AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<T, S> Serving for http2::Connection<TokioIo<TlsStream<T>>, S, Library>
where
    T: Stream,
    S: hyper::service::HttpService<Incoming, ResBody = AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Whoever looks after a connection.
struct Driving<'a> {
    connection: &'a Arc<Connection>,
    given: mpsc::UnboundedReceiver<Given>,
    ours: FuturesUnordered<Observed>,
    librarys: FuturesUnordered<Observed>,
    login: Instant,
}

/// A task whose panic is its own.
type Observed = CatchUnwind<AssertUnwindSafe<Task>>;

impl Driving<'_> {
    /// Lets a connection be served until it ends, or has to.
    async fn drive(&mut self, serving: impl Serving) {
        let connection = self.connection;
        let timer = tokio::time::sleep_until(self.login);
        let (over, winds_down) = (connection.over.cancelled(), connection.winds_down());
        tokio::pin!(serving, timer, over, winds_down);
        let mut until: Option<Instant> = None;
        // Whether the library has given the connection up, to what it turned into.
        let mut has_turned = false;
        loop {
            if has_turned && connection.activity.running.load(Ordering::Acquire) == 0 {
                return;
            }
            // It goes off no later than the next deadline; too early is put right when it does.
            let looks_at = self.looks_at(until);
            if looks_at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(looks_at);
            }
            tokio::select! {
                biased;
                () = &mut over => return,
                Some(given) = self.given.recv() => self.take(given),
                Some(ended) = self.ours.next(), if !self.ours.is_empty() => self.observe(ended),
                Some(ended) = self.librarys.next(), if !self.librarys.is_empty() => self.observe(ended),
                ended = &mut serving, if !has_turned => match ended {
                    Ok(()) if connection.freedom.is_granted() => has_turned = true,
                    Ok(()) => return,
                    Err(error) => {
                        tracing::debug!(session = %connection.id, %error, "a connection broke");
                        return;
                    }
                },
                left = &mut winds_down, if until.is_none() => {
                    until = Some(Instant::now() + left);
                    if !has_turned {
                        serving.as_mut().wind_down();
                    }
                }
                () = &mut timer => match until {
                    Some(end) if end <= Instant::now() => return,
                    None if connection.ends_at(self.login).is_some_and(|end| end <= Instant::now()) => {
                        until = Some(Instant::now() + GOODBYE);
                        if !has_turned {
                            serving.as_mut().wind_down();
                        }
                    }
                    Some(_) | None => {}
                },
            }
        }
    }

    /// When it has to be looked whether the connection is to end, as things are.
    fn looks_at(&self, until: Option<Instant>) -> Instant {
        let ends_at = until.or_else(|| self.connection.ends_at(self.login));
        ends_at.unwrap_or_else(|| Instant::now() + self.connection.shared.settings.idle_timeout)
    }

    fn take(&self, given: Given) {
        match given {
            Given::Ours(task) => self.ours.push(AssertUnwindSafe(task).catch_unwind()),
            Given::Library(task) => self.librarys.push(AssertUnwindSafe(task).catch_unwind()),
        }
    }

    fn observe(&self, ended: std::thread::Result<()>) {
        if ended.is_err() {
            const PANICKED: &str = "a task of the connection panicked";
            self.connection.node.metrics.panics.inc();
            tracing::error!(session = %self.connection.id, PANICKED);
            self.connection.node.recorder.note(Event::Gap { session: None, reason: PANICKED.into() });
            self.connection.over.cancel();
        }
    }

    /// Ends whatever still runs on the connection, and waits for it.
    async fn end(mut self) {
        let stopping = self.connection.shared.stop.is_cancelled();
        let end = if stopping { End::Administrator("Sluice is stopping") } else { End::Client };
        self.connection.over.cancel();
        self.librarys.clear();
        let connection = self.connection;
        let ending = async {
            for session in connection.sessions.lock().await.iter() {
                session.end(end.clone());
            }
        };
        // Whoever begins a session holds them meanwhile, and has somebody look after it: nothing begins from then on.
        tokio::pin!(ending);
        let mut has_ended = false;
        // The ends of tapes are bounded by themselves.
        loop {
            tokio::select! {
                biased;
                () = &mut ending, if !has_ended => {
                    has_ended = true;
                    self.given.close();
                }
                Some(given) = self.given.recv() => if let Given::Ours(_) = given { self.take(given) },
                Some(ended) = self.ours.next(), if !self.ours.is_empty() => self.observe(ended),
                else => return,
            }
        }
    }
}
