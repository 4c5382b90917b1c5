use workloads::record::Book;

use crate::Criterion;

/// What every statement leaves: two entries, each written when it is made. The folder is the system's temporary one.
pub(crate) fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    let mut book = Book::new().unwrap();
    group.bench_function("decided and completed", |bench| bench.iter(|| book.enter().unwrap()));
    group.finish();
    println!("ledger/bytes on disk, decided and completed: {:.1}\n", Book::bytes_each(10_000).unwrap());
}
