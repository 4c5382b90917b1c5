//! What a request of SSH does.
//!
//! Every request of a channel or of the connection is one [`Request`]: its effects, what policies may ask besides, and what
//! the record and people may see of it. [`exec`] reads a line as a POSIX shell or bash would; [`file()`] is one operation of
//! SFTP, with paths that the target resolved; the others are what they are called.
//!
//! What a line says is understood as far as its grammar goes, and what is not is [`model::effect::Verb::Opaque`]. It is best
//! effort beyond that (SH-08): a program that may run does what it does, a login's shell may be none that reads lines so, and
//! a symbolic link may lead anywhere. Where that matters, permit programs by name, and files by SFTP.

mod channels;
mod exec;
mod files;
mod grammar;
mod path;
mod request;
mod secrets;
mod servers;
mod variables;
mod word;
mod wrappers;

pub use channels::{
    Environment, agent_forward, direct_streamlocal, direct_tcpip, environment, pty, shell, streamlocal_forward,
    subsystem, tcpip_forward, x11,
};
pub use exec::{MOST_OF_A_LINE, TooLong, exec};
pub use files::{Attributes, FileOperation, Opening, file};
pub use request::{Carries, Request};
