//! The admin API, in process: a whole node in a temporary directory and its real listener, without a target.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod access;
mod access_map;
mod approvals;
mod certificates;
mod console;
mod dpop;
mod notify;
mod outside;
mod policy;
mod replay;
mod revocations;
mod roles;
mod saml;
mod shapes;
mod ssh;
mod tokens;
mod unused;
mod windows;
mod witness;
mod world;
