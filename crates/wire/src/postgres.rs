//! PostgreSQL's frontend/backend protocol, version 3 (3.0 and 3.2).
//!
//! The life of a connection, in modules:
//!
//! 1. [`startup`]: the untagged packets that a client may begin with.
//! 2. [`frame`]: where a tagged message ends, decided from its first five bytes, with a bound for each type and phase.
//! 3. [`frontend`] and [`backend`]: the body of a frame as a typed message that borrows from it.
//! 4. [`encode`]: typed messages to bytes.
//! 5. [`pipeline`]: which of the messages that were forwarded a reply belongs to.
//!
//! A frame whose body was parsed may be forwarded as it is ([`frame::Frame::bytes`]): every byte of it is accounted for, so
//! Sluice and its peer cannot disagree about what it says.
//!
//! References such as `postgres.c SocketBackend` are to PostgreSQL's source, version 15 unless said otherwise.

pub mod backend;
pub mod encode;
pub mod error;
pub mod frame;
pub mod frontend;
pub mod oauthbearer;
pub mod part;
pub mod pipeline;
pub mod startup;

mod read;
