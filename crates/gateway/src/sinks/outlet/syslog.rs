//! A syslog receiver over TCP, inside TLS unless the operator says otherwise (RFC 5425, RFC 6587).
//!
//! Syslog has no acknowledgement: what was written to a socket may be lost with the connection. So a batch is one
//! connection. Sluice writes it, closes its side, and waits for the receiver to close its own *after* that: then it has
//! read everything. Where it closed before, reset the connection or went silent, the batch is sent again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::feed::Batch;
use super::Failure;
use crate::tls::{self, Verify};

/// The most that a receiver may say before it closes: there is nothing that it could say.
const MOST_SAID: u64 = 64 * 1024;

/// A syslog receiver.
#[derive(Debug)]
pub(in super::super) struct Syslog {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) ca_file: Option<PathBuf>,
}

impl Syslog {
    /// Sends a batch over a connection of its own.
    pub(super) async fn deliver(&self, batch: &Batch, deadline: Duration) -> Result<(), Failure> {
        let frames = batch.events.concat();
        let sent = tokio::time::timeout(deadline, self.send(frames.as_bytes())).await;
        let tcp = sent.map_err(|_| Failure::Deadline)??;
        tokio::time::timeout(deadline, confirm(tcp)).await.unwrap_or(Err(Failure::Open))
    }

    /// Writes everything and closes Sluice's side.
    async fn send(&self, frames: &[u8]) -> Result<TcpStream, Failure> {
        let mut tcp = TcpStream::connect((&*self.host, self.port)).await?;
        if !self.tls {
            tcp.write_all(frames).await?;
            tcp.shutdown().await?;
            return Ok(tcp);
        }
        let connector = TlsConnector::from(tls::client(Verify::Full, self.ca_file.as_deref(), None, &[])?);
        let name = ServerName::try_from(self.host.to_string()).map_err(|_| Failure::Name)?;
        let mut stream = connector.connect(name, tcp).await?;
        stream.write_all(frames).await?;
        stream.shutdown().await?;
        // What the receiver still says is the end of TLS, or nothing that anybody would want to know.
        Ok(stream.into_inner().0)
    }
}

/// Waits until the receiver has closed its side, and makes sure that it did so last.
async fn confirm(mut tcp: TcpStream) -> Result<(), Failure> {
    let length = tokio::io::copy(&mut (&mut tcp).take(MOST_SAID), &mut tokio::io::sink()).await?;
    let ports = (tcp.local_addr()?.port(), tcp.peer_addr().map_or(0, |peer| peer.port()));
    let unsent = tokio::task::spawn_blocking(move || is_unsent(ports)).await.map_err(|_| Failure::Ended)?;
    // Asked after the table: a reset that emptied the table before has left its error here.
    match tcp.take_error()? {
        Some(error) => Err(error.into()),
        None if unsent || length >= MOST_SAID => Err(Failure::Unread),
        None => Ok(()),
    }
}

/// Whether the kernel still has to bring something of ours to the other side although that has closed: then it closed
/// first, and will read no more. A connection whose end was acknowledged is in FIN_WAIT2 or TIME_WAIT, or gone.
fn is_unsent(ports: (u16, u16)) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        table.lines().filter_map(connection).any(|(found, state)| found == ports && UNSENT.contains(&state))
    })
}

/// FIN_WAIT1, CLOSE_WAIT, LAST_ACK, CLOSING, as `include/net/tcp_states.h` of Linux numbers them.
const UNSENT: [u8; 4] = [0x04, 0x08, 0x09, 0x0b];

/// The ports and the state in a line such as `0: 0100007F:1F90 0100007F:C350 06 …` (proc(5)).
fn connection(line: &str) -> Option<((u16, u16), u8)> {
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, peer, state) = (words.next()?, words.next()?, words.next()?);
    Some(((port(local)?, port(peer)?), u8::from_str_radix(state, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// It accepts, and closes before anything arrives: as a load balancer does whose receivers are all gone.
    #[tokio::test]
    async fn a_receiver_that_closes_first_has_read_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..20 {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            drop(listener.accept().await.unwrap());
            let sent = async {
                tcp.write_all(&[b'x'; 1000]).await?;
                tcp.shutdown().await?;
                confirm(tcp).await
            };
            assert!(sent.await.is_err());
        }
    }

    #[tokio::test]
    async fn a_receiver_that_closes_last_has_read_everything() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for length in [1, 1_000_000] {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            let (mut receiver, _) = listener.accept().await.unwrap();
            let read = tokio::spawn(async move {
                let mut all = Vec::new();
                receiver.read_to_end(&mut all).await.map(|_| all.len())
            });
            tcp.write_all(&vec![b'x'; length]).await.unwrap();
            tcp.shutdown().await.unwrap();
            confirm(tcp).await.unwrap();
            assert_eq!(read.await.unwrap().unwrap(), length);
        }
    }

    #[test]
    fn lines_of_the_table_are_read() {
        let line = "   1: 0100007F:8E0C 0100007F:1F90 06 00000000:00000000 03:00001771 00000000     0        0 0 3";
        assert_eq!(connection(line), Some(((0x8e0c, 0x1f90), 6)));
        assert_eq!(connection("  sl  local_address rem_address   st tx_queue"), None);
        assert_eq!(connection(""), None);
    }
}
