//! What every handler is given.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::node::Node;
use gateway::tls::ClientCertificate;
use store::State;
use tokio_util::sync::CancellationToken;

use crate::access_map::Maps;
use crate::console::Console;
use crate::notify::Channels;
use crate::problem::Problem;
use crate::proof::Proofs;
use crate::scans::Scans;
use crate::simulations::Simulations;
use crate::unused::Searches;

/// How the admin listener learns that the process ends.
#[derive(Clone, Debug, Default)]
pub struct Stopping {
    /// Cancelled first: `/readyz` turns red, everything else goes on, so that the drain can be watched.
    pub draining: CancellationToken,
    /// Cancelled when the sessions have ended: the listener closes.
    pub stop: CancellationToken,
}

/// What every handler is given.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) node: Arc<Node>,
    pub(crate) draining: CancellationToken,
    /// Where the listener is bound.
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
    pub(crate) proofs: Arc<Proofs>,
    /// The pages for people, if the configuration has them.
    pub(crate) console: Option<Arc<Console>>,
    /// Of targets.
    pub(crate) scans: Arc<Scans>,
    pub(crate) maps: Arc<Maps>,
    /// For permits that decided nothing.
    pub(crate) searches: Arc<Searches>,
    pub(crate) simulations: Arc<Simulations>,
    /// By which approvers are told.
    pub(crate) channels: Channels,
}

/// Whoever is connected.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What it proved in the handshake of this connection, if it showed one.
    pub(crate) certificate: Option<ClientCertificate>,
}

impl App {
    /// Asks state on a thread that may block.
    pub(crate) async fn state<T, E>(
        &self,
        work: impl FnOnce(&dyn State) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let state = Arc::clone(&self.node.state);
        match tokio::task::spawn_blocking(move || work(state.as_ref())).await {
            Ok(result) => result.map_err(Into::into),
            Err(error) => {
                tracing::error!(%error, "a task of the admin API failed");
                Err(Problem::internal())
            }
        }
    }
}
