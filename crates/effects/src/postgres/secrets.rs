//! Constants that are secrets by the word in front of them: `PASSWORD '…'`, `OPTIONS (password '…')`,
//! `SET app.api_key = …`, `password = $1`.
//!
//! What a statement is says the same of some of them, such as those of CREATE ROLE. This looks at words alone, so that
//! it also finds those for which no rule was written.

use std::borrow::Cow;

use super::lexer::{Kind, Lexer, Token};

/// What the name of a secret ends with.
const ENDS: [&str; 10] =
    ["password", "passwd", "passphrase", "secret", "secrets", "conninfo", "credential", "credentials", "token", "pwd"];

/// What may follow that and change nothing: `password_hash`, `new_password_2`.
const BEHIND: [&str; 11] =
    ["hash", "hashed", "digest", "salt", "value", "text", "plain", "old", "new", "confirmation", "command"];

/// What a key is that is a secret: `api_key`, `secret_key`.
const OF_KEYS: [&str; 8] = ["api", "private", "secret", "access", "master", "encryption", "signing", "session"];

/// How far back the word for a constant is looked for, in tokens: no list is read again for each of its members.
const REACH: usize = 64;

/// Whether a name, of an option, a setting or a column, says that its value is a secret.
pub(super) fn is_named_so(name: &str) -> bool {
    let name = name.trim_matches(['"', '\'']).to_ascii_lowercase();
    let mut parts: Vec<&str> = name.split(['.', '_', '-']).filter(|part| !part.is_empty()).collect();
    let follows = |part: &&str| BEHIND.contains(part) || part.bytes().all(|byte| byte.is_ascii_digit());
    while parts.len() > 1 && parts.last().is_some_and(follows) {
        parts.pop();
    }
    match parts.as_slice() {
        [.., of, "key"] => OF_KEYS.contains(of),
        [.., last] => {
            ENDS.iter().any(|end| last.ends_with(end)) || matches!(*last, "apikey" | "privatekey" | "secretkey")
        }
        [] => false,
    }
}

/// Whether the value at `at` is given to such a name, or compared with it: `PASSWORD 'c'`, `password = $1`,
/// `password IN ('c')`, `current_setting('app.password') = 'c'`.
pub(super) fn is_secret_at(tokens: &[&Token], at: usize, text: &str) -> bool {
    let before = tokens.get(at.saturating_sub(REACH)..at).unwrap_or_default();
    let mut solid = before.iter().rev().filter(|token| token.kind != Kind::Blank);
    let mut is_listed = false;
    while let Some(token) = solid.next() {
        let word = text.get(token.range.clone()).unwrap_or_default();
        match token.kind {
            Kind::Other if word == "," => is_listed = true,
            Kind::Other if word.bytes().all(|byte| b"=<>!~:".contains(&byte)) => {}
            Kind::Constant | Kind::Parameter if is_listed => {}
            // What is in front of a list is what each of its members is compared with.
            Kind::Open => is_listed = false,
            Kind::Word if !is_listed && is_comparison(word) => {}
            Kind::Word => return !is_listed && is_named_so(word),
            Kind::Close => return !is_listed && is_secret_setting(&mut solid, text),
            _ => return false,
        }
    }
    false
}

