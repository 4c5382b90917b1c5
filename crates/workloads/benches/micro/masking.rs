use std::hint::black_box;

use criterion::Throughput;
use workloads::prose::{search, with_hits, without_hits};
use workloads::rows::{CHUNK, Chunk, Shape};

use crate::Criterion;

/// 64 KiB of rows of ten columns, three of them masked.
pub(crate) fn masks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("masking");
    let binary = Shape { binary: true, ..Shape::TEXT };
    let searched = Shape { searched: true, ..Shape::TEXT };
    for (name, shape) in [("text", Shape::TEXT), ("binary", binary), ("text, one more searched", searched)] {
        let mut chunk = Chunk::new(shape).unwrap();
        group.throughput(Throughput::Bytes(u64::try_from(chunk.len()).unwrap()));
        group.bench_function(format!("mask 3 of 10 columns, {name}"), |bench| {
            bench.iter(|| chunk.mask_again().unwrap());
        });
    }
    group.finish();
}

/// All detectors over lines of text.
pub(crate) fn detectors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("masking");
    for (name, text) in [("with hits", with_hits(CHUNK)), ("without hits", without_hits(CHUNK))] {
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
        group.bench_function(format!("detect {name}"), |bench| bench.iter(|| search(black_box(&text))));
    }
    group.finish();
}
