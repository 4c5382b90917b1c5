//! What happened, provably?
//!
//! - The **journal** ([`Journal`]): one entry for each thing that matters, in segments of checksummed frames, under one
//!   RFC 6962 Merkle tree whose head is signed in [`Checkpoint`]s. A [`Receipt`] proves that an entry is in it, and
//!   without one no request is forwarded.
//! - The **tape** ([`tape`]): what passed in a session, as its caller saw it. A [`Taped`] proves that bytes are on it, and
//!   without one nothing is delivered.
//! - The **witness** ([`witness`]): what another machine remembers of a journal, so that an older or another one does not
//!   pass for it.
//! - **Tiles** ([`export`]): the journal as static files that tools of others read.
//! - [`verify()`]: from the files and the public key alone, whether the journal is what was signed, and if not, which
//!   entry is the first that is wrong.
//!
//! What it must never do: hand out a proof before the write (or the fdatasync) returned, retry a failed fsync, repair
//! anything but a torn tail without being asked to, touch a file other than through [`disk::Disk`], read a clock or draw randomness.
//!
//! Start with [`journal`], then [`receipt`]; the file formats stand at the top of `segment.rs`, `frame.rs`,
//! `checkpoints.rs`, `rotation.rs`, `tiles.rs` and `tape.rs`.
#![forbid(unsafe_code)]

mod checkpoints;
mod cosignature;
pub mod disk;
mod frame;
pub mod journal;
pub mod merkle;
mod note;
mod prove;
mod reader;
pub mod receipt;
mod rotation;
#[cfg(test)]
mod samples;
mod segment;
pub mod tape;
mod tiles;
mod verify;
pub mod witness;

pub use cosignature::{Cosigner, WitnessKey};
pub use disk::{Disk, RealDisk};
pub use frame::{DecodeError, EncodeError, MAX_PAYLOAD, decode, fits, length};
pub use journal::{Journal, JournalError, OpenError, Recovery, RotateError, SetAside, Sizes, Torn, hold, request_of};
pub use note::{Checkpoint, KeyError, NoteError, SigningKey, VerifyingKey};
pub use prove::{EntryProof, Proof, ProofError, ProveError, prove_consistency, prove_entry, prove_inclusion};
pub use reader::{ReadError, Reader};
pub use receipt::{Appended, Lets, Level, NotSynced, Receipt, Synced};
pub use rotation::{KeyFile, KeyFileError, Keys, Rotated};
pub use tape::{Tape, Taped};
pub use tiles::{Exported, TilesError, TilesFault, TilesReport, export, verify_tiles};
pub use verify::{Fault, Report, Run, Trust, Where, Witnessed, verify, verify_with};
