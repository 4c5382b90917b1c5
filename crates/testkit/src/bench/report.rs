//! What the benchmark prints: Markdown, as `docs/performance.md` has it.

use std::io::Write as _;

use anyhow::Result;

use super::machine::description;
use super::measure::{Cell, Results, median};
use super::stage::Route::{self, Direct, PgBouncer, Sluice};
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

pub(super) fn tables(results: &Results) {
    let is_statement = |cell: &Cell| matches!(cell, Cell::Statements { .. });
    let (statements, others): (Vec<Cell>, Vec<Cell>) = results.cells().into_iter().partition(is_statement);
    heading("Statements each second", &["direct", "PgBouncer", "Sluice", "Sluice / PgBouncer", "Sluice / direct"]);
    for cell in &statements {
        let rate = |route| format!("{:.0}", results.median(*cell, route, |sample| sample.rate));
        let over = |route| format!("{:.2}", results.ratio(*cell, route, |sample| sample.rate));
        row(*cell, &[rate(Direct), rate(PgBouncer), rate(Sluice), over(PgBouncer), over(Direct)]);
    }
    let columns = ["direct", "PgBouncer", "Sluice", "PgBouncer adds", "Sluice adds", "adds, ratio"];
    heading("Mean latency, µs", &columns);
    for cell in statements.iter().chain(&others) {
        let latency = |route| results.median(*cell, route, |sample| sample.latency);
        let figures = [
            latency(Direct),
            latency(PgBouncer),
            latency(Sluice),
            added(results, *cell, PgBouncer),
            added(results, *cell, Sluice),
        ];
        let ratio = format!("{:.2}", added_ratio(results, *cell));
        row(*cell, &[&figures.map(|figure| format!("{figure:.0}"))[..], &[ratio]].concat());
    }
    heading("CPU time of the proxy, µs", &["PgBouncer", "Sluice", "ratio"]);
    for cell in statements.iter().chain(&others) {
        let cpu = |route| format!("{:.1}", results.cpu(*cell, route));
        row(*cell, &[cpu(PgBouncer), cpu(Sluice), format!("{:.2}", cpu_ratio(results, *cell))]);
    }
    summary(results, &statements);
}

fn summary(results: &Results, statements: &[Cell]) {
    let over =
        |figure: fn(&Results, Cell) -> f64| median(statements.iter().map(|cell| figure(results, *cell)).collect());
    let alone = |cell: &&Cell| matches!(cell, Cell::Statements { clients: 1, .. });
    let added = median(statements.iter().filter(alone).map(|cell| added_ratio(results, *cell)).collect());
    line("");
    line(&format!("CPU for each statement, median over the cells: {:.2}x PgBouncer's.", over(cpu_ratio)));
    line(&format!("Latency added for one client, median over the protocols: {added:.2}x PgBouncer's."));
    line(&format!("Each of the {} requests through Sluice was decided and journaled.", results.accounted()));
}

/// What a proxy adds to the latency, in microseconds.
fn added(results: &Results, cell: Cell, route: Route) -> f64 {
    let latency = |route| results.median(cell, route, |sample| sample.latency);
    latency(route) - latency(Direct)
}

fn added_ratio(results: &Results, cell: Cell) -> f64 {
    added(results, cell, Sluice) / added(results, cell, PgBouncer)
}

fn cpu_ratio(results: &Results, cell: Cell) -> f64 {
    results.cpu(cell, Sluice) / results.cpu(cell, PgBouncer)
}

fn heading(title: &str, columns: &[&str]) {
    line(&format!("\n### {title}\n\n| | {} |\n|---|{}", columns.join(" | "), "--:|".repeat(columns.len())));
}

fn row(cell: Cell, figures: &[String]) {
    line(&format!("| {cell} | {} |", figures.join(" | ")));
}
