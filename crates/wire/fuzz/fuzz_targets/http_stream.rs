//! What a client sends by HTTP/1.1. See `bodies::http_stream`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../bodies.rs"]
mod bodies;

fuzz_target!(|input: &[u8]| bodies::http_stream(input));
