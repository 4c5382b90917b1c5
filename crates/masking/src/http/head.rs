//! The fields of requests and answers: which of them speak of a body as it was before it was masked, and what shows in them.

use model::disclosure::Disclosure;

use super::body::Change;
use super::plan::Plan;
use super::spelling::Spelling;
use super::work::Work;
use crate::detect::{self, Hints};
use crate::masked::Masked;

/// Fields of an answer that say something of the very bytes of its body (RFC 9110; RFC 9530; RFC 9421; RFC 3229; and those of
/// common stores of objects): their number, their digest, a signature.
const OF_THE_BYTES: [&str; 26] = [
    "accept-ranges",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-range",
    "delta-base",
    "digest",
    "docker-content-digest",
    "im",
    "repr-digest",
    "signature",
    "signature-input",
    "unencoded-digest",
    "x-amz-content-sha256",
    "x-checksum-md5",
    "x-checksum-sha1",
    "x-checksum-sha256",
    "x-content-length",
    "x-goog-hash",
    "x-goog-stored-content-length",
    "x-ms-blob-content-md5",
    "x-original-content-length",
    "x-sha256",
    "x-signature",
    "x-uncompressed-content-length",
];

/// Likewise, by how they begin.
const OF_THE_BYTES_FROM: &str = "x-amz-checksum-";

/// Directives to caches that serve many (RFC 9213; the Edge Architecture Specification).
const SHARED_CACHES: [&str; 2] = ["cdn-cache-control", "surrogate-control"];

/// Fields of a request that ask for a part of a body, for what changes one, or for digests of it.
const PARTIAL: [&str; 7] =
    ["a-im", "if-range", "range", "want-content-digest", "want-digest", "want-repr-digest", "x-amz-checksum-mode"];

/// What becomes of a field of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It goes on as it is.
    Keep,
    /// It does not go on.
    Drop,
    /// This goes on in its place.
    Instead(Vec<u8>),
}

/// Says what becomes of a field of a request, so that its answer can be masked: of codings only those are asked for that can be
/// taken off, and of a body that may have to be masked no parts. Where values are hidden by their places, nobody may try
/// whether an entity tag, which may be a digest, is that of a body that he guessed: `safe` says that the method is a safe one
/// (RFC 9110, 9.2.1), as for any other a condition that is left out would have something done that must not be.
///
/// A request without `Accept-Encoding` needs none.
pub fn asked(plan: &Plan, safe: bool, name: &str, value: &[u8]) -> Asked {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        _ if !plan.hides() => Asked::Keep,
        "accept-encoding" => Asked::Instead(accepted(value)),
        "if-none-match" | "if-match" if safe && plan.hides_by_place() => Asked::Drop,
        name if PARTIAL.contains(&name) => Asked::Drop,
        _ => Asked::Keep,
    }
}

/// Of the codings that a caller accepts those that can be taken off.
fn accepted(value: &[u8]) -> Vec<u8> {
    let value = String::from_utf8_lossy(value);
    let known = |part: &&str| {
        let name = part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(name.as_str(), "gzip" | "x-gzip" | "deflate" | "br" | "zstd")
    };
    let parts: Vec<&str> = value.split(',').map(str::trim).filter(known).collect();
    if parts.is_empty() { b"identity".to_vec() } else { parts.join(", ").into_bytes() }
}

/// The fields of an answer, in front of its body or behind it, as they may be seen. Where another subject may get another
/// answer, caches that serve many are told to keep none.
pub struct Head {
    fields: Vec<(Box<str>, Vec<u8>)>,
    disclosure: Disclosure,
}

impl Head {
    /// Masks the fields in front of a body. What `change` says is that of the body ([`super::Body::change`]), also where
    /// the answer has none (to HEAD, or 304) but speaks of one.
    pub fn new<'f>(plan: &Plan, change: Change, fields: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Self {
        let mut work = Work::default();
        let mut kept = Vec::new();
        for (name, value) in fields {
            let lower = name.to_ascii_lowercase();
            if is_dropped(plan, change, &lower) || shows_in_name(plan, &lower) {
                continue;
            }
            let from = work.out().len();
            field(plan, change, &lower, value, &mut work);
            kept.push((Box::from(name), work.out().split_off(from)));
        }
        let mut disclosure = work.finish(&plan.0).into_parts().1;
        disclosure.bytes = kept.iter().fold(0u64, |sum, (name, value)| sum.saturating_add(length(name, value)));
        Self { fields: kept, disclosure }
    }

    /// The fields that go out, in their order. A name stands as it was given.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (&**name, value.as_slice()))
    }

    /// What they give away.
    pub const fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }

    /// All of them in lines, as HTTP/1.1 writes them, without the empty line behind the last.
    pub fn into_masked(self) -> Masked {
        let mut bytes = Vec::new();
        for (name, value) in &self.fields {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        Masked::new(bytes, self.disclosure)
    }
}

/// With the colon, the blank and the line end.
fn length(name: &str, value: &[u8]) -> u64 {
    u64::try_from(name.len().saturating_add(value.len()).saturating_add(4)).unwrap_or(u64::MAX)
}

/// Whether the field says what is not so of what goes out, or may hold what is not read.
fn is_dropped(plan: &Plan, change: Change, name: &str) -> bool {
    let of_the_bytes = OF_THE_BYTES.contains(&name) || name.starts_with(OF_THE_BYTES_FROM);
    let shared = SHARED_CACHES.contains(&name) && is_personal(plan, change);
    let binary = name.ends_with("-bin") && plan.hides();
    let tag = name == "etag" && plan.hides_by_place();
    change == Change::Rewritten && (of_the_bytes || tag) || binary || shared
}

/// Whether another subject may get another answer.
fn is_personal(plan: &Plan, change: Change) -> bool {
    change == Change::Rewritten || plan.delivers_clear()
}

/// Directives to caches (RFC 9111, 5.2.2), so that none keeps for others what one subject may see.
fn for_one_alone(value: &[u8]) -> Vec<u8> {
    const SHARED: [&str; 4] = ["public", "private", "s-maxage", "proxy-revalidate"];
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    // Names of fields, which few write: whoever keeps nothing needs none of them.
    if value.contains('"') {
        return b"no-store".to_vec();
    }
    let directives = value.split(',').map(str::trim);
    let kept = directives.filter(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        !name.is_empty() && !SHARED.contains(&name)
    });
    let kept: Vec<&str> = kept.chain(["private"]).collect();
    kept.join(", ").into_bytes()
}

/// Whether a name is itself what may not be seen.
fn shows_in_name(plan: &Plan, name: &str) -> bool {
    let mut shows = false;
    detect::scan(name.as_bytes(), Hints::default(), &mut |found| {
        shows |= plan.0.lens.content(found.detector).is_some_and(|(_, mask)| mask.is_some());
    });
    shows
}

/// Writes the value of a field.
fn field(plan: &Plan, change: Change, name: &str, value: &[u8], work: &mut Work) {
    let spelling = match name {
        "location" | "content-location" | "link" | "refresh" => Spelling::Form,
        _ if memchr::memchr(b'%', value).is_some() => Spelling::Percent,
        _ => Spelling::Plain,
    };
    if name == "cache-control" && is_personal(plan, change) {
        return work.verbatim(&for_one_alone(value));
    }
    if name == "etag" && change == Change::Rewritten && !value.starts_with(b"W/") {
        work.verbatim(b"W/");
    }
    // None of these spellings can be wrong.
    let _ = work.whole(spelling, Hints::of(name), value, &plan.0.lens);
}
