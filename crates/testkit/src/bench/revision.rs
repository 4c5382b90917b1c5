//! Whether a revision with a thousand policies more is felt by the statements that run while it is applied.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::Plan;
use super::account::Account;
use super::measure::median;
use super::pgbench::{Latencies, Protocol, Run};
use super::report::{Page, figure, line};
use super::route::Route;
use super::stage::{DATABASE, Stage};

/// What its lines are asked for by.
pub(super) const NAME: &str = "revision of 1,000 policies";
const CLIENTS: u32 = 8;
const POLICIES: usize = 1000;
const FILE: &str = "50-teams.cedar";

/// How long statements run before and after it is applied.
const AROUND: Duration = Duration::from_secs(1);
/// And how long reading and validating it may take.
const APPLYING: Duration = Duration::from_secs(3);

/// The figures, as permilles.
const FIGURES: [(&str, usize); 3] = [("p50", 500), ("p99.9", 999), ("slowest", 1000)];

/// Runs the same statements with a revision and without, in turns, and prints medians.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        line(&format!("revision, round {} of {}", round + 1, plan.rounds));
        without.push(statements(stage, || Ok(()))?);
        with.push(statements(stage, || stage.site().write_policy(FILE, Some(&policies())).map(drop))?);
        stage.site().write_policy(FILE, None)?;
    }
    page.heading(&format!("A {NAME}: time of a statement, prepared, 8 clients, µs"), &FIGURES.map(|(name, _)| name));
    for (name, taken) in [("nothing is applied", &without), ("it is applied meanwhile", &with)] {
        let of = |permille| median(taken.iter().map(|latencies| latencies.permille(permille)).collect());
        page.row(name, &FIGURES.map(|(_, permille)| figure(of(permille), 0)));
    }
    Ok(())
}

/// How long each statement took, while `change` was made a second after the first.
fn statements(stage: &Stage, change: impl FnOnce() -> Result<()>) -> Result<Latencies> {
    let (endpoint, before) = (stage.endpoint(Route::Sluice)?, Account::of(stage)?);
    let (sample, latencies) = thread::scope(|scope| {
        let running = scope.spawn(|| Run::reads(&endpoint, Protocol::Prepared, CLIENTS, 2 * AROUND + APPLYING).timed());
        thread::sleep(AROUND);
        let begin = Instant::now();
        let changed = change();
        let took = begin.elapsed();
        let result = running.join().map_err(|_| anyhow!("the load panicked"))?;
        changed?;
        ensure!(took < APPLYING, "it took {took:?} until the revision was in force: the load was over");
        result
    })?;
    before.must_have_grown(stage, NAME, sample.requests, 0)?;
    Ok(latencies)
}

/// Half of them are about the group of the caller.
fn policies() -> String {
    let mut text = String::new();
    for number in 0..POLICIES {
        let group = if number % 2 == 0 { "payments-apps".to_owned() } else { format!("team-{number}") };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "@id(\"team-{number}\") permit (principal in Group::\"{group}\", action in Action::\"read\", \
             resource in Table::\"payments/{DATABASE}/public/table_{number}\");"
        );
    }
    text
}
