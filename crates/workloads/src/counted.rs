//! The five workloads whose instructions are counted: the steps that every statement or every byte of an answer takes.

use std::hint::black_box;

use anyhow::{Context, Result};

use crate::analysis::{self, STATEMENTS};
use crate::decision::Revision;
use crate::exchange::Exchange;
use crate::record::Book;
use crate::rows::{Chunk, Shape};

/// One run of what was prepared.
pub type Run = Box<dyn FnMut() -> Result<()>>;

/// Something to count.
pub struct Workload {
    /// How it is called, in `counts.tsv` too.
    pub name: &'static str,
    /// How often it is run for a count: so often that it takes tens of millions of instructions, and a cache that happens to
    /// grow in one of them is nothing.
    pub runs: u32,
    /// Makes the inputs. What this takes is not counted.
    pub prepare: fn() -> Result<Run>,
}

const DECISIONS: u32 = 100;

/// All of them.
pub const ALL: [Workload; 5] = [
    // A text that was not seen before: parsed, resolved against the catalog, effects and lineage found.
    Workload { name: "analyse three texts", runs: 100, prepare: analyse },
    // The first of them judged for the first time, under a thousand policies, four of which are about its subject.
    Workload { name: "decide under 1,000 policies", runs: DECISIONS, prepare: decide },
    // 64 KiB of rows: three columns masked, one searched, six passed.
    Workload { name: "mask a chunk", runs: 20, prepare: mask },
    // Decided and completed: two entries, two writes. The kernel's part is not counted.
    Workload { name: "record a statement", runs: 1000, prepare: record },
    // Sixteen statements sent at once, and their answers, framed, parsed and matched.
    Workload { name: "follow a pipeline", runs: 500, prepare: follow },
];

/// The workload of this name.
///
/// # Errors
/// If there is none.
pub fn named(name: &str) -> Result<&'static Workload> {
    const WORKLOADS: &[Workload; 5] = &ALL;
    WORKLOADS.iter().find(|workload| workload.name == name).with_context(|| format!("there is no workload {name:?}"))
}

/// Runs it so often. What is counted is what happens in here, so that it must keep its name and be inlined nowhere.
///
/// # Errors
/// If a run fails.
#[inline(never)]
pub fn repeat(run: &mut Run, times: u32) -> Result<()> {
    (0..times).try_for_each(|_| run())
}

fn analyse() -> Result<Run> {
    let catalog = analysis::catalog()?;
    Ok(Box::new(move || {
        for (_, text) in STATEMENTS {
            black_box(analysis::read(&catalog, black_box(text)));
        }
        Ok(())
    }))
}

fn decide() -> Result<Run> {
    let revision = Revision::new(1000, analysis::LOOKUP)?;
    // A subject remembers what it was allowed: each run is another one's, and one comes before those that are counted.
    let subjects: Vec<_> = (0..=DECISIONS).map(|_| revision.slice()).collect();
    let mut runs = 0;
    Ok(Box::new(move || {
        let policies = subjects.get(runs).context("more runs than were prepared")?;
        runs += 1;
        black_box(revision.judge(black_box(policies)));
        Ok(())
    }))
}

fn mask() -> Result<Run> {
    let mut chunk = Chunk::new(Shape { searched: true, ..Shape::TEXT })?;
    Ok(Box::new(move || {
        black_box(chunk.mask_again()?);
        Ok(())
    }))
}

fn record() -> Result<Run> {
    let mut book = Book::new()?;
    Ok(Box::new(move || book.enter()))
}

fn follow() -> Result<Run> {
    let exchange = Exchange::new()?;
    Ok(Box::new(move || {
        black_box(exchange.follow()?);
        Ok(())
    }))
}
