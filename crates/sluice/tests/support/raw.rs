//! A client that sends what it is told, byte for byte, and shows every message that comes back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;
use testkit::demo::site::Site;
use testkit::scripted::{Message, Peer, message, password, query, ssl_request, startup, text};

use super::tls;

/// Protocol 3.0.
pub const V3_0: u32 = 196_608;
/// Protocol 3.2, whose cancel keys are longer.
pub const V3_2: u32 = 196_610;

/// A session, logged in.
pub struct Raw {
    /// The connection.
    pub peer: Peer,
    /// What came between AuthenticationOk and ReadyForQuery.
    pub greeting: Vec<Message>,
}

/// What came back, up to ReadyForQuery.
#[derive(Debug)]
pub struct Answer(pub Vec<Message>);

/// Connects and goes on inside TLS.
pub async fn encrypted(site: &Site) -> Result<Peer> {
    encrypted_by(site, tls::trusting(&site.ca())?).await
}

/// Likewise, with what this configuration shows.
pub async fn encrypted_by(site: &Site, config: Arc<ClientConfig>) -> Result<Peer> {
    let mut peer = Peer::connect(site.process()?.address("postgres")?).await?;
    peer.send(&ssl_request()).await?;
    ensure!(peer.read(1).await? == b"S", "Sluice offers no TLS");
    peer.into_tls_client(config, "localhost").await
}

/// Connects, and sends a StartupMessage with these parameters besides user and database.
pub async fn started(site: &Site, version: u32, parameters: &[(&str, &str)]) -> Result<Peer> {
    let mut peer = encrypted(site).await?;
    let common = [("user", "anybody"), ("database", site.database())];
    peer.send(&startup(version, &[&common, parameters].concat())).await?;
    Ok(peer)
}

impl Raw {
    /// Logs in.
    pub async fn login(site: &Site, token: &str) -> Result<Self> {
        Self::login_with(site, token, V3_0, &[]).await
    }

    /// Logs in with another version, or more parameters.
    pub async fn login_with(site: &Site, token: &str, version: u32, parameters: &[(&str, &str)]) -> Result<Self> {
        let mut peer = started(site, version, parameters).await?;
        let asked = peer.read_until(b'R').await?;
        ensure!(asked.last().is_some_and(|last| last.body == 3_u32.to_be_bytes()), "no password was asked for");
        peer.send(&password(token)).await?;
        let first = peer.read_message().await?;
        if first.tag == b'E' {
            bail!("the login was refused: {:?}", fields(&first));
        }
        let greeting = peer.read_until(b'Z').await?;
        Ok(Self { peer, greeting })
    }

    /// Our cancel key: what stands for the process id, and the secret.
    pub fn cancel_key(&self) -> Result<Vec<u8>> {
        let key = self.greeting.iter().find(|message| message.tag == b'K').context("no BackendKeyData")?;
        Ok(key.body.clone())
    }

    /// Sends these messages.
    pub async fn send(&mut self, messages: &[Vec<u8>]) -> Result<()> {
        self.peer.send(&messages.concat()).await
    }

    /// Sends these messages, and reads to ReadyForQuery.
    pub async fn exchange(&mut self, messages: &[Vec<u8>]) -> Result<Answer> {
        self.send(messages).await?;
        self.answer().await
    }

    /// Runs a Query message.
    pub async fn simple(&mut self, sql: &str) -> Result<Answer> {
        self.exchange(&[query(sql)]).await
    }

    /// Runs a Query message over which Sluice may think for so long.
    pub async fn simple_within(&mut self, sql: &str, time: Duration) -> Result<Answer> {
        self.send(&[query(sql)]).await?;
        let mut messages = vec![self.peer.read_message_within(time).await?];
        if messages.iter().all(|message| message.tag != b'Z') {
            messages.extend(self.peer.read_until(b'Z').await?);
        }
        Ok(Answer(messages))
    }

    /// Reads to ReadyForQuery.
    pub async fn answer(&mut self) -> Result<Answer> {
        Ok(Answer(self.peer.read_until(b'Z').await?))
    }

