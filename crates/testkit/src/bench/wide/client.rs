//! A client of the PostgreSQL protocol that knows just enough to read large answers, fast.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::bench::route::Endpoint;
use crate::bench::stage::DATABASE;

/// No answer is silent for so long.
const LIMIT: Duration = Duration::from_secs(30);

/// Large enough that the client's own reads cost little.
const BUFFER: usize = 256 * 1024;

/// What of an answer is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::bench) enum Keep {
    /// All of it, to be looked at.
    All,
    /// Nothing.
    Nothing,
}

/// What an answer had.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::bench) struct Answer {
    /// DataRow and CopyData messages.
    pub(in crate::bench) rows: u64,
    /// Bytes of all messages.
    pub(in crate::bench) bytes: u64,
}

/// A connection, inside TLS.
pub(in crate::bench) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    /// How much of the buffer was read into.
    filled: usize,
}

impl Client {
    pub(in crate::bench) fn connect(endpoint: &Endpoint) -> Result<Self> {
        Self::connect_to(endpoint, DATABASE)
    }

    pub(in crate::bench) fn connect_to(endpoint: &Endpoint, database: &str) -> Result<Self> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, endpoint.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        // SSLRequest: a length of 8 and the code 80877103.
        socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
        let mut answer = [0];
        socket.read_exact(&mut answer)?;
        ensure!(answer == *b"S", "the server does not offer TLS");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&fs::read(&endpoint.ca)?)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, socket);
        let mut client = Self { stream, buffer: Vec::new(), filled: 0 };
        let parameters = ["user", &endpoint.user, "database", database, "application_name", "wide", ""].join("\0");
        // Version 3.0; the start-up message has no type byte.
        let startup = message(b' ', &[&[0, 3, 0, 0], parameters.as_bytes(), b"\0"])?;
        client.stream.write_all(startup.get(1..).unwrap_or_default())?;
        // AuthenticationCleartextPassword: the routes that this is for ask for it, inside TLS.
        let mut answer = [0; 9];
        client.stream.read_exact(&mut answer)?;
        ensure!(answer == *b"R\0\0\0\x08\0\0\0\x03", "the server asks for no password in clear: {answer:?}");
        client.ask(&message(b'p', &[endpoint.password.as_bytes(), b"\0"])?, Keep::Nothing)?;
        Ok(client)
    }

    /// Sends a request and reads its answer up to ReadyForQuery.
    pub(in crate::bench) fn ask(&mut self, request: &[u8], keep: Keep) -> Result<Answer> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.filled = 0;
        let (mut answer, mut at) = (Answer::default(), 0);
        loop {
            while let Some((tag, length)) = frame(self.buffer.get(at..self.filled).unwrap_or_default()) {
                answer.bytes += u64::try_from(length)?;
                match tag {
                    b'D' | b'd' => answer.rows += 1,
                    b'E' => bail!("{}", String::from_utf8_lossy(self.buffer.get(at..at + length).unwrap_or_default())),
                    b'Z' => return Ok(answer),
                    _ => {}
                }
                at += length;
            }
            if keep == Keep::Nothing {
                self.buffer.copy_within(at..self.filled, 0);
                self.filled -= at;
                at = 0;
            }
            if self.buffer.len() < self.filled + BUFFER {
                self.buffer.resize(self.filled + 2 * BUFFER, 0);
            }
            let length = self.stream.read(self.buffer.get_mut(self.filled..).unwrap_or_default())?;
            ensure!(length > 0, "the connection was closed");
            self.filled += length;
        }
    }

    /// The last answer, if it was kept.
    pub(in crate::bench) fn kept(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

/// The type of the message that begins here, and its whole length, if all of it is here.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let (tag, rest) = bytes.split_first()?;
    let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
    (rest.len() >= length).then_some((*tag, length + 1))
}

/// A message of the protocol.
pub(in crate::bench) fn message(tag: u8, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let body = parts.concat();
    let length = u32::try_from(body.len() + 4).context("a message is too long")?;
    Ok([&[tag], &length.to_be_bytes()[..], &body].concat())
}

/// A statement, by the simple protocol.
pub(in crate::bench) fn query(statement: &str) -> Result<Vec<u8>> {
    message(b'Q', &[statement.as_bytes(), b"\0"])
}
