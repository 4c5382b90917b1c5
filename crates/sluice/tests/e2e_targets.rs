//! Targets and the real program: what `sluice target doctor` finds at one, and what a killed process leaves at one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

#[path = "e2e_targets/doctor.rs"]
mod doctor;
#[path = "e2e_targets/leftovers.rs"]
mod leftovers;
#[path = "e2e_targets/scan.rs"]
mod scan;
#[path = "e2e_targets/sources.rs"]
mod sources;
