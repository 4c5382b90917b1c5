//! What do benchmarks and instruction counts put through the pure crates?
//!
//! One module for each question, with fixed inputs and what is done with them: [`analysis`] of statements, [`decision`]
//! under many policies, [`rows`] and [`bodies`] to mask, [`prose`] to search, the [`record`], [`tokens`] and an [`exchange`] of
//! messages.
//! The micro-benchmarks (`benches/`, `./dev bench micro`) time them, and [`counted`] names the five whose instructions
//! [`counts`] compares with the figures in `counts.tsv` (`./dev check`).
//!
//! It stands beside the pure crates and not in each of them, because the same inputs serve both, because what one crate
//! does with the answer of another is among them (policy is asked about the effects of a statement), and because pure
//! crates do not depend on each other.
//!
//! What it must never do: draw randomness for what is counted, depend on the network or on a server, or be linked into
//! the product.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod bodies;
pub mod counted;
pub mod counts;
pub mod decision;
pub mod exchange;
pub mod prose;
pub mod record;
pub mod rows;
pub mod tokens;
