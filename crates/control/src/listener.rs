//! The listener: plain HTTP on a loopback address, TLS everywhere else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use gateway::node::{Node, StartError};
use gateway::tls::{self, ClientCertificate};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Peer, Stopping};
use crate::console::Console;
use crate::notify::{Channels, Links};
use crate::proof::Proofs;
use crate::routes;

/// Connections at a time: people and scrapers, not traffic.
const CONNECTIONS: usize = 256;
/// How long a handshake, the header of a request, or the pause before the next request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how many milliseconds without an acknowledgement of what was sent a connection is given up (tcp(7),
/// TCP_USER_TIMEOUT): whoever moderated a session on it is not there any more.
const UNACKNOWLEDGED: u32 = 10_000;
/// How long calls may go on after the end was announced.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long to pause when the system gives no more descriptors.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// The bound listener of the admin API.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    proofs: Arc<Proofs>,
}

impl Listener {
    /// Binds where the configuration says. Without a certificate a loopback address speaks plain HTTP, and any other
    /// one shows the certificate of the development CA.
    ///
    /// # Errors
    /// If the address is taken, or the certificate cannot be used.
    pub async fn bind(node: &Node) -> Result<Self, StartError> {
        let listen = &node.config.admin;
        let files = match &listen.tls {
            Some(files) => Some((files.cert.clone(), files.key.clone())),
            None if listen.address.ip().to_canonical().is_loopback() => None,
            None => Some(tls::development(&node.layout().tls())?),
        };
        Self::at(listen.address, files).await
    }

    /// Binds an address, with the files of a certificate and its key, or else without TLS.
    pub(crate) async fn at(address: SocketAddr, files: Option<(PathBuf, PathBuf)>) -> Result<Self, StartError> {
        let tls = files.map(|(certificate, key)| tls::server(&certificate, &key)).transpose()?;
        let failed = |source| StartError::Listen { address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        let proofs = Arc::new(Proofs::new()?);
        Ok(Self { tcp, address, tls: tls.map(|config| with_alpn(&config)), proofs })
    }

    /// Where it is bound.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

fn with_alpn(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Serves the admin API until [`Stopping::stop`], and then lets the calls that run come to their end.
pub async fn serve(node: Arc<Node>, listener: Listener, stopping: Stopping) {
    let (address, is_tls, draining) = (listener.address, listener.is_tls(), stopping.draining.clone());
    let proofs = Arc::clone(&listener.proofs);
    let own = format!("{}://{address}", if is_tls { "https" } else { "http" });
    let console = match Console::open(&node, own) {
        Ok(console) => console,
        Err(error) => {
            tracing::error!(%error, "there is no console");
            None
        }
    };
    let (simulations, scans, maps, searches) = Default::default();
    let channels = Channels::of(&node, &Links::of(console.as_ref()));
    let telling = channels.start(&node, &stopping.stop);
    let told = channels.clone();
    let app =
        App { node, draining, address, is_tls, proofs, console, simulations, scans, maps, searches, channels: told };
    listener.run(routes::router(&app), &stopping.stop).await;
    channels.finish(telling).await;
}

impl Listener {
    /// Serves a router until `stop`, and then lets the calls that run come to their end.
    pub(crate) async fn run(self, router: Router, stop: &CancellationToken) {
        let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
        while let Some(place) = next_place(&places, stop).await {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (router, tls, stop) = (router.clone(), self.tls.clone(), stop.clone());
                    connections.spawn(async move {
                        let _place = place;
                        connection(router, tls, stream, peer, stop).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(NO_DESCRIPTORS).await;
                }
            }
        }
        connections.close();
        let _ = tokio::time::timeout(GOODBYE, connections.wait()).await;
    }
}
async fn next_place(places: &Arc<Semaphore>, stop: &CancellationToken) -> Option<tokio::sync::OwnedSemaphorePermit> {
    tokio::select! {
        place = Arc::clone(places).acquire_owned() => place.ok(),
        () = stop.cancelled() => None,
    }
}

async fn connection(
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED);
    match tls {
        None => exchange(router, stream, Peer { address: peer, certificate: None }, stop).await,
        Some(config) => {
            // A handshake that fails or does not come is that connection's alone.
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, TlsAcceptor::from(config).accept(stream)).await {
                let certificate = ClientCertificate::of(stream.get_ref().1);
                exchange(router, stream, Peer { address: peer, certificate }, stop).await;
            }
        }
    }
}

async fn exchange(
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    stop: CancellationToken,
) {
    let router = router.layer(axum::Extension(peer));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_headers(64);
    let serving = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the admin API broke");
    }
}
