//! A request to a Kubernetes API server. See `bodies::kubernetes_request`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../bodies.rs"]
mod bodies;

fuzz_target!(|input: &[u8]| bodies::kubernetes_request(input));
