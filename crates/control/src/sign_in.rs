//! Signing in and out.
//!
//! Nothing is kept between the two halves of a sign-in: a cookie holds a random word, when it was made and where to go then,
//! and everything else (state, nonce, the verifier of PKCE) is derived from it with a key that only this process has. So the
//! browser that comes back is the one that left, and an attempt costs Sluice no memory.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::clock;
use gateway::sign_in::Attempt;
use model::secret::Secret;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::console::{COOKIE, Console, cookie};
use crate::input::Params;
use crate::journal;
use crate::problem::Problem;

/// The cookie of a browser that is away to sign in.
const LEAVING: &str = "__Host-sluice-signin";
/// How long a browser may be away, in seconds.
const AWAY: u64 = 600;
/// The path to which it comes back.
const CALLBACK: &str = "/signin/callback";
const TOO_MANY: &str = "too many sign in at once; try again in a moment";

/// Where to go when signed in.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SignInParams {
    /// A path of the console.
    to: Option<String>,
}

/// What an issuer sends a browser back with (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackParams {
    /// The code.
    code: Option<String>,
    /// What the browser was sent away with.
    state: Option<String>,
    /// Whose answer it is.
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// One sign-in, as the browser's cookie has it.
struct Leaving {
    /// `WORD.SECONDS.PATH`, the last of it in base64url.
    text: String,
    made_at: u64,
    to: String,
}

impl Leaving {
    fn new(to: String) -> Result<Self, clock::NoRandomness> {
        let (word, made_at) = (URL_SAFE_NO_PAD.encode(clock::random::<32>()?), clock::now().seconds());
        Ok(Self { text: format!("{word}.{made_at}.{}", URL_SAFE_NO_PAD.encode(&to)), made_at, to })
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.').skip(1);
        let made_at = parts.next()?.parse().ok()?;
        let to = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
        Some(Self { text: text.to_owned(), made_at, to })
    }

    /// What follows from the cookie for one use. Nobody can tell without the key, and each use has its own.
    fn derive(&self, console: &Console, of: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, console.key.expose());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{of} {}", self.text).as_bytes()).as_ref())
    }

    /// Whether this is the state that the browser left with, compared in constant time.
    fn is_state(&self, console: &Console, state: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, console.key.expose());
        let tag = URL_SAFE_NO_PAD.decode(state).unwrap_or_default();
        hmac::verify(&key, format!("state {}", self.text).as_bytes(), &tag).is_ok()
    }
}

/// Sends the browser to the issuer at which people sign in.
#[utoipa::path(get, path = "/signin", tag = "console", params(SignInParams),
    responses((status = 303, description = "To the issuer"), (status = 404, description = "There is no console"),
        (status = 503, description = "The issuer does not say where to sign in")))]
pub(crate) async fn begin(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<SignInParams>,
) -> Result<Response, Problem> {
    let console = app.console.as_deref().ok_or_else(none)?;
    let _place = console.places.try_acquire().map_err(|_| Problem::unavailable(TOO_MANY))?;
    // Who comes again gets another word, and the one before is worth nothing any more. It does not come along when the issuer
    // sends the browser back; nor does another site's page end anything by a link to here.
    let is_own =
        headers.get("sec-fetch-site").is_some_and(|site| [&b"same-origin"[..], b"none"].contains(&site.as_bytes()));
    if let Some(before) = cookie(&headers, COOKIE).filter(|_| is_own) {
        console.sessions.close(before);
    }
    let leaving = Leaving::new(own_path(params.to)).map_err(|_| Problem::internal())?;
    let verifier = leaving.derive(console, "verifier");
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let (state, nonce, back) = (leaving.derive(console, "state"), leaving.derive(console, "nonce"), back(console));
    let attempt = Attempt { redirect_uri: &back, nonce: &nonce };
    let url = app.node.sign_in_at(&console.config, &attempt, (&state, &challenge)).await.map_err(|error| {
        tracing::error!(%error, "nobody can sign in to the console");
        Problem::unavailable("nobody can sign in now; the log of Sluice says why")
    })?;
    Ok(moved(&url, &[set(LEAVING, &leaving.text, "Lax", AWAY)]))
}

/// Lets the browser in that comes back from the issuer. Whatever goes wrong is in Sluice's log.
#[utoipa::path(get, path = "/signin/callback", tag = "console", params(CallbackParams),
    responses((status = 303, description = "To the console, signed in or not"),
        (status = 404, description = "There is no console")))]
pub(crate) async fn finish(
    State(app): State<App>,
    headers: HeaderMap,
    Params(params): Params<CallbackParams>,
) -> Result<Response, Problem> {
    let console = app.console.as_deref().ok_or_else(none)?;
    match enter(&app, console, &headers, params).await {
        Ok((word, to)) => {
            // Where it comes along all the same.
            if let Some(before) = cookie(&headers, COOKIE) {
                console.sessions.close(before);
            }
            Ok(moved(&to, &[set(COOKIE, word.expose(), "Strict", 0), set(LEAVING, "", "Lax", 0)]))
        }
        Err(reason) => {
            tracing::warn!(%reason, "somebody is not let into the console");
            Ok(moved("/?signin=failed", &[set(LEAVING, "", "Lax", 0)]))
        }
    }
}

