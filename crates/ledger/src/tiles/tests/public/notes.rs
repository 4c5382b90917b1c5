//! Notes that somebody signs by hand, and how two readers may differ about one.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::*;
use crate::note::signature_line;

/// What the specification of notes leaves to whoever reads one. Ours refuses, and Go's library does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Choice {
    /// Base64 of which the last character has bits that mean nothing, and are not 0 (RFC 4648, section 3.5).
    StrayBits,
    /// Two signatures by the one key, of which the second is wrong: Go's library looks at the first alone. "If a signature
    /// from a known key fails to verify, clients SHOULD reject the whole note" (c2sp.org/signed-note, "Signatures").
    WrongAgain,
}

pub(super) const WRONG_AGAIN: &str = "a wrong signature behind the right one";

/// Whether the checkpoint is one that the two may differ about.
pub(super) fn choice(what: &str, files: &Files) -> Option<Choice> {
    if what == WRONG_AGAIN {
        return Some(Choice::WrongAgain);
    }
    let note = std::str::from_utf8(files.get(CHECKPOINT)?).ok()?;
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let lenient = GeneralPurpose::new(&alphabet::STANDARD, lenient);
    let is_stray = |text: &str| lenient.decode(text).is_ok_and(|bytes| STANDARD.encode(bytes) != text);
    let root = note.split('\n').nth(2)?;
    let mut signatures = note.split('\n').filter_map(|line| line.strip_prefix("\u{2014} ")?.rsplit(' ').next());
    (is_stray(root) || signatures.any(is_stray)).then_some(Choice::StrayBits)
}

/// The four bytes that name a key.
pub(super) fn id_of(key: &SigningKey) -> [u8; 4] {
    let text = key.public().to_string();
    u32::from_str_radix(text.split('+').nth(1).unwrap(), 16).unwrap().to_be_bytes()
}

/// A signature line with this signature, right or not.
pub(super) fn line_with(key: &SigningKey, signature: &[u8]) -> String {
    signature_line(key.public().name(), id_of(key), signature)
}

pub(super) fn line(key: &SigningKey, text: &str) -> String {
    line_with(key, &key.sign_text(text))
}

/// Any text as a note by the key.
pub(super) fn signed(key: &SigningKey, text: &str) -> String {
    format!("{text}\n{}", line(key, text))
}

/// What is signed of a note.
pub(super) fn text_of(note: &str) -> &str {
    &note[..=note.find("\n\n").unwrap()]
}

pub(super) fn in_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The same base64 with a bit in it that means nothing.
pub(super) fn with_stray_bit(text: &str) -> String {
    let alphabet = alphabet::STANDARD.as_str();
    let (body, pad) = text.split_at(text.trim_end_matches('=').len());
    let (body, last) = body.split_at(body.len() - 1);
    let value = alphabet.find(last).unwrap();
    format!("{body}{}{pad}", &alphabet[value + 1..=value + 1])
}

/// The same signature with the order of the group added to its second half: RFC 8032 demands that it is refused.
pub(super) fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order: u128 = 0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed;
    let order = [order.to_le_bytes(), (1u128 << 124).to_le_bytes()].concat();
    let (mut sum, mut carry) = (signature.to_vec(), 0u16);
    for (byte, more) in sum[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(more);
        *byte = u8::try_from(carry & 0xff).unwrap();
        carry >>= 8;
    }
    sum
}
