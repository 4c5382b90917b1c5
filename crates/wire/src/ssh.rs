//! What the SSH library of `gateway` leaves to Sluice: how callers name a target, and what goes through channels.
//!
//! 1. [`destination`]: the user name as the name of a target and of a login at it.
//! 2. [`sftp`]: the file transfer protocol, version 3, with OpenSSH's extensions.
//! 3. [`scp`]: the records of the older copy protocol, as far as a recorder follows them.
//!
//! Names of signals and opcodes of terminal modes are not here: the library hands them over as closed enums of its own.

pub mod destination;
pub mod scp;
pub mod sftp;
