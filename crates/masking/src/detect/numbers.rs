//! Numbers in groups: payment cards, social security numbers, telephone numbers.

use super::{Detector, Hints, Match, luhn, words};

/// The fewest digits of a card number.
const MIN_CARD: u32 = 13;

/// The longest number of interest: a card of 19 digits.
const MAX_DIGITS: u32 = 19;

/// What may be one number: a run of digits, and which of the 64 bytes from its first one on are digits too.
#[derive(Clone, Copy)]
pub(super) struct Number {
    /// Where it begins.
    pub(super) at: usize,
    /// One bit for each byte, the first in the lowest.
    pub(super) digits: u64,
    /// How many of them would be dialled as one telephone number, and how many bytes these take.
    pub(super) dialled: (u32, u32),
}

/// Groups of digits with one kind of separator between them, from a first group on.
#[derive(Default)]
struct Groups {
    /// A bit for each digit, and a gap of one between groups, whatever separates them.
    digits: u64,
    /// How many they are.
    count: u32,
    /// Gaps that are two bytes wide.
    wide: u64,
    separator: Option<u8>,
    /// Whether more digits follow in the same manner.
    more: bool,
}

/// What the number is. `floor` is where the last match ended.
pub(super) fn find(text: &[u8], floor: usize, number: Number, hints: Hints) -> Option<Match> {
    let groups = Groups::read(text.get(number.at..)?, number.digits)?;
    card(text, number.at, &groups)
        .or_else(|| ssn(text, floor, number.at, &groups, hints))
        .or_else(|| phone(text, floor, number, &groups, hints))
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
    #[inline(always)]
    fn read(text: &[u8], digits: u64) -> Option<Self> {
        let mut groups = Self::default();
        // A number takes less than 64 bytes, and its groups with their gaps not more than it.
        let (mut at, mut bit) = (0u32, 0u32);
        loop {
            let length = digits.wrapping_shr(at).trailing_ones();
            if groups.count + length > MAX_DIGITS {
                groups.more = true;
                return (groups.count > 0).then_some(groups);
            }
            groups.count += length;
            groups.digits |= !u64::MAX.wrapping_shl(length) << bit;
            (at, bit) = (at + length, bit + length);
            let Some((separator, width)) = separator(text, usize::try_from(at).ok()?) else { return Some(groups) };
            if groups.separator.is_some_and(|first| first != separator) {
                return Some(groups);
            }
            if groups.count == MAX_DIGITS {
                groups.more = true;
                return Some(groups);
            }
            groups.separator = Some(separator);
            groups.wide |= u64::from(width > 1) << bit;
            (at, bit) = (at + width, bit + 1);
        }
    }

    /// Whether there are three groups, of these lengths.
    fn is(&self, [first, second, third]: [u32; 3]) -> bool {
        let ones = |length: u32| (1u64 << length) - 1;
        let shape = ones(first) | ones(second) << (first + 1) | ones(third) << (first + second + 2);
        !self.more && self.digits == shape
    }

    /// How many bytes so many of the groups take.
    fn width(&self, digits: u64) -> Option<usize> {
        let unused = digits.leading_zeros();
        let wide = match self.wide {
            0 => 0,
            wide => (wide & u64::MAX.wrapping_shr(unused)).count_ones(),
        };
        usize::try_from(64 - unused + wide).ok()
    }
}

/// Without the last group, and the gap before it; nothing if there is but one.
fn shorter(digits: u64) -> Option<u64> {
    let gaps = !digits & u64::MAX.wrapping_shr(digits.leading_zeros());
    let last = gaps.checked_ilog2()?;
    Some(digits & !u64::MAX.wrapping_shl(last))
}

/// How many bits stand together, group by group.
fn lengths(mut digits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let length = digits.checked_shr(digits.trailing_zeros())?.trailing_ones();
        // The lowest group, and nothing else, is carried away.
        digits &= digits.wrapping_add(digits & digits.wrapping_neg());
        Some(length)
    })
}

/// The separator at `at` and its bytes, if a digit follows: a space, a dash, a dot, or a no-break space.
pub(super) fn separator(text: &[u8], at: usize) -> Option<(u8, u32)> {
    let rest = text.get(at..)?;
    match rest {
        [kind @ (b' ' | b'-' | b'.'), b'0'..=b'9', ..] => Some((*kind, 1)),
        [0xc2, 0xa0, b'0'..=b'9', ..] => Some((b' ', 2)),
        _ => None,
    }
}

/// The longest card number that begins with the first group and ends with a group.
fn card(text: &[u8], start: usize, groups: &Groups) -> Option<Match> {
    if groups.count < MIN_CARD {
        return None;
    }
    let end = start.checked_add(groups.width(groups.digits)?)?;
    let numerals = text.get(start..end)?.iter().filter(|byte| byte.is_ascii_digit());
    let mut digits = [0; 19];
    digits.iter_mut().zip(numerals).for_each(|(slot, byte)| *slot = byte - b'0');
    let mut taken = Some(groups.digits);
    while let Some(candidate) = taken {
        let digits = digits.get(..usize::try_from(candidate.count_ones()).ok()?)?;
        // One dot makes a decimal number.
        let decimal = groups.separator == Some(b'.') && lengths(candidate).count() == 2;
        if is_issued(digits) && !decimal && is_shaped(candidate) && luhn(digits) {
            let end = start.checked_add(groups.width(candidate)?)?;
            return Some(Match { detector: Detector::CardNumber, start, end });
        }
        taken = shorter(candidate);
    }
    None
}

/// Whether digits are grouped as people do it: not at all, by three or more, or evenly.
fn is_shaped(digits: u64) -> bool {
    let first = digits.trailing_ones();
    let short = digits & !(digits << 1) & !(digits >> 1 & digits >> 2);
    short == 0 || lengths(digits).all(|length| length == first)
}

/// Whether an issuer gives out numbers that begin so and are so long (ISO/IEC 7812; the schemes' published ranges).
pub(super) fn is_issued(digits: &[u8]) -> bool {
    let prefix = digits.iter().take(4).fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let length = digits.len();
    if !(13..=19).contains(&length) {
        return false;
    }
    match (prefix / 1000, prefix / 100, prefix / 10, prefix) {
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
    let formatted = groups.is([3, 2, 4]) && matches!(groups.separator, Some(b'-' | b' '));
    let bare = groups.digits.trailing_ones() == 9;
    if !(formatted || bare) || dash_before && groups.separator == Some(b'-') {
        return None;
    }
    let length = if bare { 9 } else { groups.width(groups.digits)? };
    let end = start.checked_add(length)?;
    let digits = text.get(start..end)?.iter().filter(|byte| byte.is_ascii_digit());
    let digits = digits.fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    let (area, group, serial) = (digits / 1_000_000, digits / 10_000 % 100, digits % 10_000);
    if area == 0 || area == 666 || area >= 900 || group == 0 || serial == 0 {
        return None;
    }
    let certain = formatted && groups.separator == Some(b'-');
    (certain || hints.ssn || words::near(text, start, end, words::SSN)).then_some(Match {
        detector: Detector::UsSsn,
        start,
        end,
    })
}

/// A national number, where a word says so.
fn phone(text: &[u8], floor: usize, number: Number, groups: &Groups, hints: Hints) -> Option<Match> {
    let (start, (digits, length)) = (number.at, number.dialled);
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    let date = groups.is([4, 2, 2]) || groups.is([2, 2, 4]);
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
pub(super) fn dialled(text: &[u8], start: usize) -> Option<(usize, usize)> {
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
