//! Accepting connections, within the bounds of the configuration, and what becomes of each.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::node::{Node, StartError};
use crate::sessions::{Admitted, Signal};

/// How long to pause when the system gives no more descriptors.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Why a session ended whose task panicked.
const PANICKED: &str = "a session's task panicked";

/// A connection that was accepted, and the place that it takes until it has logged in.
pub(crate) struct Accepted {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// Where it comes from.
    pub(crate) source: IpAddr,
    /// Dropped once it has logged in.
    pub(crate) logging_in: Admitted<IpAddr>,
}

/// What serves connections of one protocol to their end. Called within a task for each connection.
pub(crate) trait Serve: Clone + Send + 'static {
    /// Serves one.
    fn serve(self, node: Arc<Node>, accepted: Accepted) -> impl Future<Output = ()> + Send;
}

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listening {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Binds.
    ///
    /// # Errors
    /// If the address is taken.
    pub(crate) async fn bind(at: SocketAddr) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address: at, source };
        let tcp = TcpListener::bind(at).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address })
    }

    /// Where it is bound.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop`. Sessions go on; whoever stops drains them.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken, server: impl Serve) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, peer)) => take(&node, &mut connections, stream, peer.ip(), server.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(NO_DESCRIPTORS).await;
                    }
                },
                Some(ended) = connections.join_next_with_id() => observe(&node, ended),
                () = stop.cancelled() => break,
            }
        }
        // Whoever finds the door closed may rely on every session knowing it.
        node.sessions.tell_all(Signal::Drain);
        drop(self.tcp);
        while let Some(ended) = connections.join_next_with_id().await {
            observe(&node, ended);
        }
    }
}

fn take(node: &Arc<Node>, connections: &mut JoinSet<()>, stream: TcpStream, source: IpAddr, server: impl Serve) {
    let limits = &node.config.limits;
    if node.sessions.count() >= limits.max_sessions {
        node.metrics.sessions_refused.inc();
        tracing::warn!(%source, "a connection is turned away: too many sessions");
        return;
    }
    let Some(admitted) = node.sessions.admit(source, limits.max_per_source) else {
        node.metrics.sessions_refused.inc();
        tracing::warn!(%source, "a connection is turned away: too many from this address");
        return;
    };
    let Some(logging_in) = node.sessions.admit_login(source, limits.max_logins_per_source) else {
        node.metrics.sessions_refused.inc();
        tracing::warn!(%source, "a connection is turned away: too many logins from this address");
        return;
    };
    let node = Arc::clone(node);
    connections.spawn(async move {
        let _admitted = admitted;
        server.serve(node, Accepted { stream, source, logging_in }).await;
    });
}

/// A panic ends one session, and says so; the others go on.
fn observe(node: &Arc<Node>, ended: Result<(Id, ()), JoinError>) {
    let task = match &ended {
        Ok((task, ())) => *task,
        Err(error) => error.id(),
    };
    let session = node.running.over(task);
    if let (Some(_), Some(archive)) = (session, &node.archive) {
        // What was kept here for as long as it ran.
        archive.look();
    }
    if !ended.is_err_and(|error| error.is_panic()) {
        return;
    }
    node.metrics.panics.inc();
    tracing::error!(
        session = session.map(tracing::field::display),
        "a session's task panicked; that session is closed"
    );
    node.recorder.note(Event::Gap { session, reason: PANICKED.into() });
    let Some(session) = session else { return };
    node.metrics.sessions.dec();
    let (tapes, recorder) = (node.tapes(), Arc::clone(&node.recorder));
    // Of the parts of its tape that ended, the journal is told by those whom the session asked to.
    let told = crate::broken_off::Told { parts: u32::MAX, has_tape: false };
    node.tasks
        .spawn_blocking(move || tapes.ends(session, PANICKED, told).into_iter().for_each(|event| recorder.note(event)));
}
