//! What is configured, and what have people agreed to?
//!
//! This crate keeps what must outlive a process: approvals with their answers and uses, sealed secrets, the numbers of
//! revisions, and an index over the journal that makes it searchable. All of it is behind one trait, [`State`];
//! [`Sqlite`] is the embedded one.
//!
//! What it must never do: let an approval be spent twice or after its end, treat a database that fails as an answer,
//! hold a secret in clear, or serve as evidence. The journal is the evidence; the index is made from it and may be
//! thrown away and made again at any time.
//!
//! Start with [`State`], then [`approval`] and [`audit`].
#![forbid(unsafe_code)]

pub mod approval;
pub mod audit;
pub mod config;
pub mod credential;
mod error;
pub mod history;
pub mod issued;
pub mod proposal;
pub mod revision;
mod sqlite;
mod state;
pub mod vault;
pub mod window;

pub use error::Error;
pub use sqlite::{Index, Sqlite, remove_index};
pub use state::State;
