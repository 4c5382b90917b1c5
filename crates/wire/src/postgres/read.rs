//! A cursor over a message body that ends in an error rather than a panic.

use super::error::MessageError;
use super::part::Text;

#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Takes what is left: for bodies whose last field has no length of its own.
    #[inline]
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(MessageError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(MessageError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, MessageError> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i16(&mut self) -> Result<i16, MessageError> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, MessageError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A string up to its NUL, which is taken too.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Text<'a>, MessageError> {
        let end = memchr::memchr(0, self.rest).ok_or(MessageError::Truncated)?;
        let text = self.bytes(end)?;
        self.u8()?;
        Ok(Text::new(text))
    }

    /// A value behind its length; `None` is NULL.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>, MessageError> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| MessageError::ValueLength(length))?;
                self.bytes(length).map(Some)
            }
        }
    }

    /// Demands that every byte was read.
    #[inline]
    pub(crate) const fn end(self) -> Result<(), MessageError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(MessageError::Trailing(left)),
        }
    }

    /// What `skip` passes over, as a slice.
    #[inline]
    pub(crate) fn span(
        &mut self,
        skip: impl FnOnce(&mut Self) -> Result<(), MessageError>,
    ) -> Result<&'a [u8], MessageError> {
        let before = self.rest;
        skip(self)?;
        let length = before.len().saturating_sub(self.rest.len());
        before.get(..length).ok_or(MessageError::Truncated)
    }
}
