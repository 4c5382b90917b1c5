//! Accepting connections, and what becomes of each.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::login;
use crate::node::{Node, StartError};
use crate::tls;

/// How long to pause when the system gives no more descriptors.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Why a session ended whose task panicked.
const PANICKED: &str = "a session's task panicked";

/// The bound listener for PostgreSQL clients.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
}

impl Listener {
    /// Binds where the configuration says, with its certificate or that of the development CA.
    ///
    /// # Errors
    /// If the address is taken, or the certificate cannot be used.
    pub async fn bind(node: &Node) -> Result<Self, StartError> {
        let listen = &node.config.postgres.listen;
        let (certificate, key) = match &listen.tls {
            Some(files) => (files.cert.clone(), files.key.clone()),
            None => tls::development(&node.layout().tls())?,
        };
        let tls = tls::server(&certificate, &key)?;
        let failed = |source| StartError::Listen { address: listen.address, source };
        let tcp = TcpListener::bind(listen.address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address, tls })
    }

    /// Where it is bound.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop`. Sessions go on; whoever stops drains them.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, peer)) => self.take(&node, &mut connections, stream, peer.ip()),
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
        node.sessions.tell_all(crate::sessions::Signal::Drain);
        drop(self.tcp);
        while let Some(ended) = connections.join_next_with_id().await {
            observe(&node, ended);
        }
    }

    fn take(&self, node: &Arc<Node>, connections: &mut JoinSet<()>, stream: TcpStream, source: IpAddr) {
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
        let (node, tls) = (Arc::clone(node), Arc::clone(&self.tls));
        connections.spawn(async move {
            let _admitted = admitted;
            login::serve(node, stream, source, tls, logging_in).await;
        });
    }
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
