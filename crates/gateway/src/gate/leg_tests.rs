//! Legs that rest. Not inside their module, which the benchmark's relay is built of too.

use std::future::poll_fn;
use std::path::Path;
use std::task::Poll;

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::leg::{Early, Leg, Moved, READ_CHUNK, Stream};
use crate::tls::{self, Verify};

trait Peer: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Peer for T {}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, connected) = tokio::join!(listener.accept(), connecting);
    (accepted.unwrap().0, connected.unwrap())
}

async fn inside_tls(directory: &Path) -> (Leg, Box<dyn Peer>) {
    let (certificate, key) = tls::development(directory).unwrap();
    let acceptor = TlsAcceptor::from(tls::server(&certificate, &key).unwrap());
    let trusting = tls::client(Verify::Full, Some(&directory.join("ca.pem")), None, &[]).unwrap();
    let (accepted, connected) = pair().await;
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(trusting).connect(name, connected);
    let accepting = acceptor.accept(Early::new(accepted, BytesMut::with_capacity(READ_CHUNK)));
    let (server, client) = tokio::join!(accepting, connecting);
    let server = server.unwrap();
    assert_eq!(server.get_ref().0.early.capacity(), 0, "the buffer of the first packet stays with the session");
    (Leg::new(Stream::Server(Box::new(server)), BytesMut::new()), Box::new(client.unwrap()))
}

/// Reads until nothing comes any more.
async fn drained(leg: &mut Leg) {
    poll_fn(|cx| {
        while leg.poll_io(cx, true).is_ready() {}
        Poll::Ready(())
    })
    .await;
}

async fn holds_no_buffer_while_nothing_comes(mut leg: Leg, mut peer: Box<dyn Peer>) {
    for sent in [b"first", b"later"] {
        peer.write_all(sent).await.unwrap();
        peer.flush().await.unwrap();
        while leg.inbox.len() < sent.len() {
            assert_eq!(leg.read_more().await.unwrap(), Moved::Read);
        }
        drained(&mut leg).await;
        leg.rest();
        assert_eq!(leg.inbox.split().as_ref(), sent, "what was not taken yet stays");
        leg.enqueue(b"answer");
        leg.drain().await.unwrap();
        let mut answer = [0; 6];
        peer.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        leg.rest();
        drained(&mut leg).await;
        assert_eq!((leg.inbox.capacity(), leg.outbox.capacity()), (0, 0));
    }
    peer.shutdown().await.unwrap();
    assert_eq!(leg.read_more().await.unwrap(), Moved::Closed);
}

#[tokio::test]
async fn an_idle_leg_holds_no_buffer_and_wakes_when_something_comes() {
    let (accepted, connected) = pair().await;
    let plain = Leg::new(Stream::Plain(accepted), BytesMut::new());
    holds_no_buffer_while_nothing_comes(plain, Box::new(connected)).await;
    let directory = tempfile::tempdir().unwrap();
    let (leg, peer) = inside_tls(directory.path()).await;
    holds_no_buffer_while_nothing_comes(leg, peer).await;
}

#[tokio::test]
async fn what_tls_has_in_clear_already_is_read_though_nothing_more_comes() {
    let directory = tempfile::tempdir().unwrap();
    let (mut leg, mut peer) = inside_tls(directory.path()).await;
    peer.write_all(b"behind the handshake").await.unwrap();
    peer.flush().await.unwrap();
    // The bytes are taken off the connection, and out of TLS only one.
    let mut first = [0];
    leg.stream.read_exact(&mut first).await.unwrap();
    leg.rest();
    assert_eq!(leg.read_more().await.unwrap(), Moved::Read);
    assert_eq!(leg.inbox.as_ref(), b"ehind the handshake");
}
