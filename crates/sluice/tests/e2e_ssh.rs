//! SSH through Sluice, with a real sshd behind it and real clients in front.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]
#![allow(clippy::print_stdout, reason = "a test that fails shows the log")]

mod support;

#[path = "e2e_ssh/canaries.rs"]
mod canaries;
#[path = "e2e_ssh/decisions.rs"]
mod decisions;
#[path = "e2e_ssh/endings.rs"]
mod endings;
#[path = "e2e_ssh/execution.rs"]
mod execution;
#[path = "e2e_ssh/files.rs"]
mod files;
#[path = "e2e_ssh/forwards.rs"]
mod forwards;
#[path = "e2e_ssh/ground.rs"]
mod ground;
#[path = "e2e_ssh/handshake.rs"]
mod handshake;
#[path = "e2e_ssh/hostile.rs"]
mod hostile;
#[path = "e2e_ssh/masks.rs"]
mod masks;
#[path = "e2e_ssh/observed.rs"]
mod observed;
#[path = "e2e_ssh/oracle.rs"]
mod oracle;
#[path = "e2e_ssh/programs.rs"]
mod programs;
#[path = "e2e_ssh/terminals.rs"]
mod terminals;
#[path = "e2e_ssh/watching.rs"]
mod watching;
