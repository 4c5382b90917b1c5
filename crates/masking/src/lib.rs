//! What may they see of the answer?
//!
//! Two nets, both always on. The *structural* net follows the classification: every column of an answer carries the
//! data classes of the columns it may derive from ([`postgres::plan`]), and a value of a class that the subject may not
//! reveal is masked in its own wire type and format, or becomes NULL. The *content* net looks for card numbers, keys
//! and the like in text that nobody classified ([`detect`]). [`postgres::Outbox`], for streams of bytes [`ssh::Stream`],
//! and for the bodies and fields of HTTP [`http::Body`] and [`http::Head`] are the only makers of [`Masked`], and `gateway`
//! writes nothing else to a client. [`suggest`] says what class a column may carry, by the same detectors.
//!
//! What it must never do: deliver a byte of an answer that it did not account for, guess that an unknown value is
//! harmless, put a value into an error, perform I/O, read a clock or draw randomness (masks are deterministic, so
//! joins and cursors stay coherent).
//!
//! Start with [`Lens`] (what one subject may see), then [`postgres::plan`] and [`postgres::Outbox`], or [`ssh`], or [`http`].
//!
//! ```
//! use masking::postgres::{Described, Outbox, plan};
//! use masking::{Keys, Lens, OnUnmaskable, Settings};
//! use model::class::{DataClass, Labels, Transform};
//! use model::decision::Reveal;
//! use model::lineage::{Mentions, Origin, Output, OutputColumn};
//!
//! let classes = [(DataClass::new("card_number"), Transform::Partial { keep_last: 4 })].into();
//! let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
//! let mut reveal = |_: masking::RevealAsk<'_>| Reveal::Masked(None);
//! let lens = Lens::new(&Keys::derive(&[7; 32]), settings, &mut reveal);
//!
//! let output = Output::Rows(vec![OutputColumn { name: "note".into(), origin: Origin::Constant }]);
//! let text = Described { name: "note".into(), source: None, whole_row_of: None, type_oid: 25, binary: false };
//! let plan = plan(&lens, &output, &[text], &Mentions::default(), &Labels::default(), &mut reveal);
//!
//! let mut outbox = Outbox::new(lens);
//! outbox.data_row(&plan, b"\0\x01\0\0\0\x104111111111111111")?;
//! let masked = outbox.finish();
//! assert!(masked.bytes().ends_with(b"************1111"));
//! assert_eq!(masked.disclosure().classes["card_number"].masked, 1);
//! # Ok::<(), masking::MaskError>(())
//! ```
#![forbid(unsafe_code)]

pub mod detect;
mod error;
pub mod http;
mod keys;
pub mod kubernetes;
mod lens;
mod mask;
mod masked;
pub mod postgres;
pub mod ssh;
mod stream;
pub mod suggest;

pub use error::MaskError;
pub use keys::Keys;
pub use lens::{Lens, OnUnmaskable, RevealAsk, Reveals, Settings};
pub use masked::Masked;
