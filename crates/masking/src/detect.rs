//! The content net: what in a text looks like a value that someone may not see.

mod block;
mod bounded;
#[cfg(any(test, fuzzing))]
pub mod cursor;
mod email;
mod iban;
mod numbers;
mod open;
mod scanner;
mod secrets;
mod words;

pub(crate) use bounded::HOLD;
pub(crate) use email::is_domain;
pub(crate) use open::{begins_by, hidden_from, is_open};
pub(crate) use secrets::{BEGIN, END, LABEL, continues};

#[cfg(test)]
mod tests;

/// One kind of value that its own form shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Detector {
    /// A payment card number: 13 to 19 digits of an issuer's range with a Luhn check digit, in groups or not.
    CardNumber,
    /// An IBAN (ISO 13616) of a registered country and length with its check digits.
    Iban,
    /// A US social security number: `ddd-dd-dddd`, or nine digits near a word that says so.
    UsSsn,
    /// An e-mail address.
    Email,
    /// A telephone number: international with `+`, or near a word that says so.
    Phone,
    /// A signed or encrypted token (JWS or JWE in compact form).
    Jwt,
    /// A credential in the published format of AWS, GitHub, GitLab, Slack, Stripe, Google Cloud or Vault.
    ServiceKey,
    /// A private key in PEM, also when it is cut off.
    PrivateKey,
}

impl Detector {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::CardNumber,
        Self::Iban,
        Self::UsSsn,
        Self::Email,
        Self::Phone,
        Self::Jwt,
        Self::ServiceKey,
        Self::PrivateKey,
    ];

    /// The data class of what it finds.
    pub const fn class(self) -> &'static str {
        match self {
            Self::CardNumber => "card_number",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Jwt | Self::ServiceKey | Self::PrivateKey => "secret",
        }
    }

    /// Its place in [`Detector::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::CardNumber => 0,
            Self::Iban => 1,
            Self::UsSsn => 2,
            Self::Email => 3,
            Self::Phone => 4,
            Self::Jwt => 5,
            Self::ServiceKey => 6,
            Self::PrivateKey => 7,
        }
    }
}

/// Where something was found: byte offsets, `start` inclusive and `end` exclusive. Matches come in order and never
/// overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Match {
    /// What was found.
    pub detector: Detector,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// What the name of a column or of a JSON member says about its values: some detectors want a word nearby.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// The name speaks of social security numbers.
    pub ssn: bool,
    /// The name speaks of telephones.
    pub phone: bool,
}

impl Hints {
    /// Everything that a name can say.
    pub(crate) const ALL: Self = Self { ssn: true, phone: true };

    /// Reads a name.
    pub fn of(name: &str) -> Self {
        Self::read(name.as_bytes())
    }

    /// Reads a name, which need not be UTF-8.
    pub(crate) fn read(name: &[u8]) -> Self {
        Self { ssn: words::any(name, words::SSN), phone: words::any(name, words::PHONE) }
    }

    /// What either says.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self { ssn: self.ssn || other.ssn, phone: self.phone || other.phone }
    }
}

/// Finds everything in `text`, which need not be UTF-8, in one pass. Time is linear: no candidate is longer than its
/// format allows, and what was found or skipped is not looked at again.
pub fn scan(text: &[u8], hints: Hints, found: &mut impl FnMut(Match)) {
    scanner::scan(text, hints, found);
}

/// Finds everything in a piece of a stream, so that the same is found wherever the stream is cut: what has no bound (or
/// more than [`HOLD`] bytes) is decided by its first [`HOLD`] bytes, and for hiding it; of a private key only the line that
/// it begins with is a match. Nothing begins before `from`, and nothing before `floor`, where the last match ended, is part
/// of a match, but both stand before it as what words are looked for in. `found` takes each match and says where it ends.
pub(crate) fn scan_bounded(
    text: &[u8],
    from: usize,
    floor: usize,
    hints: Hints,
    found: &mut dyn FnMut(Match) -> usize,
) {
    scanner::scan_bounded(text, from, floor, hints, found);
}

/// Whether the digits end in a Luhn check digit (ISO/IEC 7812-1, annex B).
pub(crate) fn luhn<D: Copy + Into<u32>>(digits: &[D]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let pairs = digits.rchunks(2).map(|pair| match pair {
        [other, last] => doubled((*other).into()) + (*last).into(),
        last => last.iter().map(|digit| (*digit).into()).sum(),
    });
    pairs.sum::<u32>().is_multiple_of(10)
}
