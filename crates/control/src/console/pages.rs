//! The files of the pages, which are in the program.

use std::borrow::Cow;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::Embed;

use crate::app::App;
use crate::problem::Problem;

/// What `npm run build` made of `console/`.
#[derive(Embed)]
#[folder = "../../console/dist"]
struct Built;

/// Shown where the program was built without the pages.
const NOT_BUILT: &str = include_str!("not_built.html");

/// Where the pages begin; each of them is the same file, which shows what the address says.
const PAGES: [&str; 9] =
    ["/", "/approvals", "/approvals/{id}", "/sessions", "/sessions/{id}", "/audit", "/policy", "/access", "/targets"];

/// Nothing but our own files, in no frame, and no word to others of where the reader was.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
    ),
];

/// The pages, where the configuration has a console.
pub(crate) fn router(app: &App) -> Router<App> {
    if app.console.is_none() {
        return Router::new();
    }
    let pages = PAGES.iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    pages.route("/assets/{file}", get(asset)).route("/favicon.svg", get(icon)).layer(middleware::from_fn(guarded))
}

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    HEADERS.iter().for_each(|(name, value)| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    });
    response
}

async fn page(State(_): State<App>, headers: HeaderMap) -> Response {
    let built = file("index.html", &headers, "no-cache");
    built.unwrap_or_else(|| {
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
        (StatusCode::SERVICE_UNAVAILABLE, kind, NOT_BUILT).into_response()
    })
}

/// Its name has a digest of it: it never changes.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = file(&format!("assets/{name}"), &headers, "public, max-age=31536000, immutable");
    found.ok_or_else(|| Problem::not_found("file"))
}

async fn icon(headers: HeaderMap) -> Result<Response, Problem> {
    file("favicon.svg", &headers, "public, max-age=86400").ok_or_else(|| Problem::not_found("file"))
}

/// A file of the pages, compressed where the browser takes that.
fn file(name: &str, headers: &HeaderMap, cache: &'static str) -> Option<Response> {
    let kind = kind(name)?;
    let compressed = if takes_brotli(headers) { Built::get(&format!("{name}.br")) } else { None };
    let encoding = compressed.is_some().then_some("br");
    let content = compressed.or_else(|| Built::get(name))?;
    let body = match content.data {
        Cow::Borrowed(bytes) => bytes.into_response(),
        Cow::Owned(bytes) => bytes.into_response(),
    };
    let (mut parts, body) = body.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(Response::from_parts(parts, body))
}

fn takes_brotli(headers: &HeaderMap) -> bool {
    let taken = headers.get(header::ACCEPT_ENCODING).and_then(|taken| taken.to_str().ok()).unwrap_or_default();
    taken.split(',').any(|coding| coding.trim() == "br")
}

/// What kinds of files there are; others are not served.
fn kind(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_known_kinds_are_served() {
        for (name, is_known) in [("a.js", true), ("a.css", true), ("a.js.br", false), ("a", false), ("a.map", false)] {
            assert_eq!(kind(name).is_some(), is_known, "{name}");
        }
        let taking =
            |taken: &'static str| HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(taken))]);
        assert!(takes_brotli(&taking("gzip, br")) && !takes_brotli(&taking("gzip, brx")));
        assert!(!takes_brotli(&taking("br;q=0")), "a browser that says so does not take it");
    }
}
