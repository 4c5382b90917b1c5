//! JSON as it comes, token by token: what is not masked goes out as it was written, numbers to the last digit.

mod bare;
mod place;
mod strings;
mod utf8;

use std::sync::Arc;

use self::place::Place;
use self::utf8::Utf8;
use super::error::Unmaskable;
use super::plan::{Plan, Treatment};
use super::spelling::Reader;
use super::work::Work;

/// A mark of the order of bytes, which some put in front (RFC 8259, 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// In front of each value of a sequence (RFC 7464, 2.2).
const RECORD_SEPARATOR: u8 = 0x1e;

/// A number with more bytes is not read.
const LONGEST_NUMBER: usize = 4096;

/// Masks one JSON value, or several one after another.
pub(super) struct Json {
    plan: Plan,
    kind: Kind,
    expected: Expected,
    token: Token,
    place: Place,
    utf8: Utf8,
    /// A number or name that has not ended.
    bare: Vec<u8>,
    /// Whether the last byte of a string was a backslash that the next byte belongs to.
    escaped: bool,
    /// The text of a string that is masked whole, as far as it is kept.
    value: Vec<u8>,
    reader: Reader,
}

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// One value, or several one after another, each of which counts as a row.
    Values,
    /// Likewise, each behind a record separator.
    Sequence,
    /// A part of something else.
    Part,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// So many bytes of a [`BYTE_ORDER_MARK`] came, and nothing else.
    Start(usize),
    /// A value outside of any, or the end.
    Top,
    /// Something between two values outside of any.
    Apart,
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

/// What has begun and not ended.
enum Token {
    None,
    Bare,
    Key,
    /// A string that is searched.
    Text(Option<Arc<Treatment>>),
    /// A string that is masked whole.
    Hidden(Arc<Treatment>),
}

/// A piece of the document: what is before `at` is read, what is before `copied` is written.
struct Piece<'a> {
    bytes: &'a [u8],
    at: usize,
    copied: usize,
}

impl<'a> Piece<'a> {
    /// Writes what was read and stands as it is.
    fn copy(&mut self, work: &mut Work) {
        work.verbatim(self.bytes.get(self.copied..self.at).unwrap_or_default());
        self.copied = self.at;
    }

    /// Leaves out what was read.
    const fn skip(&mut self) {
        self.copied = self.at;
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    const fn pass(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }
}

impl Json {
    pub(super) fn new(plan: &Plan, kind: Kind) -> Self {
        Self {
            plan: plan.clone(),
            kind,
            expected: Expected::Start(0),
            token: Token::None,
            place: Place::new(plan),
            utf8: Utf8::default(),
            bare: Vec::new(),
            escaped: false,
            value: Vec::new(),
            reader: Reader::default(),
        }
    }

    /// Takes up what came.
    pub(super) fn push(&mut self, bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        self.utf8.check(bytes)?;
        let mut piece = Piece { bytes, at: 0, copied: 0 };
        while piece.at < bytes.len() {
            match self.token {
                Token::None => self.between(&mut piece, work)?,
                Token::Bare => self.more_bare(&mut piece, work)?,
                Token::Key | Token::Text(_) | Token::Hidden(_) => self.more_string(&mut piece, work)?,
            }
        }
        piece.copy(work);
        Ok(())
    }

    /// The document is over.
    pub(super) fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        self.utf8.end()?;
        if let Token::Bare = self.token {
            self.end_bare(work)?;
        }
        match (&self.token, self.expected) {
            (Token::None, Expected::Start(0) | Expected::Top | Expected::Apart) => Ok(()),
            _ => Err(Unmaskable::Malformed),
        }
    }

    /// What stands between tokens, up to one that is not whole.
    fn between(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        use Expected::{Apart, Colon, CommaOrEnd, Key, KeyOrEnd, Start, Top, Value, ValueOrEnd};
        while let Some(byte) = piece.bytes.get(piece.at).copied() {
            match (byte, self.expected) {
                (b' ' | b'\t' | b'\n' | b'\r', Start(0) | Apart) => self.expected = Top,
                (b' ' | b'\t' | b'\n' | b'\r', Start(_)) => return Err(Unmaskable::Malformed),
                (b' ' | b'\t' | b'\n' | b'\r', _) => {}
                (b'"', Start(0) | Top | Value | ValueOrEnd) => self.begin_string(piece, work)?,
                (b'"', Key | KeyOrEnd) => self.begin_key(piece, work)?,
                (b':', Colon) => self.expected = Value,
                (b',', CommaOrEnd) => self.comma(),
                (b'{' | b'[', Start(0) | Top | Value | ValueOrEnd) => self.open(byte == b'{')?,
                (b'}', KeyOrEnd | CommaOrEnd) | (b']', ValueOrEnd | CommaOrEnd) => {
                    self.place.close(byte == b'}')?;
                    self.ended(work);
                }
                (b'-' | b'0'..=b'9' | b'a'..=b'z', Start(0) | Top | Value | ValueOrEnd) => {
                    self.begin_bare(piece, work)?;
                }
                (RECORD_SEPARATOR, Start(0) | Top | Apart) if self.kind == Kind::Sequence => self.expected = Top,
                (_, Start(count)) if BYTE_ORDER_MARK.get(count) == Some(&byte) => {
                    let count = count.saturating_add(1);
                    self.expected = if count == BYTE_ORDER_MARK.len() { Top } else { Start(count) };
                }
                _ => return Err(Unmaskable::Malformed),
            }
            if !matches!(self.token, Token::None) {
                return Ok(());
            }
            // Strings, numbers and names have passed what they took, but for their last byte.
            piece.pass(1);
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool) -> Result<(), Unmaskable> {
        self.place.open(is_object)?;
        self.expected = if is_object { Expected::KeyOrEnd } else { Expected::ValueOrEnd };
        Ok(())
    }

    fn comma(&mut self) {
        self.expected = match self.place.in_object() {
            Some(true) => Expected::Key,
            _ => {
                self.place.next_element();
                Expected::Value
            }
        };
    }

    /// A value is over.
    fn ended(&mut self, work: &mut Work) {
        self.token = Token::None;
        self.expected = match self.place.in_object() {
            Some(_) => Expected::CommaOrEnd,
            None => {
                if self.kind != Kind::Part {
                    work.count_row();
                }
                Expected::Apart
            }
        };
    }
}
