//! Forms of values that are too common to be detectors, and tell something beside a name.

use std::net::IpAddr;

use super::Confidence;

/// A form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Shape {
    /// Three or four digits.
    FewDigits,
    /// A date, with or without a time.
    Date,
    /// An IP address, or a network.
    Address,
    /// Words, as people are called by.
    Words,
}

impl Shape {
    pub(super) const ALL: [Self; 4] = [Self::FewDigits, Self::Date, Self::Address, Self::Words];

    /// The one that values of a class have, where no detector tells.
    pub(super) fn of(class: &str) -> Option<Self> {
        match class {
            "card_cvv" => Some(Self::FewDigits),
            "date_of_birth" => Some(Self::Date),
            "ip_address" => Some(Self::Address),
            "person_name" => Some(Self::Words),
            _ => None,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::FewDigits => "are three or four digits",
            Self::Date => "are dates",
            Self::Address => "are IP addresses",
            Self::Words => "are words alone",
        }
    }

    /// How sure a name becomes by it at most: anything may be words.
    pub(super) const fn sureness(self) -> Confidence {
        match self {
            Self::FewDigits | Self::Date | Self::Address => Confidence::High,
            Self::Words => Confidence::Medium,
        }
    }

    pub(super) fn fits(self, value: &str) -> bool {
        match self {
            Self::FewDigits => (3..=4).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit()),
            Self::Date => is_date(value),
            Self::Address => value.split('/').next().is_some_and(|address| address.parse::<IpAddr>().is_ok()),
            Self::Words => {
                let is_part = |letter: char| letter.is_alphabetic() || " -'.’".contains(letter);
                value.chars().count() <= 80 && value.chars().all(is_part) && value.chars().any(char::is_alphabetic)
            }
        }
    }
}

/// `1980-02-29`, `29.02.1980` or `02/29/1980`, and perhaps a time behind it.
fn is_date(value: &str) -> bool {
    let date = value.split([' ', 'T']).next().unwrap_or_default();
    ["-", ".", "/"].iter().any(|between| {
        let parts: Vec<&str> = date.split(between).collect();
        let digits = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        digits && matches!(lengths.as_slice(), [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4])
    })
}
