use criterion::Throughput;
use workloads::exchange::Exchange;

use crate::Criterion;

/// Sixteen statements sent at once, and their answers.
pub(crate) fn frames(criterion: &mut Criterion) {
    let exchange = Exchange::new().unwrap();
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Bytes(u64::try_from(exchange.len()).unwrap()));
    group.bench_function("follow 16 pipelined statements", |bench| bench.iter(|| exchange.follow().unwrap()));
    group.finish();
}
