//! What stands in no quotes: numbers and the names of the three other values.

use std::sync::Arc;

use model::class::Transform;

use super::{Json, LONGEST_NUMBER, Piece, Token};
use crate::detect::{self, Detector, Hints};
use crate::http::error::Unmaskable;
use crate::http::plan::Treatment;
use crate::http::work::Work;
use crate::lens::{Lens, OnUnmaskable};
use crate::mask::Mask;

/// The shortest number that is a value of interest.
const FEWEST_DIGITS: usize = 6;

/// The most digits of one.
const MOST_DIGITS: usize = 19;

/// A number with an exponent and fewer digits than these is none.
const FEWEST_WRITTEN: usize = 10;

/// What stands for a value.
enum Shown {
    Same,
    Null,
    /// The zero of its type.
    Zero,
    /// Other digits.
    Digits(String),
}

impl Shown {
    /// What is written in its place; nothing if it stands as it is.
    fn instead_of(&self, text: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Same => None,
            Self::Null => Some(b"null"),
            Self::Zero if matches!(text, b"true" | b"false") => Some(b"false"),
            Self::Zero => Some(b"0"),
            Self::Digits(digits) => Some(digits.as_bytes()),
        }
    }
}

impl Json {
    /// At the first byte of a number or name.
    pub(super) fn begin_bare(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        let rest = piece.rest();
        let length = bare_length(rest);
        if length == rest.len() {
            self.token = Token::Bare;
            self.bare.clear();
            piece.copy(work);
            return self.more_bare(piece, work);
        }
        let text = rest.get(..length).unwrap_or_default();
        let shown = self.bare_value(text, work)?;
        if let Some(instead) = shown.instead_of(text) {
            piece.copy(work);
            work.verbatim(instead);
            piece.pass(length);
            piece.skip();
        } else {
            piece.pass(length);
        }
        self.ended(work);
        // Whoever called goes past the last byte.
        piece.at = piece.at.saturating_sub(1);
        Ok(())
    }

    /// More of one that is not whole.
    pub(super) fn more_bare(&mut self, piece: &mut Piece<'_>, work: &mut Work) -> Result<(), Unmaskable> {
        let rest = piece.rest();
        let length = bare_length(rest);
        self.bare.extend_from_slice(rest.get(..length).unwrap_or_default());
        if self.bare.len() > LONGEST_NUMBER {
            return Err(Unmaskable::TooLong);
        }
        piece.pass(length);
        piece.skip();
        if length < rest.len() { self.end_bare(work) } else { Ok(()) }
    }

    /// Writes one that came in pieces and is whole.
    pub(super) fn end_bare(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        let text = std::mem::take(&mut self.bare);
        let shown = self.bare_value(&text, work)?;
        work.verbatim(shown.instead_of(&text).unwrap_or(&text));
        self.bare = text;
        self.ended(work);
        Ok(())
    }

    /// Says what stands for one that is whole.
    fn bare_value(&self, text: &[u8], work: &mut Work) -> Result<Shown, Unmaskable> {
        if text.len() > LONGEST_NUMBER {
            return Err(Unmaskable::TooLong);
        }
        let is_number = !matches!(text, b"true" | b"false" | b"null");
        if is_number && !is_a_number(text) {
            return Err(Unmaskable::Malformed);
        }
        let treatment = self.place.treatment().filter(|_| text != b"null");
        let shown = match treatment.and_then(|treatment| treatment.mask.as_ref()) {
            Some(mask) => masked(mask, text, &self.plan.0.lens)?,
            None if is_number && text.len() >= FEWEST_DIGITS => self.searched(text, treatment, work)?,
            None => Shown::Same,
        };
        if let Some(treatment) = treatment {
            work.count(&treatment.classes, treatment.mask.is_some());
        }
        Ok(shown)
    }

