//! How a text is spelt where it stands: escapes, references, percent signs. Values are looked for in what is meant, and what
//! is not hidden goes out as it was spelt.

mod read;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use self::read::{Meant, Read, json, percent, reference};
use super::error::Unmaskable;

/// How a text is spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Spelling {
    /// As it is.
    #[default]
    Plain,
    /// Between the quotes of a JSON string (RFC 8259, 7).
    Json,
    /// In a form or the query of a URL: `%` and two digits, and `+` for a blank.
    Form,
    /// With `%` and two digits alone (RFC 3986, 2.1).
    Percent,
    /// In XML and HTML: character references.
    Markup,
    /// Between the quotes of a field of CSV (RFC 4180), in which two stand for one.
    Quoted,
    /// In base64 (RFC 4648, section 4). It is written alone: what is to be read of it is decoded whole.
    Base64,
}

/// A part of a text.
pub(super) enum Spelt<'a> {
    /// Bytes that stand for themselves.
    Plain(&'a [u8]),
    /// Bytes, and what they stand for.
    As(&'a [u8], &'a [u8]),
}

/// Reads a text that comes in pieces.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) spelling: Spelling,
    /// What has begun and is not known to its end.
    pending: Vec<u8>,
}

impl Reader {
    /// Begins another text.
    pub(super) fn begin(&mut self, spelling: Spelling) {
        self.spelling = spelling;
        self.pending.clear();
    }

    /// Reads the next bytes; the `last` ones end the text.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        last: bool,
        sink: &mut dyn FnMut(Spelt<'_>),
    ) -> Result<(), Unmaskable> {
        while !self.pending.is_empty() {
            match (self.read(&self.pending, last && bytes.is_empty()), bytes.split_first()) {
                (Read::Open, Some((next, rest))) => {
                    self.pending.push(*next);
                    bytes = rest;
                }
                (Read::Open, None) => return Ok(()),
                (Read::Wrong, _) => return Err(Unmaskable::Malformed),
                (Read::Itself, _) => self.shift(1, None, sink),
                (Read::Is(length, meant), _) => self.shift(length, Some(meant), sink),
            }
        }
        while let Some(at) = self.special(bytes) {
            let (plain, rest) = bytes.split_at(at);
            if !plain.is_empty() {
                sink(Spelt::Plain(plain));
            }
            let length = match self.read(rest, last) {
                Read::Open => {
                    self.pending.extend_from_slice(rest);
                    return Ok(());
                }
                Read::Wrong => return Err(Unmaskable::Malformed),
                Read::Itself => {
                    sink(Spelt::Plain(rest.get(..1).unwrap_or_default()));
                    1
                }
                Read::Is(length, meant) => {
                    sink(Spelt::As(rest.get(..length).unwrap_or_default(), meant.bytes()));
                    length
                }
            };
            bytes = rest.get(length..).unwrap_or_default();
        }
        if !bytes.is_empty() {
            sink(Spelt::Plain(bytes));
        }
        Ok(())
    }

    /// Lets go of the first of the bytes that were not known.
    fn shift(&mut self, length: usize, meant: Option<Meant>, sink: &mut dyn FnMut(Spelt<'_>)) {
        let raw = self.pending.get(..length).unwrap_or_default();
        match &meant {
            Some(meant) => sink(Spelt::As(raw, meant.bytes())),
            None => sink(Spelt::Plain(raw)),
        }
        self.pending.drain(..length.min(self.pending.len()));
        // What is left may begin with a byte that stands for itself.
        let plain = self.special(&self.pending).unwrap_or(self.pending.len());
        if plain > 0 {
            sink(Spelt::Plain(self.pending.get(..plain).unwrap_or_default()));
            self.pending.drain(..plain);
        }
    }

    /// Where the first byte is that may not stand for itself.
    fn special(&self, bytes: &[u8]) -> Option<usize> {
        match self.spelling {
            Spelling::Plain | Spelling::Base64 => None,
            Spelling::Json => memchr::memchr(b'\\', bytes),
            Spelling::Form => memchr::memchr2(b'%', b'+', bytes),
            Spelling::Percent => memchr::memchr(b'%', bytes),
            Spelling::Markup => memchr::memchr(b'&', bytes),
            Spelling::Quoted => memchr::memchr(b'"', bytes),
        }
    }

    /// Reads what begins with a byte that may not stand for itself.
    fn read(&self, bytes: &[u8], last: bool) -> Read {
        match self.spelling {
            Spelling::Plain | Spelling::Base64 => Read::Itself,
            Spelling::Json => json(bytes, last),
            Spelling::Form if bytes.first() == Some(&b'+') => Read::Is(1, Meant::code(0x20)),
            Spelling::Form | Spelling::Percent => percent(bytes, last),
            Spelling::Markup => reference(bytes, last),
            Spelling::Quoted => match bytes {
                [_, b'"', ..] => Read::Is(2, Meant::code(0x22)),
                [_] if !last => Read::Open,
                _ => Read::Itself,
            },
        }
    }
}

impl Spelling {
    /// Spells a text that Sluice writes.
    pub(super) fn write(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend_from_slice(text.as_bytes()),
            Self::Json => text.bytes().for_each(|byte| match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    hexadecimal(byte, out);
                }
                _ => out.push(byte),
            }),
            Self::Form | Self::Percent => text.bytes().for_each(|byte| match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'*' => out.push(byte),
                _ => {
                    out.push(b'%');
                    hexadecimal(byte, out);
                }
            }),
            Self::Markup => text.bytes().for_each(|byte| match byte {
                b'&' => out.extend_from_slice(b"&amp;"),
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'"' => out.extend_from_slice(b"&#34;"),
                b'\'' => out.extend_from_slice(b"&#39;"),
                _ => out.push(byte),
            }),
            Self::Quoted => out.extend_from_slice(text.replace('"', "\"\"").as_bytes()),
            Self::Base64 => out.extend_from_slice(STANDARD.encode(text).as_bytes()),
        }
    }
}

fn hexadecimal(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = [byte >> 4, byte & 0x0f].map(|nibble| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    out.extend_from_slice(&digits);
}
