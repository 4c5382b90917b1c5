//! A token, and until when it lasts.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::secret::Secret;
use serde::Deserialize;

/// How soon a token is renewed of which nobody says how long it lasts.
const UNKNOWN: Duration = Duration::from_secs(60);

/// A token to show to Sluice. Whether it is any good is for Sluice to say: nothing here verifies it.
pub struct Token {
    value: Secret<String>,
    obtained_at: SystemTime,
    expires_at: Option<SystemTime>,
}

impl Token {
    /// A token that was obtained now. `lifetime` is what the issuer said of it (`expires_in`); a JWT's own `exp` counts
    /// for more, as it is what Sluice goes by.
    pub fn new(value: String, lifetime: Option<Duration>, now: SystemTime) -> Self {
        let said = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        let expires_at = expiry(&value).or(said);
        Self { value: Secret::new(value), obtained_at: now, expires_at }
    }

    /// A token that was kept.
    pub const fn restored(value: Secret<String>, obtained_at: SystemTime, expires_at: Option<SystemTime>) -> Self {
        Self { value, obtained_at, expires_at }
    }

    /// When it was obtained.
    pub const fn obtained_at(&self) -> SystemTime {
        self.obtained_at
    }

    /// The token in clear.
    pub fn expose(&self) -> &str {
        self.value.expose()
    }

    /// When it ends, if that is known.
    pub const fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Whether it has ended.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// When to get the next one: after two thirds of its time, so that a third is left for attempts that fail.
    pub fn renew_at(&self) -> SystemTime {
        let lifetime = match self.expires_at {
            Some(end) => end.duration_since(self.obtained_at).unwrap_or_default(),
            None => UNKNOWN,
        };
        self.obtained_at.checked_add(lifetime / 3 * 2).unwrap_or(self.obtained_at)
    }
}

/// The claim `exp` of what looks like a JWT (RFC 7519, section 4.1.4).
fn expiry(token: &str) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_renewed_after_two_thirds_of_its_time() {
        let jwt = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"exp":1300}"#));
        let token = Token::new(jwt, Some(Duration::from_secs(9)), at(1000));
        assert_eq!((token.expires_at(), token.renew_at()), (Some(at(1300)), at(1200)));
        assert!(!token.is_over(at(1299)) && token.is_over(at(1300)));
        let opaque = Token::new("opaque".into(), Some(Duration::from_secs(9)), at(1000));
        assert_eq!((opaque.expires_at(), opaque.renew_at()), (Some(at(1009)), at(1006)));
        let silent = Token::new("opaque".into(), None, at(1000));
        assert_eq!((silent.expires_at(), silent.renew_at()), (None, at(1040)));
        assert_eq!(Token::new("e30.e30.sig".into(), None, at(1000)).expires_at(), None);
        assert_eq!(Token::new(String::new(), None, at(1000)).expires_at(), None);
    }
}
