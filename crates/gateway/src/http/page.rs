//! Which pages may ask in a browser. What that adds of itself would else let any page do what its user may: a certificate, or
//! that it has come through its proxy (RFC 6455, section 10.2).

use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use wire::http::Authority;

use super::asking::written;
use super::refusal::Refusal;
use super::session::Place;

/// Where the page is that asks, beside what is asked (Fetch Metadata, section 2.3). Browsers say it where they leave out
/// `Origin`, and no page can.
const SITE: &str = "sec-fetch-site";
/// How it asks (Fetch Metadata, section 2.2).
const MODE: &str = "sec-fetch-mode";

/// By which origin the target is asked. A page of another origin than the one that it is reached by may ask only if the target
/// names it.
///
/// # Errors
/// A refusal, if it may not.
pub(super) fn origin(fields: &HeaderMap, host: &Authority, place: &Place) -> Result<Option<HeaderValue>, Refusal> {
    let mut all = fields.get_all(ORIGIN).iter();
    let (Some(origin), None) = (all.next(), all.next()) else {
        return if fields.contains_key(ORIGIN) { Err(Refusal::Origin) } else { Ok(None) };
    };
    if place.http.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
        return Ok(Some(origin.clone()));
    }
    if origin.as_bytes() != format!("https://{}", written(host)).as_bytes() {
        return Err(Refusal::Origin);
    }
    // As the target would be asked by a page of its own.
    let scheme = if place.http.tls.mode == store::config::TlsMode::Off { "http" } else { "https" };
    Ok(HeaderValue::from_str(&format!("{scheme}://{}", place.authority)).ok())
}

/// Whether whoever asks may, of whom the request itself says nothing. Programs that are no browsers say nothing of pages.
///
/// # Errors
/// A refusal, if it is a page that may not.
pub(super) fn may_ask(parts: &Parts, host: &Authority, place: &Place) -> Result<(), Refusal> {
    let fields = &parts.headers;
    if origin(fields, host, place)?.is_some() || is_of_its_own(fields) || is_followed(parts) {
        return Ok(());
    }
    Err(Refusal::Origin)
}

/// Whether no page asks, or one of the same origin.
fn is_of_its_own(fields: &HeaderMap) -> bool {
    fields.get_all(SITE).iter().all(|site| site == "same-origin" || site == "none")
}

/// Whether a link is followed: the page that has it sees nothing of the answer.
fn is_followed(parts: &Parts) -> bool {
    let mut modes = parts.headers.get_all(MODE).iter();
    parts.method.is_safe() && modes.next().is_some_and(|mode| mode == "navigate") && modes.next().is_none()
}
