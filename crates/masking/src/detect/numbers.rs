//! Numbers in groups: payment cards, social security numbers, telephone numbers.

use super::{Detector, Hints, Match, luhn, words};

/// The longest number of interest: a card of 19 digits.
const MAX_DIGITS: usize = 19;

/// Groups of digits with one kind of separator between them, from a first group on.
struct Groups {
    /// Where each group ends, and how many digits it has.
    ends: [(usize, usize); MAX_DIGITS],
    /// How many groups there are.
    count: usize,
    digits: [u16; MAX_DIGITS],
    separator: Option<u8>,
    /// Whether more digits follow in the same manner.
    more: bool,
}

/// What the number that begins at `at` is. `floor` is where the last match ended.
pub(super) fn find(text: &[u8], floor: usize, at: usize, hints: Hints) -> Option<Match> {
    let digit_before = at.checked_sub(1).filter(|before| *before >= floor).and_then(|before| text.get(before));
    if digit_before.is_some_and(u8::is_ascii_digit) {
        return None;
    }
    // Most numbers are short: none of these has fewer than seven digits, whatever stands between them. A no-break space is
    // the one separator that is not counted over.
    let (end, digits) = dialled(text, at)?;
    if digits < 7 && text.get(end) != Some(&0xc2) {
        return None;
    }
    grouped(text, floor, at, hints)
}

/// As [`find`], at the beginning of a run of digits and however short it is.
pub(super) fn grouped(text: &[u8], floor: usize, at: usize, hints: Hints) -> Option<Match> {
    let groups = Groups::read(text, at)?;
    card(&groups, at)
        .or_else(|| ssn(text, floor, at, &groups, hints))
        .or_else(|| phone(text, floor, at, &groups, hints))
}

/// A number with its country code: `+` and 8 to 15 digits (ITU-T E.164).
pub(super) fn international(text: &[u8], floor: usize, at: usize) -> Option<Match> {
    let before = at.checked_sub(1).filter(|before| *before >= floor).and_then(|before| text.get(before));
    let first = text.get(at.checked_add(1)?)?;
    if before.is_some_and(u8::is_ascii_alphanumeric) || !matches!(first, b'1'..=b'9') {
        return None;
    }
    let (end, digits) = dialled(text, at + 1)?;
    (8..=15).contains(&digits).then_some(Match { detector: Detector::Phone, start: at, end })
}

impl Groups {
    /// Reads as many groups as may belong to one number; nothing if the first alone is too long.
    fn read(text: &[u8], start: usize) -> Option<Self> {
        let mut groups =
            Self { ends: [(0, 0); MAX_DIGITS], count: 0, digits: [0; MAX_DIGITS], separator: None, more: false };
        let (mut at, mut total) = (start, 0usize);
        loop {
            let length = text.get(at..)?.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
            if total + length > MAX_DIGITS {
                groups.more = true;
                return (groups.count > 0).then_some(groups);
            }
            let end = at.checked_add(length)?;
            for (slot, byte) in groups.digits.iter_mut().skip(total).zip(text.get(at..end)?) {
                *slot = u16::from(byte.saturating_sub(b'0'));
            }
            total += length;
            *groups.ends.get_mut(groups.count)? = (end, length);
            groups.count += 1;
            let Some((separator, width)) = separator(text, end) else { return Some(groups) };
            if groups.separator.is_some_and(|first| first != separator) {
                return Some(groups);
            }
            if total == MAX_DIGITS {
                groups.more = true;
                return Some(groups);
            }
            groups.separator = Some(separator);
            at = end.checked_add(width)?;
        }
    }

    fn lengths(&self, count: usize) -> impl Iterator<Item = usize> + '_ {
        self.ends.iter().take(count.min(self.count)).map(|(_, length)| *length)
    }

    fn is(&self, shape: &[usize]) -> bool {
        !self.more && self.count == shape.len() && self.lengths(self.count).eq(shape.iter().copied())
    }

    fn value(&self, digits: std::ops::Range<usize>) -> u32 {
        let digits = self.digits.get(digits).unwrap_or_default();
        digits.iter().fold(0, |value, digit| value * 10 + u32::from(*digit))
    }
}

/// The separator at `at` and its bytes, if a digit follows: a space, a dash, a dot, or a no-break space.
fn separator(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = text.get(at..)?;
    let (kind, width) = match rest {
        [kind @ (b' ' | b'-' | b'.'), ..] => (*kind, 1),
        [0xc2, 0xa0, ..] => (b' ', 2),
        _ => return None,
    };
    rest.get(width).filter(|byte| byte.is_ascii_digit()).map(|_| (kind, width))
}

