//! The listener for PostgreSQL clients.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::login;
use crate::listener::{Accepted, Listening, Serve};
use crate::node::{Node, StartError};
use crate::tls;

/// The bound listener for PostgreSQL clients.
#[derive(Debug)]
pub struct Listener {
    listening: Listening,
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
        Ok(Self { listening: Listening::bind(listen.address).await?, tls })
    }

    /// Where it is bound.
    pub const fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Accepts until `stop`. Sessions go on; whoever stops drains them.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        self.listening.run(node, stop, Server { tls: self.tls }).await;
    }
}

#[derive(Clone)]
struct Server {
    tls: Arc<ServerConfig>,
}

impl Serve for Server {
    async fn serve(self, node: Arc<Node>, accepted: Accepted) {
        login::serve(node, accepted, self.tls).await;
    }
}
