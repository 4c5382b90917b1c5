//! SSH: sessions of callers at hosts.
//!
//! A connection is a *session*; each channel request on it, each SFTP operation and each forwarded connection is a *request* of
//! its own: understood by `effects::ssh`, decided by `decide`, held for a human by `hold`, journaled, and only then sent to the
//! host. What the host shows is masked by `masking::ssh`, recorded, and only then shown to the caller.
//!
//! | step | module |
//! |---|---|
//! | a connection is accepted, and served to its end | `listener` |
//! | what the library calls back: who it is, what is asked for | `server`, `admit`, `identify` |
//! | what all channels of a session share | `session` |
//! | a session channel, and what passes on it | `channel`, `relay`, `sftp` |
//! | connections through the session | `forward` |
//! | the host's side: its key, Sluice's credential, one connection for each channel | `target`, `trust`, `credential` |
//! | what goes on only while somebody observes | `observed` |
//! | how much may wait where | `flow`, `stream` |
//!
//! Two authorities sign certificates, and never for each other (docs/adr/0015): hosts believe the one of `authority`, and
//! only Sluice believes the one of `callers`, so that what a caller holds opens no host.

mod admit;
mod algorithms;
pub(crate) mod authority;
pub(crate) mod callers;
mod channel;
pub(crate) mod credential;
mod decide;
mod end;
mod flow;
mod forward;
pub(crate) mod host_key;
pub(crate) mod identify;
pub(crate) mod keys;
mod listener;
mod observed;
pub(crate) mod prompt;
mod refusal;
mod relay;
mod server;
mod session;
mod sftp;
mod stream;
mod target;
mod trust;

pub use authority::target_authority;
pub use callers::{CallerCertificates, CertificateRefusal, caller_key};
pub use host_key::HostKey;
pub use listener::Listener;
