//! A client that says what it is told, byte for byte, inside TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::ground::Ground;
use crate::support::tls;

/// What is spoken on.
trait Talk: Read + Write + Send {}

impl<T: Read + Write + Send> Talk for T {}

/// A connection.
pub(crate) struct Wire(Box<dyn Talk>);

/// What came back: the status, and all of it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Wire {
    /// Connects as a client of HTTP/1.1.
    pub(crate) fn connect(ground: &Ground) -> Result<Self> {
        Self::connect_by(ground, "localhost", &[b"http/1.1"])
    }

    /// Connects for this name, and offers these protocols.
    pub(crate) fn connect_by(ground: &Ground, name: &str, protocols: &[&[u8]]) -> Result<Self> {
        let mut config = ClientConfig::clone(&*tls::trusting(&ground.site.ca())?);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
        let stream = TcpStream::connect(ground.site.process()?.address("http")?)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(Box::new(StreamOwned::new(connection, stream))))
    }

    /// Speaks TLS to whoever is behind what was said so far, as a client of HTTP/1.1 that trusts what is in this file.
    pub(crate) fn encrypted(self, ca: &Path, name: &str) -> Result<Self> {
        let mut config = ClientConfig::clone(&*tls::trusting(ca)?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
        Ok(Self(Box::new(StreamOwned::new(connection, self.0))))
    }

    /// Reads exactly so many bytes.
    pub(crate) fn hear_exactly(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut heard = vec![0; bytes];
        self.0.read_exact(&mut heard)?;
        Ok(heard)
    }

    /// Says something.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes)?;
        Ok(self.0.flush()?)
    }

    /// Reads what there is, until these bytes were read or the other end closes.
    pub(crate) fn hear_until(&mut self, end: &str) -> Result<String> {
        self.hear(|heard| heard.contains(end))
    }

    /// Reads one answer to its end, so that nothing of it is taken for the next one's.
    pub(crate) fn hear_answer(&mut self) -> Result<String> {
        self.hear(|heard| {
            let Some((head, body)) = heard.split_once("\r\n\r\n") else { return false };
            let head = head.to_ascii_lowercase();
            match head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()) {
                Some(length) => body.len() >= length,
                None => body.ends_with("0\r\n\r\n"),
            }
        })
    }

    fn hear(&mut self, is_all: impl Fn(&str) -> bool) -> Result<String> {
        let mut heard = Vec::new();
        let mut piece = [0; 4096];
        while !is_all(&String::from_utf8_lossy(&heard)) {
            match self.0.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => heard.extend_from_slice(&piece[..read]),
                // A peer that closes without a goodbye.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(String::from_utf8_lossy(&heard).into_owned())
    }

    /// Reads all up to the end of the connection, whatever it is.
    pub(crate) fn hear_bytes(&mut self) -> Result<Vec<u8>> {
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return Ok(heard),
                Ok(read) => heard.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(heard),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(heard),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says something, and hears all up to the end of the connection.
    pub(crate) fn exchange(mut self, bytes: &[u8]) -> Result<Said> {
        self.say(bytes)?;
        let text = self.hear_until("\u{0}never\u{0}")?;
        let status =
            text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
        Ok(Said { status: status.unwrap_or(0), text })
    }
}
