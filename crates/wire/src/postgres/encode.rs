//! Typed messages to bytes.
//!
//! Every function appends one message to a buffer, or leaves the buffer as it was and returns an error. A length is
//! computed in one place, by checked conversion (CVE-2024-27304 and its kin: a wrapped length turns data into messages).

mod backend;
mod frontend;

pub use backend::{
    Report, Severity, authentication, authentication_sasl, data_row, encryption_answer, negotiate_version,
    report_fields, row_description,
};
pub use frontend::{
    BindParts, bind, cancel_request, parse, password, query, sasl_initial_response, sasl_response, ssl_request, startup,
};

use super::error::EncodeError;
use super::frame::MAX_LENGTH;

/// Appends fields to a message.
pub(crate) struct Body<'b> {
    out: &'b mut Vec<u8>,
}

impl Body<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// A string and its NUL.
    pub(crate) fn text(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        if memchr::memchr(0, value).is_some() {
            return Err(EncodeError::EmbeddedNul);
        }
        self.bytes(value);
        self.u8(0);
        Ok(())
    }

    /// A value behind its length; `None` is NULL.
    pub(crate) fn value(&mut self, value: Option<&[u8]>) -> Result<(), EncodeError> {
        match value {
            None => self.i32(-1),
            Some(value) => {
                self.u32(within_limit(value.len())?);
                self.bytes(value);
            }
        }
        Ok(())
    }

    /// A 16-bit count of at most 65,535 and the elements.
    pub(crate) fn list<I: IntoIterator>(
        &mut self,
        elements: I,
        mut write: impl FnMut(&mut Self, I::Item) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let at = self.out.len();
        self.u16(0);
        let mut count = 0usize;
        for element in elements {
            write(self, element)?;
            count = count.saturating_add(1);
        }
        let word = u16::try_from(count).map_err(|_| EncodeError::TooMany(count))?.to_be_bytes();
        put(self.out, at, word);
        Ok(())
    }
}

/// Appends a tagged message.
pub(crate) fn message(
    out: &mut Vec<u8>,
    tag: u8,
    write: impl FnOnce(&mut Body<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    append(out, Some(tag), MAX_LENGTH, write)
}

/// Appends a message whose length word is at most `limit`.
pub(crate) fn append(
    out: &mut Vec<u8>,
    tag: Option<u8>,
    limit: u32,
    write: impl FnOnce(&mut Body<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = write(&mut Body { out }).and_then(|()| length_word(out.len().saturating_sub(at), limit));
    match written {
        Ok(word) => put(out, at, word),
        Err(_) => out.truncate(start),
    }
    written.map(drop)
}

/// The length word for a message of `length` bytes without its tag.
fn length_word(length: usize, limit: u32) -> Result<[u8; 4], EncodeError> {
    let word = u32::try_from(length).ok().filter(|length| *length <= limit);
    word.map(u32::to_be_bytes).ok_or(EncodeError::TooLarge(length))
}

/// The length of a value inside a message.
fn within_limit(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).ok().filter(|length| *length <= MAX_LENGTH).ok_or(EncodeError::TooLarge(length))
}

/// Overwrites bytes that were reserved at `at`.
fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(reserved) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *reserved = bytes;
    }
}

#[cfg(test)]
mod tests;
