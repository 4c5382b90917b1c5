//! Which values of queries, arguments and variables are secrets, by their names (LK-04).
//!
//! A table can only know the names that people use. It keeps what stands under them out of effects, and so out of the
//! journal; what is forwarded is what came.

/// A name with one of these anywhere in it, signs left out, names a secret.
const PARTS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signature",
    "credential",
    "authorization",
    "sessionid",
    "assertion",
];

/// A name that is one of these, signs left out, names a secret.
const WHOLE: [&str; 12] =
    ["key", "sig", "code", "auth", "pass", "pwd", "pin", "otp", "jwt", "codeverifier", "sid", "cvv"];

/// Names that have one of the parts in them, and hold none: what pages are asked for by, and kinds.
const HARMLESS: [&str; 8] = [
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "tokentype",
    "maxtokens",
    "tokens",
    "requestedtokentype",
];

/// Whether what stands under this name is a secret. Of names that are joined by `.` the last counts.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let last = name.rsplit('.').find(|part| !part.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(name);
    let plain: String = last.chars().filter(|character| character.is_alphanumeric()).collect();
    let plain = plain.to_lowercase();
    !HARMLESS.contains(&plain.as_str())
        && (WHOLE.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lk_04_names_that_people_give_secrets() {
        for name in [
            "password",
            "api_key",
            "apiKey",
            "X-Api-Key",
            "access_token",
            "X-Amz-Signature",
            "X-Amz-Security-Token",
            "sig",
            "code",
            "client_secret",
            "auth.password",
            "input.card.cvv",
            "PASSWORD",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["id", "page_token", "max_tokens", "keyword", "author", "country_code", "monkey", "", "tokens.0"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
