//! Words that say what the number next to them is.

/// A word in lower case, and on which sides no letter may stand: `tel` is not in `hotel`, nor `ssn` in `classname`.
pub(super) struct Word {
    text: &'static [u8],
    left: bool,
    right: bool,
}

const fn word(text: &'static str, left: bool, right: bool) -> Word {
    Word { text: text.as_bytes(), left, right }
}

/// Words that speak of social security numbers.
pub(super) const SSN: &[Word] = &[
    word("ssn", false, true),
    word("social security", false, false),
    word("social_security", false, false),
    word("socialsecurity", false, false),
    word("soc sec", true, true),
    word("tax id", true, true),
    word("tax_id", true, true),
    word("taxid", true, true),
];

/// Words that speak of telephones.
pub(super) const PHONE: &[Word] = &[
    word("phone", false, false),
    word("mobile", false, false),
    word("msisdn", false, false),
    word("tel", true, true),
    word("cell", true, true),
    word("fax", false, true),
    word("call", true, true),
    word("sms", true, true),
];

/// How many bytes away from a number a word still speaks of it.
pub(super) const NEAR: usize = 30;

/// Whether one of `words` stands near `text[start..end]`.
pub(super) fn near(text: &[u8], start: usize, end: usize, words: &[Word]) -> bool {
    let before = text.get(start.saturating_sub(NEAR)..start).unwrap_or_default();
    let after = text.get(end..end.saturating_add(NEAR).min(text.len())).unwrap_or_default();
    any(before, words) || any(after, words)
}

/// Whether one of `words` is in `text`.
pub(super) fn any(text: &[u8], words: &[Word]) -> bool {
    // Every letter has this bit, no digit and no blank.
    if text.iter().fold(0, |all, byte| all | byte) & 0x40 == 0 {
        return false;
    }
    let initials = words.iter().filter_map(|word| word.text.first()).fold(0, |all, byte| all | letter(*byte));
    let begins = text.iter().enumerate().filter(|(_, byte)| letter(**byte) & initials != 0);
    begins.into_iter().any(|(at, _)| words.iter().any(|word| is_at(text, at, word)))
}

/// One bit for each letter of the alphabet, none for anything else.
fn letter(byte: u8) -> u32 {
    let place = u32::from((byte | 0x20).wrapping_sub(b'a'));
    if place < 26 { 1 << place } else { 0 }
}

fn is_at(text: &[u8], at: usize, word: &Word) -> bool {
    if text.get(at).map(u8::to_ascii_lowercase).as_ref() != word.text.first() {
        return false;
    }
    let end = at.saturating_add(word.text.len());
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphabetic);
    text.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(word.text))
        && !(word.left && letter(at.checked_sub(1)))
        && !(word.right && letter(Some(end)))
}