fn is_comparison(word: &str) -> bool {
    ["to", "in", "not", "like", "ilike", "any", "all"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether what a bracket closes, read from its end, is `current_setting('…')` of a secret.
fn is_secret_setting<'t>(back: &mut impl Iterator<Item = &'t &'t Token>, text: &str) -> bool {
    let mut named = false;
    for token in back.take(6) {
        let word = text.get(token.range.clone()).unwrap_or_default();
        match token.kind {
            Kind::Constant => named = named || is_named_so(word),
            Kind::Open => break,
            _ => {}
        }
    }
    let is_it =
        |token: &&Token| text.get(token.range.clone()).is_some_and(|word| word.eq_ignore_ascii_case("current_setting"));
    named && back.next().is_some_and(is_it)
}

/// The tokens of a statement of this kind, where bare words that are values of such a setting (`SET app.secret TO x`)
/// are the constants that the server takes them for.
pub(super) fn with_bare_values<'t>(kind: &str, tokens: &'t [Token], text: &str) -> Vec<Cow<'t, Token>> {
    let mut out: Vec<Cow<'t, Token>> = tokens.iter().map(Cow::Borrowed).collect();
    if !matches!(kind, "SET" | "ALTER SYSTEM" | "ALTER ROLE" | "ALTER DATABASE") {
        return out;
    }
    let (mut named, mut given) = (false, false);
    for token in &mut out {
        let word = text.get(token.range.clone()).unwrap_or_default();
        let is_word = token.kind == Kind::Word;
        if given && is_word {
            token.to_mut().kind = Kind::Constant;
        } else if named && (word == "=" || is_word && word.eq_ignore_ascii_case("to")) {
            given = true;
        } else if is_word {
            named = is_named_so(word);
        }
    }
    out
}

/// The text with the token that is given to Sluice itself in its beginning (`SET sluice.token = '…'`) replaced by as many
/// `x`: the parser is no Rust, and what it frees is not wiped. The value is read from the text: [`plain_string`].
///
/// Only there, with nothing but blanks between the words: nowhere else is it as certain that lexer and parser agree on where
/// a constant begins, and what the parser does not see must not be code.
pub(super) fn without_own_token<'t>(text: &'t str, tokens: &[Token]) -> Cow<'t, str> {
    let place = own_token(text, tokens);
    let Some(inner) = place.and_then(|at| Some((at, plain_string(text, at)?))) else { return Cow::Borrowed(text) };
    let (start, length) = (inner.0.saturating_add(1), inner.1.len());
    let mut out = text.to_owned();
    out.replace_range(start..start.saturating_add(length), &"x".repeat(length));
    Cow::Owned(out)
}

/// Where the constant begins in `SET [SESSION | LOCAL] sluice.token = '…'`, if the text begins so.
fn own_token(text: &str, tokens: &[Token]) -> Option<usize> {
    let begins = tokens.iter().take(16);
    let plain = |token: &&Token| text.get(token.range.clone()).is_some_and(|part| part.trim_ascii().is_empty());
    let mut words = begins
        .filter(|token| token.kind != Kind::Blank || !plain(token))
        .map(|token| (text.get(token.range.clone()).unwrap_or_default(), token));
    let is = |word: &str, one_of: &[&str]| one_of.iter().any(|known| word.eq_ignore_ascii_case(known));
    words.next().filter(|(word, _)| is(word, &["set"]))?;
    let (mut first, _) = words.next()?;
    if is(first, &["session", "local"]) {
        first = words.next()?.0;
    }
    let own = is(first, &["sluice", "\"sluice\""]) && words.next()?.0 == ".";
    let token = own && is(words.next()?.0, &["token", "user_token", "\"token\"", "\"user_token\""]);
    let given = token && is(words.next()?.0, &["=", "to"]);
    words.next().filter(|_| given).map(|(_, value)| value.range.start)
}

/// What is between the quotes of the constant that begins at `at`, where it is written without any escape.
pub(super) fn plain_string(text: &str, at: usize) -> Option<&str> {
    let constant = Lexer::new(text.get(at..)?).next().filter(|token| token.kind == Kind::Constant)?;
    let inner = text.get(at..)?.get(constant.range)?.strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.contains(['\'', '\\'])).then_some(inner)
}

/// Whether a text has a word of a secret anywhere: what it says may be one.
pub fn speaks_of_secrets(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ENDS.iter().chain(&["api_key", "apikey", "private_key"]).any(|part| text.contains(part))
}

