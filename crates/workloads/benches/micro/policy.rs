use std::hint::black_box;

use criterion::BatchSize;
use workloads::analysis::{LOOKUP, STATEMENTS};
use workloads::decision::{Revision, decide};

use crate::Criterion;

/// Cold: the first statement of a subject, whose policies were sliced when its session opened. Known: a text of which
/// another one of the subject did the same. What a session remembers is the verdict, in `gateway`; deciding by it is here.
pub(crate) fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    for policies in [10, 100, 1000, 10_000] {
        let revision = Revision::new(policies, LOOKUP).unwrap();
        group.bench_function(format!("decide cold, {policies} policies"), |bench| {
            bench.iter_batched_ref(|| revision.slice(), |slice| revision.judge(slice), BatchSize::SmallInput);
        });
        group.bench_function(format!("slice for a session, {policies} policies"), |bench| {
            bench.iter(|| revision.slice());
        });
    }
    for (size, text) in STATEMENTS {
        let revision = Revision::new(1000, text).unwrap();
        let slice = revision.slice();
        group.bench_function(format!("decide known {size}, 1000 policies"), |bench| {
            bench.iter(|| revision.judge(&slice))
        });
    }
    let revision = Revision::new(1000, LOOKUP).unwrap();
    let verdicts = revision.judge(&revision.slice());
    let verdict = verdicts.first().unwrap();
    group.bench_function("decide by a verdict", |bench| bench.iter(|| decide(black_box(verdict))));
    group.finish();
}
