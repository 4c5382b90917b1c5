//! What would this request do?
//!
//! One module per protocol answers with verbs on objects ([`model::effect::Effect`]), with where each column of the
//! answer comes from ([`model::lineage::Output`]), and with what the request does to the session.
//!
//! What it must never do: perform I/O, read a clock, guess that something is harmless, or answer with no effect at all.
//! What is not understood is [`model::effect::Verb::Opaque`], and its answer is [`model::lineage::Origin::Unknown`].
//!
//! Start with [`postgres`], [`ssh`], [`http`] or [`kubernetes`].
#![forbid(unsafe_code)]

pub mod http;
pub mod kubernetes;
pub mod postgres;
pub mod ssh;

mod json;
mod named_secrets;
mod shown;
