//! Client certificates: what a token may be bound to, and who a workload with an X.509-SVID is, against the real program
//! in front of a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

#[path = "e2e_certificates/bound.rs"]
mod bound;
#[path = "e2e_certificates/svid.rs"]
mod svid;
#[path = "e2e_certificates/workload_api.rs"]
mod workload_api;
