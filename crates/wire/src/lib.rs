//! Question 1: how is this spoken? Bytes to typed messages, and back.
//!
//! A protocol is a module. Each is sans-IO: the caller owns the sockets and the buffers, and a parsed message borrows from
//! the buffer that it was parsed from.
//!
//! What it must never do: perform I/O, read a clock, draw randomness, hold a policy, decode a value, or accept a message
//! of which it could not account for every byte. A length is never computed with a cast.
//!
//! Start with [`postgres`]; [`ssh`] and [`http`] are what their libraries leave to Sluice, and [`websocket`] and [`spdy`]
//! what connections of HTTP turn into.
#![forbid(unsafe_code)]

pub mod http;
pub mod postgres;
pub mod spdy;
pub mod ssh;
pub mod websocket;

mod sender;

pub use sender::Sender;
