//! The user name of SSH, by which callers name a target and a login at it: `TARGET`, or `LOGIN%TARGET`.
//!
//! Who is calling is not in it: that is what the credential says. `ssh` splits its own argument at the last `@`, so a login
//! may have one in it.

use model::error::ErrorKind;

/// Between the login and the target.
const SEPARATOR: char = '%';

/// The longest name of a target (docs/configuration.md), in bytes.
pub const MAX_TARGET: usize = 63;

/// The longest login: what Linux allows (`LOGIN_NAME_MAX` without its NUL, limits.h), in bytes.
pub const MAX_LOGIN: usize = 255;

/// Where a caller wants to go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Wanted<'a> {
    /// The name of a target, of the form that targets have. Whether there is one is the gateway's to say.
    pub target: &'a str,
    /// The account at the target; `None` leaves it to what is configured.
    pub login: Option<&'a str>,
}

/// A user name leads nowhere. It is not repeated: people put passwords into the wrong field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DestinationError {
    /// There is nothing where the target's name has to be.
    #[error("the user name has to be TARGET or LOGIN%TARGET: there is no target in it")]
    NoTarget,
    /// There is nothing in front of the `%`.
    #[error("the user name has to be TARGET or LOGIN%TARGET: there is no login in front of the %")]
    NoLogin,
    /// A name is too long.
    #[error("a {part} of {length} bytes exceeds the {most} that are allowed")]
    TooLong {
        /// `target` or `login`.
        part: &'static str,
        /// Its length.
        length: usize,
        /// The bound.
        most: usize,
    },
    /// A target is a-z, 0-9, `-` and `_`.
    #[error("the name of a target has only a-z, 0-9, - and _ in it")]
    Target,
    /// A login is letters, digits and some signs of ASCII, and begins with none that a program could take for an option.
    #[error("a login has only letters, digits and . _ - @ + $ \\ in it, and does not begin with -")]
    Login,
}

impl DestinationError {
    /// Always the client's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }
}

impl<'a> Wanted<'a> {
    /// Reads a user name. The first `%` ends the login; neither part can have one in it.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn parse(user: &'a str) -> Result<Self, DestinationError> {
        let (login, target) = match user.split_once(SEPARATOR) {
            Some((login, target)) => (Some(login), target),
            None => (None, user),
        };
        if target.is_empty() {
            return Err(DestinationError::NoTarget);
        }
        within("target", target, MAX_TARGET)?;
        if !target.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')) {
            return Err(DestinationError::Target);
        }
        login.map_or(Ok(()), judge_login)?;
        Ok(Self { target, login })
    }
}

fn judge_login(login: &str) -> Result<(), DestinationError> {
    if login.is_empty() {
        return Err(DestinationError::NoLogin);
    }
    within("login", login, MAX_LOGIN)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+$\\".contains(&byte);
    match !login.starts_with('-') && login.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(DestinationError::Login),
    }
}

const fn within(part: &'static str, name: &str, most: usize) -> Result<(), DestinationError> {
    match name.len() {
        length if length > most => Err(DestinationError::TooLong { part, length, most }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(user: &str) -> Result<(Option<&str>, &str), DestinationError> {
        Wanted::parse(user).map(|wanted| (wanted.login, wanted.target))
    }

    #[test]
    fn a_target_or_a_login_at_one() {
        assert_eq!(wanted("web-1"), Ok((None, "web-1")));
        assert_eq!(wanted("deploy%web_1"), Ok((Some("deploy"), "web_1")));
        assert_eq!(wanted("ann.lee@corp.example%w"), Ok((Some("ann.lee@corp.example"), "w")));
        assert_eq!(wanted("CORP\\svc$%w"), Ok((Some("CORP\\svc$"), "w")));
    }

    #[test]
    fn the_first_separator_counts() {
        assert_eq!(wanted("root%web%db"), Err(DestinationError::Target));
        assert_eq!(wanted("%%"), Err(DestinationError::Target));
    }

    #[test]
    fn nothing_is_no_name() {
        assert_eq!(wanted(""), Err(DestinationError::NoTarget));
        assert_eq!(wanted("root%"), Err(DestinationError::NoTarget));
        assert_eq!(wanted("%"), Err(DestinationError::NoTarget));
        assert_eq!(wanted("%web"), Err(DestinationError::NoLogin));
    }

    #[test]
    fn other_characters_are_refused() {
        for user in ["Web", "web ", "web.1", "../web", "web\n", "wéb", "web\0", "web@x", "web/x"] {
            assert_eq!(wanted(user), Err(DestinationError::Target), "{user:?}");
        }
        for login in ["-oProxyCommand=x", "-", "a b", "a\0", "a\n", "é", "a;b", "a/b", "a:b", "a'b", "a,b", "a*b"] {
            assert_eq!(wanted(&format!("{login}%web")), Err(DestinationError::Login), "{login:?}");
        }
    }

    #[test]
    fn lengths_are_exact() {
        let name = |length: usize| "a".repeat(length);
        assert!(wanted(&name(MAX_TARGET)).is_ok());
        let error = wanted(&name(MAX_TARGET + 1)).map(drop);
        assert_eq!(error, Err(DestinationError::TooLong { part: "target", length: 64, most: 63 }));
        assert!(wanted(&format!("{}%web", name(MAX_LOGIN))).is_ok());
        let error = wanted(&format!("{}%web", name(MAX_LOGIN + 1))).map(drop);
        assert_eq!(error, Err(DestinationError::TooLong { part: "login", length: 256, most: 255 }));
    }

    #[test]
    fn an_error_does_not_repeat_what_was_typed() {
        for user in ["Hunter2 hunter2", "hunter 2%web", &"hunter2".repeat(50)] {
            let shown = wanted(user).unwrap_err();
            assert!(!format!("{shown} {shown:?}").to_lowercase().contains("hunter"), "{user}");
            assert_eq!(shown.kind(), ErrorKind::Client);
        }
    }
}
