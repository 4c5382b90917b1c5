//! HTTP: requests of callers at APIs.
//!
//! What one caller asks of one target on one connection is a *session*; each request on it is one of its own: brought into
//! its canonical form, understood by `effects::http`, decided, held for a human and journaled by `deciding`, and only
//! then sent. What the target answers is masked by `masking::http`, recorded, and only then shown to the caller.
//!
//! | step | module |
//! |---|---|
//! | a connection is accepted, and served to its end | `listener`, `connection`, `guarded` |
//! | a request's head is read: who is asked, for what, in which form | `asking` |
//! | who asks, and the session that the request belongs to | `identify`, `proof`, `admit`, `page`, `session` |
//! | one request from its head to the end of its answer | `exchange` |
//! | whether it may, and asking a human | `deciding`, `refusal` |
//! | its body on the way to the target | `upload` |
//! | the target's side: connections that are kept, Sluice's credential, the head that is sent | `sending`, `upstream`, `credential`, `signing`, `forward` |
//! | a connection that turns to WebSocket: the way there, and the messages of both sides | `turning`, `turn`, `socket` |
//! | what Kubernetes streams on such a connection: programs that run, and ports | `streams` |
//! | what callers ask to be connected to: Sluice in its place, or the target | `proxy`, `tunnel` |
//! | what is Kubernetes' own | `interface`, `kubernetes` |
//! | the answer: its head, its body, what the tape has of it | `answer`, `taping` |

mod admit;
mod answer;
mod asking;
mod connection;
mod credential;
mod exchange;
mod forward;
mod guarded;
mod identify;
mod idle;
mod interface;
mod kubernetes;
mod listener;
mod page;
mod problem;
mod proof;
mod proxy;
mod refusal;
mod sending;
mod session;
mod shown;
mod signing;
mod socket;
mod streams;
mod taping;
mod tunnel;
mod turn;
mod turning;
mod understand;
mod upload;
mod upstream;

pub(crate) use interface::Interface;
pub use listener::Listener;
pub(crate) use understand::apis;
pub(crate) use upstream::Pool;
