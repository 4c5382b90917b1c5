use workloads::tokens::Token;

use crate::Criterion;

/// The issuer's keys are at hand. The bound is 100 µs of processor time for each.
pub(crate) fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("identity");
    for (algorithm, token) in Token::of_each_algorithm().unwrap() {
        group.bench_function(format!("verify {algorithm}"), |bench| bench.iter(|| token.verify().unwrap()));
    }
    group.finish();
}
