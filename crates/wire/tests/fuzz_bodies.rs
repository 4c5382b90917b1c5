//! The fuzz targets' own code, without a fuzzer: see [`testkit::mutation`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use std::path::Path;

use testkit::mutation::over_seeds;

/// How many mutations of the seeds each target is tried with: a few seconds of an unoptimised build.
const MUTATIONS: usize = 100_000;

#[allow(unreachable_pub, reason = "the fuzz targets call them from outside")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

fn run(target: &str, body: fn(&[u8])) {
    over_seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target), MUTATIONS, body);
}

#[test]
fn first_packets() {
    run("startup", bodies::startup);
}

#[test]
fn client_streams() {
    run("frontend", bodies::frontend);
}

#[test]
fn target_streams() {
    run("backend", bodies::backend);
}

#[test]
fn sessions_in_any_order() {
    run("session", bodies::session);
}

#[test]
fn client_streams_of_sftp() {
    run("sftp_requests", bodies::sftp_requests);
}

#[test]
fn target_streams_of_sftp() {
    run("sftp_responses", bodies::sftp_responses);
}

#[test]
fn copies_that_are_followed() {
    run("scp", bodies::scp);
}

#[test]
fn client_streams_of_http() {
    run("http_stream", bodies::http_stream);
}

#[test]
fn heads_of_http() {
    run("http_head", bodies::http_head);
}

#[test]
fn streams_of_websocket() {
    run("websocket", bodies::websocket);
}

#[test]
fn streams_of_spdy() {
    run("spdy", bodies::spdy);
}
