//! Kubernetes through Sluice: an API server behind it, and kubectl, curl and the client of Python in front.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]
#![allow(clippy::print_stdout, reason = "a test that fails shows the log")]

mod support;

#[path = "e2e_kubernetes/clients.rs"]
mod clients;
#[path = "e2e_kubernetes/decisions.rs"]
mod decisions;
#[path = "e2e_kubernetes/ground.rs"]
mod ground;
#[path = "e2e_kubernetes/hostile.rs"]
mod hostile;
#[path = "e2e_kubernetes/masks.rs"]
mod masks;
