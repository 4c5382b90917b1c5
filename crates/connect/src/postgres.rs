//! Local doors to PostgreSQL targets.
//!
//! A program connects to a loopback port or a Unix socket of this machine and says who it is to nobody; behind the door
//! stands Sluice, reached over verified TLS, with the current token as password. From then on bytes are relayed as they
//! are. Sessions are renewed from beside them: on a connection of its own to the same port of Sluice,
//! whatever the session does at that moment, so that nothing is ever put between a program's own messages.

mod door;
mod gateway;
mod local;
mod peer;
mod relay;
mod renewer;

pub use door::{Door, DoorError, Place};
pub use gateway::{Gateway, GatewayError};
pub use renewer::Sessions;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::keeper::Keeper;

/// What all doors share.
pub struct House {
    /// The Sluice behind them.
    pub gateway: Gateway,
    /// Who goes through.
    pub keeper: Arc<Keeper>,
    /// The sessions that live.
    pub sessions: Arc<Sessions>,
}

impl House {
    /// Keeps the token fresh, and the sessions with it, until `stop`.
    pub async fn keep(&self, stop: CancellationToken) {
        tokio::join!(self.keeper.run(stop.clone()), renewer::run(self, stop));
    }
}
