//! The caller's side of Sluice: who a workload or a person is, kept fresh, and local doors through which programs that
//! know nothing of it reach their targets.
//!
//! It must never show a token, write one anywhere but into the file of a login, or let whoever is not the user it runs
//! as use one.
//!
//! Start reading at [`source`], which is where identity comes from; [`keeper`] keeps it fresh; [`postgres`] is the door, and [`ssh`] what
//! `ssh` needs to do without one, and [`kubernetes`] what `kubectl` does.
//! [`login`] is how people sign in.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod child;
pub mod config;
pub mod health;
pub mod http;
pub mod issuer;
pub mod keeper;
pub mod kubernetes;
pub mod login;
pub mod postgres;
pub mod private;
pub mod source;
pub mod ssh;
pub mod tls;
pub mod token;

mod random;

pub use random::{NoRandomness, word as random_word};