async fn enter(
    app: &App,
    console: &Console,
    headers: &HeaderMap,
    params: CallbackParams,
) -> Result<(Secret<String>, String), String> {
    let leaving = cookie(headers, LEAVING).and_then(Leaving::read).ok_or("this browser did not ask to sign in")?;
    let state = params.state.unwrap_or_default();
    if !leaving.is_state(console, &state) {
        return Err(String::from("the state is not the one that this browser left with"));
    }
    if clock::now().seconds().saturating_sub(leaving.made_at) > AWAY {
        return Err(String::from("it took too long"));
    }
    if let Some(error) = params.error {
        return Err(format!("the issuer says {:?}", error.chars().take(80).collect::<String>()));
    }
    let issuer = app.node.issuers.url_of(&console.config.issuer);
    if params.iss.is_some() && params.iss.as_deref() != issuer.as_deref() {
        return Err(String::from("another issuer answers (RFC 9207)"));
    }
    let code = params.code.filter(|code| !code.is_empty()).ok_or("there is no code")?;
    let _place = console.places.try_acquire().map_err(|_| TOO_MANY)?;
    let (nonce, back) = (leaving.derive(console, "nonce"), back(console));
    let attempt = Attempt { redirect_uri: &back, nonce: &nonce };
    let verifier = Secret::new(leaving.derive(console, "verifier"));
    let signed_in = app.node.sign_in(&console.config, &attempt, &code, &verifier).await;
    let subject = signed_in.map_err(|error| error.to_string())?;
    let acted = journal::act(app, &subject.key, "console.sign_in", subject.key.to_string()).await;
    acted.map_err(|_| "the journal cannot be written")?;
    let word = console.sessions.open(subject, clock::now()).map_err(|error| error.to_string())?;
    Ok((word, own_path(Some(leaving.to))))
}

/// Signs out: the cookie of this browser is worth nothing any more.
#[utoipa::path(post, path = "/signout", tag = "console",
    responses((status = 200, description = "`{\"signed_out\": true}`", body = crate::shape::SignedOut)))]
pub(crate) async fn sign_out(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    let console = app.console.as_deref().ok_or_else(none)?;
    if let Some(word) = cookie(&headers, COOKIE) {
        console.sessions.close(word);
    }
    journal::act(&app, &caller, "console.sign_out", caller.subject.key.to_string()).await?;
    let mut response = Answer(StatusCode::OK, serde_json::json!({ "signed_out": true })).into_response();
    response.headers_mut().extend(set(COOKIE, "", "Strict", 0).map(|value| (header::SET_COOKIE, value)));
    Ok(response)
}

fn none() -> Problem {
    Problem::not_found("console; see [console] of sluice.toml")
}

fn back(console: &Console) -> String {
    format!("{}{CALLBACK}", console.origin)
}

/// A path of our own, and the beginning otherwise: nobody is led elsewhere by a link to us.
fn own_path(to: Option<String>) -> String {
    let is_own = |to: &String| {
        let is_plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        is_plain && to.len() <= 500 && to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/signin")
    };
    to.filter(is_own).unwrap_or_else(|| String::from("/"))
}

/// A cookie of this host alone, which no script sees; without a value it is taken back. `seconds` of 0: as long as the
/// browser runs.
fn set(name: &str, value: &str, same_site: &str, seconds: u64) -> Option<HeaderValue> {
    let age = match (value.is_empty(), seconds) {
        (true, _) => String::from("; Max-Age=0"),
        (false, 0) => String::new(),
        (false, seconds) => format!("; Max-Age={seconds}"),
    };
    let mut value =
        HeaderValue::try_from(format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}{age}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn moved(to: &str, cookies: &[Option<HeaderValue>]) -> Response {
    let Ok(location) = HeaderValue::try_from(to) else { return Problem::internal().into_response() };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    let headers = response.headers_mut();
    // The address that it leaves has a code in it.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    cookies.iter().flatten().for_each(|cookie| {
        headers.append(header::SET_COOKIE, cookie.clone());
    });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for own in ["/", "/approvals", "/sessions/01JD?at=1#x"] {
            assert_eq!(own_path(Some(own.into())), own);
        }
        for other in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "x", "/a b", "/a\nb", "/signin?to=/"]
        {
            assert_eq!(own_path(Some(other.into())), "/", "{other:?}");
        }
        assert_eq!(own_path(Some(format!("/{}", "x".repeat(600)))), "/");
        assert_eq!(own_path(None), "/");
    }

    #[test]
    fn a_cookie_says_all_that_it_must() {
        let shown = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
        assert_eq!(shown(set(COOKIE, "w", "Strict", 0)), "__Host-sluice=w; Path=/; Secure; HttpOnly; SameSite=Strict");
        assert!(shown(set(LEAVING, "", "Lax", 0)).ends_with("SameSite=Lax; Max-Age=0"));
        assert!(set(COOKIE, "a\nb", "Strict", 0).is_none());
    }

    #[test]
    fn what_a_browser_left_with_is_read_again() {
        let leaving = Leaving::new("/audit?x=1".into()).unwrap();
        let read = Leaving::read(&leaving.text).unwrap();
        assert_eq!((read.made_at, read.to.as_str()), (leaving.made_at, "/audit?x=1"));
        for wrong in ["", "a", "a.b.c", "a.1", "a.1.%%", &format!("a.{}.{}", u64::MAX, "_w")] {
            assert!(Leaving::read(wrong).is_none(), "{wrong}");
        }
    }
}
