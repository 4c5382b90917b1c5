//! `relay TARGET CERTIFICATE KEY`: Sluice without its questions, for the benchmark alone.
//!
//! What a session does between two turns and nothing else: TLS to the client, none to the target, the legs of
//! `gateway::gate` with their buffers, and bytes passed on as they come. Its figures are what moving the bytes costs, so
//! that what is left of Sluice's is what the questions cost. It is a program of its own: in the product there is nothing
//! to switch on. It prints where it listens.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;

use anyhow::{Context, Result};
use bytes::BytesMut;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::gate::{Early, HIGH_WATER, Leg, Moved, Stream, pass_on};

/// Sluice's own legs: the same source. Only a module of this name may put bytes in their queues.
#[path = "../../../gateway/src/gate"]
mod gate {
    #[expect(dead_code, reason = "a relay speaks TLS on one side only, and refuses nobody")]
    mod leg;

    pub(crate) use leg::{Early, HIGH_WATER, Leg, Moved, Stream};

    /// Passes on what was read of one side.
    pub(crate) fn pass_on(from: &mut Leg, to: &mut Leg) {
        let read = from.inbox.split();
        to.enqueue(&read);
    }
}

/// As Sluice has it.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// SSLRequest: a length of 8 and the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, certificate, key] = arguments.as_slice() else { anyhow::bail!("usage: relay TARGET CERTIFICATE KEY") };
    let (target, tls) = (target.parse()?, tls(Path::new(certificate), Path::new(key))?);
    // As many as Sluice has.
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(listen(target, tls))
}

#[expect(clippy::print_stdout, reason = "whoever starts it has to know the port")]
async fn listen(target: SocketAddr, tls: Arc<ServerConfig>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        let tls = Arc::clone(&tls);
        // A connection that breaks is its client's affair: it counts the failure.
        drop(tokio::spawn(async move { relay(client, target, tls).await }));
    }
}

/// Sluice's settings: no tickets, no early data.
fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key).context("no private key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

async fn relay(mut tcp: TcpStream, target: SocketAddr, tls: Arc<ServerConfig>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut request = [0; SSL_REQUEST.len()];
    tcp.read_exact(&mut request).await?;
    if request != SSL_REQUEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    tcp.write_all(b"S").await?;
    let encrypted = TlsAcceptor::from(tls).accept(Early::new(tcp, BytesMut::new())).await?;
    let server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    let mut client = Leg::new(Stream::Server(Box::new(encrypted)), BytesMut::new());
    let mut target = Leg::new(Stream::Plain(server), BytesMut::new());
    loop {
        let (side, moved) = wait(&mut client, &mut target).await?;
        // Both, as one poll may have read both.
        pass_on(&mut client, &mut target);
        pass_on(&mut target, &mut client);
        if moved == Moved::Closed {
            let other = match side {
                Side::Client => &mut target,
                Side::Target => &mut client,
            };
            other.close().await;
            return Ok(());
        }
    }
}

enum Side {
    Client,
    Target,
}

/// Writes what waits and reads what comes, as `gateway::postgres::waiting` does.
async fn wait(client: &mut Leg, target: &mut Leg) -> io::Result<(Side, Moved)> {
    poll_fn(|cx| {
        loop {
            let read_client = target.backlog() < HIGH_WATER;
            let read_target = client.backlog() < HIGH_WATER;
            let from_target = target.poll_io(cx, read_target);
            let from_client = client.poll_io(cx, read_client);
            return match (from_target, from_client) {
                (Poll::Ready(moved), _) => Poll::Ready(moved.map(|moved| (Side::Target, moved))),
                (Poll::Pending, Poll::Ready(moved)) => Poll::Ready(moved.map(|moved| (Side::Client, moved))),
                (Poll::Pending, Poll::Pending) if !read_target && client.backlog() < HIGH_WATER => continue,
                (Poll::Pending, Poll::Pending) if !read_client && target.backlog() < HIGH_WATER => continue,
                (Poll::Pending, Poll::Pending) => Poll::Pending,
            };
        }
    })
    .await
}
