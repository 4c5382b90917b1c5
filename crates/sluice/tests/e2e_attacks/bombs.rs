//! Statements that cost the reader more than the writer (RX-06): every kind of depth and of length, at the largest that
//! can be configured. Time and memory are those of the process, from /proc.

use std::time::Duration;

use anyhow::{Context, Result};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};

use crate::support::raw::{Raw, parse, sync};
use crate::support::{memory, rows, site};

/// The largest statement that can be configured (docs/configuration.md).
const LARGEST: &str = "[limits]\nmax_statement = \"16MiB\"\n";

/// What one bomb may cost: a debug build on a busy machine is many times slower than what ships.
const CPU_SECONDS: u64 = 40;
/// How long a debug build that shares its cores may take for that.
const ANSWER: Duration = Duration::from_secs(120);
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

/// Not deep but long: a million elements of a list, many of what others are made of, or four megabytes of it.
fn long_ones() -> Vec<(&'static str, String)> {
    let (many, size) = (100_000, 4 * 1024 * 1024);
    vec![
        ("IN list", format!("SELECT 1 WHERE 1 IN (0{})", ",1".repeat(1_000_000))),
        ("IN list on a column", format!("SELECT id FROM cards WHERE number IN ('0'{})", ",'1'".repeat(many))),
        ("EXPLAIN of an IN list", format!("EXPLAIN SELECT id FROM orders WHERE id IN (0{})", ",1".repeat(many))),
        ("VALUES", format!("VALUES (0){}", ",(1)".repeat(many))),
        ("INSERT", format!("INSERT INTO refunds (payment_id, reason) VALUES (1,'a'){}", ",(1,'b')".repeat(many))),
        ("array", format!("SELECT ARRAY[0{}]", ",1".repeat(many))),
        ("columns", format!("SELECT id{} FROM orders", ",id".repeat(many))),
        ("arguments", format!("SELECT concat(0{})", ",1".repeat(many))),
        ("ORDER BY", format!("SELECT id FROM orders ORDER BY id{}", ",id".repeat(many))),
        ("GROUP BY", format!("SELECT 1 FROM orders GROUP BY id{}", ",id".repeat(many))),
        ("tables", format!("SELECT 1 FROM orders{}", ",orders".repeat(many))),
        ("common tables", {
            let names: Vec<String> = (0..20_000).map(|number| format!("a{number} AS (SELECT 1)")).collect();
            format!("WITH {} SELECT 1", names.join(","))
        }),
        ("string", format!("SELECT '{}'", "x".repeat(size))),
        ("quotes", format!("SELECT '{}'", "''".repeat(size / 2))),
        ("escapes", format!("SELECT E'{}'", "\\\\".repeat(size / 2))),
        ("Unicode escapes", format!("SELECT U&'{}'", "\\0041".repeat(size / 5))),
        ("dollar quote", format!("SELECT $x${}$x$", "$y".repeat(size / 2))),
        ("comment", format!("SELECT 1 /*{}*/", "/*".repeat(size / 4) + &"*/".repeat(size / 4))),
        ("plus", format!("SELECT 1 {}1", "+".repeat(size))),
        ("operators and comments", format!("SELECT 1 {}1", "@/*-*/".repeat(size / 6))),
        ("comment to the line's end", format!("SELECT 1 --{}", "-".repeat(size))),
        ("name", format!("SELECT \"{}\" FROM orders", "n".repeat(size))),
        ("JSON", format!("SELECT '{}'::jsonb", "[".repeat(size))),
        ("number", format!("SELECT {}", "9".repeat(size))),
        ("blanks", format!("SELECT{}1", " ".repeat(size))),
        ("parameters", format!("SELECT $1{}", ",$1".repeat(many))),
        ("a parameter of a great number", "SELECT $2147483647".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_06_every_kind_of_bomb_costs_bounded_time_and_memory() -> Result<()> {
    let site = site("bombs", Tuning { sluice_toml: LARGEST.into(), ..Tuning::default() })?;
    let token = site.token(&ORDER_SERVICE)?;
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    let pid = site.process()?.pid();
    let resting = memory(&site)?;
    for (what, sql) in bombs().into_iter().chain(long_ones()) {
        let before = ticks(&site)?;
        let mut client = Raw::login(&site, &token).await?;
        // Prepared, not run: what the target makes of it is the target's own.
        client.send(&[parse("", &sql), sync()]).await?;
        let seen = client.peer.read_message_within(ANSWER).await;
        let first = seen.with_context(|| format!("after {what}"))?;
        // An error that says why, or an answer: never silence.
        assert!(matches!(first.tag, b'E' | b'1'), "{what}: {}", char::from(first.tag));
        if first.tag == b'E' {
            let state = crate::support::raw::field(&first, b'C').unwrap_or_default();
            let known = [
                "42501", "54000", "54001", "54011", "42601", "54023", "53400", "42703", "42P01", "42846", "42804",
                "42712", "22003", "42P02", "42P18",
            ];
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
async fn rx_06_a_text_of_many_statements_costs_bounded_time() -> Result<()> {
    let site = site("manifold", Tuning { sluice_toml: LARGEST.into(), ..Tuning::default() })?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let texts = [
        (";".repeat(1_000_000), Vec::new()),
        ("SELECT 1;".repeat(1_000), Vec::new()),
        ("SELECT 1;".repeat(100_000), vec!["54001".to_owned()]),
    ];
    for (text, errors) in texts {
        let before = ticks(&site)?;
        let answer = client.simple_within(&text, ANSWER).await?;
        assert_eq!((answer.errors(), answer.status()), (errors, Some('I')), "{} bytes", text.len());
        let spent = (ticks(&site)? - before) / 100;
        assert!(spent < CPU_SECONDS, "{} bytes cost {spent} s of processor time", text.len());
    }
    assert_eq!(client.simple("SELECT 2").await?.column(), ["2"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_06_what_is_over_the_limit_is_54000_before_it_is_read() -> Result<()> {
    let site = &crate::support::shared()?;
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
    // What is kept for everything there is, such as the pages of the index, is there after a while.
    for _ in 0..100 {
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
