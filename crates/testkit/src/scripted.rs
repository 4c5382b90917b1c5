//! Peers that do exactly what a test says: hostile servers, hostile clients.
//!
//! Every read and write has a deadline, so that a test ends with a message rather than by hanging. The messages here
//! are built by hand, independently of the crate that parses them in the product.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long a peer waits for each step.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The largest message that a peer reads: well over what any test sends.
const LARGEST: usize = 64 * 1024 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One end of a connection.
pub struct Peer {
    stream: Box<dyn Stream>,
}

/// A typed PostgreSQL message as it is on the wire: the type byte, and what follows the length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The type byte.
    pub tag: u8,
    /// The body, without the length.
    pub body: Vec<u8>,
}

impl Peer {
    /// Connects as a client.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = in_time("a connection", TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Box::new(stream) })
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        in_time("the peer to read", async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Sends these bytes one by one, each in a write of its own.
    pub async fn send_slowly(&mut self, bytes: &[u8], pause: Duration) -> Result<()> {
        for byte in bytes {
            self.send(&[*byte]).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Reads exactly this many bytes.
    pub async fn read(&mut self, length: usize) -> Result<Vec<u8>> {
        ensure!(length <= LARGEST, "{length} bytes are more than a test sends");
        let mut bytes = vec![0; length];
        in_time("bytes", self.stream.read_exact(&mut bytes)).await?;
        Ok(bytes)
    }

    /// Reads a message that has a type byte.
    pub async fn read_message(&mut self) -> Result<Message> {
        let tag = *self.read(1).await?.first().context("no type byte")?;
        Ok(Message { tag, body: self.read_body().await? })
    }

    /// [`Self::read_message`], where the other end may think for longer than a step takes.
    pub async fn read_message_within(&mut self, time: Duration) -> Result<Message> {
        let mut tag = [0];
        match tokio::time::timeout(time, self.stream.read_exact(&mut tag)).await {
            Ok(read) => read.context("while waiting for a message")?,
            Err(_) => bail!("waited {time:?} in vain for a message"),
        };
        Ok(Message { tag: tag.first().copied().unwrap_or_default(), body: self.read_body().await? })
    }

    /// Reads messages up to and with the first one of type `tag`.
    pub async fn read_until(&mut self, tag: u8) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.read_message().await.with_context(|| format!("after {messages:?}"))?;
            let last = message.tag == tag;
            messages.push(message);
            if last {
                return Ok(messages);
            }
        }
    }

    /// Reads a message without a type byte, as a client's first one: what follows the length.
    pub async fn read_startup(&mut self) -> Result<Vec<u8>> {
        self.read_body().await
    }

    /// Reads until the other end closes (a reset counts too), and returns what came before.
    pub async fn read_to_close(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(LIMIT, (&mut self.stream).take(u64::MAX).read_to_end(&mut bytes)).await;
        match read {
            Ok(_) => Ok(bytes),
            Err(_) => bail!("the connection was still open after {LIMIT:?}, having sent {} bytes", bytes.len()),
        }
    }

    /// Whether nothing arrives and nothing closes for this long.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        let mut byte = [0];
        tokio::time::timeout(time, self.stream.read(&mut byte)).await.is_err()
    }

    /// Goes on inside TLS, as the client.
    pub async fn into_tls_client(self, config: Arc<ClientConfig>, name: &str) -> Result<Self> {
        let name = ServerName::try_from(name.to_owned())?;
        let stream = in_time("TLS", TlsConnector::from(config).connect(name, self.stream)).await?;
        Ok(Self { stream: Box::new(stream) })
    }

    /// Goes on inside TLS, as the server.
    pub async fn into_tls_server(self, config: Arc<ServerConfig>) -> Result<Self> {
        let stream = in_time("TLS", TlsAcceptor::from(config).accept(self.stream)).await?;
        Ok(Self { stream: Box::new(stream) })
    }

    /// Its two directions, for a test that reads while it sends. What is done with them has no deadline.
    pub fn into_halves(self) -> (impl AsyncRead + Send + Unpin, impl AsyncWrite + Send + Unpin) {
        tokio::io::split(self.stream)
    }

