//! Messages of Protocol Buffers: their encoding, and what a descriptor set says of their fields.
//!
//! <https://protobuf.dev/programming-guides/encoding/>; descriptors are messages themselves (`descriptor.proto`), so that they
//! are read by the same reader.

pub use schema::{Encoding, FieldKind, FieldType, MessageRef, MessageType, NumberKind, Schema, SchemaError};

mod schema;

/// A message is not encoded as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no message of Protocol Buffers")]
pub struct NoMessage;

/// The value of a field, by its wire type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire<'a> {
    /// 0: a number of up to 64 bits.
    Varint(u64),
    /// 1: eight bytes.
    Eight([u8; 8]),
    /// 2: a text, bytes, a message, or a packed list of numbers.
    Bytes(&'a [u8]),
    /// 5: four bytes.
    Four([u8; 4]),
}

/// A field as it is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Wire<'a>,
    /// All of it, with its tag.
    pub raw: &'a [u8],
}

/// The fields of a message, in their order; it ends behind the first that is none.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// The largest number that a field may have.
const LARGEST_NUMBER: u32 = (1 << 29) - 1;

/// Reads a message. Groups, which nobody writes any more, are none.
pub const fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, NoMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = field(self.rest).ok_or(NoMessage);
        self.rest = read.as_ref().ok().and_then(|field| self.rest.get(field.raw.len()..)).unwrap_or_default();
        Some(read)
    }
}

fn field(bytes: &[u8]) -> Option<Field<'_>> {
    let (tag, rest) = varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..=LARGEST_NUMBER).contains(number))?;
    let (value, rest) = match tag & 7 {
        0 => varint(rest).map(|(value, rest)| (Wire::Varint(value), rest))?,
        1 => rest.split_first_chunk().map(|(value, rest)| (Wire::Eight(*value), rest))?,
        2 => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Wire::Bytes(value), rest)
        }
        5 => rest.split_first_chunk().map(|(value, rest)| (Wire::Four(*value), rest))?,
        _ => return None,
    };
    let raw = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
    Some(Field { number, value, raw })
}

/// A number at the beginning of these bytes, and what is behind it.
pub fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = u32::try_from(at).ok()?.checked_mul(7)?;
        // Of the tenth byte one bit has room.
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at.checked_add(1)?..)?));
        }
    }
    None
}

/// Writes a number.
pub fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Writes a field of bytes.
pub fn push_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    push_varint(u64::from(number) << 3 | 2, out);
    push_varint(u64::try_from(value.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_in_their_order() {
        let message = b"\x08\x96\x01\x12\x03abc\x19\x01\x02\x03\x04\x05\x06\x07\x08\x25\x01\x02\x03\x04\x12\x00";
        let read: Vec<_> = fields(message).map(|field| field.map(|field| (field.number, field.value))).collect();
        let expected = [
            (1, Wire::Varint(150)),
            (2, Wire::Bytes(b"abc")),
            (3, Wire::Eight([1, 2, 3, 4, 5, 6, 7, 8])),
            (4, Wire::Four([1, 2, 3, 4])),
            (2, Wire::Bytes(b"")),
        ];
        assert_eq!(read, expected.map(Ok));
    }

    #[test]
    fn what_is_no_message_ends_it() {
        for wrong in [
            &b"\x08"[..],
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\x04abc",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x19\x01",
            b"\x25\x01",
            b"\x0b\x0c",
            b"\x0e",
            b"\x00\x01",
            b"\x80\x80\x80\x80\x10\x01",
        ] {
            let read: Vec<_> = fields(wrong).collect();
            assert_eq!(read, [Err(NoMessage)], "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(value in any::<u64>(), rest in any::<[u8; 3]>()) {
            let mut bytes = Vec::new();
            push_varint(value, &mut bytes);
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(varint(&bytes), Some((value, &rest[..])));
        }

        #[test]
        fn any_bytes_are_read_to_their_end_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let read: Vec<_> = fields(&bytes).collect();
            let whole: usize = read.iter().flatten().map(|field| field.raw.len()).sum();
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
            prop_assert_eq!(whole == bytes.len(), read.last().is_none_or(Result::is_ok));
        }
    }
}
