//! A target's stream of SFTP. See `bodies::sftp_responses`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../bodies.rs"]
mod bodies;

fuzz_target!(|input: &[u8]| bodies::sftp_responses(input));
