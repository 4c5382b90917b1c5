//! SAML against assertions of independent implementations, and every decision about a signature against `xmlsec1`.
//!
//! A case says what Sluice does with a document and what `xmlsec1` says of its first signature. Where the two differ, the
//! case says why: [`Second::Accepts`] are documents in which a signature is genuine, and something else is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod attributes;
mod encodings;
mod genuine;
mod metadata;
mod mutations;
mod properties;
mod signatures;
mod support;
mod times;
mod wrapping;
