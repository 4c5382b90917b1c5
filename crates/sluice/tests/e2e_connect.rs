//! `sluice connect`: programs that know nothing of tokens, through local doors, for longer than any token lasts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

#[path = "e2e_connect/doors.rs"]
mod doors;
#[path = "e2e_connect/people.rs"]
mod people;
#[path = "e2e_connect/proof.rs"]
mod proof;
#[path = "e2e_connect/renewal.rs"]
mod renewal;
mod support;
