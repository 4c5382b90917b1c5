//! Bodies of HTTP in pieces. See `bodies::body`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../bodies.rs"]
mod bodies;

fuzz_target!(|input: &[u8]| bodies::body(input));
