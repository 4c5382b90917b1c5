//! E-mail addresses (RFC 5321 with the characters of RFC 6531; no quoted local parts).

use super::{Detector, Match};

/// More than RFC 5321 allows a local part, so that an overlong one is not left half shown.
const LONGEST_LOCAL: usize = 256;

/// RFC 5321, 4.5.3.1.2.
const LONGEST_DOMAIN: usize = 255;

/// The address around the `@` at `at`.
pub(super) fn find(text: &[u8], floor: usize, at: usize) -> Option<Match> {
    let local = text.get(floor.max(at.saturating_sub(LONGEST_LOCAL))..at)?;
    let length = local.iter().rev().take_while(|byte| is_local(**byte)).count();
    let start = at.checked_sub(length)?;
    let continued = text.get(start..at)?.iter().take_while(|byte| is_continuation(**byte)).count();
    let start = start.checked_add(continued)?;
    let end = domain_end(text, at.checked_add(1)?)?;
    (start < at).then_some(Match { detector: Detector::Email, start, end })
}

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 0x80
        || matches!(
            byte,
            b'.' | b'_'
                | b'%'
                | b'+'
                | b'-'
                | b'\''
                | b'&'
                | b'~'
                | b'!'
                | b'#'
                | b'$'
                | b'*'
                | b'?'
                | b'^'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
        )
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The end of labels with a dot between them, the last of two letters or more.
fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte >= 0x80 || matches!(byte, b'-' | b'.');
    let mut domain = rest.get(..rest.iter().take(LONGEST_DOMAIN).take_while(inside).count())?;
    while let [kept @ .., b'.' | b'-'] = domain {
        domain = kept;
    }
    let dot = domain.iter().rposition(|byte| *byte == b'.')?;
    let top = domain.get(dot.checked_add(1)?..)?;
    let named = top.len() >= 2 && top.iter().any(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    (dot > 0 && named).then(|| start.saturating_add(domain.len()))
}
