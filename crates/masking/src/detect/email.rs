//! E-mail addresses (RFC 5321 with the characters of RFC 6531; no quoted local parts).

use super::{Detector, Match};

/// More than RFC 5321 allows a local part, so that an overlong one is not left half shown.
const LONGEST_LOCAL: usize = 256;

/// RFC 5321, 4.5.3.1.2.
const LONGEST_DOMAIN: usize = 255;

/// The address around the `@` at `at`.
pub(super) fn find(text: &[u8], floor: usize, at: usize) -> Option<Match> {
    let start = local_start(text, floor, at, LONGEST_LOCAL)?;
    let end = domain_end(text, at.checked_add(1)?)?;
    (start < at).then_some(Match { detector: Detector::Email, start, end })
}

/// Where the local part begins that ends at `at`, and is no longer than this; `at` if there is none.
pub(super) fn local_start(text: &[u8], floor: usize, at: usize, longest: usize) -> Option<usize> {
    let local = text.get(floor.max(at.saturating_sub(longest))..at)?;
    let local = local.get(local.iter().rposition(|byte| !is_local(*byte)).map_or(0, |before| before + 1)..)?;
    let continued = local.iter().take_while(|byte| is_continuation(**byte)).count();
    at.checked_sub(local.len())?.checked_add(continued)
}

/// In order, so that it is few comparisons. Between `^` and `~` are `_`, the grave accent, the letters and braces.
const fn is_local(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'..=b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'0'..=b'9'
            | b'?'
            | b'A'..=b'Z'
            | b'^'..=b'~'
            | 0x80..
    )
}

/// Whether a domain may hold it.
pub(crate) const fn is_domain(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | 0x80..)
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The end of labels with a dot between them, the last of two letters or more.
pub(super) fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..start.saturating_add(LONGEST_DOMAIN).min(text.len()))?;
    let length = rest.iter().position(|byte| !is_domain(*byte)).unwrap_or(rest.len());
    let mut domain = rest.get(..length)?;
    while let [kept @ .., b'.' | b'-'] = domain {
        domain = kept;
    }
    let dot = domain.iter().rposition(|byte| *byte == b'.')?;
    let top = domain.get(dot.checked_add(1)?..)?;
    let named = top.len() >= 2 && top.iter().any(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    (dot > 0 && named).then(|| start.saturating_add(domain.len()))
}
