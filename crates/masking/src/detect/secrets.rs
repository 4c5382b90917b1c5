//! Credentials in the formats that their issuers publish.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;

use super::{Detector, Match};

/// What may follow a prefix.
#[derive(Clone, Copy)]
enum Alphabet {
    /// `A-Z` and `2-7`.
    Base32,
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits, `_` and `-`, and `.` between them.
    Token,
}

/// Prefixes, what follows them, and how much of it at least.
const FORMATS: &[(&[u8], Alphabet, usize)] = &[
    // AWS access key ids: IAM reference, "Unique identifiers".
    (b"AKIA", Alphabet::Base32, 16),
    (b"ASIA", Alphabet::Base32, 16),
    (b"ABIA", Alphabet::Base32, 16),
    (b"ACCA", Alphabet::Base32, 16),
    // Google Cloud API keys, OAuth client secrets and access tokens.
    (b"AIza", Alphabet::Token, 35),
    (b"GOCSPX-", Alphabet::Token, 28),
    (b"ya29.", Alphabet::Token, 20),
    // GitHub: "About authentication to GitHub", token prefixes.
    (b"ghp_", Alphabet::Alphanumeric, 36),
    (b"gho_", Alphabet::Alphanumeric, 36),
    (b"ghu_", Alphabet::Alphanumeric, 36),
    (b"ghs_", Alphabet::Alphanumeric, 36),
    (b"ghr_", Alphabet::Alphanumeric, 36),
    (b"github_pat_", Alphabet::Token, 22),
    // GitLab: "Token overview", token prefixes.
    (b"glpat-", Alphabet::Token, 20),
    (b"gldt-", Alphabet::Token, 20),
    (b"glrt-", Alphabet::Token, 20),
    (b"glptt-", Alphabet::Token, 20),
    // HashiCorp Vault service, batch and recovery tokens.
    (b"hvs.", Alphabet::Token, 20),
    (b"hvb.", Alphabet::Token, 20),
    (b"hvr.", Alphabet::Token, 20),
    // Stripe secret, restricted and webhook keys.
    (b"rk_live_", Alphabet::Alphanumeric, 16),
    (b"rk_test_", Alphabet::Alphanumeric, 16),
    (b"sk_live_", Alphabet::Alphanumeric, 16),
    (b"sk_test_", Alphabet::Alphanumeric, 16),
    (b"whsec_", Alphabet::Alphanumeric, 24),
    // Slack bot, user, refresh, configuration and app tokens.
    (b"xapp-", Alphabet::Token, 20),
    (b"xoxa-", Alphabet::Token, 10),
    (b"xoxb-", Alphabet::Token, 10),
    (b"xoxe", Alphabet::Token, 20),
    (b"xoxp-", Alphabet::Token, 10),
    (b"xoxr-", Alphabet::Token, 10),
    (b"xoxs-", Alphabet::Token, 10),
];

/// What each begins with.
#[cfg(test)]
pub(super) fn prefixes() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|(prefix, ..)| std::str::from_utf8(prefix).unwrap())
}

/// The token or key that begins at `at`.
pub(super) fn find(text: &[u8], at: usize) -> Option<Match> {
    let rest = text.get(at..)?;
    // Most words begin otherwise.
    if !matches!(
        rest,
        [b'A', b'K' | b'S' | b'B' | b'C' | b'I', ..]
            | [b'G', b'O', ..]
            | [b'e', b'y', ..]
            | [b'g', b'h' | b'i' | b'l', ..]
            | [b'h', b'v', ..]
            | [b'r' | b's', b'k', ..]
            | [b'w', b'h', ..]
            | [b'x', b'a' | b'o', ..]
            | [b'y', b'a', ..]
    ) {
        return None;
    }
    if rest.starts_with(JWT) {
        return if is_joined(text, at) { None } else { jwt(rest, at) };
    }
    let (prefix, alphabet, least) = FORMATS.iter().find(|(prefix, ..)| rest.starts_with(prefix))?;
    let length = rest.get(prefix.len()..)?.iter().take_while(|byte| is_in(**byte, *alphabet)).count();
    let end = at.checked_add(prefix.len())?.checked_add(length)?;
    let exact = matches!(alphabet, Alphabet::Base32);
    let fits = if exact {
        length == *least && !text.get(end).is_some_and(u8::is_ascii_alphanumeric)
    } else {
        length >= *least
    };
    fits.then_some(Match { detector: Detector::ServiceKey, start: at, end })
}

/// Whether the word at `at` is joined to another, so that no JWT begins there.
pub(super) fn is_joined(text: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(|byte| matches!(byte, b'-' | b'_'))
}

const fn is_in(byte: u8, alphabet: Alphabet) -> bool {
    match alphabet {
        Alphabet::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
        Alphabet::Alphanumeric => byte.is_ascii_alphanumeric(),
        Alphabet::Token => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
    }
}

