//! The fuzz targets' own code, without a fuzzer: see [`testkit::mutation`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use std::path::{Path, PathBuf};

use testkit::mutation::over_seeds;

/// How many mutations of the seeds each target is tried with: a few seconds of an unoptimised build.
const MUTATIONS: usize = 60_000;

#[allow(unreachable_pub, reason = "the fuzz targets call them from outside")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// Each seed is a stream that a server could send: its rows go out, masked.
fn assert_delivered(target: &str, count: fn(&[u8]) -> usize) {
    for file in std::fs::read_dir(seeds(target)).unwrap() {
        let path = file.unwrap().path();
        assert!(count(&std::fs::read(&path).unwrap()) > 0, "nothing of {} goes out", path.display());
    }
}

#[test]
fn http_bodies() {
    assert_delivered("body", bodies::body_masked);
    // Each is sent three times, once byte by byte.
    over_seeds(&seeds("body"), MUTATIONS / 10, bodies::body);
}

#[test]
fn copies() {
    assert_delivered("copy", bodies::copy_by_format);
    over_seeds(&seeds("copy"), MUTATIONS, bodies::copy);
}

#[test]
fn rows() {
    assert_delivered("rows", bodies::rows_sent);
    over_seeds(&seeds("rows"), MUTATIONS, bodies::rows);
}

#[test]
fn streams() {
    assert_delivered("stream", bodies::streamed);
    // Each is sent three times, once byte by byte.
    over_seeds(&seeds("stream"), MUTATIONS / 20, bodies::stream);
}

#[test]
fn words() {
    over_seeds(&seeds("words"), MUTATIONS, bodies::words);
}
