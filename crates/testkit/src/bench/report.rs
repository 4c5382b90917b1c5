//! What the benchmark prints: Markdown, as `docs/performance.md` has it.

use std::io::Write as _;

use anyhow::Result;

use super::cell::{Cell, FEW, MANY};
use super::machine::description;
use super::measure::{Results, median};
use super::route::Route::{self, Direct, PgBouncer, Relay, Sluice};
use super::stage::Stage;

/// Says how far it is.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away does not stop the measuring.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// What is printed and kept.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn line(&mut self, text: &str) {
        line(text);
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// A title, and the head of a table.
    pub(super) fn heading(&mut self, title: &str, columns: &[&str]) {
        self.line(&format!("\n### {title}\n\n| | {} |\n|---|{}", columns.join(" | "), "--:|".repeat(columns.len())));
    }

    pub(super) fn row(&mut self, name: &str, figures: &[String]) {
        self.line(&format!("| {name} | {} |", figures.join(" | ")));
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn machine(&mut self, stage: &Stage) -> Result<()> {
        self.line("");
        description()?.into_iter().chain(stage.versions()?).for_each(|text| self.line(&format!("- {text}")));
        self.line("- pgcat and pgdog are left out: there are no packages of them");
        Ok(())
    }

    /// What the cells came to.
    pub(super) fn results(&mut self, results: &Results) {
        let cells = results.cells();
        let of = |kind: fn(&Cell) -> bool| cells.iter().copied().filter(kind).collect::<Vec<Cell>>();
        let statements = of(|cell| matches!(cell, Cell::Statements { .. }));
        self.rates(results, "Statements each second", &statements);
        self.rates(results, "New sessions each second", &of(|cell| matches!(cell, Cell::Logins { .. })));
        self.latencies(results, &cells);
        self.cpu(results, &cells);
        self.questions(results, &statements);
        self.slope(results, &statements);
        self.summary(results, &statements);
    }

    fn rates(&mut self, results: &Results, title: &str, cells: &[Cell]) {
        let rates = Route::ALL.map(Route::name);
        self.heading(title, &[&rates[..], &["Sluice / PgBouncer", "Sluice / direct"]].concat());
        for cell in cells {
            let over = |route| figure(results.ratio(*cell, route, |sample| sample.rate), 2);
            let rates = Route::ALL.map(|route| figure(results.median(*cell, route, |sample| sample.rate), 0));
            self.row(&cell.to_string(), &[&rates[..], &[over(PgBouncer), over(Direct)]].concat());
        }
    }

    fn latencies(&mut self, results: &Results, cells: &[Cell]) {
        let columns = [&Route::ALL.map(Route::name)[..], &["PgBouncer adds", "Sluice adds", "adds, ratio"]].concat();
        self.heading("Latency, µs", &columns);
        for cell in cells {
            let each = Route::ALL.map(|route| figure(results.median(*cell, route, |sample| sample.latency), 0));
            let adds = [PgBouncer, Sluice].map(|route| figure(added(results, *cell, route), 0));
            let ratio = figure(added_ratio(results, *cell), 2);
            self.row(&cell.to_string(), &[&each[..], &adds[..], &[ratio]].concat());
        }
    }

    fn cpu(&mut self, results: &Results, cells: &[Cell]) {
        let columns = [&Route::PROXIES.map(Route::name)[..], &["Sluice / PgBouncer"]].concat();
        self.heading("CPU time of the proxy, µs", &columns);
        for cell in cells {
            let each = Route::PROXIES.map(|route| figure(results.cpu(*cell, route), 1));
            let ratio = figure(results.cpu_ratio(*cell, PgBouncer), 2);
            self.row(&cell.to_string(), &[&each[..], &[ratio]].concat());
        }
    }

    fn questions(&mut self, results: &Results, statements: &[Cell]) {
        self.heading("What the questions add: CPU time, µs", &["relay", "Sluice", "Sluice − relay"]);
        for cell in statements {
            let (relay, sluice) = (results.cpu(*cell, Relay), results.cpu(*cell, Sluice));
            self.row(&cell.to_string(), &[relay, sluice, sluice - relay].map(|time| figure(time, 1)));
        }
    }

    /// How the cost of a statement grows with ten times the sessions.
    fn slope(&mut self, results: &Results, statements: &[Cell]) {
        if ![FEW, MANY].iter().all(|cell| statements.contains(cell)) {
            return;
        }
        self.heading("Ten times the sessions: CPU time of a statement, µs", &["8", "80", "exponent"]);
        for route in Route::PROXIES {
            let [few, many] = [FEW, MANY].map(|cell| results.cpu(cell, route));
            let exponent = figure((many / few).log10(), 2);
            self.row(route.name(), &[figure(few, 1), figure(many, 1), exponent]);
        }
    }

    fn summary(&mut self, results: &Results, statements: &[Cell]) {
        let cpu = median(statements.iter().map(|cell| results.cpu_ratio(*cell, PgBouncer)).collect());
        let alone = |cell: &&Cell| matches!(cell, Cell::Statements { clients: 1, .. });
        let added = median(statements.iter().filter(alone).map(|cell| added_ratio(results, *cell)).collect());
        self.line("");
        for (what, ratio) in [("CPU for each statement", cpu), ("Latency added for one client", added)] {
            if !ratio.is_nan() {
                self.line(&format!("{what}, median over the lines: {ratio:.2}x PgBouncer's."));
            }
        }
        let accounted = results.accounted();
        self.line(&format!(
            "Each of the {accounted} requests of these lines through Sluice was decided and journaled."
        ));
    }
}

/// A figure with so many decimals; a dash for what was not measured.
pub(super) fn figure(value: f64, decimals: usize) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.decimals$}") }
}

/// What a proxy adds to the latency, in microseconds.
fn added(results: &Results, cell: Cell, route: Route) -> f64 {
    let latency = |route| results.median(cell, route, |sample| sample.latency);
    latency(route) - latency(Direct)
}

fn added_ratio(results: &Results, cell: Cell) -> f64 {
    added(results, cell, Sluice) / added(results, cell, PgBouncer)
}
