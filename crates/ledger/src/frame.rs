//! One entry as it lies in a segment.
//!
//! ```text
//! crc32c u32 | index u64 | length u16 | payload            all little-endian; the checksum covers what follows it
//! payload = version u8 (1) | postcard(model::event::Entry)  1 to 65,535 bytes; this is the leaf of the tree
//! ```

use model::event::Entry;

/// The longest payload: the limit of C2SP tlog-tiles for an entry.
pub const MAX_PAYLOAD: usize = 65_535;
/// Bytes in front of a payload.
pub(crate) const HEADER: usize = 14;
/// The place of [`model::event::Event::KeyRotated`] in the enum.
const KEY_ROTATED: u8 = 22;
/// The version of the payload's encoding.
pub(crate) const VERSION: u8 = 1;

/// An entry that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Longer than 65,535 bytes.
    #[error("an entry of {0} bytes is longer than 65,535")]
    TooLarge(usize),
    /// A value that the encoding cannot hold.
    #[error("an entry cannot be encoded")]
    Unencodable(#[source] postcard::Error),
}

/// An entry that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Of a version that this release does not know.
    #[error("unknown encoding version {0}")]
    Version(u8),
    /// Not an entry, or not in the one form that the encoder gives it.
    #[error("not a canonical entry")]
    Malformed,
}

/// Appends the frame of `entry` to `out` and returns the leaf hash.
pub(crate) fn encode(entry: &Entry, index: u64, out: &mut Vec<u8>) -> Result<crate::merkle::Hash, EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.push(VERSION);
    let full = postcard::to_extend(entry, std::mem::take(out)).map_err(EncodeError::Unencodable)?;
    *out = full;
    let (Some(frame), payload_at) = (out.get_mut(start..), HEADER) else { return Err(EncodeError::TooLarge(0)) };
    let size = frame.len().saturating_sub(payload_at);
    let length = u16::try_from(size).map_err(|_| EncodeError::TooLarge(size))?;
    let leaf = crate::merkle::leaf_hash(frame.get(payload_at..).unwrap_or_default());
    put(frame, 4, &index.to_le_bytes());
    put(frame, 12, &length.to_le_bytes());
    let crc = crc32c::crc32c(frame.get(4..).unwrap_or_default());
    put(frame, 0, &crc.to_le_bytes());
    Ok(leaf)
}

fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    frame.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Whether an entry is short enough to be recorded.
pub fn fits(entry: &Entry) -> bool {
    encode(entry, 0, &mut Vec::new()).is_ok()
}

/// How many bytes an entry takes in the journal, but for what frames it.
pub fn length(entry: &Entry) -> usize {
    // What cannot be encoded is not kept either.
    postcard::serialize_with_flavor(entry, postcard::ser_flavors::Size::default()).unwrap_or(usize::MAX)
}

/// The payload of an entry: exactly what the tree's leaf is made of.
pub fn decode(payload: &[u8]) -> Result<Entry, DecodeError> {
    let (version, body) = payload.split_first().ok_or(DecodeError::Malformed)?;
    if *version != VERSION {
        return Err(DecodeError::Version(*version));
    }
    let (entry, rest) = postcard::take_from_bytes::<Entry>(body).map_err(|_| DecodeError::Malformed)?;
    let canonical = postcard::to_stdvec(&entry).map_err(|_| DecodeError::Malformed)?;
    if rest.is_empty() && canonical == body { Ok(entry) } else { Err(DecodeError::Malformed) }
}

/// Whether a payload may be an entry that changes the key: its kind stands behind the version and the time.
pub(crate) fn may_change_key(payload: &[u8]) -> bool {
    let after_time = payload.iter().skip(1).skip_while(|byte| **byte & 0x80 != 0);
    after_time.copied().nth(1).is_none_or(|kind| kind == KEY_ROTATED || kind & 0x80 != 0)
}

/// What is at the beginning of some bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Parsed<'a> {
    /// A frame whose checksum holds.
    Frame { index: u64, payload: &'a [u8] },
    /// More bytes are needed to tell.
    Short,
    /// Not a frame.
    Bad,
}

/// How many whole frames lie anywhere among `bytes`.
pub(crate) fn count(bytes: &[u8]) -> u64 {
    let (mut at, mut found) = (0, 0_u64);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let whole =
            if let Parsed::Frame { payload, .. } = parse(rest) { HEADER.saturating_add(payload.len()) } else { 0 };
        found = found.saturating_add(u64::from(whole > 0));
        at = at.saturating_add(whole.max(1));
    }
    found
}

/// Looks at the frame at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Parsed::Short };
    let [c0, c1, c2, c3, i0, i1, i2, i3, i4, i5, i6, i7, l0, l1] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length == 0 {
        return Parsed::Bad;
    }
    let Some(covered) = bytes.get(4..HEADER + length) else { return Parsed::Short };
    if crc32c::crc32c(covered) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Parsed::Bad;
    }
    let index = u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
    Parsed::Frame { index, payload: covered.get(HEADER - 4..).unwrap_or_default() }
}

/// Whether more bytes are needed to tell what is at the beginning of `bytes`: [`parse`] without the checksum.
pub(crate) fn is_short(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return true };
    let [.., l0, l1] = *header;
    rest.len() < usize::from(u16::from_le_bytes([l0, l1]))
}

#[cfg(test)]
mod tests;
