//! HTTP through Sluice, with a real API behind it and real clients in front.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]
#![allow(clippy::print_stdout, reason = "a test that fails shows the log")]

mod support;

#[path = "e2e_http/credentials.rs"]
mod credentials;
#[path = "e2e_http/decisions.rs"]
mod decisions;
#[path = "e2e_http/endings.rs"]
mod endings;
#[path = "e2e_http/everyday.rs"]
mod everyday;
#[path = "e2e_http/ground.rs"]
mod ground;
#[path = "e2e_http/grpc.rs"]
mod grpc;
#[path = "e2e_http/h2spec.rs"]
mod h2spec;
#[path = "e2e_http/hostile.rs"]
mod hostile;
#[path = "e2e_http/identity.rs"]
mod identity;
#[path = "e2e_http/interfaces.rs"]
mod interfaces;
#[path = "e2e_http/masks.rs"]
mod masks;
#[path = "e2e_http/pages.rs"]
mod pages;
#[path = "e2e_http/proxy.rs"]
mod proxy;
#[path = "e2e_http/proxying.rs"]
mod proxying;
#[path = "e2e_http/records.rs"]
mod records;
#[path = "e2e_http/smuggling.rs"]
mod smuggling;
#[path = "e2e_http/sockets.rs"]
mod sockets;
#[path = "e2e_http/streams.rs"]
mod streams;
#[path = "e2e_http/tunnels.rs"]
mod tunnels;
#[path = "e2e_http/wire.rs"]
mod wire;
