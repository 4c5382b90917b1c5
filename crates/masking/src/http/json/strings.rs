//! Strings: the keys of members, and values that are searched or masked whole.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::http::FieldForm;

use super::{Expected, Json, Piece, Token};
use crate::detect::Hints;
use crate::http::error::Unmaskable;
use crate::http::plan::Treatment;
use crate::http::spelling::{Spelling, Spelt};
use crate::http::work::{Work, is_telling};

/// A value of which more has to be known than that it is one is redacted if it has more bytes.
const LONGEST_VALUE: usize = 4096;

impl Json {
    /// At the first quote of a key.
    pub(super) fn begin_key(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        self.place.begin_key();
        let rest = piece.rest().get(1..).unwrap_or_default();
        let end = End::find(rest, false)?;
        if let (Some(length), false) = (end.at, end.escapes) {
            let key = rest.get(..length).unwrap_or_default();
            if !is_telling(key, Hints::default()) {
                self.place.add_to_key(key);
                self.end_key();
                piece.pass(length.saturating_add(1));
                return Ok(());
            }
        }
        self.token = Token::Key;
        piece.pass(1);
        piece.copy(work);
        work.begin(Spelling::Json, Hints::default());
        self.more_string(piece, work)?;
        // Whoever called goes past the last quote.
        if let Token::None = self.token {
            piece.at = piece.at.saturating_sub(1);
        }
        Ok(())
    }

    fn end_key(&mut self) {
        self.token = Token::None;
        self.place.end_key();
        self.expected = Expected::Colon;
    }

    /// At the first quote of a value.
    pub(super) fn begin_string(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        let rest = piece.rest().get(1..).unwrap_or_default();
        let end = End::find(rest, false)?;
        let treatment = self.place.treatment().cloned();
        if let Some(hidden) = treatment.as_ref().filter(|treatment| treatment.mask.is_some()) {
            self.token = Token::Hidden(Arc::clone(hidden));
            piece.copy(work);
            self.value.clear();
            self.reader.begin(Spelling::Json);
            piece.pass(1);
            piece.skip();
        } else if let Some(length) = self.plain_end(rest, &end)? {
            if let Some(treatment) = treatment {
                work.count(&treatment.classes, false);
            }
            piece.pass(length.saturating_add(1));
            self.ended(work);
            return Ok(());
        } else {
            self.token = Token::Text(treatment);
            piece.pass(1);
            piece.copy(work);
            work.begin(Spelling::Json, self.place.hints());
        }
        self.more_string(piece, work)?;
        if let Token::None = self.token {
            piece.at = piece.at.saturating_sub(1);
        }
        Ok(())
    }

    /// Where a string ends that is whole, and in which content shows nothing, whatever the keys on the way say of it.
    fn plain_end(&mut self, rest: &[u8], end: &End) -> Result<Option<usize>, Unmaskable> {
        let Some(length) = end.at else { return Ok(None) };
        let text = rest.get(..length).unwrap_or_default();
        if !end.escapes {
            return Ok((!is_telling(text, Hints::ALL)).then_some(length));
        }
        let Self { reader, value, .. } = self;
        value.clear();
        reader.begin(Spelling::Json);
        reader.feed(text, true, &mut |part| {
            let (Spelt::Plain(meant) | Spelt::As(_, meant)) = part;
            value.extend_from_slice(meant);
        })?;
        Ok((!is_telling(value, Hints::ALL)).then_some(length))
    }

    /// More of a string that is not whole, up to behind its last quote.
    pub(super) fn more_string(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        let rest = piece.rest();
        let end = End::find(rest, self.escaped)?;
        self.escaped = end.escaped;
        let part = rest.get(..end.at.unwrap_or(rest.len())).unwrap_or_default();
        let last = end.at.is_some();
        match &self.token {
            Token::Key => {
                let place = &mut self.place;
                work.text(part, last, &self.plan.0.lens, &mut |meant| place.add_to_key(meant))?;
            }
            Token::Text(treatment) => {
                let lens = treatment.as_ref().map_or(&self.plan.0.lens, |treatment| &treatment.lens);
                work.text(part, last, lens, &mut |_| {})?;
            }
            Token::Hidden(_) => {
                let value = &mut self.value;
                self.reader.feed(part, last, &mut |part| {
                    let (Spelt::Plain(meant) | Spelt::As(_, meant)) = part;
                    let room = LONGEST_VALUE.saturating_add(1).saturating_sub(value.len());
                    value.extend_from_slice(meant.get(..room.min(meant.len())).unwrap_or_default());
                })?;
            }
            Token::None | Token::Bare => {}
        }
        piece.pass(part.len());
        piece.skip();
        if last { self.end_string(piece, work) } else { Ok(()) }
    }

