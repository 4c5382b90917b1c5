//! A wide result: ten thousand rows of ten columns, three of them masked by Sluice.
//!
//! The client does nothing with a row but look for the next one, so that it is the route that is measured.

pub(super) mod client;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use self::client::{Client, Keep, message, query};
use super::machine::{cpu_time, settled_cpu_time};
use super::measure::{Sample, float, median};
use super::route::Endpoint;

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

/// Reads the result for this long, on each of so many connections.
pub(super) fn run(endpoint: &Endpoint, format: Format, clients: u32, length: Duration) -> Result<Sample> {
    let ready = (0..clients).map(|_| Reader::ready(endpoint, format));
    let mut readers = ready.collect::<Result<Vec<_>>>()?;
    let earlier = endpoint.proxy.map(cpu_time).transpose()?;
    let begin = Instant::now();
    let each = thread::scope(|scope| {
        let begun: Vec<_> =
            readers.iter_mut().map(|reader| scope.spawn(move || reader.read_until(begin + length))).collect();
        let ended = begun.into_iter().map(|reader| reader.join().map_err(|_| anyhow!("a reader panicked"))?);
        Ok::<_, anyhow::Error>(ended.collect::<Result<Vec<_>>>()?.concat())
    })?;
    let elapsed = begin.elapsed().as_secs_f64();
    drop(readers);
    let cpu = endpoint.proxy.map(settled_cpu_time).transpose()?.unwrap_or_default() - earlier.unwrap_or_default();
    let requests = u64::try_from(each.len())?;
    let latency = median(each.iter().map(|time| time.as_secs_f64() * 1e6).collect());
    Ok(Sample { requests, logins: 0, rate: float(requests) / elapsed, latency, cpu: cpu.as_secs_f64() * 1e6 })
}

/// A connection, and what is asked on it.
struct Reader {
    client: Client,
    request: Vec<u8>,
}

impl Reader {
    /// Has read the result once, to warm up and to look at.
    fn ready(endpoint: &Endpoint, format: Format) -> Result<Self> {
        let mut client = Client::connect(endpoint)?;
        let request = match format {
            Format::Text => query(STATEMENT)?,
            Format::Binary => {
                // Parse, then for each result: Bind (all columns binary), Execute, Sync.
                let parse = message(b'P', &[b"wide\0", STATEMENT.as_bytes(), b"\0\0\0"])?;
                client.ask(&[parse, message(b'S', &[])?].concat(), Keep::All)?;
                let bind = message(b'B', &[b"\0wide\0", &[0, 0, 0, 0, 0, 1, 0, 1]])?;
                [bind, message(b'E', &[b"\0\0\0\0\0"])?, message(b'S', &[])?].concat()
            }
        };
        let answer = client.ask(&request, Keep::All)?;
        ensure!(answer.rows == ROWS, "there were {} rows", answer.rows);
        let seen = CANARIES.iter().any(|canary| memchr::memmem::find(client.kept(), canary).is_some());
        ensure!(seen != endpoint.masks, "what should be masked is not, or is on every route");
        Ok(Self { client, request })
    }

    /// How long each read took.
    fn read_until(&mut self, end: Instant) -> Result<Vec<Duration>> {
        let mut each = Vec::new();
        loop {
            let begin = Instant::now();
            if begin >= end {
                return Ok(each);
            }
            self.client.ask(&self.request, Keep::Nothing)?;
            each.push(begin.elapsed());
        }
    }
}
