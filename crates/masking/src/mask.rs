//! Masks of text: what each transform makes of a value, and how to recognise the result.

use std::sync::Arc;

use model::class::{DataClass, Transform};

use crate::detect::luhn;
use crate::keys::{ALPHABET, ClassKeys, ID_SYMBOLS, Keys, MIN_DIGITS, TOKEN_SYMBOLS};

/// How values of one class are masked.
#[derive(Clone)]
pub(crate) struct Mask {
    pub(crate) class: DataClass,
    pub(crate) transform: Transform,
    keys: Arc<ClassKeys>,
    /// `[class]`.
    label: Arc<str>,
}

impl Mask {
    pub(crate) fn new(class: DataClass, transform: Transform, keys: &Keys) -> Self {
        let keys = keys.class(&class);
        let label = format!("[{}]", class.as_str()).into();
        Self { class, transform, keys, label }
    }

    /// The same mask for a value that is only derived from the class: NULL or redacted, for a part or a token of a
    /// derived value says something about the value itself.
    pub(crate) fn whole(mut self) -> Self {
        if self.transform != Transform::Null {
            self.transform = Transform::Redact;
        }
        self
    }

    /// As [`Mask::text`], of bytes that are text if the target keeps to its encoding. What is redacted is not read; other
    /// masks are made in `scratch`.
    pub(crate) fn bytes(&self, value: &[u8], scratch: &mut String, out: &mut Vec<u8>) -> bool {
        if self.transform == Transform::Redact {
            out.extend_from_slice(self.label.as_bytes());
            return true;
        }
        scratch.clear();
        let done = match str::from_utf8(value) {
            Ok(text) => self.text(text, scratch),
            Err(_) => self.text(&String::from_utf8_lossy(value), scratch),
        };
        out.extend_from_slice(scratch.as_bytes());
        done
    }

    /// Writes what is shown in place of `value`; false stands for NULL, with nothing written.
    pub(crate) fn text(&self, value: &str, out: &mut String) -> bool {
        let done = match self.transform {
            Transform::Null => return false,
            Transform::Redact => false,
            Transform::Token => {
                self.keys.token(canonical(value, &self.class).as_bytes(), out);
                true
            }
            Transform::Partial { keep_last } => partial(value, usize::from(keep_last), out),
            Transform::FormatPreserving => self.same_format(value, out),
        };
        if !done {
            self.redacted(out);
        }
        true
    }

    /// `[class]`, which says what was redacted.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Writes `[class]`.
    pub(crate) fn redacted(&self, out: &mut String) {
        out.push_str(&self.label);
    }

    /// Replaces the digits and keeps the separators between them; not done if there is anything else.
    pub(crate) fn same_format(&self, value: &str, out: &mut String) -> bool {
        if !value.chars().all(|symbol| symbol.is_ascii_digit() || is_separator(symbol)) {
            return false;
        }
        let digits: Vec<u16> = value.chars().filter_map(|symbol| symbol.to_digit(10)).filter_map(narrow).collect();
        let Some(replaced) = self.other_digits(digits) else { return false };
        let mut replaced = replaced.into_iter();
        out.extend(value.chars().map(|symbol| match symbol.is_ascii_digit() {
            true => replaced.next().and_then(|digit| char::from_digit(u32::from(digit), 10)).unwrap_or('0'),
            false => symbol,
        }));
        true
    }

    /// Encrypts until the result can be told from a real value of the class (cycle walking).
    fn other_digits(&self, mut digits: Vec<u16>) -> Option<Vec<u16>> {
        for _ in 0..MAX_WALK {
            digits = self.keys.digits(&digits)?;
            if is_unreal(&digits, &self.class) {
                return Some(digits);
            }
        }
        None
    }
}

/// A result is fit with a chance of one in 18 or better, so that many steps do not suffice once in 10^24 values.
const MAX_WALK: usize = 1000;

fn narrow(digit: u32) -> Option<u16> {
    u16::try_from(digit).ok()
}

/// Whether digits of this class cannot be real: no Luhn check digit, or an area that is never issued. A leading zero is
/// kept out of all of them, so that numbers stay as long as they were.
fn is_unreal(digits: &[u16], class: &DataClass) -> bool {
    let leading = digits.first().copied().unwrap_or(0);
    match class.as_str() {
        "card_number" => leading != 0 && !luhn(digits),
        "us_ssn" => leading == 9,
        _ => leading != 0,
    }
}

const fn is_separator(symbol: char) -> bool {
    matches!(symbol, ' ' | '-' | '.' | '/' | '(' | ')' | '+' | '\u{a0}')
}

/// The one spelling that all spellings of a value share, so that their tokens are equal.
fn canonical(value: &str, class: &DataClass) -> String {
    match class.as_str() {
        "card_number" | "card_cvv" | "iban" | "us_ssn" | "phone" => {
            value.chars().filter(|symbol| !is_separator(*symbol)).map(|symbol| symbol.to_ascii_uppercase()).collect()
        }
        "email" => value.trim().to_lowercase(),
        _ => value.trim().to_owned(),
    }
}

/// What hides characters, as many as are written at once.
const STARS: &str = "********************************";

/// Keeps the last characters; not done if they would be more than half of the value. The blanks that `char(n)` pads
/// with are not part of it.
fn partial(value: &str, keep: usize, out: &mut String) -> bool {
    let value = value.trim_end_matches(' ');
    let length = value.chars().count();
    if length < keep.saturating_mul(2) || length == 0 {
        return false;
    }
    let mut hidden = length.saturating_sub(keep);
    while let Some(stars) = STARS.get(..hidden.min(STARS.len())).filter(|stars| !stars.is_empty()) {
        out.push_str(stars);
        hidden -= stars.len();
    }
    if let Some(before_last) = keep.checked_sub(1) {
        let shown = value.char_indices().nth_back(before_last).and_then(|(at, _)| value.get(at..));
        out.push_str(shown.unwrap_or_default());
    }
    true
}

/// Whether `value` has the form of a mask of `class`, whose default transform is `transform`.
pub(crate) fn is_mask(value: &str, class: &DataClass, transform: Option<&Transform>) -> bool {
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let redacted = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) == Some(class.as_str());
    redacted || is_token(value) || is_partial(value) || is_unreal_text(value, class, transform)
}

fn is_token(value: &str) -> bool {
    let symbols = value.strip_prefix("tok_").unwrap_or_default().as_bytes();
    symbols.len() == ID_SYMBOLS + TOKEN_SYMBOLS && symbols.iter().all(|symbol| ALPHABET.contains(symbol))
}

/// At least as many stars in front as characters behind.
fn is_partial(value: &str) -> bool {
    let shown = value.trim_start_matches('*');
    let hidden = value.len().saturating_sub(shown.len());
    hidden > 0 && hidden >= shown.chars().count()
}

fn is_unreal_text(value: &str, class: &DataClass, transform: Option<&Transform>) -> bool {
    if transform != Some(&Transform::FormatPreserving) || !matches!(class.as_str(), "card_number" | "us_ssn") {
        return false;
    }
    let digits: Vec<u16> = value.chars().filter_map(|symbol| symbol.to_digit(10)).filter_map(narrow).collect();
    let plain = value.chars().all(|symbol| symbol.is_ascii_digit() || is_separator(symbol));
    plain && digits.len() >= MIN_DIGITS && is_unreal(&digits, class)
}
