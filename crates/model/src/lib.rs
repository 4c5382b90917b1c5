//! The vocabulary of Sluice: one type for each word of `ARCHITECTURE.md`.
//!
//! Every other crate speaks in these types, so a pure crate never needs another one: `effects` writes
//! [`effect::Effect`]s, `policy` reads them; `effects` writes [`lineage::Output`]s, `masking` reads them.
//!
//! What it must never do: hold behaviour that answers one of the seven questions, perform I/O, read a clock or draw
//! randomness.
//!
//! Start with [`effect`], then [`lineage`] and [`class`].
#![forbid(unsafe_code)]

pub mod approval;
pub mod bypass;
pub mod class;
pub mod classification;
pub mod decision;
pub mod disclosure;
pub mod effect;
pub mod error;
pub mod event;
pub mod http;
pub mod id;
pub mod issuer;
pub mod lineage;
pub mod revocation;
pub mod saml;
pub mod secret;
pub mod spiffe;
pub mod subject;
pub mod target;
pub mod time;
