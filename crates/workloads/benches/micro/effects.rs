use std::hint::black_box;

use workloads::analysis::{STATEMENTS, catalog, read};

use crate::Criterion;

/// A text that was not seen before. One that was is looked up by the session, in `gateway`.
pub(crate) fn analysis(criterion: &mut Criterion) {
    let catalog = catalog().unwrap();
    let mut group = criterion.benchmark_group("effects");
    for (size, text) in STATEMENTS {
        group.bench_function(format!("analyse {size}"), |bench| bench.iter(|| read(&catalog, black_box(text))));
    }
    group.finish();
}
