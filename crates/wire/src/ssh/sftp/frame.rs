//! Where a packet ends, decided from its first four bytes.
//!
//! A declared length is refused or believed before a byte behind it is looked at, and what is held is in proportion to what
//! came, never to what was declared (RX-03). A packet that came in one piece is handed out as that piece; one that came in
//! several is joined once, when it is complete.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::error::FrameError;

/// The length word.
const WORD: usize = 4;

/// The longest packet that OpenSSH accepts, without its length word (`SFTP_MAX_MSG_LENGTH`, sftp-common.h).
pub const LIMIT: u32 = 256 * 1024;

/// No configured limit goes beyond this, and nothing longer is written: 16 MiB.
pub const MAX_LENGTH: u32 = 16 << 20;

/// Pieces shorter than this are gathered before they are kept: a queue of single bytes would cost a hundred times what it
/// holds.
const SMALL: usize = 2048;

/// Cuts what one side sends into packets.
///
/// It holds what was pushed and not yet taken: less than one packet once [`Framer::packet`] has said `None`.
pub struct Framer {
    limit: u32,
    pieces: VecDeque<Bytes>,
    /// Comes behind `pieces`.
    gathered: BytesMut,
    /// Bytes in both.
    length: usize,
}

impl Framer {
    /// For packets of at most `limit` bytes without their length word, [`LIMIT`] unless a peer has said otherwise
    /// (limits@openssh.com); at most [`MAX_LENGTH`].
    pub fn new(limit: u32) -> Self {
        Self { limit: limit.min(MAX_LENGTH), pieces: VecDeque::new(), gathered: BytesMut::new(), length: 0 }
    }

    /// From the next packet on, that may be at most `limit` bytes long; at most [`MAX_LENGTH`].
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.min(MAX_LENGTH);
    }

    /// How many bytes are waiting for the rest of their packet. At the end of a stream that has not been cut it is 0.
    pub const fn pending(&self) -> usize {
        self.length
    }

    /// Takes what came next.
    pub fn push(&mut self, bytes: Bytes) {
        self.length = self.length.saturating_add(bytes.len());
        if bytes.len() >= SMALL {
            self.seal();
            self.pieces.push_back(bytes);
            return;
        }
        self.gathered.extend_from_slice(&bytes);
        if self.gathered.len() >= SMALL {
            self.seal();
        }
    }

    /// The next packet; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the length word is there, and every time from then on.
    pub fn packet(&mut self) -> Result<Option<Packet>, FrameError> {
        let Some(word) = self.length_word() else {
            return Ok(None);
        };
        let length = believe(word, self.limit)?;
        if self.length < length {
            return Ok(None);
        }
        self.seal();
        Ok(Some(Packet { bytes: self.take(length) }))
    }

    fn length_word(&self) -> Option<u32> {
        let mut bytes = self.pieces.iter().flatten().chain(&self.gathered).copied();
        Some(u32::from_be_bytes([bytes.next()?, bytes.next()?, bytes.next()?, bytes.next()?]))
    }

    /// Makes a piece of what was gathered.
    fn seal(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(self.gathered.split().freeze());
        }
    }

    /// Takes so many bytes, which are there.
    fn take(&mut self, length: usize) -> Bytes {
        self.length = self.length.saturating_sub(length);
        let first = self.take_piece(length);
        if first.len() == length {
            return first;
        }
        let mut joined = BytesMut::with_capacity(length);
        joined.extend_from_slice(&first);
        while joined.len() < length {
            let piece = self.take_piece(length.saturating_sub(joined.len()));
            if piece.is_empty() {
                break;
            }
            joined.extend_from_slice(&piece);
        }
        joined.freeze()
    }

    /// At most so many bytes of the first piece.
    fn take_piece(&mut self, most: usize) -> Bytes {
        let Some(first) = self.pieces.front_mut() else {
            return Bytes::new();
        };
        if first.len() > most {
            return first.split_to(most);
        }
        self.pieces.pop_front().unwrap_or_default()
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Framer({} bytes of at most {})", self.length, self.limit)
    }
}

/// The length of the whole packet from its length word, which does not count itself.
fn believe(length: u32, limit: u32) -> Result<usize, FrameError> {
    let too_large = FrameError::TooLarge { length, limit };
    if length == 0 {
        return Err(FrameError::Empty);
    }
    if length > limit {
        return Err(too_large);
    }
    usize::try_from(length).ok().and_then(|length| length.checked_add(WORD)).ok_or(too_large)
}

/// A complete packet, not yet looked into.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// With the length word.
    bytes: Bytes,
}

impl Packet {
    /// Where the fields begin: behind the length word and the type.
    pub(crate) const FIELDS: usize = WORD + 1;

    /// Its type as a number.
    pub fn code(&self) -> u8 {
        self.bytes.get(WORD).copied().unwrap_or_default()
    }

    /// The id of what is not an INIT or a VERSION, which have none; `None` too if it is cut short. Also of a packet that
    /// could not be parsed, so that it can be answered.
    pub fn id(&self) -> Option<u32> {
        if matches!(self.code(), 1 | 2) {
            return None;
        }
        self.bytes.get(Self::FIELDS..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// All of it, for forwarding as it is once it was parsed.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All of it.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Packet(type {}, {} bytes)", self.code(), self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
