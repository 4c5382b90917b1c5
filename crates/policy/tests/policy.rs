//! Policies as operators write them, and what they must not be able to get wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "policy/apis.rs"]
mod apis;
#[path = "policy/bounds.rs"]
mod bounds;
#[path = "policy/common.rs"]
mod common;
#[path = "policy/golden.rs"]
mod golden;
#[path = "policy/hosts.rs"]
mod hosts;
#[path = "policy/knowing.rs"]
mod knowing;
#[path = "policy/kubernetes.rs"]
mod kubernetes;
#[path = "policy/loading.rs"]
mod loading;
#[path = "policy/observed.rs"]
mod observed;
#[path = "policy/remembered.rs"]
mod remembered;
#[path = "policy/slicing.rs"]
mod slicing;
#[path = "policy/tokens.rs"]
mod tokens;
#[path = "policy/traps.rs"]
mod traps;
