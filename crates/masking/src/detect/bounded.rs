//! What has no bound of its own, decided by its first bytes: a stream cannot wait for the end of it.

use super::{Detector, Match, email, secrets};

/// How many bytes from its first one on decide what something is. A stream holds back less than that, and what is longer
/// was decided for hiding it.
pub(crate) const HOLD: usize = 256;

/// The longest local part of an address: RFC 5321, 4.5.3.1.1, has 64 octets. Whatever else may wait for its end behind a
/// local part takes less than the rest of [`HOLD`].
pub(super) const LOCAL: usize = 160;

/// The address around the `@` at `at`. If it is not over after [`HOLD`] bytes, all of it is taken for a domain.
pub(super) fn address(text: &[u8], floor: usize, at: usize) -> Option<Match> {
    let start = email::local_start(text, floor, at, LOCAL).filter(|start| *start < at)?;
    let domain = at.checked_add(1)?;
    let bound = start.checked_add(HOLD)?;
    let within = text.get(domain..bound.min(text.len()))?;
    let ends = bound > text.len() || within.iter().any(|byte| !email::is_domain(*byte));
    let end = if ends {
        email::domain_end(text, domain)?
    } else {
        bound.checked_add(text.get(bound..)?.iter().take_while(|byte| email::is_domain(**byte)).count())?
    };
    Some(Match { detector: Detector::Email, start, end })
}

/// The token or key that begins at `at`. A JWT whose header is not over after [`HOLD`] bytes is taken for one.
pub(super) fn secret(text: &[u8], at: usize) -> Option<Match> {
    let rest = text.get(at..)?;
    if !rest.get(..HOLD).is_some_and(is_long_jwt) || secrets::is_joined(text, at) {
        return secrets::find(text, at);
    }
    let length = rest.iter().take_while(|byte| secrets::is_token(**byte)).count();
    Some(Match { detector: Detector::Jwt, start: at, end: at.saturating_add(length) })
}

/// Whether nothing in it says that it is no JWT, nor where it ends.
fn is_long_jwt(view: &[u8]) -> bool {
    if !view.starts_with(secrets::JWT) {
        return false;
    }
    let Some(end) = view.iter().position(|byte| *byte == b'.' || !secrets::is_token(*byte)) else { return true };
    let (header, behind) = view.split_at(end);
    behind.first() == Some(&b'.') && secrets::is_jose(header) && behind.iter().all(|byte| secrets::is_token(*byte))
}

/// The first line of a private key.
pub(super) fn private_key(text: &[u8], at: usize) -> Option<Match> {
    let after = text.get(at..)?.strip_prefix(secrets::BEGIN)?;
    let end = at.checked_add(secrets::BEGIN.len())?.checked_add(secrets::key_label(after)?)?.checked_add(5)?;
    Some(Match { detector: Detector::PrivateKey, start: at, end })
}