    /// At the last quote of a string.
    fn end_string(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        piece.pass(1);
        match std::mem::replace(&mut self.token, Token::None) {
            Token::Key => self.end_key(),
            Token::Text(treatment) => {
                if let Some(treatment) = treatment {
                    work.count(&treatment.classes, false);
                }
                self.ended(work);
            }
            Token::Hidden(treatment) => {
                piece.skip();
                work.count(&treatment.classes, true);
                self.hidden(&treatment, work);
                self.ended(work);
            }
            Token::None | Token::Bare => {}
        }
        Ok(())
    }

    /// Writes what stands for a string.
    fn hidden(&self, treatment: &Treatment, work: &mut Work) {
        let Some(mask) = &treatment.mask else { return };
        let start = work.out().len();
        work.verbatim(b"\"");
        let (value, spelling) = match treatment.form {
            FieldForm::Base64 => (decoded(&self.value), Spelling::Base64),
            FieldForm::Plain | FieldForm::Document => (Cow::Borrowed(self.value.as_slice()), Spelling::Json),
        };
        if treatment.form == FieldForm::Document {
            // Nobody who reads it as a document, or as no more than a text, stumbles.
            return work.verbatim(b"{}\"");
        }
        let shown = if self.value.len() > LONGEST_VALUE {
            work.redacted(mask, spelling)
        } else {
            work.masked(mask, &String::from_utf8_lossy(&value), spelling)
        };
        if shown {
            work.verbatim(b"\"");
        } else {
            work.out().truncate(start);
            work.verbatim(b"null");
        }
    }
}

/// What a value in base64 stands for; itself, if it is none.
fn decoded(value: &[u8]) -> Cow<'_, [u8]> {
    STANDARD.decode(value).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// Where a string ends.
struct End {
    /// Where its last quote is, if it is there.
    at: Option<usize>,
    /// Whether there is a backslash before it.
    escapes: bool,
    /// Whether the last byte is a backslash that the next byte belongs to.
    escaped: bool,
}

impl End {
    /// Looks for the last quote; `escaped` says that the first byte belongs to a backslash.
    fn find(bytes: &[u8], escaped: bool) -> Result<Self, Unmaskable> {
        let (mut at, mut escapes) = (usize::from(escaped), escaped);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let plain = plain_length(rest);
            at = at.saturating_add(plain);
            match rest.get(plain) {
                Some(b'"') => return Ok(Self { at: Some(at), escapes, escaped: false }),
                Some(b'\\') => {
                    escapes = true;
                    at = at.saturating_add(2);
                }
                Some(_) => return Err(Unmaskable::Malformed),
                None => return Ok(Self { at: None, escapes, escaped: at > bytes.len() }),
            }
        }
    }
}

/// How many bytes stand for themselves in a string. Looked at eight at a time: of the bits that the tests set the lowest is
/// right, whatever they set above it.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    const QUOTES: u64 = ONES * 0x22;
    const BACKSLASHES: u64 = ONES * 0x5c;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = |word: u64, bound: u64| word.wrapping_sub(ONES.wrapping_mul(bound)) & !word;
        let found = (below(word, 0x20) | below(word ^ QUOTES, 1) | below(word ^ BACKSLASHES, 1)) & HIGH;
        if found != 0 {
            let byte = usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
            return at.saturating_mul(8).saturating_add(byte);
        }
    }
    let before = bytes.len().saturating_sub(rest.len());
    before.saturating_add(rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len()))
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_at_a_time_find_what_one_by_one_does(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x1fu8..0x23, 0x5b_u8..0x5e, b'a'..=b'z'], 0..40)) {
            let expected = bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }

        #[test]
        fn so_they_do_behind_what_is_plain(plain in "[a-zé😀\u{7f}\u{80}]{0,30}", special in prop::sample::select(vec![0u8, 0x1f, b'"', b'\\']), behind in any::<[u8; 8]>()) {
            let bytes = [plain.as_bytes(), &[special], &behind].concat();
            prop_assert_eq!(plain_length(&bytes), plain.len());
        }
    }
}
