//! The content net: what in a text looks like a value that someone may not see.

mod email;
mod iban;
mod numbers;
mod secrets;
mod words;

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
    /// Reads a name.
    pub fn of(name: &str) -> Self {
        let name = name.as_bytes();
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
    let mut cursor = Cursor { text, floor: 0, at: 0, hints };
    while let Some(matched) = cursor.next() {
        found(matched);
    }
}

/// A place in a text; nothing before `floor` may be part of a match any more.
struct Cursor<'a> {
    text: &'a [u8],
    floor: usize,
    at: usize,
    hints: Hints,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<Match> {
        while let Some(byte) = self.text.get(self.at) {
            match self.candidate(*byte) {
                Some(matched) => {
                    self.at = matched.end.max(self.at + 1);
                    self.floor = matched.end;
                    return Some(matched);
                }
                None => self.at += self.skip(*byte),
            }
        }
        None
    }

    /// What begins (or, for an address, has its `@`) at this byte.
    fn candidate(&self, byte: u8) -> Option<Match> {
        let (text, at) = (self.text, self.at);
        match byte {
            b'0'..=b'9' => numbers::find(text, self.floor, at, self.hints),
            b'+' => numbers::international(text, self.floor, at),
            b'@' => email::find(text, self.floor, at),
            b'-' => secrets::private_key(text, at),
            b'A'..=b'Z' | b'a'..=b'z' if !self.inside_word() => {
                secrets::find(text, at).or_else(|| iban::find(text, at))
            }
            _ => None,
        }
    }

    fn inside_word(&self) -> bool {
        let before = self.at.checked_sub(1).filter(|before| *before >= self.floor);
        before.and_then(|before| self.text.get(before)).is_some_and(u8::is_ascii_alphanumeric)
    }

    /// How far the next candidate is at least: a run of digits that is none is skipped whole, and so is one of letters, as
    /// nothing begins inside a word, and one of dashes, but for the five that a PEM line begins with.
    fn skip(&self, byte: u8) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let run = |is: fn(&u8) -> bool| rest.iter().take_while(|byte| is(byte)).count();
        match byte {
            b'0'..=b'9' => run(u8::is_ascii_digit),
            b'-' => match run(|byte| *byte == b'-') {
                dashes if dashes > 5 => dashes - 5,
                dashes => dashes,
            },
            b'A'..=b'Z' | b'a'..=b'z' => run(u8::is_ascii_alphabetic),
            _ => 1,
        }
    }
}

/// Whether the digits end in a Luhn check digit (ISO/IEC 7812-1, annex B).
pub(crate) fn luhn(digits: impl DoubleEndedIterator<Item = u16>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}
