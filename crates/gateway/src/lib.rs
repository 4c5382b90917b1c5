//! Where the seven questions meet: sockets, TLS, sessions, targets.
//!
//! A request comes in through [`postgres`], [`ssh`] or [`http`], is understood, decided, journaled, forwarded, answered and masked
//! there, in the order of `ARCHITECTURE.md`. What sessions share is in [`node`].
//!
//! What it must never do: send anything to a target without a `Permit` and a `Receipt`, or to a client without
//! `Released`. `gate` is the one module that can write to either.
//!
//! Start with `postgres/session.rs`, then `postgres/client.rs` and `postgres/answers.rs`; for a protocol of channels, with
//! `ssh/channel.rs` and `ssh/relay.rs`; and for HTTP with `http/exchange.rs`.
#![forbid(unsafe_code)]

pub mod access_map;
pub mod archive;
mod backends;
mod background;
mod broken_off;
pub mod clock;
pub mod contacts;
mod credentials;
mod deciding;
mod explained;
pub mod fetch;
mod gate;
pub mod http;
pub mod indexer;
pub mod introspection;
pub mod issued;
pub mod issuers;
pub mod judging;
mod listener;
mod live_tapes;
mod measure;
pub mod metrics;
pub mod node;
pub mod observers;
mod packing;
pub mod postgres;
pub mod proposals;
pub mod recorder;
pub mod restart;
pub mod retention;
pub mod revision;
pub mod revocations;
pub mod saml;
mod serve;
mod session_tape;
pub mod sessions;
pub mod sign_in;
pub mod sinks;
mod slices;
pub mod spiffe;
pub mod ssh;
pub mod threads;
mod tiles;
pub mod tls;
pub mod tokens;
mod trust;
mod unrecorded;
mod vault_changes;
pub mod witnesses;

pub use serve::{Listeners, alone, serve};