    /// A number of which content may show what it is: a whole one. The digits of a fraction are those of a measure, and there
    /// are as many of them as a card number has.
    fn searched(&self, text: &[u8], treatment: Option<&Arc<Treatment>>, work: &mut Work) -> Result<Shown, Unmaskable> {
        let Some(text) = integer(text) else { return Ok(Shown::Same) };
        let text = text.as_slice();
        let mut first = None;
        detect::scan(text, Hints::ALL, &mut |found| first = first.or(Some(found.detector)));
        if first.is_none() {
            return Ok(Shown::Same);
        }
        let mut found: Vec<Detector> = Vec::new();
        detect::scan(text, self.place.hints(), &mut |matched| found.push(matched.detector));
        let lens = treatment.map_or(&self.plan.0.lens, |treatment| &treatment.lens);
        let mut shown = Shown::Same;
        for detector in found {
            let Some((_, mask)) = lens.content(detector) else { continue };
            work.count_found(detector, mask.is_some());
            if let (Some(mask), Shown::Same) = (mask, &shown) {
                shown = masked(mask, text, lens)?;
            }
        }
        Ok(shown)
    }
}

/// What stands for a number or one of the two truths. Numbers stay numbers, or there is none.
fn masked(mask: &Mask, text: &[u8], lens: &Lens) -> Result<Shown, Unmaskable> {
    match mask.transform {
        Transform::Null => return Ok(Shown::Null),
        Transform::FormatPreserving if text.iter().all(u8::is_ascii_digit) => {
            let mut digits = String::new();
            if mask.same_format(&String::from_utf8_lossy(text), &mut digits) {
                return Ok(Shown::Digits(digits));
            }
        }
        _ => {}
    }
    match lens.on_unmaskable() {
        OnUnmaskable::Null => Ok(Shown::Null),
        OnUnmaskable::TypeDefault => Ok(Shown::Zero),
        OnUnmaskable::Refuse => Err(Unmaskable::Value),
    }
}

fn bare_length(bytes: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len())
}

/// The grammar of numbers (RFC 8259, 6).
fn is_a_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(text);
    let leading = whole.len() > 1 && whole.first() == Some(&b'0');
    let rest = match rest.strip_prefix(b".") {
        Some(rest) => match digits(rest) {
            ([], _) => return false,
            (_, rest) => rest,
        },
        None => rest,
    };
    let exponent = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E"));
    let end = match exponent {
        Some(rest) => {
            let unsigned = rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-")).unwrap_or(rest);
            !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit)
        }
        None => rest.is_empty(),
    };
    !whole.is_empty() && !leading && end
}

/// The digits that a text begins with, and what is behind them.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

/// The digits of a whole number, however it is written (`4.111e3`, `4111.0`), without its sign; nothing if it is none, or
/// too long to be of interest, or round: `4.2e15` is a measure.
fn integer(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix(b".").map_or((&[][..], rest), digits);
    let exponent = match rest.get(1..) {
        Some(exponent) => str::from_utf8(exponent).ok()?.parse::<i32>().ok()?,
        None => 0,
    };
    let mut number = [whole, fraction].concat();
    if !rest.is_empty() && number.len() < FEWEST_WRITTEN {
        return None;
    }
    let zeros = number.iter().take_while(|digit| **digit == b'0').count();
    let end = i64::try_from(whole.len()).ok()?.checked_add(i64::from(exponent))?;
    let end = usize::try_from(end).ok().filter(|end| end.saturating_sub(zeros) <= MOST_DIGITS)?;
    if number.len() < end {
        number.resize(end, b'0');
    }
    let behind = number.split_off(end);
    number.drain(..zeros.min(number.len()));
    behind.iter().all(|digit| *digit == b'0').then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers() {
        for (text, expected) in [
            ("0", true),
            ("-0", true),
            ("10.50e-7", true),
            ("1E+9", true),
            ("01", false),
            ("-", false),
            ("1.", false),
            (".5", false),
            ("1e", false),
            ("1e+", false),
            ("+1", false),
            ("0x1f", false),
            ("NaN", false),
            ("1-2", false),
            ("1.2.3", false),
        ] {
            assert_eq!(is_a_number(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_their_digits_however_they_are_written() {
        for (text, expected) in [
            ("4111111111111111", Some("4111111111111111")),
            ("-4111111111111111.00", Some("4111111111111111")),
            ("4.111111111111111e15", Some("4111111111111111")),
            ("0.04111111111111111E+17", Some("4111111111111111")),
            ("41111111111111110e-1", Some("4111111111111111")),
            ("411111111111111.1e0", None),
            ("1e400000000", None),
            ("1e99999999999999", None),
            ("1e-99", None),
            ("4.2e15", None),
            ("12.5", None),
            ("12300000000000000000000", None),
        ] {
            assert_eq!(integer(text.as_bytes()).as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }
}
