//! Identity on the wire: each way in which a caller may prove who it is, with real clients and issuers of other people's
//! making, and what is said to one who does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

#[path = "e2e_identity/issuers.rs"]
mod issuers;
#[path = "e2e_identity/oauthbearer.rs"]
mod oauthbearer;
#[path = "e2e_identity/users.rs"]
mod users;
