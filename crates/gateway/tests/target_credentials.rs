//! Where the passwords of targets come from, through a whole gateway in this process, with the real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

#[path = "target_credentials/aws.rs"]
mod aws;
#[path = "target_credentials/dynamic.rs"]
mod dynamic;
#[path = "target_credentials/kv.rs"]
mod kv;
#[path = "target_credentials/place.rs"]
mod place;
#[path = "target_credentials/plugins.rs"]
mod plugins;
#[path = "target_credentials/roles.rs"]
mod roles;
