//! SFTP, version 3 (draft-ietf-secsh-filexfer-02), as OpenSSH speaks it (its file PROTOCOL, section 4).
//!
//! 1. [`frame`]: where a packet ends, decided from its first four bytes.
//! 2. [`request`] and [`response`]: a packet as a typed message whose fields share the packet's memory.
//! 3. [`extension`]: OpenSSH's requests beyond the draft, and what answers them.
//! 4. [`encode`]: typed messages to bytes.
//!
//! A packet that was parsed may be forwarded as it is ([`frame::Packet::bytes`]): every byte of it is accounted for, so
//! Sluice and its peer cannot disagree about what it says. Which request an answer belongs to is told by its id, which the
//! gateway keeps with what [`request::Operation::expects`] says.
//!
//! Fields keep the memory of the whole packet alive. Whoever remembers one for longer than the packet copies it first.

pub mod attributes;
pub mod encode;
pub mod error;
pub mod extension;
pub mod frame;
pub mod part;
pub mod request;
pub mod response;

mod read;
#[cfg(test)]
mod strategies;

pub use attributes::Attributes;
pub use error::{EncodeError, FrameError, PacketError};
pub use extension::Extension;
pub use frame::{Framer, Packet};
pub use part::{Data, Handle, Hello, Path, Text};
pub use request::{Operation, Request};
pub use response::{Answer, Expected, Response};

/// The version of the protocol that this module speaks.
pub const VERSION: u32 = 3;