    async fn read_body(&mut self) -> Result<Vec<u8>> {
        let length = self.read(4).await?;
        let length = u32::from_be_bytes(length.as_slice().try_into()?);
        let length = usize::try_from(length)?.checked_sub(4).context("a length under four")?;
        self.read(length).await
    }
}

async fn in_time<T>(what: &str, step: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    match tokio::time::timeout(LIMIT, step).await {
        Ok(done) => done.with_context(|| format!("while waiting for {what}")),
        Err(_) => bail!("waited {LIMIT:?} in vain for {what}"),
    }
}

/// A server that runs a script for each connection. It ends, with its connections, when it is dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    /// Listens on a free port of 127.0.0.1. `script` gets each connection and its number, counted from 0; when it
    /// returns, the connection is closed. A script's error is printed: the test sees what the other end makes of it.
    pub async fn start<Script, Run>(script: Script) -> Result<Self>
    where
        Script: Fn(Peer, usize) -> Run + Send + 'static,
        Run: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // Aborts the connections' tasks with this one.
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let run = script(Peer { stream: Box::new(stream) }, number);
                connections.spawn(async move { report(number, run.await) });
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

#[expect(clippy::print_stderr, reason = "shown with the output of a failed test")]
fn report(number: usize, result: Result<()>) {
    if let Err(error) = result {
        eprintln!("the scripted server's connection {number}: {error:#}");
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message with a type byte and a right length.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], length_of(body).as_slice(), body].concat()
}

/// A client's first message: a protocol version, as 196608 for 3.0, and parameters.
pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(text(name));
        body.extend(text(value));
    }
    body.push(0);
    [length_of(&body).as_slice(), &body].concat()
}

/// An SSLRequest.
pub fn ssl_request() -> Vec<u8> {
    [length_of(&[0; 4]).as_slice(), &80_877_103_u32.to_be_bytes()].concat()
}

/// A client's Query.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &text(sql))
}

/// A client's password (PasswordMessage).
pub fn password(password: &str) -> Vec<u8> {
    message(b'p', &text(password))
}

/// A server's AuthenticationOk.
pub fn authentication_ok() -> Vec<u8> {
    message(b'R', &0_u32.to_be_bytes())
}

/// A server's ParameterStatus.
pub fn parameter_status(name: &str, value: &str) -> Vec<u8> {
    message(b'S', &[text(name), text(value)].concat())
}

/// A server's ReadyForQuery: status `I`, `T` or `E`.
pub fn ready_for_query(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

/// A server's CommandComplete.
pub fn command_complete(tag: &str) -> Vec<u8> {
    message(b'C', &text(tag))
}

/// A server's RowDescription of text columns without a table.
pub fn row_description(names: &[&str]) -> Vec<u8> {
    let mut body = count(names.len()).to_vec();
    for name in names {
        body.extend(text(name));
        // Table OID, attribute number, type OID (25, text), type length, modifier, format.
        body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    message(b'T', &body)
}

/// A server's DataRow; `None` is NULL.
pub fn data_row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = count(values.len()).to_vec();
    for value in values {
        match value {
            Some(value) => {
                body.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
                body.extend_from_slice(value);
            }
            None => body.extend(u32::MAX.to_be_bytes()),
        }
    }
    message(b'D', &body)
}

/// A server's ErrorResponse.
pub fn error_response(severity: &str, sqlstate: &str, text_of_error: &str) -> Vec<u8> {
    let fields = [(b'S', severity), (b'V', severity), (b'C', sqlstate), (b'M', text_of_error)];
    let mut body: Vec<u8> = fields.iter().flat_map(|(kind, value)| [vec![*kind], text(value)].concat()).collect();
    body.push(0);
    message(b'E', &body)
}

/// A zero-terminated string.
pub fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn length_of(body: &[u8]) -> [u8; 4] {
    // The length counts itself. A test's message never reaches the limit.
    u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes()
}

fn count(items: usize) -> [u8; 2] {
    u16::try_from(items).unwrap_or(u16::MAX).to_be_bytes()
}
