//! The fuzz target's own code, without a fuzzer: see [`testkit::mutation`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod common;

use testkit::mutation::{over, over_seeds};

/// How many mutations of the seeds each target is tried with: a few seconds of an unoptimised build.
const MUTATIONS: usize = 200_000;

#[allow(unreachable_pub, reason = "the fuzz target calls them from outside")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

#[test]
fn what_drivers_send() {
    over_seeds(&common::folder("../fuzz/seeds/analyse"), MUTATIONS, bodies::analyse_text);
}

#[test]
fn golden_statements() {
    let mut files: Vec<_> =
        std::fs::read_dir(common::folder("golden")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().flat_map(|file| common::statements(&std::fs::read_to_string(file).unwrap()));
    let texts: Vec<Vec<u8>> = texts.map(String::into_bytes).collect();
    assert!(texts.len() > 400);
    over(&texts, MUTATIONS, bodies::analyse_text);
}

#[test]
fn lines_of_ssh() {
    let file = std::fs::read_to_string(common::folder("ssh").join("lines.txt")).unwrap();
    let lines: Vec<Vec<u8>> =
        file.lines().filter_map(|line| Some(line.strip_prefix("$ ")?.as_bytes().to_vec())).collect();
    assert!(lines.len() > 150);
    over(&lines, MUTATIONS / 10, bodies::exec_line);
}

#[test]
fn bodies_of_http() {
    over_seeds(&common::folder("../fuzz/seeds/http_body"), MUTATIONS / 10, bodies::http_body);
}

#[test]
fn requests_to_an_api_server() {
    over_seeds(&common::folder("../fuzz/seeds/kubernetes_request"), MUTATIONS / 10, bodies::kubernetes_request);
}
