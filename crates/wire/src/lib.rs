//! Question 1: how is this spoken? Bytes to typed messages, and back.
//!
//! A protocol is a module. Each is sans-IO: the caller owns the sockets and the buffers, and a parsed message borrows from
//! the buffer that it was parsed from.
//!
//! What it must never do: perform I/O, read a clock, draw randomness, hold a policy, decode a value, or accept a message
//! of which it could not account for every byte. A length is never computed with a cast.
//!
//! Start with [`postgres`].
#![forbid(unsafe_code)]

pub mod postgres;
