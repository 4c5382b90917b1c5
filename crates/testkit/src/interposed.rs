//! A server that is a real one until it lies: it stands between its client and PostgreSQL, passes everything on, and
//! answers what the test points out by itself.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::scripted::Message;

/// What becomes of a client's message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lie {
    /// It is passed on, and the server's answer comes back.
    None,
    /// It is swallowed, and this is the answer.
    Once(Vec<u8>),
    /// It is swallowed, and this is sent again and again until nobody takes it any more.
    Endless(Vec<u8>),
}

/// The code of a CancelRequest.
const CANCEL: u32 = 80_877_102;

/// A liar in front of a server, without TLS. It ends, with its connections, when it is dropped.
pub struct Interposer {
    address: SocketAddr,
    task: JoinHandle<()>,
    holds_cancels: watch::Sender<bool>,
}

impl Interposer {
    /// Listens on a free port of 127.0.0.1 in front of `server`. `lie` sees every message that a client sends after its
    /// first. Cancel requests do not reach the server: it goes on with what it began.
    pub async fn start(server: SocketAddr, lie: impl Fn(&Message) -> Lie + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let lie = Arc::new(lie);
        let (holds_cancels, held) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (lie, held) = (Arc::clone(&lie), held.clone());
                connections.spawn(async move {
                    // An error is the end of a connection: what the client makes of it is what the test looks at.
                    let _ = connection(client, server, &*lie, held).await;
                });
            }
        });
        Ok(Self { address, task, holds_cancels })
    }

    /// From now on, leaves cancel requests without an answer, or lets go of all of them.
    pub fn hold_cancels(&self, hold: bool) {
        self.holds_cancels.send_replace(hold);
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(
    client: TcpStream,
    server: SocketAddr,
    lie: &(dyn Fn(&Message) -> Lie + Send + Sync),
    mut held: watch::Receiver<bool>,
) -> Result<()> {
    let (mut from_client, to_client) = client.into_split();
    let first = first_packet(&mut from_client).await?;
    if first.get(4..8) == Some(&CANCEL.to_be_bytes()) {
        held.wait_for(|held| !held).await?;
        return Ok(());
    }
    let (from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    to_server.write_all(&first).await?;
    let to_client = Mutex::new(to_client);
    tokio::select! {
        ended = answers(from_server, &to_client) => ended,
        ended = messages(from_client, to_server, &to_client, lie) => ended,
    }
}

async fn first_packet(from: &mut OwnedReadHalf) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let rest = read_rest(from, u32::from_be_bytes(length)).await?;
    Ok([&length[..], &rest].concat())
}

async fn messages(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    back: &Mutex<OwnedWriteHalf>,
    lie: &(dyn Fn(&Message) -> Lie + Send + Sync),
) -> Result<()> {
    loop {
        let mut head = [0; 5];
        from.read_exact(&mut head).await?;
        let [tag, length @ ..] = head;
        let body = read_rest(&mut from, u32::from_be_bytes(length)).await?;
        let message = Message { tag, body };
        match lie(&message) {
            Lie::None => {
                to.write_all(&head).await?;
                to.write_all(&message.body).await?;
            }
            Lie::Once(bytes) => back.lock().await.write_all(&bytes).await?,
            Lie::Endless(bytes) => loop {
                back.lock().await.write_all(&bytes).await?;
            },
        }
    }
}

async fn read_rest(from: &mut (impl AsyncRead + Unpin), length: u32) -> Result<Vec<u8>> {
    let length = usize::try_from(length)?.checked_sub(4).context("a length under four")?;
    ensure!(length < 64 * 1024 * 1024, "{length} bytes are more than a test sends");
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn answers(mut from: OwnedReadHalf, to: &Mutex<OwnedWriteHalf>) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        to.lock().await.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}