    /// Reads until the connection closes, and returns the last error before it.
    pub async fn end(&mut self) -> Result<Option<String>> {
        let bytes = self.peer.read_to_close().await?;
        Ok(last_error(&bytes))
    }
}

/// The SQLSTATE of the last ErrorResponse in a run of messages.
pub fn last_error(mut bytes: &[u8]) -> Option<String> {
    let mut found = None;
    while let [tag, a, b, c, d, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?.checked_sub(4)?;
        let (body, after) = rest.split_at_checked(length)?;
        if *tag == b'E' {
            found = field(&Message { tag: *tag, body: body.to_vec() }, b'C');
        }
        bytes = after;
    }
    found
}

impl Answer {
    /// The rows, as text.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        self.0.iter().filter(|message| message.tag == b'D').map(|message| columns(&message.body)).collect()
    }

    /// The first value of each row; NULL is `NULL`.
    pub fn column(&self) -> Vec<String> {
        let first = |row: Vec<Option<String>>| row.into_iter().next().flatten().unwrap_or_else(|| "NULL".into());
        self.rows().into_iter().map(first).collect()
    }

    /// The SQLSTATEs of the errors.
    pub fn errors(&self) -> Vec<String> {
        self.0.iter().filter(|message| message.tag == b'E').filter_map(|message| field(message, b'C')).collect()
    }

    /// The command tags.
    pub fn tags(&self) -> Vec<String> {
        let tag =
            |message: &Message| String::from_utf8_lossy(message.body.split_last().map_or(&[], |(_, tag)| tag)).into();
        self.0.iter().filter(|message| message.tag == b'C').map(tag).collect()
    }

    /// The transaction status: `I`, `T` or `E`.
    pub fn status(&self) -> Option<char> {
        self.0.last()?.body.first().map(|byte| char::from(*byte))
    }

    /// The types of all messages, in order.
    pub fn shape(&self) -> String {
        self.0.iter().map(|message| char::from(message.tag)).collect()
    }

    /// Every byte of it.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|message| message.body.clone()).collect()
    }
}

/// One field of an ErrorResponse or NoticeResponse.
pub fn field(message: &Message, kind: u8) -> Option<String> {
    fields(message).into_iter().find(|(found, _)| *found == char::from(kind)).map(|(_, value)| value)
}

/// All of them.
pub fn fields(message: &Message) -> Vec<(char, String)> {
    let parts = message.body.split(|byte| *byte == 0).filter_map(|part| part.split_first());
    parts.map(|(kind, value)| (char::from(*kind), String::from_utf8_lossy(value).into_owned())).collect()
}

fn columns(body: &[u8]) -> Vec<Option<String>> {
    let (mut columns, mut rest) = (Vec::new(), body.get(2..).unwrap_or_default());
    while let [a, b, c, d, after @ ..] = rest {
        let length = i32::from_be_bytes([*a, *b, *c, *d]);
        let Ok(length) = usize::try_from(length) else {
            columns.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        columns.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    columns
}

/// Parse: a name, a text, and no parameter types.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[text(name), text(sql), vec![0, 0]].concat())
}

/// Bind: a portal, a statement, parameters as text, and results all in one format (0 text, 1 binary).
pub fn bind(portal: &str, statement: &str, parameters: &[&str], format: u8) -> Vec<u8> {
    let count = u16::try_from(parameters.len()).unwrap_or(0).to_be_bytes();
    let value = |value: &&str| {
        [u32::try_from(value.len()).unwrap_or(0).to_be_bytes().to_vec(), value.as_bytes().to_vec()].concat()
    };
    let values: Vec<u8> = parameters.iter().flat_map(value).collect();
    let parts = [text(portal), text(statement), vec![0, 0], count.to_vec(), values, vec![0, 1, 0, format]];
    message(b'B', &parts.concat())
}

/// Describe of a statement (`S`) or portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], text(name)].concat())
}

/// Execute of a portal, with at most so many rows (0: all).
pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[text(portal), rows.to_be_bytes().to_vec()].concat())
}

/// Close of a statement (`S`) or portal (`P`).
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], text(name)].concat())
}

/// Sync.
pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}
