//! `./dev bench micro [FILTER]`: what the pure crates take for one of each, by Criterion.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "figures")]

mod effects;
mod identity;
mod ledger;
mod masking;
mod policy;
mod processor;
mod wire;

use std::time::Duration;

use criterion::{criterion_group, criterion_main};

use self::processor::ProcessorTime;

/// Times the processor, not the wall: a machine that others use too moves that less.
type Criterion = criterion::Criterion<ProcessorTime>;

/// Shorter than Criterion's own times, so that all of it takes about two minutes.
fn settings() -> Criterion {
    criterion::Criterion::default()
        .with_measurement(ProcessorTime)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .without_plots()
}

criterion_group!(
    name = micro;
    config = settings();
    targets = effects::analysis, policy::decision, masking::masks, masking::detectors, masking::streams, masking::bodies,
        ledger::record, identity::tokens, wire::frames
);
criterion_main!(micro);
