//! What may they see of the answer?
//!
//! Two nets, both always on. The *structural* net follows the classification: every column of an answer carries the
//! data classes of the columns it may derive from ([`postgres::plan`]), and a value of a class that the subject may not
//! reveal is masked in its own wire type and format, or becomes NULL. The *content* net looks for card numbers, keys
//! and the like in text that nobody classified ([`detect`]). [`postgres::Outbox`] is the only maker of
//! [`Masked`], and `gateway` writes nothing else to a client.
//!
//! What it must never do: deliver a byte of an answer that it did not account for, guess that an unknown value is
//! harmless, put a value into an error, perform I/O, read a clock or draw randomness (masks are deterministic, so
//! joins and cursors stay coherent).
//!
//! Start with [`Lens`] (what one subject may see), then [`postgres::plan`] and [`postgres::Outbox`].
#![forbid(unsafe_code)]

pub mod detect;
mod error;
mod keys;
mod lens;
mod mask;
mod masked;
pub mod postgres;

pub use error::MaskError;
pub use keys::Keys;
pub use lens::{Lens, OnUnmaskable, RevealAsk, Reveals, Settings};
pub use masked::Masked;
