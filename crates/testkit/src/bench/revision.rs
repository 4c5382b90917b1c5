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
/// How much longer than without any load its reading and validating may take, on cores that are busy.
const LONGER: u32 = 3;

/// The figures, as permilles.
const FIGURES: [(&str, usize); 3] = [("p50", 500), ("p99.9", 999), ("slowest", 1000)];

/// Runs the same statements with a revision and without, in turns, and prints medians.
pub(super) fn run(stage: &Stage, plan: &Plan, page: &mut Page) -> Result<()> {
    let begin = Instant::now();
    stage.site().write_policy(FILE, Some(&policies()))?;
    let applying = begin.elapsed() * LONGER;
    stage.site().write_policy(FILE, None)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..plan.part_rounds {
        line(&format!("revision, round {} of {}", round + 1, plan.part_rounds));
        without.push(statements(stage, applying, || Ok(()))?);
        with.push(statements(stage, applying, || stage.site().write_policy(FILE, Some(&policies())).map(drop))?);
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
fn statements(stage: &Stage, applying: Duration, change: impl FnOnce() -> Result<()>) -> Result<Latencies> {
    let (endpoint, before) = (stage.endpoint(Route::Sluice)?, Account::of(stage)?);
    // pgbench takes whole seconds.
    let length = Duration::from_secs((2 * AROUND + applying).as_secs() + 1);
    let (sample, latencies) = thread::scope(|scope| {
        let running = scope.spawn(|| Run::reads(&endpoint, Protocol::Prepared, CLIENTS, length).timed());
        thread::sleep(AROUND);
        let begin = Instant::now();
        let changed = change();
        let took = begin.elapsed();
        let result = running.join().map_err(|_| anyhow!("the load panicked"))?;
        changed?;
        ensure!(took < applying, "it took {took:?} until the revision was in force: the load was over");
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
