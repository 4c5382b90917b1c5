//! `OAUTHBEARER`: a token over SASL (RFC 7628), as PostgreSQL 18 speaks it (protocol docs, "OAUTHBEARER Authentication").
//!
//! The client's first message carries the token, or none to ask where one is to be had. A server that takes it answers
//! with AuthenticationOk; one that does not says in JSON where to get another, waits for [`FINISHED`], and fails.

use std::fmt;

use crate::postgres::part::Bytes;

/// The mechanism's registered name.
pub const MECHANISM: &str = "OAUTHBEARER";

/// All that a client answers a refusal with (RFC 7628, section 3.2.3).
pub const FINISHED: &[u8] = b"\x01";

/// What stands between the parts of a client's message.
const SEPARATOR: u8 = 1;

/// What a client's first message says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Initial<'a> {
    /// The client holds this token.
    Token(&'a str),
    /// The client has none, and asks where to get one (RFC 7628, section 4.3).
    Discovery,
}

/// The token is a secret.
impl fmt::Debug for Initial<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Token(_) => "Token",
            Self::Discovery => "Discovery",
        })
    }
}

/// The message is none of this mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a malformed OAUTHBEARER message: {0}")]
pub struct Malformed(&'static str);

impl<'a> Initial<'a> {
    /// Reads the client's first message (RFC 7628, section 3.1): a GS2 header, then `key=value` pairs with the one key
    /// `auth`. Keys that say where the client believes to be connected are read over, as the connection itself knows.
    ///
    /// # Errors
    /// Whatever deviates from the grammar, asks for channel binding, or names another identity than the token's own.
    pub fn parse(message: Bytes<'a>) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(message.get()).map_err(|_| Malformed("it is not text"))?;
        let pairs = match text.split_once(',') {
            Some(("n" | "y", rest)) => rest,
            Some((flag, _)) if flag.starts_with('p') => {
                return Err(Malformed("it asks for channel binding, which the mechanism has not"));
            }
            _ => return Err(Malformed("it has no GS2 header")),
        };
        let pairs = pairs.strip_prefix(',').ok_or(Malformed("it names an authorization identity"))?;
        let separator = char::from(SEPARATOR);
        let pairs = pairs.strip_prefix(separator).and_then(|pairs| pairs.strip_suffix(separator));
        let pairs = pairs
            .filter(|pairs| pairs.ends_with(separator))
            .ok_or(Malformed("it has no pairs, or they do not end as they should"))?;
        let mut authorization = None;
        for pair in pairs.split_terminator(separator) {
            let (key, value) = pair.split_once('=').ok_or(Malformed("it has a pair without a value"))?;
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(Malformed("it has a key that is no word"));
            }
            if key == "auth" && authorization.replace(value).is_some() {
                return Err(Malformed("it has two tokens"));
            }
        }
        Self::authorization(authorization.ok_or(Malformed("it has no token"))?)
    }

    /// The value of `auth`: that of an `Authorization` header with a bearer token (RFC 6750, section 2.1).
    fn authorization(value: &'a str) -> Result<Self, Malformed> {
        if value.is_empty() {
            return Ok(Self::Discovery);
        }
        let token = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim_start_matches(' '))
            .ok_or(Malformed("its token is no bearer token"))?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(Malformed("its token has other characters than a token has"));
        }
        Ok(Self::Token(token))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(message: &str) -> Result<Initial<'_>, Malformed> {
        Initial::parse(Bytes::new(message.as_bytes()))
    }

    #[test]
    fn a_token_is_read_as_the_rfc_shows_it() {
        // RFC 7628, section 4.1, without the authorization identity that PostgreSQL does not take either.
        let message = "n,,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        assert_eq!(parse(message), Ok(Initial::Token("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")));
        assert_eq!(parse("y,,\x01auth=bearer  a.b.c\x01\x01"), Ok(Initial::Token("a.b.c")));
    }

    #[test]
    fn a_client_without_a_token_asks() {
        assert_eq!(parse("n,,\x01auth=\x01\x01"), Ok(Initial::Discovery));
    }

    #[test]
    fn whatever_else_is_said_is_refused() {
        for wrong in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,\x01",
            "n,,\x01\x01",
            "n,,auth=Bearer a\x01\x01",
            "n,,\x01auth=Bearer a\x01",
            "n,,\x01auth=Bearer a",
            "n,a=admin,\x01auth=Bearer a\x01\x01",
            "p=tls-server-end-point,,\x01auth=Bearer a\x01\x01",
            "x,,\x01auth=Bearer a\x01\x01",
            "n,,\x01auth=Basic a\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Bearer\x01\x01",
            "n,,\x01auth=Bearer a b\x01\x01",
            "n,,\x01auth=Bearer a\n\x01\x01",
            "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            "n,,\x01AUTH=Bearer a\x01\x01",
            "n,,\x01host\x01auth=Bearer a\x01\x01",
            "n,,\x01h0st=a\x01auth=Bearer a\x01\x01",
            "n,,\x01=a\x01auth=Bearer a\x01\x01",
            "n,,\x01auth=Bearer a\x01\x01\x01",
            "n,,\x01auth=Bearer \u{e9}\x01\x01",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn no_token_is_shown() {
        assert_eq!(format!("{:?}", Initial::Token("secret")), "Token");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_fault(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Initial::parse(Bytes::new(&message));
        }
    }
}