/// Base64url segments with dots between them, the first of which is a JOSE header (RFC 7515, 7.1).
pub(super) fn jwt(text: &[u8], at: usize) -> Option<Match> {
    let dot = text.iter().position(|byte| *byte == b'.' || !is_in(*byte, Alphabet::Token))?;
    let (header, rest) = (text.get(..dot)?, text.get(dot..)?.strip_prefix(b".")?);
    if !is_jose(header) {
        return None;
    }
    let length = rest.iter().take_while(|byte| is_in(**byte, Alphabet::Token)).count();
    let end = at.checked_add(dot)?.checked_add(1)?.checked_add(length)?;
    (length > 0).then_some(Match { detector: Detector::Jwt, start: at, end })
}

/// Whether this is a JOSE header in base64url.
pub(super) fn is_jose(header: &[u8]) -> bool {
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    header.starts_with(b"{") && memmem::find(&header, b"\"alg\"").is_some()
}

/// What a JWT begins with: the base64url of `{"`.
pub(super) const JWT: &[u8] = b"eyJ";

/// Whether a token may hold it.
pub(super) const fn is_token(byte: u8) -> bool {
    is_in(byte, Alphabet::Token)
}

/// Whether a byte can be one more of a token or key that begins so.
pub(crate) fn continues(value: &[u8], byte: u8) -> bool {
    let format = FORMATS.iter().find(|(prefix, ..)| value.starts_with(prefix));
    is_in(byte, format.map_or(Alphabet::Token, |(_, alphabet, _)| *alphabet))
}

/// Whether more bytes behind `rest`, with which a word begins, may make it a token or key, or a longer one. `joined` says
/// that no JWT may begin here.
pub(super) fn is_open(rest: &[u8], joined: bool) -> bool {
    let mut formats = FORMATS.iter();
    let jwt = !joined && !rest.is_empty() && is_growing(rest, JWT, Alphabet::Token, usize::MAX);
    jwt || formats.any(|(prefix, alphabet, least)| {
        let most = if matches!(alphabet, Alphabet::Base32) { *least } else { usize::MAX };
        is_growing(rest, prefix, *alphabet, most)
    })
}

/// Whether `rest` is the beginning of a prefix, or one and nothing but what may follow it.
fn is_growing(rest: &[u8], prefix: &[u8], alphabet: Alphabet, most: usize) -> bool {
    match rest.strip_prefix(prefix) {
        Some(behind) => behind.len() <= most && behind.iter().all(|byte| is_in(*byte, alphabet)),
        None => prefix.starts_with(rest),
    }
}

/// How much of `rest` is a published prefix, or that of a JWT, and says nothing yet.
pub(super) fn prefix_length(rest: &[u8]) -> Option<(Detector, usize)> {
    if rest.starts_with(JWT) {
        return Some((Detector::Jwt, JWT.len()));
    }
    let format = FORMATS.iter().find(|(prefix, ..)| rest.starts_with(prefix))?;
    Some((Detector::ServiceKey, format.0.len()))
}

/// What the first line of a PEM block begins with (RFC 7468).
pub(crate) const BEGIN: &[u8] = b"-----BEGIN ";

/// What its last line begins with.
pub(crate) const END: &[u8] = b"-----END ";

/// The longest label there is, with room to spare: `PGP PRIVATE KEY BLOCK`.
pub(crate) const LABEL: usize = 64;

/// A PEM block whose label says PRIVATE KEY, to its end or, if that is cut off, to the end of the text.
pub(super) fn private_key(text: &[u8], at: usize) -> Option<Match> {
    let after = text.get(at..)?.strip_prefix(BEGIN)?;
    key_label(after)?;
    let end = memmem::find(after, END).and_then(|end| {
        let line = after.get(end.checked_add(9)?..)?;
        let dashes = memmem::find(line.get(..LABEL.min(line.len()))?, b"-----")?;
        at.checked_add(11)?.checked_add(end)?.checked_add(14)?.checked_add(dashes)
    });
    Some(Match { detector: Detector::PrivateKey, start: at, end: end.unwrap_or(text.len()) })
}

/// How long the label of a private key is that stands behind [`BEGIN`].
pub(super) fn key_label(after: &[u8]) -> Option<usize> {
    let label = after.get(..memmem::find(after.get(..LABEL.min(after.len()))?, b"-----")?)?;
    memmem::find(label, b"PRIVATE KEY").map(|_| label.len())
}

/// Whether more bytes behind `rest`, which begins with a dash, may make it the first line of a private key.
pub(super) fn is_key_open(rest: &[u8]) -> bool {
    match rest.strip_prefix(BEGIN) {
        Some(after) => after.len() < LABEL && memmem::find(after, b"-----").is_none(),
        None => BEGIN.starts_with(rest),
    }
}
