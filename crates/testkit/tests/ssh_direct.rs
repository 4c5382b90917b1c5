//! OpenSSH's server and everything that speaks to it, directly: what a test compares with when Sluice stands between.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests fail so")]

#[path = "ssh_direct/support.rs"]
mod support;

#[path = "ssh_direct/access.rs"]
mod access;
#[path = "ssh_direct/connections.rs"]
mod connections;
#[path = "ssh_direct/end.rs"]
mod end;
#[path = "ssh_direct/execution.rs"]
mod execution;
#[path = "ssh_direct/files.rs"]
mod files;
#[path = "ssh_direct/programs.rs"]
mod programs;
