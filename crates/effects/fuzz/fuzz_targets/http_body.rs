//! A request of HTTP with a body. See `bodies::http_body`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../bodies.rs"]
mod bodies;

fuzz_target!(|input: &[u8]| bodies::http_body(input));
