//! The same search without anything clever, for tests and fuzzing to compare with: every byte is looked at in turn, and
//! numbers are read digit by digit.

mod numbers;

use super::{Hints, Match, email, iban, numbers::international, secrets};

/// Finds what [`super::scan`] has to find.
pub fn scan(text: &[u8], hints: Hints, found: &mut dyn FnMut(Match)) {
    let mut cursor = Cursor { text, floor: 0, at: 0, hints };
    while let Some(byte) = text.get(cursor.at) {
        match cursor.candidate(*byte) {
            Some(matched) => {
                (cursor.at, cursor.floor) = (matched.end, matched.end);
                found(matched);
            }
            None => cursor.at += 1,
        }
    }
}

/// A place in a text; nothing before `floor` may be part of a match any more.
struct Cursor<'a> {
    text: &'a [u8],
    floor: usize,
    at: usize,
    hints: Hints,
}

impl Cursor<'_> {
    /// What begins (or, for an address, has its `@`) at this byte.
    fn candidate(&self, byte: u8) -> Option<Match> {
        let (text, at) = (self.text, self.at);
        match byte {
            b'0'..=b'9' if !self.is_behind(u8::is_ascii_digit) => numbers::find(text, self.floor, at, self.hints),
            b'+' => international(text, self.floor, at),
            b'@' => email::find(text, self.floor, at),
            b'-' => secrets::private_key(text, at),
            b'A'..=b'Z' | b'a'..=b'z' if !self.is_behind(u8::is_ascii_alphanumeric) => {
                secrets::find(text, at).or_else(|| iban::find(text, at))
            }
            _ => None,
        }
    }

    /// Whether the byte before this one is such a one, and free.
    fn is_behind(&self, is: fn(&u8) -> bool) -> bool {
        let before = self.at.checked_sub(1).filter(|before| *before >= self.floor);
        before.and_then(|before| self.text.get(before)).is_some_and(is)
    }
}
