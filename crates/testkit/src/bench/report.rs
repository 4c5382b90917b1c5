//! What the benchmark prints: Markdown, as `docs/performance.md` has it.

use std::io::Write as _;

use anyhow::Result;

use super::machine::description;
use super::measure::{Cell, Results, Sample, median};
use super::stage::Stage;

pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away does not stop the measuring.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

pub(super) fn machine(stage: &Stage) -> Result<()> {
    line("");
    description()?.into_iter().chain(stage.versions()?).for_each(|text| line(&format!("- {text}")));
    line("");
    Ok(())
}

/// A column: its heading, how many decimals it has, and what it shows of a round.
type Column = (&'static str, usize, fn(&[Sample; 3]) -> f64);

const RATES: [Column; 5] = [
    ("direct tps", 0, |[direct, _, _]| direct.rate),
    ("PgBouncer tps", 0, |[_, pgbouncer, _]| pgbouncer.rate),
    ("Sluice tps", 0, |[_, _, sluice]| sluice.rate),
    ("Sluice / PgBouncer", 2, |[_, pgbouncer, sluice]| sluice.rate / pgbouncer.rate),
    ("Sluice / direct", 2, |[direct, _, sluice]| sluice.rate / direct.rate),
];

const LATENCIES: [Column; 6] = [
    ("direct µs", 0, |[direct, _, _]| direct.latency),
    ("PgBouncer µs", 0, |[_, pgbouncer, _]| pgbouncer.latency),
    ("Sluice µs", 0, |[_, _, sluice]| sluice.latency),
    ("PgBouncer adds µs", 0, |[direct, pgbouncer, _]| pgbouncer.latency - direct.latency),
    ("Sluice adds µs", 0, |[direct, _, sluice]| sluice.latency - direct.latency),
    ("added, ratio", 2, added_ratio),
];

const COSTS: [Column; 3] = [
    ("PgBouncer CPU µs", 1, |[_, pgbouncer, _]| pgbouncer.cpu),
    ("Sluice CPU µs", 1, |[_, _, sluice]| sluice.cpu),
    ("CPU, ratio", 2, cpu_ratio),
];

fn added_ratio([direct, pgbouncer, sluice]: &[Sample; 3]) -> f64 {
    (sluice.latency - direct.latency) / (pgbouncer.latency - direct.latency)
}

fn cpu_ratio([_, pgbouncer, sluice]: &[Sample; 3]) -> f64 {
    sluice.cpu / pgbouncer.cpu
}

pub(super) fn tables(results: &Results) -> Result<()> {
    let is_wide = |cell: &Cell| matches!(cell, Cell::Wide { .. });
    let statements: Vec<Cell> = Cell::all().filter(|cell| !is_wide(cell)).collect();
    let wide: Vec<Cell> = Cell::all().filter(is_wide).collect();
    table("Statements each second", results, &statements, &RATES);
    table("Mean latency", results, &statements, &LATENCIES);
    table("CPU time of the proxy for each statement", results, &statements, &COSTS);
    table("Wide result: latency of each", results, &wide, &LATENCIES);
    table("Wide result: CPU time of the proxy for each", results, &wide, &COSTS);
    let over = |cells: &[Cell], figure: fn(&[Sample; 3]) -> f64| {
        median(cells.iter().map(|cell| results.median(*cell, figure)).collect())
    };
    line("");
    line(&format!(
        "Median over all statement cells: CPU {:.2}x PgBouncer's, added latency {:.2}x.",
        over(&statements, cpu_ratio),
        over(&statements, added_ratio)
    ));
    line(&format!(
        "Median over the wide cells: CPU {:.2}x PgBouncer's, added latency {:.2}x.",
        over(&wide, cpu_ratio),
        over(&wide, added_ratio)
    ));
    line(&format!(
        "Sluice decided and journaled each of its {} requests (its own counters say so).",
        results.accounted()
    ));
    Ok(())
}

fn table(title: &str, results: &Results, cells: &[Cell], columns: &[Column]) {
    line(&format!("\n### {title}\n"));
    let headings: Vec<&str> = columns.iter().map(|(heading, _, _)| *heading).collect();
    line(&format!("| | {} |", headings.join(" | ")));
    line(&format!("|---|{}", "--:|".repeat(columns.len())));
    for cell in cells {
        let figures =
            columns.iter().map(|(_, decimals, figure)| format!("{:.*}", decimals, results.median(*cell, figure)));
        line(&format!("| {} | {} |", name(*cell), figures.collect::<Vec<_>>().join(" | ")));
    }
}

fn name(cell: Cell) -> String {
    match cell {
        Cell::Statements { protocol, clients: 1 } => format!("{}, 1 client", protocol.name()),
        Cell::Statements { protocol, clients } => format!("{}, {clients} clients", protocol.name()),
        Cell::Wide { format } => format.name().to_owned(),
    }
}
