//! The oracle O3: random sensitive values, and the search for them where they must not be.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

use crate::random;

/// Sensitive values that exist nowhere else, one of each kind.
#[derive(Clone, Debug)]
pub struct Canary {
    /// A card number of 16 digits that passes the Luhn test.
    pub card: String,
    /// A valid US social security number, `AAA-GG-SSSS`.
    pub ssn: String,
    /// An e-mail address.
    pub email: String,
    /// A secret of 32 characters, such as a password or a key.
    pub token: String,
}

impl Canary {
    /// New values.
    pub fn random() -> Result<Self> {
        let token = random::word()?;
        let number = random::number()?;
        let body = format!("4{:014}", number % 100_000_000_000_000);
        let area = 100 + number % 500;
        let (group, serial) = (1 + number / 1_000 % 99, 1 + number / 1_000_000 % 9_999);
        let name = random::word()?;
        Ok(Self {
            card: format!("{body}{}", luhn_digit(&body)),
            ssn: format!("{area:03}-{group:02}-{serial:04}"),
            email: format!("canary.{}@example.com", name.get(..16).unwrap_or(&name)),
            token,
        })
    }

    /// Each value.
    pub fn values(&self) -> [&str; 4] {
        [&self.card, &self.ssn, &self.email, &self.token]
    }
}

/// The digit that makes `digits` pass the Luhn test when it is appended.
pub fn luhn_digit(digits: &str) -> char {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let digits = digits.chars().rev().filter_map(|digit| digit.to_digit(10)).enumerate();
    let sum: u32 = digits.map(|(place, digit)| if place % 2 == 0 { doubled(digit) } else { digit }).sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

/// Fails the test if any value of `canary` is in `haystack` in any form of [`leak`].
///
/// # Panics
///
/// On a leak. The message names the form and the offset, and shows what surrounds it.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion for tests")]
pub fn assert_absent(haystack: &[u8], canary: &Canary) {
    for value in canary.values() {
        if let Some(leak) = leak(haystack, value) {
            let around = haystack.get(leak.offset.saturating_sub(80)..).unwrap_or_default();
            let around = String::from_utf8_lossy(around.get(..200).unwrap_or(around)).into_owned();
            panic!("{value:?} leaked as {} at byte {}, in {around:?}", leak.form, leak.offset);
        }
    }
}

/// Where and how a value was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leak {
    /// The form that it had.
    pub form: &'static str,
    /// The byte of the haystack at which it begins (for base64, its middle part).
    pub offset: usize,
}

/// Looks for `value` in `haystack` in clear (in upper and lower case too), without or with other separators between
/// its digits, reversed, in hexadecimal, in base64 at every alignment, percent-encoded and in UTF-16.
pub fn leak(haystack: &[u8], value: &str) -> Option<Leak> {
    forms(value)
        .into_iter()
        .find_map(|(form, needle)| memmem::find(haystack, &needle).map(|offset| Leak { form, offset }))
}

fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex = random::hex(value.as_bytes());
    let reversed: String = value.chars().rev().collect();
    let mut forms = vec![
        ("clear text", value.as_bytes().to_vec()),
        ("upper case", value.to_uppercase().into_bytes()),
        ("lower case", value.to_lowercase().into_bytes()),
        ("reversed", reversed.into_bytes()),
        ("hexadecimal", hex.clone().into_bytes()),
        ("hexadecimal", hex.to_uppercase().into_bytes()),
        ("percent-encoded", percent_encoded(value, true).into_bytes()),
        ("percent-encoded", percent_encoded(value, false).into_bytes()),
        ("UTF-16", value.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16", value.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ];
    forms.extend(base64_forms(value.as_bytes()).into_iter().map(|form| ("base64", form.into_bytes())));
    forms.extend(digit_forms(value).into_iter().map(|form| ("digits", form.into_bytes())));
    forms
}

/// Every character escaped, or only those that RFC 3986 does not leave alone.
fn percent_encoded(value: &str, all: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = |byte: u8| if !all && plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(encoded).collect()
}

/// What stays of the value in base64 whatever precedes and follows it: one form for each of the three alignments.
fn base64_forms(value: &[u8]) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(value)];
    for lead in 0..3_usize {
        let padded = [&vec![0; lead], value].concat();
        // The first characters depend on what precedes, the last one on what follows.
        let skip = [0, 2, 3].get(lead).copied().unwrap_or(0);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let end = encoded.len() - usize::from(!padded.len().is_multiple_of(3));
            forms.extend(encoded.get(skip..end).map(str::to_owned));
        }
    }
    forms
}

/// A value of digits alone (a card, an SSN) without its separators, and in groups of four.
fn digit_forms(value: &str) -> Vec<String> {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    if digits.len() + 2 < value.len() {
        return Vec::new();
    }
    let groups = |separator: &str| {
        let groups: Vec<&str> = digits.as_bytes().chunks(4).filter_map(|group| str::from_utf8(group).ok()).collect();
        groups.join(separator)
    };
    vec![groups(" "), groups("-"), digits.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_valid_and_differ() {
        let (first, second) = (Canary::random().unwrap(), Canary::random().unwrap());
        for canary in [&first, &second] {
            let (body, check) = canary.card.split_at(15);
            assert_eq!(check, luhn_digit(body).to_string());
        }
        assert!(first.values().iter().zip(second.values()).all(|(one, other)| *one != other));
        assert_eq!(luhn_digit("7992739871"), '3');
    }

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let canary = Canary::random().unwrap();
        for value in canary.values() {
            for lead in 0..5 {
                let text = format!("{}{value}tail", "#".repeat(lead));
                let forms = [
                    text.clone().into_bytes(),
                    STANDARD.encode(&text).into_bytes(),
                    URL_SAFE_NO_PAD.encode(&text).into_bytes(),
                    random::hex(text.as_bytes()).into_bytes(),
                    text.chars().rev().collect::<String>().into_bytes(),
                    text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                ];
                for form in forms {
                    assert!(leak(&form, value).is_some(), "{}", String::from_utf8_lossy(&form));
                }
            }
        }
        assert!(leak(canary.ssn.replace('-', "").as_bytes(), &canary.ssn).is_some());
        let card = &canary.card;
        let spaced = format!("{} {} {} {}", &card[..4], &card[4..8], &card[8..12], &card[12..]);
        assert!(leak(spaced.as_bytes(), card).is_some());
        assert_absent(format!("************{}", &card[12..]).as_bytes(), &canary);
    }

    #[test]
    #[should_panic(expected = "leaked as base64")]
    fn a_leak_fails_the_test() {
        let canary = Canary::random().unwrap();
        assert_absent(STANDARD.encode(format!("x{}", canary.token)).as_bytes(), &canary);
    }
}
