//! A wide result: ten thousand rows of ten columns, three of them masked by Sluice.
//!
//! The client here does nothing with a row but look for the next one, so that it is the route that is measured.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::machine::{cpu_time, settled_cpu_time};
use super::measure::Sample;
use super::stage::{DATABASE, Endpoint};

/// The masked columns are `email`, `ssn` and `card_number`; `city` is text that nothing marks, which Sluice searches.
pub(super) const TABLE: &str = "\
CREATE TABLE wide AS SELECT
    i::bigint AS id,
    (i * 7919 % 100000)::bigint AS customer_id,
    format('person%s@shop.example', i) AS email,
    format('123-%s-%s', lpad((i % 99 + 1)::text, 2, '0'), lpad((i % 9999 + 1)::text, 4, '0')) AS ssn,
    '4111111111111111'::text AS card_number,
    (ARRAY['Amsterdam', 'Berlin', 'Copenhagen', 'Dublin'])[i % 4 + 1] AS city,
    (ARRAY['new', 'paid', 'sent'])[i % 3 + 1] AS status,
    (i % 50000 / 100.0)::numeric(12, 2) AS total,
    (i % 7)::integer AS quantity,
    timestamptz '2026-01-01 00:00Z' + i * interval '1 minute' AS created_at
FROM generate_series(1, 10000) AS i";

/// What Sluice knows of it beyond the demo's rules for `email` and `ssn`.
pub(super) const CLASSIFICATION: &str = "
[[column]]
match = \"public.wide.card_number\"
classes = [\"card_number\"]

[[column]]
match = \"public.wide.status\"
public = true
";

/// Values of a result that are masked.
pub(super) const MASKED_VALUES: u64 = 3 * ROWS;

const ROWS: u64 = 10_000;

const STATEMENT: &str =
    "SELECT id, customer_id, email, ssn, card_number, city, status, total, quantity, created_at FROM wide";

/// What no client of Sluice may find in its answers.
const CANARIES: [&[u8]; 2] = [b"4111111111111111", b"@shop.example"];

/// No answer takes so long.
const LIMIT: Duration = Duration::from_secs(30);

/// Large enough that the client's own reads cost little.
const BUFFER: usize = 256 * 1024;

/// How values travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Format {
    /// As text, by the simple protocol.
    Text,
    /// As binary, by a prepared statement.
    Binary,
}

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::Binary];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// Reads the result for this long, on one connection.
pub(super) fn run(endpoint: &Endpoint, format: Format, length: Duration) -> Result<Sample> {
    let mut client = Client::connect(endpoint)?;
    let request = match format {
        Format::Text => message(b'Q', &[STATEMENT.as_bytes(), b"\0"])?,
        Format::Binary => {
            // Parse, then for each result: Bind (all columns binary), Execute, Sync.
            let parse = message(b'P', &[b"wide\0", STATEMENT.as_bytes(), b"\0\0\0"])?;
            client.ask(&[parse, message(b'S', &[])?].concat())?;
            let bind = message(b'B', &[b"\0wide\0", &[0, 0, 0, 0, 0, 1, 0, 1]])?;
            [bind, message(b'E', &[b"\0\0\0\0\0"])?, message(b'S', &[])?].concat()
        }
    };
    // Once to warm up, and to look at.
    client.ask(&request)?;
    ensure!(client.rows == ROWS, "there were {} rows", client.rows);
    let seen = CANARIES.iter().any(|canary| memchr::memmem::find(&client.answer, canary).is_some());
    ensure!(seen != endpoint.masks, "what should be masked is not, or is on every route");
    let earlier = endpoint.proxy.map(cpu_time).transpose()?;
    let (begin, mut reads) = (Instant::now(), 0_u32);
    while begin.elapsed() < length {
        client.ask(&request)?;
        reads += 1;
    }
    let each = begin.elapsed().as_secs_f64() / f64::from(reads);
    drop(client);
    let cpu = endpoint.proxy.map(settled_cpu_time).transpose()?.unwrap_or_default() - earlier.unwrap_or_default();
    let cpu = cpu.as_secs_f64() * 1e6;
    Ok(Sample { requests: u64::from(reads), logins: 0, rate: 1.0 / each, latency: each * 1e6, cpu })
}

/// A client of the PostgreSQL protocol that knows just enough for this.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// The last answer, whole.
    answer: Vec<u8>,
    /// How many rows it had.
    rows: u64,
}

impl Client {
    fn connect(endpoint: &Endpoint) -> Result<Self> {
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
        let mut client = Self { stream, answer: Vec::new(), rows: 0 };
        let parameters = ["user", &endpoint.user, "database", DATABASE, "application_name", "wide", ""].join("\0");
        // Version 3.0; the start-up message has no type byte.
        let startup = message(b' ', &[&[0, 3, 0, 0], parameters.as_bytes(), b"\0"])?;
        client.stream.write_all(startup.get(1..).unwrap_or_default())?;
        // AuthenticationCleartextPassword: all three ask for it, inside TLS.
        let mut answer = [0; 9];
        client.stream.read_exact(&mut answer)?;
        ensure!(answer == *b"R\0\0\0\x08\0\0\0\x03", "the server asks for no password in clear: {answer:?}");
        client.ask(&message(b'p', &[endpoint.password.as_bytes(), b"\0"])?)?;
        Ok(client)
    }

    /// Sends a request and reads its answer up to ReadyForQuery.
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.answer.clear();
        self.rows = 0;
        let (mut at, mut filled) = (0, 0);
        loop {
            while let Some((tag, end)) = frame(self.answer.get(at..filled).unwrap_or_default()) {
                match tag {
                    b'D' => self.rows += 1,
                    b'E' => bail!("{}", String::from_utf8_lossy(self.answer.get(at + 5..at + end).unwrap_or_default())),
                    b'Z' => return Ok(()),
                    _ => {}
                }
                at += end;
            }
            if self.answer.len() < filled + BUFFER {
                self.answer.resize(filled + 2 * BUFFER, 0);
            }
            let length = self.stream.read(self.answer.get_mut(filled..).unwrap_or_default())?;
            ensure!(length > 0, "the connection was closed");
            filled += length;
        }
    }
}

/// The type of the message that begins here, and its whole length, if all of it is here.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let (tag, rest) = bytes.split_first()?;
    let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
    (rest.len() >= length).then_some((*tag, length + 1))
}

fn message(tag: u8, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let body = parts.concat();
    let length = u32::try_from(body.len() + 4).context("a message is too long")?;
    Ok([&[tag], &length.to_be_bytes()[..], &body].concat())
}
