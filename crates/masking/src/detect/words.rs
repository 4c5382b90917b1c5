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
const NEAR: usize = 30;

/// Whether one of `words` stands near `text[start..end]`.
pub(super) fn near(text: &[u8], start: usize, end: usize, words: &[Word]) -> bool {
    let before = text.get(start.saturating_sub(NEAR)..start).unwrap_or_default();
    let after = text.get(end..end.saturating_add(NEAR).min(text.len())).unwrap_or_default();
    any(before, words) || any(after, words)
}

/// Whether one of `words` is in `text`.
pub(super) fn any(text: &[u8], words: &[Word]) -> bool {
    let letters = text.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphabetic());
    letters.into_iter().any(|(at, _)| words.iter().any(|word| is_at(text, at, word)))
}

fn is_at(text: &[u8], at: usize, word: &Word) -> bool {
    let end = at.saturating_add(word.text.len());
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphabetic);
    text.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(word.text))
        && !(word.left && letter(at.checked_sub(1)))
        && !(word.right && letter(Some(end)))
}
