//! What at the end of a text is not decided: more bytes may make it a match, or another one.

use super::numbers::is_issued;
use super::{Detector, HOLD, bounded, email, iban, secrets, words};

/// More bytes than the longest number takes with all its separators, and those that are looked at behind it.
const LONGEST_NUMBER: usize = 64;

/// The longest number of interest: a card of 19 digits.
const MAX_DIGITS: usize = 19;

/// The fewest digits of a number that a word makes a telephone number.
const MIN_DIALLED: usize = 7;

/// How many digits of a card or telephone number may be shown before the rest of it is known: those of the issuer, which
/// PCI DSS 4.0 (3.4.1) lets anybody see of a card.
const ISSUER: usize = 6;

/// How many digits of a social security number may: those of the area.
const AREA: usize = 3;

/// How many symbols of an IBAN may: the country and the check digits.
const COUNTRY: usize = 4;

/// Whether more bytes behind `text` may change what begins (or, for an address, has its `@`) at `at`. `floor` is where the
/// last match ended; `card` says that a card number begins here, which no word makes anything else.
pub(crate) fn is_open(text: &[u8], floor: usize, at: usize, card: bool) -> bool {
    let Some(rest) = text.get(at..) else { return false };
    match rest {
        [b'0'..=b'9', ..] if !is_behind(text, floor, at, u8::is_ascii_digit) => {
            let number = Number::read(rest);
            let words = number.digits >= MIN_DIALLED && rest.len() < number.end.saturating_add(words::NEAR);
            number.open || words && !card
        }
        [b'+', behind @ ..] if !is_behind(text, floor, at, u8::is_ascii_alphanumeric) => match behind {
            [] => true,
            [b'1'..=b'9', ..] => Number::read(behind).open,
            _ => false,
        },
        // A telephone number begins with it, if a digit follows.
        [b'('] => true,
        [b'-', ..] => secrets::is_key_open(rest),
        [b'@', domain @ ..] => {
            let start = email::local_start(text, floor, at, bounded::LOCAL).filter(|start| *start < at);
            let bounded = start.is_some_and(|start| text.len().saturating_sub(start) < HOLD);
            bounded && domain.iter().all(|byte| email::is_domain(*byte))
        }
        [b'A'..=b'Z' | b'a'..=b'z', ..] if !is_behind(text, floor, at, u8::is_ascii_alphanumeric) => {
            rest.len() < HOLD && secrets::is_open(rest, secrets::is_joined(text, at)) || iban::is_open(rest)
        }
        _ => false,
    }
}

/// Where what is not decided at `at` begins: an address may begin in front of it, a telephone number with a bracket.
pub(crate) fn begins_by(text: &[u8], floor: usize, at: usize) -> usize {
    let bracket = at.checked_sub(1).filter(|before| *before >= floor && text.get(*before) == Some(&b'('));
    let digit = text.get(at).is_some_and(u8::is_ascii_digit);
    match bracket.filter(|_| digit) {
        Some(bracket) => bracket,
        None => email::local_start(text, floor, at, bounded::LOCAL).unwrap_or(at),
    }
}

/// From where on a value that is not decided, and begins at `at`, may not be shown; nothing if so little of it is there that
/// it may be, or if what it may become is not `hidden`.
pub(crate) fn hidden_from(text: &[u8], at: usize, hidden: &dyn Fn(Detector) -> bool) -> Option<usize> {
    let rest = text.get(at..)?;
    let shown = match rest.first()? {
        b'0'..=b'9' => number_shown(text, at, hidden),
        b'+' => {
            let digits = Number::read(rest.get(1..)?);
            let many = digits.digits > ISSUER && hidden(Detector::Phone);
            many.then(|| place(rest, ISSUER, u8::is_ascii_digit)).flatten()
        }
        b'A'..=b'Z' | b'a'..=b'z' => {
            let secret = secrets::is_open(rest, secrets::is_joined(text, at)).then(|| secrets::prefix_length(rest));
            let secret = secret.flatten().filter(|(detector, _)| hidden(*detector)).map(|(_, length)| length);
            let iban = (hidden(Detector::Iban) && iban::is_open(rest))
                .then(|| place(rest, COUNTRY, u8::is_ascii_alphanumeric))
                .flatten();
            secret.or(iban)
        }
        _ => None,
    };
    at.checked_add(shown.filter(|shown| *shown < rest.len())?)
}

/// How many bytes of the number at `at` may be shown.
fn number_shown(text: &[u8], at: usize, hidden: &dyn Fn(Detector) -> bool) -> Option<usize> {
    let rest = text.get(at..)?;
    let number = Number::read(rest);
    if !number.open {
        return None;
    }
    let near = |words| words::near(text, at, at, words);
    let ssn =
        hidden(Detector::UsSsn) && number.digits > AREA && (is_ssn(rest) || number.digits <= 9 && near(words::SSN));
    let card = hidden(Detector::CardNumber) && may_be_issued(rest, number.digits);
    let phone = hidden(Detector::Phone) && near(words::PHONE);
    if ssn {
        place(rest, AREA, u8::is_ascii_digit)
    } else if number.digits > ISSUER && (card || phone) {
        place(rest, ISSUER, u8::is_ascii_digit)
    } else {
        None
    }
}

/// Whether it is the beginning of `ddd-dd-dddd`.
fn is_ssn(rest: &[u8]) -> bool {
    let shape = b"000-00-0000";
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'-' { byte == shape } else { byte.is_ascii_digit() };
    rest.len() <= shape.len() && rest.iter().zip(shape).all(fits)
}

/// Whether an issuer has card numbers of so many digits or more that begin so.
fn may_be_issued(rest: &[u8], count: usize) -> bool {
    let mut digits = [0u8; MAX_DIGITS];
    let numerals = rest.iter().filter(|byte| byte.is_ascii_digit());
    digits.iter_mut().zip(numerals).for_each(|(slot, byte)| *slot = byte - b'0');
    (count..=MAX_DIGITS).any(|length| digits.get(..length).is_some_and(is_issued))
}

/// How many bytes the first `count` symbols of a kind take.
fn place(rest: &[u8], count: usize, is: fn(&u8) -> bool) -> Option<usize> {
    let last = rest.iter().enumerate().filter(|(_, byte)| is(byte)).nth(count.checked_sub(1)?)?;
    last.0.checked_add(1)
}

fn is_behind(text: &[u8], floor: usize, at: usize, is: fn(&u8) -> bool) -> bool {
    at.checked_sub(1).filter(|before| *before >= floor).and_then(|before| text.get(before)).is_some_and(is)
}

/// Digits with whatever may separate those of one number.
struct Number {
    digits: usize,
    /// Where the last digit ends.
    end: usize,
    /// Whether more may follow.
    open: bool,
}

impl Number {
    fn read(rest: &[u8]) -> Self {
        let mut number = Self { digits: 0, end: 0, open: rest.len() < LONGEST_NUMBER };
        let mut gap = 0;
        for (at, byte) in rest.iter().take(LONGEST_NUMBER).enumerate() {
            match byte {
                b'0'..=b'9' => (number.digits, number.end, gap) = (number.digits + 1, at.saturating_add(1), 0),
                b' ' | b'-' | b'.' | b'(' | b')' | b'/' | 0xc2 | 0xa0 if gap < 2 => gap += 1,
                _ => {
                    number.open = false;
                    break;
                }
            }
        }
        number.open &= number.digits <= MAX_DIGITS;
        number
    }
}
