//! A session in any order of messages. See `bodies::session`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../bodies.rs"]
mod bodies;

fuzz_target!(|input: &[u8]| bodies::session(input));
