//! What one caller can make a great deal of: log lines, sessions, tape (RX-11, RX-14, RX-18).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::demo::site::{ORDER_SERVICE, Tuning};
use testkit::scripted::{Peer, startup};

use crate::support::raw::{Raw, V3_0, last_error};
use crate::support::{assert_refused, rows, site};

/// The budget of one place in the code, and its span (`cli/log.rs`).
const LINES: usize = 50;
const SPAN: Duration = Duration::from_secs(10);

/// The numbers of lines that were left out, of those that say `like`.
fn left_out(log: &str, like: &str) -> Result<usize> {
    let lines = log.lines().filter(|line| line.contains("lines were left out") && line.contains(like));
    let count = |line: &str| {
        let (_, rest) = line.split_once("lines=").context("no number")?;
        Ok(rest.split(' ').next().unwrap_or_default().parse::<usize>()?)
    };
    lines.map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_14_a_flood_of_refusals_writes_few_lines_and_says_how_many_it_left_out() -> Result<()> {
    const FLOOD: usize = 2000;
    let mut site = site("log", Tuning::default())?;
    let token = site.token(&ORDER_SERVICE)?;
    let begun = Instant::now();
    let address = site.process()?.address("postgres")?;
    // Each says what it wants without TLS, is told so, and has a line in the log with a reason of its own.
    for _ in 0..FLOOD {
        let mut peer = Peer::connect(address).await?;
        peer.send(&startup(V3_0, &[("user", "anybody"), ("database", "nowhere")])).await?;
        assert_eq!(last_error(&peer.read_to_close().await?).as_deref(), Some("28000"));
    }
    let mut refused = FLOOD;
    // Tokens that are none, and what is refused in a session.
    for _ in 0..20 {
        assert!(Raw::login(&site, "hunter2").await.is_err());
        refused += 1;
    }
    let mut client = Raw::login(&site, &token).await?;
    for _ in 0..500 {
        assert_eq!(client.simple("DROP TABLE orders").await?.errors(), ["42501"]);
    }
    // Who comes meanwhile is served, and the record is whole.
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    assert_refused(&site, &token, "DROP TABLE orders", "42501");
    drop(client);
    site.stop()?;
    let spans = usize::try_from(begun.elapsed().as_secs() / SPAN.as_secs())? + 2;
    let log = site.log();
    let written = log.lines().filter(|line| line.contains("connection refused") && !line.contains("left out")).count();
    assert!(written <= LINES * spans, "{written} lines in {spans} spans");
    assert_eq!(written + left_out(&log, "connection refused")?, refused, "none is uncounted");
    assert!(log.lines().count() < 4 * LINES * spans, "{} lines in all", log.lines().count());
    assert!(log.contains("stopped"), "what is said elsewhere is not drowned");
    Ok(())
}
