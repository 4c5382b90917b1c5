//! New sessions up to the target's connection: what a login costs that needs none.
//!
//! PgBouncer lets a user into its own console; Sluice verifies a token, decides, and journals that its subject may not
//! connect. Both have done all that they do to know who is there, and neither has spoken to the server.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::Plan;
use super::machine::{cpu_time, settled_cpu_time};
use super::measure::{Sample, float, median};
use super::report::{Page, figure, line};
use super::route::{Endpoint, Route};
use super::stage::{DATABASE, Stage};
use super::wide::client::Client;
use crate::demo::site::AUDITOR;

/// What its line is asked for by.
pub(super) const NAME: &str = "logins without a target";

/// PgBouncer's own database.
const CONSOLE: &str = "pgbouncer";

const REFUSED: &str = "sluice_sessions_refused_total";

/// Measures both in turns, and prints medians and the ratio within a round.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    let (mut pgbouncer, mut sluice) = (Vec::new(), Vec::new());
    for round in 0..plan.part_rounds {
        line(&format!("{NAME}, round {} of {}", round + 1, plan.part_rounds));
        pgbouncer.push(logins(plan, &stage.endpoint(Route::PgBouncer)?, console)?);
        let endpoint = Endpoint { password: stage.site().token(&AUDITOR)?, ..stage.endpoint(Route::Sluice)? };
        let before = stage.count(REFUSED)?;
        let sample = logins(plan, &endpoint, refused)?;
        let counted = stage.count(REFUSED)? - before;
        ensure!(counted == sample.requests, "Sluice refused {counted} of {} logins", sample.requests);
        sluice.push(sample);
    }
    ensure!(stage.site().log().contains("may not connect"), "Sluice refused the auditor for another reason");
    let columns = ["PgBouncer", "Sluice", "Sluice / PgBouncer", "PgBouncer, CPU, µs", "Sluice"];
    page.heading("New sessions up to the target's connection, each second", &columns);
    let ratio = median(sluice.iter().zip(&pgbouncer).map(|(sluice, pgbouncer)| sluice.rate / pgbouncer.rate).collect());
    let of = |of: fn(&Sample) -> f64| [&pgbouncer, &sluice].map(|taken| median(taken.iter().map(of).collect()));
    let rates = of(|sample| sample.rate).map(|rate| figure(rate, 0));
    let cpu = of(|sample| sample.cpu / float(sample.requests)).map(|time| figure(time, 0));
    page.row(NAME, &[&rates[..], &[figure(ratio, 2)], &cpu[..]].concat());
    Ok(())
}

/// One login after the other.
fn logins(plan: &Plan, endpoint: &Endpoint, login: fn(&Endpoint) -> Result<()>) -> Result<Sample> {
    let pid = endpoint.proxy.context("no proxy")?;
    let earlier = cpu_time(pid)?;
    let (begin, mut requests) = (Instant::now(), 0);
    while begin.elapsed() < plan.statements {
        login(endpoint)?;
        requests += 1;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let cpu = (settled_cpu_time(pid)? - earlier).as_secs_f64() * 1e6;
    let rate = float(requests) / elapsed;
    Ok(Sample { requests, logins: 0, rate, latency: 1e6 / rate, cpu })
}

fn console(endpoint: &Endpoint) -> Result<()> {
    Client::connect_to(endpoint, CONSOLE).map(drop)
}

fn refused(endpoint: &Endpoint) -> Result<()> {
    match Client::connect_to(endpoint, DATABASE) {
        Err(error) if error.to_string().contains("C28000") => Ok(()),
        Err(error) => Err(error),
        Ok(_) => bail!("an auditor was let in"),
    }
}
