//! Statements that cost the reader more than the writer (RX-06): every kind of depth and of length, at the largest that
//! can be configured. Time and memory are those of the process, from /proc.

use anyhow::{Context, Result};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};

use super::resources::memory;
use crate::support::raw::{Raw, parse, sync};
use crate::support::{rows, site};

/// The largest statement that can be configured (docs/configuration.md).
const LARGEST: &str = "[limits]\nmax_statement = \"16MiB\"\n";

/// What one bomb may cost: a debug build on a busy machine is many times slower than what ships.
const CPU_SECONDS: u64 = 40;
const MEMORY: u64 = 1536 * 1024 * 1024;

/// Processor time of a process in clock ticks of a hundredth of a second: user and system.
fn ticks(site: &Site) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", site.process()?.pid()))?;
    let (_, after) = stat.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

fn nested(opening: &str, core: &str, closing: &str, depth: usize) -> String {
    format!("SELECT {}{core}{}", opening.repeat(depth), closing.repeat(depth))
}

/// Every bomb, by what it is.
fn bombs() -> Vec<(&'static str, String)> {
    let deep = 100_000;
    vec![
        ("parentheses", nested("(", "1", ")", deep)),
        ("NOT", nested("NOT ", "true", "", deep)),
        ("minus", nested("- ", "1", "", deep)),
        ("AND", format!("SELECT true{}", " AND true".repeat(deep))),
        ("concatenation", format!("SELECT ''{}", " || ''".repeat(deep))),
        ("casts", format!("SELECT 1{}", "::int".repeat(deep))),
        ("fields", format!("SELECT a{}", ".b".repeat(deep))),
        ("subscripts", format!("SELECT a{}", "[1]".repeat(deep))),
        ("arrays", nested("ARRAY[", "1", "]", deep)),
        ("rows", nested("ROW(", "1", ")", deep)),
        ("CASE", nested("CASE WHEN true THEN ", "1", " END", deep)),
        ("functions", nested("abs(", "1", ")", deep)),
        ("subqueries", nested("(SELECT ", "1", ")", deep)),
        ("derived tables", format!("SELECT 1 FROM {}orders{}", "(SELECT 1 FROM ".repeat(20_000), ") s".repeat(20_000))),
        ("CTEs", format!("{}SELECT 1{}", "WITH a AS (".repeat(20_000), ") SELECT 1".repeat(20_000))),
        ("unions", format!("SELECT 1{}", " UNION SELECT 1".repeat(50_000))),
        ("joins", format!("SELECT 1 FROM orders{}", " CROSS JOIN orders".repeat(50_000))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_06_every_kind_of_bomb_costs_bounded_time_and_memory() -> Result<()> {
    let site = site("bombs", Tuning { sluice_toml: LARGEST.into(), ..Tuning::default() })?;
    let token = site.token(&ORDER_SERVICE)?;
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    let pid = site.process()?.pid();
    let resting = memory(&site)?;
    for (what, sql) in bombs() {
        let before = ticks(&site)?;
        let mut client = Raw::login(&site, &token).await?;
        // Prepared, not run: what the target makes of it is the target's own.
        client.send(&[parse("", &sql), sync()]).await?;
        let seen = client.peer.read_message_within(std::time::Duration::from_secs(120)).await;
        let first = seen.with_context(|| format!("after {what}"))?;
        // An error that says why, or an answer: never silence.
        assert!(matches!(first.tag, b'E' | b'1'), "{what}: {}", char::from(first.tag));
        if first.tag == b'E' {
            let state = crate::support::raw::field(&first, b'C').unwrap_or_default();
            let known =
                ["42501", "54000", "54001", "42601", "54023", "53400", "42703", "42P01", "42846", "42804", "42712"];
            assert!(known.contains(&state.as_str()), "{what}: {:?}", crate::support::raw::fields(&first));
        }
        let spent = (ticks(&site)? - before) / 100;
        assert!(spent < CPU_SECONDS, "{what} cost {spent} s of processor time");
        let peak = memory(&site)?.saturating_sub(resting);
        assert!(peak < MEMORY, "{what} left {peak} bytes");
        assert_eq!(site.process()?.pid(), pid, "{what} ended Sluice");
    }
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_06_what_is_over_the_limit_is_54000_before_it_is_read() -> Result<()> {
    let site = crate::support::shared()?;
    let token = site.token(&ORDER_SERVICE)?;
    let before = memory(site)?;
    for tag in [b'Q', b'P'] {
        // 64 MiB of comment are announced; the default is a mebibyte.
        let mut client = Raw::login(site, &token).await?;
        client.peer.send(&[&[tag][..], &(64 * 1024 * 1024_u32 + 20).to_be_bytes(), b"SELECT 1 /*"].concat()).await?;
        assert_eq!(client.end().await?.as_deref(), Some("54000"));
    }
    let grown = memory(site)?.saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_08_portals_that_never_run_are_not_kept() -> Result<()> {
    use crate::support::raw::bind;
    let site = site("portals", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    client.simple("BEGIN").await?;
    client.exchange(&[parse("s", "SELECT number FROM cards WHERE id = $1"), sync()]).await?;
    let binds: Vec<Vec<u8>> = (0..500).map(|_| bind("", "s", &["1"], 0)).chain([sync()]).collect();
    let more = |bytes: u64, least: u64| bytes.saturating_sub(least);
    for _ in 0..4 {
        client.exchange(&binds).await?;
    }
    let before = memory(&site)?;
    for round in 0..40 {
        let answer = client.exchange(&binds).await?;
        assert!(answer.errors().is_empty(), "{answer:?}");
        if round % 4 == 0 {
            client.simple("SELECT 1").await?;
        }
    }
    let grown = more(memory(&site)?, before);
    assert!(grown < 12 * 1024 * 1024, "20,000 portals that never ran cost {grown} bytes");
    client.simple("COMMIT").await?;
    Ok(())
}
