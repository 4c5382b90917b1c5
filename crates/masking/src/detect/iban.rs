//! IBANs (ISO 13616), in upper or lower case, in groups or not.

use super::{Detector, Match};

#[rustfmt::skip]
/// Countries and lengths, from SWIFT's IBAN registry, in alphabetical order.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22),
    (b"BH", 22), (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24),
    (b"DE", 22), (b"DJ", 27), (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18),
    (b"FK", 18), (b"FO", 18), (b"FR", 27), (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27),
    (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28), (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26),
    (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28), (b"LC", 32), (b"LI", 21), (b"LT", 20),
    (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22), (b"MK", 19), (b"MN", 20),
    (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23), (b"PK", 24),
    (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25),
    (b"SV", 28), (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20),
    (b"YE", 30),
];

/// The longest in the registry.
const LONGEST: usize = 33;

/// All of them, in their order.
#[cfg(test)]
pub(super) fn countries() -> impl Iterator<Item = &'static [u8; 2]> {
    LENGTHS.iter().map(|(country, _)| *country)
}

/// The IBAN that begins at `at`.
pub(super) fn find(text: &[u8], at: usize) -> Option<Match> {
    let rest = text.get(at..)?;
    let [first, second, third, fourth, ..] = rest else { return None };
    if !second.is_ascii_alphabetic() || !third.is_ascii_digit() || !fourth.is_ascii_digit() {
        return None;
    }
    let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    let entry = LENGTHS.binary_search_by_key(&country, |(code, _)| **code).ok()?;
    let (_, length) = LENGTHS.get(entry)?;
    let (symbols, width) = read(rest, *length)?;
    let more = rest.get(width).is_some_and(u8::is_ascii_alphanumeric);
    let symbols = symbols.get(..*length)?;
    (!more && is_checked(symbols)).then_some(Match { detector: Detector::Iban, start: at, end: at.checked_add(width)? })
}

/// Whether more bytes behind `rest`, with which a word begins, may make it an IBAN, or another.
pub(super) fn is_open(rest: &[u8]) -> bool {
    let length = match rest {
        [_] => return true,
        [first, second, digits @ ..] if digits.iter().take(2).all(u8::is_ascii_digit) => {
            let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
            let entry = LENGTHS.binary_search_by_key(&country, |(code, _)| **code).ok();
            entry.and_then(|entry| LENGTHS.get(entry)).map(|(_, length)| *length)
        }
        _ => None,
    };
    let Some(length) = length else { return false };
    let (mut count, mut gap) = (0, false);
    for byte in rest {
        match byte {
            _ if count == length => return false,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => (count, gap) = (count + 1, false),
            b' ' | b'-' if !gap && count >= 4 => gap = true,
            _ => return false,
        }
    }
    true
}

/// The first `length` letters and digits, single spaces or dashes between them left out, and how many bytes they take.
fn read(text: &[u8], length: usize) -> Option<([u8; LONGEST], usize)> {
    let mut symbols = [0; LONGEST];
    let (mut count, mut gap) = (0, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                *symbols.get_mut(count)? = byte.to_ascii_uppercase();
                (count, gap) = (count + 1, false);
            }
            b' ' | b'-' if !gap => gap = true,
            _ => return None,
        }
        if count == length {
            return Some((symbols, at.checked_add(1)?));
        }
    }
    None
}

/// ISO 7064 MOD 97-10 over the symbols with the first four moved to the end.
fn is_checked(symbols: &[u8]) -> bool {
    let Some((head, tail)) = symbols.split_first_chunk::<4>() else { return false };
    let remainder = tail.iter().chain(head).fold(0u32, |remainder, symbol| match symbol {
        b'0'..=b'9' => (remainder * 10 + u32::from(symbol - b'0')) % 97,
        _ => (remainder * 100 + u32::from(symbol.saturating_sub(b'A')) + 10) % 97,
    });
    remainder == 1
}
