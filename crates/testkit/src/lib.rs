//! What do tests, the demo and the benchmarks need of the world around Sluice?
//!
//! Real things wherever there are any: a private PostgreSQL server with the log of what it executed ([`postgres`]), the
//! demo's database ([`payments`]), an OpenID Connect issuer ([`issuer`]), SAML identity providers
//! ([`saml`]), the `sluice` program itself ([`process`]),
//! `psql` ([`command`]), Python drivers ([`drivers`]) and a SPIFFE Workload API ([`spiffe`]); OpenSSH's server with the log
//! of what it executed ([`sshd`]), and everything that speaks SSH to it ([`ssh`]); an HTTP API with a log of what reached it
//! ([`api`]), servers of WebSocket and of what Kubernetes streams ([`streams`]), and a Kubernetes cluster of one node
//! ([`cluster`]). Where a real peer cannot misbehave as a test needs it, a scripted one does
//! ([`scripted`], [`interposed`]). [`canary`] finds sensitive values where they must not be; [`wait`] waits for a state, never a time.
//!
//! What it must never do: be linked into the product (it is a dev-dependency only; `tests/architecture.rs` checks it),
//! touch a server or a file that it did not create, or stop a process by name.
//!
//! Start with [`postgres::Postgres`], then [`payments::load`].
#![forbid(unsafe_code)]

pub mod api;
pub mod bench;
pub mod canary;
pub mod cluster;
pub mod command;
pub mod conformance;
pub mod demo;
pub mod drivers;
pub mod http;
pub mod http_servers;
pub mod interposed;
pub mod issuer;
mod keeper;
pub mod marked;
pub mod mutation;
pub mod normal;
pub mod notify;
pub mod openbao;
pub mod openbao_issuer;
pub mod payments;
pub mod people;
pub mod postgres;
pub mod process;
pub mod provider;
mod random;
pub mod s3;
pub mod saml;
pub mod scripted;
pub mod spiffe;
pub mod ssh;
pub mod sshd;
pub mod statements;
pub mod streams;
pub mod tls;
pub mod wait;
