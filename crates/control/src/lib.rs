//! How do people run Sluice?
//!
//! The admin API, over HTTP and JSON: approvals, windows, sessions and their tapes, the audit index, the revision in
//! force. Callers present the same tokens as everywhere else, and `policy::may` decides what each may do. The command
//! line is a client of this API and nothing more.
//!
//! What it must never do: answer anything but health, its own keys, the token endpoint and what proves itself (a token that
//! is given up, an issuer's signed event, an answer that Slack signed or the Bot Connector brings) without a verified token, change anything that is not in the journal, show a
//! token or a key, or speak plain HTTP to another machine.
//!
//! Start with `routes.rs`, where every route stands beside what it takes to call it, then `access.rs`.
#![forbid(unsafe_code)]

mod access;
mod access_map;
mod answer;
mod app;
mod approvals;
mod audit;
mod console;
mod diff;
mod drafts;
mod events;
mod health;
mod hosts;
mod input;
mod journal;
mod listener;
mod notify;
mod openapi;
mod problem;
mod proof;
mod proposals;
mod prove;
pub mod rehearsal;
pub mod replay;
mod revision;
mod revisions;
mod revocations;
mod revoke;
mod routes;
mod runs;
mod scans;
mod sessions;
pub mod shape;
pub mod shown;
mod sign_in;
mod simulations;
mod stream;
mod targets;
pub mod time;
mod token;
mod unused;
mod watch;
mod windows;
pub mod witness;

pub use access::Access;
pub use app::Stopping;
pub use audit::{Classes, MOST, Question, QuestionError};
pub use listener::{Listener, serve};
pub use notify::check as check_notify;
pub use openapi::openapi;
pub use routes::{Listed, listed};
pub use windows::Wanted;
