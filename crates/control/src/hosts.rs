//! Requests that a page in somebody's browser made (ID-32).
//!
//! Tokens come in a header that no page can set for another origin, so a forged request is not authenticated. This is
//! the second wall: a name that was rebound to this machine is not one of ours, and no page but the console has business
//! here at all.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::problem::Problem;

/// Refuses requests that are not meant for this listener.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    if is_ours(&app, request.uri(), request.headers()) {
        next.run(request).await
    } else {
        Problem::misdirected().into_response()
    }
}

fn is_ours(app: &App, uri: &Uri, headers: &HeaderMap) -> bool {
    // Browsers send Origin with every request that could change something; no other client does.
    let may_call =
        |origin: &axum::http::HeaderValue| app.console.as_ref().is_some_and(|own| own.is_own(origin.as_bytes()));
    if !headers.get_all(header::ORIGIN).iter().all(may_call) {
        return false;
    }
    // Inside TLS the certificate has shown that the name is ours: a rebound name fails the handshake.
    let is_own = |host: &str| {
        let is_console = app.console.as_ref().is_some_and(|console| console.host().eq_ignore_ascii_case(host));
        names_us(app, host) || is_console || public_url(app, host).is_some()
    };
    app.is_tls || host(uri, headers).is_some_and(is_own)
}

/// The URL by which others know this listener, if `host` is the one in it.
pub(crate) fn public_url<'a>(app: &'a App, host: &str) -> Option<&'a str> {
    let is_its_host = |url: &&str| url.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host));
    app.node.tokens.public_issuer().filter(is_its_host)
}

/// The one host that the request names.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut all = headers.get_all(header::HOST).iter();
    match (all.next(), all.next(), uri.authority()) {
        (Some(host), None, None) => host.to_str().ok(),
        (Some(host), None, Some(authority)) if host.as_bytes() == authority.as_str().as_bytes() => {
            Some(authority.as_str())
        }
        (_, _, _) => None,
    }
}

/// `localhost`, a loopback address or the address that the listener is bound to, with its port.
pub(crate) fn names_us(app: &App, host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            if port.parse() != Ok(app.address.port()) {
                return false;
            }
            name
        }
        Some(_) | None => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback() || address == app.address.ip())
}
