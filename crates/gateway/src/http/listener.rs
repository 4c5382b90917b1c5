//! The listener for HTTP clients.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use store::config::HttpListen;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Shared};
use super::proof::Proofs;
use crate::listener::{Accepted, Listening, Serve};
use crate::node::{Node, StartError};
use crate::tls::{self, ALPN_HTTP_1, ALPN_HTTP_2, Leaves};

/// The bound listener for HTTP clients.
#[derive(Debug)]
pub struct Listener {
    listening: Listening,
    settings: HttpListen,
    tls: Arc<ServerConfig>,
    proofs: Proofs,
    leaves: Option<Leaves>,
}

impl Listener {
    /// Binds where the configuration says, with its certificate or that of the development CA; `None` where it says nothing
    /// of HTTP.
    ///
    /// # Errors
    /// If the address is taken, or the certificate cannot be used.
    pub async fn bind(node: &Node) -> Result<Option<Self>, StartError> {
        let Some(settings) = node.config.http.clone() else { return Ok(None) };
        let (certificate, key) = match &settings.tls {
            Some(files) => (files.cert.clone(), files.key.clone()),
            None => tls::development(&node.layout().tls())?,
        };
        let mut tls = ServerConfig::clone(&*tls::server(&certificate, &key)?);
        tls.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1.to_vec()];
        let own = tls::certificates(&certificate)?.swap_remove(0);
        let proofs = Proofs::new(own)?;
        let ca = settings.forward.as_ref().and_then(|forward| forward.ca.as_ref());
        let leaves = ca.map(Leaves::open).transpose()?;
        let listening = Listening::bind(settings.address).await?;
        Ok(Some(Self { listening, settings, tls: Arc::new(tls), proofs, leaves }))
    }

    /// Where it is bound.
    pub const fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Accepts until `stop`. Connections go on; whoever stops drains them.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        let Self { listening, settings, tls, proofs, leaves } = self;
        let shared = Arc::new(Shared { settings, proofs, leaves, stop: stop.clone() });
        listening.run(node, stop, Server { shared, tls }).await;
    }
}

#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    tls: Arc<ServerConfig>,
}

impl Serve for Server {
    async fn serve(self, node: Arc<Node>, accepted: Accepted) {
        connection::serve(node, accepted, self.shared, self.tls).await;
    }
}