/// A part of a text that begins and ends between tokens, with what its comments say taken out.
pub fn without_comments(text: &str) -> Cow<'_, str> {
    if !text.contains("--") && !text.contains("/*") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for token in Lexer::new(text) {
        let part = text.get(token.range).unwrap_or_default();
        match token.kind {
            Kind::Blank if !part.chars().all(|symbol| symbol.is_ascii_whitespace() || symbol == '\u{b}') => {
                out.push_str(" /* … */ ");
            }
            _ => out.push_str(part),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_behind_the_word_of_a_secret_are_secrets() {
        let found = |text: &str| {
            let tokens: Vec<Token> = Lexer::new(text).collect();
            let tokens: Vec<&Token> = tokens.iter().collect();
            let is_value = |at: &usize| matches!(tokens[*at].kind, Kind::Constant | Kind::Parameter);
            let secret = (0..tokens.len()).filter(is_value).filter(|at| is_secret_at(&tokens, *at, text));
            secret.map(|at| text[tokens[at].range.clone()].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("ALTER ROLE x PASSWORD 'c' VALID UNTIL 'u'"), ["'c'"]);
        assert_eq!(found("OPTIONS (host 'h', SET password E'c', sslpassword $$c$$)"), ["E'c'", "$$c$$"]);
        assert_eq!(found("SET app.\"api_key\" TO 'c'"), ["'c'"]);
        assert_eq!(found("f(password => 'c', note => 'n') WHERE u.password = $1"), ["'c'", "$1"]);
        assert_eq!(
            found("u.password <> 'c' OR token LIKE $1 OR pwd IN ('a', $2, 'b')"),
            ["'c'", "$1", "'a'", "$2", "'b'"]
        );
        assert_eq!(found("id = 7 AND current_setting('app.password', true) = 'c' AND x = 'y'"), ["'c'"]);
        assert_eq!(found("SELECT 'c', password, 'd' FROM passwords LIMIT 1"), [""; 0]);
        assert_eq!(found("password_encryption = 'md5', password_changed_at = '2026', secretary_id = 7"), [""; 0]);
        let many = format!("password IN ({})", vec!["'x'"; 100_000].join(","));
        assert!(found(&many).len() < 100, "each looks back a few tokens alone");
    }

    #[test]
    fn bare_values_are_constants_in_settings_alone() {
        let constants = |kind: &str, text: &str| {
            let tokens: Vec<Token> = Lexer::new(text).collect();
            let tokens = with_bare_values(kind, &tokens, text);
            let constants = tokens.iter().filter(|token| token.kind == Kind::Constant);
            constants.map(|token| text[token.range.clone()].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(constants("SET", "SET app.secret TO c, d"), ["c", "d"]);
        assert_eq!(constants("ALTER ROLE", "ALTER ROLE x SET app.password = c"), ["c"]);
        assert_eq!(constants("SET", "SET search_path TO a"), [""; 0]);
        assert_eq!(constants("SELECT", "SELECT 1 WHERE password = c"), ["1"]);
    }

    #[test]
    fn tokens_for_sluice_itself_do_not_reach_the_parser() {
        let hidden = |text: &str| {
            let tokens: Vec<Token> = Lexer::new(text).collect();
            without_own_token(text, &tokens).into_owned()
        };
        assert_eq!(hidden("SET Sluice.token = 'a.b-c'; SELECT 'a'"), "SET Sluice.token = 'xxxxx'; SELECT 'a'");
        assert_eq!(hidden("\n set local \"sluice\".user_token\tto 'é'"), "\n set local \"sluice\".user_token\tto 'xx'");
        for same in [
            "SET sluice.reason = 'a'",
            "SET sluice.token = E'a'",
            "SET sluice.token = 'a''b'",
            "SET sluice.token",
            "SET/**/sluice.token = 'a'",
            "SELECT 1; SET sluice.token = 'a'",
            "SELECT 1",
        ] {
            assert_eq!(hidden(same), same);
        }
    }

    #[test]
    fn comments_say_nothing() {
        assert_eq!(without_comments("a -- b\n+ \"/*c*/\"/*d /* e */*/;"), "a /* … */ + \"/*c*/\" /* … */ ;");
        assert_eq!(without_comments("a  b"), "a  b");
    }
}
