//! A cursor over a packet that ends in an error rather than a panic.

use bytes::Bytes;

use super::error::PacketError;
use super::part::{Data, Handle, Path, Text};

pub(crate) struct Reader<'a> {
    whole: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// From this byte of `whole` on.
    pub(crate) const fn new(whole: &'a Bytes, at: usize) -> Self {
        Self { whole, at }
    }

    pub(crate) const fn left(&self) -> usize {
        self.whole.len().saturating_sub(self.at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let bytes = self.whole.get(self.at..).and_then(<[u8]>::first_chunk::<N>).ok_or(PacketError::Truncated)?;
        self.at = self.at.saturating_add(N);
        Ok(*bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, PacketError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.whole.len()).ok_or(PacketError::Truncated)?;
        let bytes = self.whole.slice(self.at..end);
        self.at = end;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, PacketError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, PacketError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Bytes behind their length.
    pub(crate) fn string(&mut self) -> Result<Bytes, PacketError> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).map_err(|_| PacketError::Truncated)?)
    }

    pub(crate) fn path(&mut self) -> Result<Path, PacketError> {
        Path::new(self.string()?)
    }

    pub(crate) fn handle(&mut self) -> Result<Handle, PacketError> {
        Handle::new(self.string()?)
    }

    pub(crate) fn text(&mut self) -> Result<Text, PacketError> {
        Text::new(self.string()?)
    }

    pub(crate) fn data(&mut self) -> Result<Data, PacketError> {
        self.string().map(Data::new)
    }

    /// Takes what is left: for packets whose last field has no length of its own.
    pub(crate) fn rest(&mut self) -> Result<Bytes, PacketError> {
        self.bytes(self.left())
    }

    /// Demands that every byte was read.
    pub(crate) const fn end(self) -> Result<(), PacketError> {
        match self.left() {
            0 => Ok(()),
            left => Err(PacketError::Trailing(left)),
        }
    }
}