/// The longest card number that begins with the first group and ends with a group.
fn card(groups: &Groups, start: usize) -> Option<Match> {
    (1..=groups.count).rev().find_map(|count| {
        let total: usize = groups.lengths(count).sum();
        let digits = groups.digits.get(..total)?;
        let shaped = count == 1 || groups.lengths(count).all(|length| length >= 3) || is_uniform(groups, count);
        // One dot makes a decimal number.
        let decimal = count == 2 && groups.separator == Some(b'.');
        let (end, _) = groups.ends.get(count.checked_sub(1)?)?;
        (shaped && !decimal && is_issued(digits) && luhn(digits.iter().copied())).then_some(Match {
            detector: Detector::CardNumber,
            start,
            end: *end,
        })
    })
}

fn is_uniform(groups: &Groups, count: usize) -> bool {
    let first = groups.lengths(1).next();
    groups.lengths(count).all(|length| Some(length) == first)
}

/// Whether an issuer gives out numbers that begin so and are so long (ISO/IEC 7812; the schemes' published ranges).
fn is_issued(digits: &[u16]) -> bool {
    let prefix = |count: usize| digits.iter().take(count).fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let length = digits.len();
    if !(13..=MAX_DIGITS).contains(&length) {
        return false;
    }
    match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        // Visa.
        (4, ..) => matches!(length, 13 | 16 | 19),
        // Mastercard.
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => length == 16,
        // American Express.
        (_, 34 | 37, ..) => length == 15,
        // Diners Club.
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) | (_, _, _, 3095) => matches!(length, 14 | 16 | 19),
        // JCB, UnionPay, Discover, Mir, RuPay.
        (_, _, _, 3528..=3589) | (_, 62 | 81, ..) | (_, 65, ..) | (_, _, 644..=649, _) | (_, _, _, 6011) => {
            length >= 16
        }
        (_, _, _, 2200..=2204) => length >= 16,
        (_, 60, ..) | (_, _, 508, _) | (_, _, _, 9792) => length == 16,
        // Maestro.
        (_, _, _, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763) => true,
        _ => false,
    }
}

/// `ddd-dd-dddd`; with spaces, or without anything, only where a word says so.
fn ssn(text: &[u8], floor: usize, start: usize, groups: &Groups, hints: Hints) -> Option<Match> {
    let dash_before = start.checked_sub(1).filter(|at| *at >= floor).and_then(|at| text.get(at)) == Some(&b'-');
    let formatted = groups.is(&[3, 2, 4]) && matches!(groups.separator, Some(b'-' | b' '));
    let bare = groups.lengths(1).next() == Some(9);
    if !(formatted || bare) || dash_before && groups.separator == Some(b'-') {
        return None;
    }
    let (area, group, serial) = (groups.value(0..3), groups.value(3..5), groups.value(5..9));
    if area == 0 || area == 666 || area >= 900 || group == 0 || serial == 0 {
        return None;
    }
    let (end, _) = *groups.ends.get(if bare { 0 } else { 2 })?;
    let certain = formatted && groups.separator == Some(b'-');
    (certain || hints.ssn || words::near(text, start, end, words::SSN)).then_some(Match {
        detector: Detector::UsSsn,
        start,
        end,
    })
}

/// A national number, where a word says so.
fn phone(text: &[u8], floor: usize, start: usize, groups: &Groups, hints: Hints) -> Option<Match> {
    let (end, digits) = dialled(text, start)?;
    let date = groups.is(&[4, 2, 2]) || groups.is(&[2, 2, 4]);
    if !(7..=15).contains(&digits) || date {
        return None;
    }
    let bracket = start.checked_sub(1).filter(|at| *at >= floor && text.get(*at) == Some(&b'('));
    let start = bracket.unwrap_or(start);
    (hints.phone || words::near(text, start, end, words::PHONE)).then_some(Match {
        detector: Detector::Phone,
        start,
        end,
    })
}

/// Where digits with the separators of telephone numbers between them end, and how many they are.
fn dialled(text: &[u8], start: usize) -> Option<(usize, usize)> {
    /// Fifteen digits with at most two separators between each.
    const LONGEST: usize = 45;
    let (mut end, mut digits, mut gap) = (start, 0usize, 0usize);
    for (at, byte) in text.iter().enumerate().skip(start).take(LONGEST) {
        match byte {
            b'0'..=b'9' => (end, digits, gap) = (at.checked_add(1)?, digits + 1, 0),
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if gap < 2 => gap += 1,
            _ => break,
        }
    }
    Some((end, digits))
}
