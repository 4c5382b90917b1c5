//! COPY of very much to a client, without a tape: what a gigabyte costs, masked and not.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::Plan;
use super::account::Account;
use super::machine::{cpu_time, settled_cpu_time};
use super::measure::{float, median};
use super::report::{Page, figure, line};
use super::route::{Endpoint, Route};
use super::stage::Stage;
use super::wide::client::{Client, Keep, query};

/// What its lines have in their names.
pub(super) const NAME: &str = "copy out";

/// The same values in columns of which nothing is searched: three are masked, or none.
pub(super) const TABLES: &str = "\
CREATE TABLE closed AS SELECT id, customer_id, email, ssn, card_number, status, total, quantity, created_at FROM wide;
CREATE TABLE open AS SELECT id, customer_id, email AS a, ssn AS b, card_number AS c, status, total, quantity, created_at
FROM wide";

/// What Sluice knows of them, beyond the demo's rules.
pub(super) fn classification() -> String {
    let public = ["id", "customer_id", "status", "total", "quantity", "created_at"];
    let public = public.map(|column| format!("[[column]]\nmatch = \"public.closed.{column}\"\npublic = true\n\n"));
    OTHERS.to_owned() + &public.concat()
}

const OTHERS: &str = "
[[column]]
match = \"public.closed.card_number\"
classes = [\"card_number\"]

[[column]]
match = \"public.open.*\"
public = true
";

/// Rows of each table.
const ROWS: u64 = 10_000;

/// What is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Three columns of nine are masked, and all others but one searched, as none of them is declared public.
    Searched,
    /// Three columns of nine are masked.
    Masked,
    /// The same bytes, as they are.
    Open,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Searched => "copy out, 3 of 9 columns masked, others searched",
            Self::Masked => "copy out, 3 of 9 columns masked",
            Self::Open => "copy out, not masked",
        }
    }

    /// All rows, so many times.
    fn statement(self, times: u64) -> String {
        let (table, [email, ssn, card]) = match self {
            Self::Searched => ("wide", ["email", "ssn", "card_number"]),
            Self::Masked => ("closed", ["email", "ssn", "card_number"]),
            Self::Open => ("open", ["a", "b", "c"]),
        };
        let columns = format!("id, customer_id, {email}, {ssn}, {card}, status, total, quantity, created_at");
        format!("COPY (SELECT {columns} FROM {table}, generate_series(1, {times})) TO STDOUT")
    }
}

/// One copy on one route.
#[derive(Clone, Copy)]
struct Turn {
    /// Bytes each second, in millions.
    rate: f64,
    /// CPU seconds of the proxy for 10^9 bytes.
    cpu: f64,
}

impl Turn {
    fn median(turns: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(turns.iter().map(figure).collect());
        Self { rate: of(|turn| turn.rate), cpu: of(|turn| turn.cpu) }
    }
}

/// Copies both sources on all routes in turn, and prints the medians. The stage is left with its tape.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    stage.set_target("tape", "off")?;
    let sources = [Source::Masked, Source::Open].into_iter().chain(plan.every.then_some(Source::Searched));
    let mut rows = Vec::new();
    for source in sources {
        let mut turns: BTreeMap<Route, Vec<Turn>> = BTreeMap::new();
        for round in 0..plan.part_rounds {
            line(&format!("{}, round {} of {}", source.name(), round + 1, plan.part_rounds));
            for route in Route::in_turn(&Route::COMPARED, round) {
                turns.entry(route).or_default().push(copy(stage, plan, source, route)?);
            }
        }
        rows.push((source, Route::COMPARED.map(|route| Turn::median(&turns.remove(&route).unwrap_or_default()))));
    }
    stage.set_target("tape", "full")?;
    let columns = ["direct, MB/s", "PgBouncer", "Sluice", "PgBouncer, CPU s/GB", "Sluice", "Sluice / PgBouncer"];
    page.heading(&format!("{} MiB copied out, tape off", plan.bulk), &columns);
    for (source, turns) in rows {
        let rates = turns.map(|turn| figure(turn.rate, 0));
        let [_, pgbouncer, sluice] = turns.map(|turn| turn.cpu);
        let cpu = [pgbouncer, sluice, sluice / pgbouncer].map(|cpu| figure(cpu, 2));
        page.row(source.name(), &[rates, cpu].concat());
    }
    Ok(())
}

fn copy(stage: &Stage, plan: &Plan, source: Source, route: Route) -> Result<Turn> {
    let endpoint = stage.endpoint_in_clear(route)?;
    let mut client = Client::connect(&endpoint)?;
    // Once, to warm up and to know how much it is.
    let once = client.ask(&query(&source.statement(1))?, Keep::All)?;
    ensure!(once.rows == ROWS, "there were {} rows", once.rows);
    let clear = memchr::memmem::find(client.kept(), b"4111111111111111").is_some();
    ensure!(
        clear != (endpoint.masks && source != Source::Open),
        "{}: masked where it should not be, or not",
        source.name()
    );
    let times = (u64::from(plan.bulk) << 20).div_ceil(once.bytes);
    let before = Account::of(stage)?;
    let turn = timed(&endpoint, client, &source.statement(times), times)?;
    if route == Route::Sluice {
        let masked = if source != Source::Open { 3 * ROWS * times } else { 0 };
        before.must_have_grown(stage, source.name(), 1, masked)?;
    }
    Ok(turn)
}

fn timed(endpoint: &Endpoint, mut client: Client, statement: &str, times: u64) -> Result<Turn> {
    let earlier = endpoint.proxy.map(cpu_time).transpose()?;
    let begin = Instant::now();
    let answer = client.ask(&query(statement)?, Keep::Nothing)?;
    let elapsed = begin.elapsed().as_secs_f64();
    ensure!(answer.rows == times * ROWS, "there were {} rows", answer.rows);
    drop(client);
    let cpu = endpoint.proxy.map(settled_cpu_time).transpose()?.unwrap_or_default() - earlier.unwrap_or_default();
    let bytes = float(answer.bytes);
    Ok(Turn { rate: bytes / elapsed / 1e6, cpu: cpu.as_secs_f64() * 1e9 / bytes })
}
