//! The parts that messages are made of: strings, values, format codes.
//!
//! Lists borrow the bytes that they were validated in and are read as they are iterated, so a message costs no allocation.
//! `Debug` shows lengths only: content belongs in no log line.

use std::fmt;

use super::error::MessageError;
use super::read::Reader;

/// A string as it was sent, without its NUL. Bytes, because only a session pinned to UTF-8 says what they mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text.
    ///
    /// # Errors
    /// [`MessageError::NotUtf8`].
    pub fn utf8(self) -> Result<&'a str, MessageError> {
        std::str::from_utf8(self.0).map_err(|_| MessageError::NotUtf8)
    }

    /// Whether it is empty: the unnamed statement or portal.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// For messages that Sluice composes. A NUL in it is an error when it is encoded.
impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Text({} bytes)", self.0.len())
    }
}

/// Bytes that may be secret or classified: passwords, SASL messages, cancel keys, data.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn get(self) -> &'a [u8] {
        self.0
    }
}

/// For messages that Sluice composes, and bodies that it took apart itself.
impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Bytes({} bytes)", self.0.len())
    }
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Format {
    /// As text.
    #[default]
    Text,
    /// In the type's binary form.
    Binary,
}

impl Format {
    /// The code on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }

    pub(crate) const fn from_code(code: i16) -> Result<Self, MessageError> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(MessageError::Format(other)),
        }
    }
}

/// Format codes: none means text for all, one stands for all, else one for each value.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Formats<'a> {
    count: u16,
    codes: &'a [u8],
}

impl<'a> Formats<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = reader.u16()?;
        let codes =
            reader.span(|reader| (0..count).try_for_each(|_| reader.i16().and_then(Format::from_code).map(drop)))?;
        Ok(Self { count, codes })
    }

    /// How many codes were sent.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// The codes as they were sent.
    pub fn iter(self) -> impl Iterator<Item = Format> + 'a {
        self.codes.chunks_exact(2).map(|code| if code == [0, 1] { Format::Binary } else { Format::Text })
    }

    /// The format of value number `index` (from 0) under the rule above.
    pub fn of(self, index: usize) -> Format {
        let index = if self.count == 1 { 0 } else { index };
        self.iter().nth(index).unwrap_or_default()
    }

    /// Demands the rule above for `values` values (`postgres.c exec_bind_message`).
    pub(crate) const fn fit(self, values: u16) -> Result<(), MessageError> {
        if self.count > 1 && self.count != values {
            return Err(MessageError::FormatCount { formats: self.count, values });
        }
        Ok(())
    }

    pub(crate) const fn raw(self) -> &'a [u8] {
        self.codes
    }
}

impl fmt::Debug for Formats<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

/// Values, each with its length: Bind and FunctionCall parameters, the columns of a DataRow.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Values<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = reader.u16()?;
        let bytes = reader.span(|reader| (0..count).try_for_each(|_| reader.value().map(drop)))?;
        Ok(Self { count, bytes })
    }

    /// How many.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// The values in order; `None` is NULL.
    pub const fn iter(self) -> ValueIter<'a> {
        ValueIter { left: self.count, reader: Reader::new(self.bytes) }
    }

    /// The values with their lengths, as they were sent: for copying runs that do not change.
    pub const fn raw(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> IntoIterator for Values<'a> {
    type Item = Option<&'a [u8]>;
    type IntoIter = ValueIter<'a>;

    fn into_iter(self) -> ValueIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Values({}, {} bytes)", self.count, self.bytes.len())
    }
}

/// See [`Values::iter`].
#[derive(Clone)]
pub struct ValueIter<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Iterator for ValueIter<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // INVARIANT: `Values::read` walked the same bytes with the same reader, so this cannot fail.
        self.reader.value().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for ValueIter<'_> {}

/// Object ids of types.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Oids<'a> {
    bytes: &'a [u8],
}

impl<'a> Oids<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = reader.u16()?;
        let bytes = reader.span(|reader| (0..count).try_for_each(|_| reader.u32().map(drop)))?;
        Ok(Self { bytes })
    }

    /// How many.
    pub const fn count(self) -> usize {
        self.bytes.len() / 4
    }

    /// The ids in order; 0 leaves a type to the server.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.bytes.chunks_exact(4).map(|oid| oid.try_into().map_or(0, u32::from_be_bytes))
    }

    pub(crate) const fn raw(self) -> &'a [u8] {
        self.bytes
    }
}

impl fmt::Debug for Oids<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}
