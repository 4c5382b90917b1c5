//! Payment cards, social security numbers and telephone numbers, digit by digit.

use crate::detect::numbers::{dialled, is_issued, separator};
use crate::detect::{Detector, Hints, Match, luhn, words};

/// The longest number of interest: a card of 19 digits.
const MAX_DIGITS: usize = 19;

/// Groups of digits with one kind of separator between them, from a first group on.
struct Groups {
    /// Where each group ends, and how many digits it has.
    ends: [(usize, usize); MAX_DIGITS],
    /// How many groups there are.
    count: usize,
    digits: [u8; MAX_DIGITS],
    separator: Option<u8>,
    /// Whether more digits follow in the same manner.
    more: bool,
}

/// What the number that begins at `at` is. `floor` is where the last match ended.
pub(super) fn find(text: &[u8], floor: usize, at: usize, hints: Hints) -> Option<Match> {
    let groups = Groups::read(text, at)?;
    card(&groups, at)
        .or_else(|| ssn(text, floor, at, &groups, hints))
        .or_else(|| phone(text, floor, at, &groups, hints))
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
                *slot = byte.saturating_sub(b'0');
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
            at = end.checked_add(usize::try_from(width).ok()?)?;
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

/// The longest card number that begins with the first group and ends with a group.
fn card(groups: &Groups, start: usize) -> Option<Match> {
    (1..=groups.count).rev().find_map(|count| {
        let total: usize = groups.lengths(count).sum();
        let digits = groups.digits.get(..total)?;
        let shaped = count == 1 || groups.lengths(count).all(|length| length >= 3) || is_uniform(groups, count);
        // One dot makes a decimal number.
        let decimal = count == 2 && groups.separator == Some(b'.');
        let (end, _) = groups.ends.get(count.checked_sub(1)?)?;
        (shaped && !decimal && is_issued(digits) && luhn(digits)).then_some(Match {
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
