//! Made-up people, their cards and what they write.

use crate::canary::luhn_digit;

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Amir", "Beatriz", "Chen", "Dalia", "Emeka", "Fatima", "Grace", "Hugo", "Ines", "Jonas", "Keiko", "Liam",
    "Mara", "Noor", "Olga", "Priya", "Quentin", "Rosa", "Samuel", "Tomas", "Uma", "Viktor", "Yara",
];

const LAST_NAMES: [&str; 24] = [
    "Abara", "Bauer", "Castillo", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ivanova", "Jensen", "Kowalski",
    "Lopez", "Moreau", "Nakamura", "Okafor", "Patel", "Quinn", "Rossi", "Schmidt", "Tanaka", "Urbano", "Varga",
    "Weber", "Zhang",
];

const NOTES: [&str; 8] = [
    "Leave at the door, please.",
    "Gift: no invoice in the parcel.",
    "Second floor, ring twice.",
    "Deliver after 17:00.",
    "Order number of the shop: 1234567890.",
    "Call before delivery.",
    "Return of an earlier order.",
    "Fragile, keep upright.",
];

/// A generator of pseudo-random numbers that needs no more than a seed (SplitMix64, Steele, Lea and Flood, 2014).
pub(super) struct Generator(u64);

impl Generator {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `first` to `last`, both included.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }

    /// One of these.
    pub(super) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let count = u64::try_from(choices.len()).unwrap_or(1).max(1);
        usize::try_from(self.next() % count).ok().and_then(|index| choices.get(index)).copied().unwrap_or_default()
    }

    /// A first and a last name.
    pub(super) fn name(&mut self) -> (&'static str, &'static str) {
        (self.one_of(&FIRST_NAMES), self.one_of(&LAST_NAMES))
    }

    /// A social security number that could be one: no area 000, 666 or 9xx, no group 00, no serial 0000.
    pub(super) fn ssn(&mut self) -> String {
        let area = match self.between(1, 898) {
            666 => 899,
            area => area,
        };
        format!("{area:03}-{:02}-{:04}", self.between(1, 99), self.between(1, 9999))
    }

    /// A North American number of the range kept for fiction.
    pub(super) fn phone(&mut self) -> String {
        format!("+1-{}-555-{:04}", self.between(201, 989), self.between(100, 199))
    }

    /// A card number and its verification code: three in five Visa, else Mastercard, American Express, Discover.
    pub(super) fn card(&mut self) -> (String, String) {
        let (prefix, length) = match self.between(0, 9) {
            0..=5 => ("4", 16),
            6..=7 => ("52", 16),
            8 => ("37", 15),
            _ => ("6011", 16),
        };
        let mut body = prefix.to_owned();
        while body.len() < length - 1 {
            body.push(char::from_digit(u32::try_from(self.between(0, 9)).unwrap_or(0), 10).unwrap_or('0'));
        }
        body.push(luhn_digit(&body));
        let cvv = if length == 15 { self.between(0, 9999) } else { self.between(0, 999) };
        (body, if length == 15 { format!("{cvv:04}") } else { format!("{cvv:03}") })
    }

    /// What a customer wrote to an order: mostly nothing or harmless, one in twenty with a card number in the text, one
    /// in forty with somebody's e-mail address.
    pub(super) fn note(&mut self) -> String {
        match self.between(0, 39) {
            0 => format!("Please charge my other card {} instead.", self.card().0),
            1 => format!("card {} exp 04/29, thanks", grouped(&self.card().0)),
            2 => format!("Send the invoice to {} too.", self.email(0)),
            3..=19 => self.one_of(&NOTES).to_owned(),
            _ => "\\N".to_owned(),
        }
    }

    /// An address of a domain kept for examples.
    pub(super) fn email(&mut self, number: usize) -> String {
        let (first, last) = self.name();
        address(self, first, last, number)
    }

    /// An amount of money, as numeric text.
    pub(super) fn amount(&mut self) -> String {
        format!("{}.{:02}", self.between(3, 900), self.between(0, 99))
    }

    /// A moment in the year 2025, as text.
    pub(super) fn moment(&mut self) -> String {
        let (month, day) = (self.between(1, 12), self.between(1, 28));
        let (hour, minute, second) = (self.between(0, 23), self.between(0, 59), self.between(0, 59));
        format!("2025-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}+00")
    }
}

/// An address made of a name.
pub(super) fn address(generator: &mut Generator, first: &str, last: &str, number: usize) -> String {
    let domain = generator.one_of(&["example.com", "example.net", "example.org"]);
    format!("{}.{}{number}@{domain}", first.to_lowercase(), last.to_lowercase())
}

/// In groups of four, as people write it.
fn grouped(number: &str) -> String {
    let groups: Vec<&str> = number.as_bytes().chunks(4).filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(" ")
}
