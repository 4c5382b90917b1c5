//! Disks that are full, read-only, slow, silent or broken under the real program, in front of a real server: nothing is
//! forwarded that is not recorded in time, memory stays flat, operators see why, and when the disk is back Sluice goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

#[path = "e2e_disk/faults.rs"]
mod faults;
#[path = "e2e_disk/memory.rs"]
mod memory;
#[path = "e2e_disk/slow.rs"]
mod slow;
#[path = "e2e_disk/stage.rs"]
mod stage;
