//! The console: pages for people, on the admin listener.
//!
//! The pages are files; whatever they show or do is a call of the API. Whoever signed in is known by a cookie that holds a
//! random word and nothing else, and stands for what their token said until that token would have ended.
//!
//! What it must never do: take a cookie from another page than its own ([`caller`]), give a token to a browser, or serve
//! anything that a page could run and that is not embedded in the program.
//!
//! Start with `sign_in.rs`, then [`caller`].

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, header};
use gateway::clock;
use gateway::node::Node;
use identity::IdentityError;
use model::secret::Secret;
use model::subject::Subject;
use store::config::ConsoleConfig;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::problem::Problem;

pub(crate) mod pages;
mod sessions;

pub(crate) use sessions::{Sessions, SignedIn};

/// What the pages put on each call, and no form and no image of another page can: `user` if somebody does something, `page`
/// if it is the page by itself.
const MARK: HeaderName = HeaderName::from_static("sluice-console");
/// Whose page a call comes from, which browsers say and no page can change (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How many may be at the issuer for their sign-in at a time.
const SIGNING_IN: usize = 16;

/// The cookie of whoever is signed in.
pub(crate) const COOKIE: &str = "__Host-sluice";

/// The console of one process.
pub(crate) struct Console {
    pub(crate) config: ConsoleConfig,
    /// Scheme, host and port, as browsers write them.
    pub(crate) origin: String,
    /// What sign-ins are tied to browsers by.
    pub(crate) key: Secret<[u8; 32]>,
    pub(crate) sessions: Sessions,
    /// So many at a time make Sluice ask the issuer: whoever can reach the page can make it.
    pub(crate) places: Semaphore,
}

impl Console {
    /// That of the configuration, if it has one; `own` is where the listener is bound.
    pub(crate) fn open(node: &Node, own: String) -> Result<Option<Arc<Self>>, clock::NoRandomness> {
        let Some(config) = node.config.console.clone() else { return Ok(None) };
        let origin = config.public_url.clone().unwrap_or(own);
        let sessions = Sessions::new(config.idle_timeout);
        let (key, places) = (Secret::new(clock::random()?), Semaphore::new(SIGNING_IN));
        Ok(Some(Arc::new(Self { config, origin, key, sessions, places })))
    }

    /// The host of the origin, with its port where that is no default.
    pub(crate) fn host(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, host)| host)
    }

    /// Whether this is the one page that may call.
    pub(crate) fn is_own(&self, origin: &[u8]) -> bool {
        origin == self.origin.as_bytes()
    }
}

/// Whoever is signed in in the browser that makes this call, if it is a call of our own page.
pub(crate) async fn caller(
    app: &App,
    method: &axum::http::Method,
    headers: &HeaderMap,
) -> Result<(Subject, SignedIn), Problem> {
    let (Some(console), Some(word)) = (&app.console, cookie(headers, COOKIE)) else {
        return Err(Problem::unauthenticated());
    };
    let is_user = is_of_our_page(console, method, headers)?;
    let subject = console.sessions.find(word, clock::now(), is_user).ok_or_else(Problem::unauthenticated)?;
    match app.node.issuers.standing_now(&subject).await {
        Ok(standing) => Ok((standing, SignedIn::by(console, word))),
        Err(error @ IdentityError::NotAsked { .. }) => {
            tracing::warn!(subject = %subject.key, %error, "whether whoever is signed in is believed still is not known");
            Err(Problem::unavailable("the issuer does not say now whether your token is good still; try again"))
        }
        Err(error) => {
            tracing::info!(subject = %subject.key, reason = %error, "whoever is signed in is not believed any more");
            console.sessions.close(word);
            Err(Problem::unauthenticated())
        }
    }
}

/// The wall against calls that another page makes a browser send (ID-32): the mark, which makes it ask first; where the
/// browser says that the call comes from; and for whatever changes anything the origin as well. Says whether somebody does
/// something.
fn is_of_our_page(console: &Console, method: &axum::http::Method, headers: &HeaderMap) -> Result<bool, Problem> {
    let mark = only(headers, &MARK).ok_or_else(Problem::foreign_page)?;
    let is_same_site = only(headers, &SITE) == Some(b"same-origin");
    let origin = only(headers, &header::ORIGIN);
    let is_own = origin.is_some_and(|origin| console.is_own(origin)) || origin.is_none() && method.is_safe();
    match (is_same_site && is_own, mark) {
        (true, b"user") => Ok(true),
        (true, b"page") => Ok(false),
        (_, _) => Err(Problem::foreign_page()),
    }
}

/// Whether a browser says that somebody is signed in in it.
pub(crate) fn has_cookie(headers: &HeaderMap) -> bool {
    cookie(headers, COOKIE).is_some()
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(only), None) => Some(only.as_bytes()),
        (_, _) => None,
    }
}

/// The value of the one cookie of this name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(of, _)| *of == name).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_there_once() {
        let headers = |lines: &[&str]| lines.iter().map(|line| (header::COOKIE, line.parse().unwrap())).collect();
        let find = |headers: &HeaderMap| cookie(headers, COOKIE).map(str::to_owned);
        assert_eq!(find(&headers(&["a=b; __Host-sluice=w; c=d"])).as_deref(), Some("w"));
        assert_eq!(find(&headers(&["a=b", "__Host-sluice=w"])).as_deref(), Some("w"));
        for wrong in [&["sluice=w"][..], &["__Host-sluice2=w"], &["__Host-sluice=v; __Host-sluice=w"], &[]] {
            assert_eq!(find(&headers(wrong)), None, "{wrong:?}");
        }
    }
}
