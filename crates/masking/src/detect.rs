//! The content net: what in a text looks like a value that someone may not see.

/// One kind of value that its own form shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Detector {
    /// A payment card number: 12 to 19 digits of an issuer's range with a Luhn check digit, in groups or not.
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
        let name = name.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        Self { ssn: has(SSN_WORDS), phone: has(PHONE_WORDS) }
    }
}

/// Words that speak of social security numbers.
const SSN_WORDS: &[&str] =
    &["ssn", "social_sec", "social sec", "socialsec", "soc_sec", "soc sec", "tax_id", "tax id", "taxid"];

/// Words that speak of telephones.
const PHONE_WORDS: &[&str] = &["phone", "mobile", "tel", "cell", "fax", "msisdn"];

/// Finds everything in `text`, which need not be UTF-8, in one pass.
pub fn scan(text: &[u8], hints: Hints, found: &mut impl FnMut(Match)) {
    let _ = (text, hints, found);
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
