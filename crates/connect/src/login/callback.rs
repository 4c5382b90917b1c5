//! What a browser brings back to the loopback address (RFC 8252, section 7.3), judged without a socket.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use model::secret::Secret;

use crate::issuer::{IssuerError, printable};

/// The path of the redirect URI.
pub const PATH: &str = "/callback";

/// What belongs to one login.
pub struct Expected {
    /// `127.0.0.1:PORT`, as in the redirect URI.
    pub authority: String,
    /// The value of `state`.
    pub state: String,
    /// The issuer.
    pub issuer: String,
    /// Whether the issuer says that it names itself (RFC 9207).
    pub names_issuer: bool,
}

/// A request that came to the loopback address.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its `Host` header.
    pub host: Option<&'a str>,
    /// Its path, without the query.
    pub path: &'a str,
    /// Its query.
    pub query: &'a str,
}

/// What a request is.
pub enum Heard {
    /// The issuer's answer to this login: a code.
    Code(Secret<String>),
    /// The issuer's answer to this login: no.
    Refused(IssuerError),
    /// Not this login's. It is answered with this status and text, and the login goes on waiting.
    Foreign(u16, &'static str),
}

/// Judges a request. Whatever does not have this login's `state` is foreign: a page that a browser was lured to can
/// neither end the login nor have it take a code of somebody else's (login CSRF).
pub fn judge(request: Request<'_>, expected: &Expected) -> Heard {
    if request.host != Some(&expected.authority) {
        // A name that was made to point here (DNS rebinding), or no browser at all.
        return Heard::Foreign(421, "This address has no such name.");
    }
    if request.path != PATH {
        return Heard::Foreign(404, "There is nothing here.");
    }
    if request.method != "GET" {
        return Heard::Foreign(405, "Only a redirect comes here.");
    }
    let Some(parameters) = Parameters::read(request.query) else {
        return Heard::Foreign(400, "A parameter is there twice.");
    };
    let is_ours = parameters
        .state
        .is_some_and(|state| verify_slices_are_equal(state.as_bytes(), expected.state.as_bytes()).is_ok());
    if !is_ours {
        return Heard::Foreign(400, "This is not the answer to the login that waits here.");
    }
    let of_issuer = match &parameters.iss {
        Some(iss) => *iss == expected.issuer,
        None => !expected.names_issuer,
    };
    if !of_issuer {
        let reason = "the answer to the browser is of another issuer (`iss`)".to_owned();
        return Heard::Refused(IssuerError::Person(reason));
    }
    match (parameters.error, parameters.code) {
        (Some(code), _) => Heard::Refused(IssuerError::Refused {
            code: printable(&code),
            description: parameters.description.as_deref().map(printable),
        }),
        (None, Some(code)) if !code.is_empty() => Heard::Code(Secret::new(code)),
        (None, _) => Heard::Refused(IssuerError::Person("the answer to the browser has no `code`".to_owned())),
    }
}

#[derive(Default)]
struct Parameters {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

impl Parameters {
    /// `None` if one is there twice (RFC 6749, section 3.1).
    fn read(query: &str) -> Option<Self> {
        let mut all = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut all.state,
                "code" => &mut all.code,
                "iss" => &mut all.iss,
                "error" => &mut all.error,
                "error_description" => &mut all.description,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(names_issuer: bool) -> Expected {
        Expected {
            authority: "127.0.0.1:4711".into(),
            state: "s-1".into(),
            issuer: "https://i.example".into(),
            names_issuer,
        }
    }

    const fn asked(query: &str) -> Request<'_> {
        Request { method: "GET", host: Some("127.0.0.1:4711"), path: PATH, query }
    }

    fn code(query: &str, names_issuer: bool) -> Option<String> {
        match judge(asked(query), &expected(names_issuer)) {
            Heard::Code(code) => Some(code.expose().clone()),
            Heard::Refused(_) | Heard::Foreign(..) => None,
        }
    }

    fn is_foreign(request: Request<'_>) -> bool {
        matches!(judge(request, &expected(false)), Heard::Foreign(..))
    }

    #[test]
    fn id_22_a_missing_or_foreign_state_is_no_answer_and_ends_nothing() {
        assert_eq!(code("code=c&state=s-1", false).as_deref(), Some("c"));
        for query in [
            "code=c",
            "code=c&state=",
            "code=c&state=s-2",
            "code=c&state=S-1",
            "code=c&state=s-1%20",
            "error=access_denied",
            "error=access_denied&state=s-2",
            "code=c&state=s-1&state=s-1",
            "code=c&state=s-2&state=s-1",
            "code=c&code=d&state=s-1",
            "",
        ] {
            assert!(is_foreign(asked(query)), "{query}");
        }
    }

    #[test]
    fn id_22_an_answer_of_another_issuer_ends_the_login() {
        let of = |iss: &str| format!("code=c&state=s-1&iss={iss}");
        assert_eq!(code(&of("https%3A%2F%2Fi.example"), true).as_deref(), Some("c"));
        assert_eq!(code(&of("https%3A%2F%2Fi.example"), false).as_deref(), Some("c"));
        for (query, names_issuer) in [
            (of("https%3A%2F%2Fother.example"), false),
            (of("https%3A%2F%2Fi.example%2F"), true),
            ("code=c&state=s-1".to_owned(), true),
        ] {
            let heard = judge(asked(&query), &expected(names_issuer));
            assert!(matches!(heard, Heard::Refused(IssuerError::Person(_))), "{query}");
        }
    }

    #[test]
    fn id_22_variants_of_the_redirect_uri_are_not_it() {
        let good = asked("code=c&state=s-1");
        for path in ["/", "/callback/", "/Callback", "/callback/..", "//callback", "/%63allback", ""] {
            assert!(is_foreign(Request { path, ..good }), "{path}");
        }
        for host in [Some("localhost:4711"), Some("127.0.0.1"), Some("127.0.0.1:4712"), Some("evil.example:4711"), None]
        {
            assert!(is_foreign(Request { host, ..good }), "{host:?}");
        }
        for method in ["POST", "HEAD", "OPTIONS", "get"] {
            assert!(is_foreign(Request { method, ..good }), "{method}");
        }
    }

    #[test]
    fn what_the_issuer_says_is_told() {
        let heard = judge(asked("error=access_denied&error_description=no%1b%5bway&state=s-1"), &expected(false));
        let Heard::Refused(error) = heard else { panic!("no refusal") };
        assert_eq!(error.to_string(), "the issuer refuses: access_denied: no[way");
        let heard = judge(asked("state=s-1"), &expected(false));
        assert!(matches!(heard, Heard::Refused(IssuerError::Person(_))));
    }
}
