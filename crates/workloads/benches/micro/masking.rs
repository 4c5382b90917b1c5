use std::hint::black_box;

use criterion::Throughput;
use masking::ssh::Stream;
use workloads::bodies::{Document, mask};
use workloads::prose::{painted, search, stream, with_hits, without_hits};
use workloads::rows::{CHUNK, Chunk, Shape, lens};

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

/// How a stream is made.
type New = fn(std::sync::Arc<masking::Lens>) -> Stream;

/// Lines through a stream of a channel, in packets.
pub(crate) fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("masking");
    let texts = [with_hits(CHUNK), without_hits(CHUNK), painted(CHUNK)];
    let kinds: [(&str, New); 3] = [
        ("text with hits", Stream::text),
        ("text without hits", Stream::text),
        ("terminal with colours", Stream::terminal),
    ];
    for ((name, new), text) in kinds.into_iter().zip(texts) {
        let mut through = new(lens(Shape::TEXT));
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
        group.bench_function(format!("stream {name}"), |bench| bench.iter(|| stream(&mut through, black_box(&text))));
    }
    group.finish();
}

/// 64 KiB of JSON through the body of an answer, as it is read from a socket.
pub(crate) fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("masking");
    let plain = Document { length: CHUNK, telling: false, rules: 0 };
    let cases = [
        ("without hits", plain),
        ("with hits", Document { telling: true, ..plain }),
        ("without hits, two places hidden", Document { rules: 2, ..plain }),
        ("of 1 KiB without hits", Document { length: 1024, ..plain }),
    ];
    for (name, document) in cases {
        let (plan, text) = (document.plan().unwrap(), document.text());
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
        group.bench_function(format!("JSON {name}"), |bench| bench.iter(|| mask(&plan, black_box(&text)).unwrap()));
    }
    group.finish();
}
