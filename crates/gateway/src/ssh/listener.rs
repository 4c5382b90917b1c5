//! The listener for SSH clients, and each connection from its beginning to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use model::id::SessionId;
use russh::server;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::algorithms;
use super::end::End;
use super::flow::WINDOW;
use super::host_key::HostKey;
use super::server::{Broken, Connection, Handler, Task, methods};
use super::session::Session;
use super::stream::Severable;
use crate::clock;
use crate::listener::{Accepted, Listening, Serve};
use crate::node::{Node, StartError};

/// How long a client that is refused waits at least.
const REJECTION: Duration = Duration::from_millis(300);

/// How often a client may try to log in on one connection: as often as OpenSSH's server allows.
const ATTEMPTS: usize = 6;

/// How long the end of a connection may take, for what was sent last.
const GOODBYE: Duration = Duration::from_secs(2);

/// The bound listener for SSH clients.
#[derive(Debug)]
pub struct Listener {
    listening: Listening,
    configuration: Arc<server::Config>,
}

impl Listener {
    /// Binds where the configuration says, with its host key or Sluice's own; `None` where it says nothing of SSH.
    ///
    /// # Errors
    /// If the address is taken, or the host key cannot be used.
    pub async fn bind(node: &Node) -> Result<Option<Self>, StartError> {
        let Some(listen) = &node.config.ssh else { return Ok(None) };
        let key = HostKey::open(listen, &node.layout())?;
        let listening = Listening::bind(listen.address).await?;
        Ok(Some(Self { listening, configuration: Arc::new(configuration(&key)) }))
    }

    /// Where it is bound.
    pub const fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Accepts until `stop`. Sessions go on; whoever stops drains them.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        self.listening.run(node, stop, Server(self.configuration)).await;
    }
}

fn configuration(key: &HostKey) -> server::Config {
    server::Config {
        server_id: russh::SshId::Standard("SSH-2.0-Sluice".into()),
        methods: methods(),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key.key().clone()],
        certificates: key.certificate().cloned().into_iter().collect(),
        window_size: WINDOW,
        maximum_packet_size: 32 * 1024,
        preferred: algorithms::with_clients(),
        max_auth_attempts: ATTEMPTS,
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 3,
        nodelay: true,
        ..server::Config::default()
    }
}

#[derive(Clone)]
struct Server(Arc<server::Config>);

impl Serve for Server {
    async fn serve(self, node: Arc<Node>, accepted: Accepted) {
        let Ok(id) = clock::random_bits().map(SessionId::from_bits) else { return };
        let Accepted { stream, source, logging_in } = accepted;
        let _ = stream.set_nodelay(true);
        let (connection, tasks) = Connection::new(Arc::clone(&node), id, source);
        let sever = CancellationToken::new();
        let _severed = sever.clone().drop_guard();
        let stream = Severable::within(stream, sever, connection.budget.clone());
        let deadline = Instant::now() + node.config.limits.login_timeout;
        let mut admitted = connection.admitted.subscribe();
        let handler = Handler::new(Arc::clone(&connection));
        let begun = tokio::time::timeout_at(deadline, server::run_stream(self.0, stream, handler)).await;
        let mut running = match begun {
            Ok(Ok(running)) => running,
            Ok(Err(error)) => return refuse(&connection, &error.to_string()),
            Err(_) => return refuse(&connection, "the login took too long"),
        };
        let session = tokio::select! {
            biased;
            admitted = admitted.wait_for(Option::is_some) => admitted.ok().and_then(|session| session.clone()),
            ended = &mut running => {
                let reason = ended.err().map(|error| error.to_string()).unwrap_or_default();
                return refuse(&connection, &reason);
            }
            () = tokio::time::sleep_until(deadline) => return refuse(&connection, "the login took too long"),
        };
        drop((logging_in, admitted));
        if let Some(session) = session {
            run(&node, session, running, tasks).await;
        }
    }
}

/// Journals why a connection did not become a session.
fn refuse(connection: &Connection, reason: &str) {
    let reason = [connection.reasons(), reason.to_owned()].into_iter().filter(|reason| !reason.is_empty());
    let reason = reason.collect::<Vec<_>>().join("; ");
    connection.node.metrics.sessions_refused.inc();
    tracing::info!(session = %connection.id, reason, "connection refused");
    let (session, source) = (connection.id, connection.source);
    connection.node.recorder.note(Event::SessionRefused { session, source, reason: reason.into() });
}

/// Runs a session to its end.
async fn run(
    node: &Arc<Node>,
    session: Arc<Session>,
    mut running: server::RunningSession<Handler>,
    mut given: mpsc::UnboundedReceiver<Task>,
) {
    node.running.begins(session.id);
    node.metrics.sessions.inc();
    node.metrics.sessions_opened.inc();
    let mut tasks = JoinSet::new();
    let first = Arc::clone(&session);
    tasks.spawn(async move { reach(&first).await });
    let watching = session.watch();
    tokio::pin!(watching);
    let running = loop {
        tokio::select! {
            () = &mut watching => break Some(running),
            ended = &mut running => {
                session.end(closed(ended));
                break None;
            }
            Some(task) = given.recv() => drop(tasks.spawn(task)),
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => if ended.is_err_and(|error| error.is_panic()) {
                node.metrics.panics.inc();
                session.end(End::Internal("a session's task panicked"));
            },
        }
    };
    close(node, &session, running, tasks).await;
}

/// Connects to the target before anything is asked of it: who cannot get there is told so at once.
async fn reach(session: &Arc<Session>) {
    match session.connect().await {
        Ok(upstream) => session.upstreams.begin(upstream),
        Err(error) => session.end(End::Target(error.to_string())),
    }
}

fn closed(ended: Result<(), Broken>) -> End {
    match ended {
        Ok(()) | Err(Broken::Library(russh::Error::Disconnect | russh::Error::HUP)) => {
            End::Client("the client closed the connection")
        }
        Err(Broken::Library(russh::Error::IO(_))) => End::Client("the connection broke"),
        Err(_) => End::Violation("the client broke the protocol"),
    }
}

/// Tells the client why, and ends both sides. What runs ends with its channels.
async fn close(
    node: &Arc<Node>,
    session: &Session,
    running: Option<server::RunningSession<Handler>>,
    mut tasks: JoinSet<()>,
) {
    let end = session.ended();
    session.over.cancel();
    let goodbye = async {
        while tasks.join_next().await.is_some() {}
        if let Some(running) = running {
            let (code, message) = end.told(session.id);
            let _ = running.handle().disconnect(code, message, "en".to_owned()).await;
            let _ = running.await;
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    tasks.shutdown().await;
    let _ = tokio::time::timeout(GOODBYE, session.upstreams.close()).await;
    let tape = session.finish_tape().await;
    let reason = end.reason();
    tracing::info!(session = %session.id, reason, "session closed");
    node.recorder.note(Event::SessionClosed { session: session.id, reason: reason.into(), tape });
    node.metrics.sessions.dec();
    session.leave();
}
