//! The trailing sqlcommenter comment (RULES.md 19): `/*key='value',key='value'*/` with URL-encoded keys and values.

use super::lexer::{Kind, Lexer};

/// What a trailing comment says.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Comment {
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// A token of the user on whose behalf the statement is: verified before it is believed, never recorded.
    pub user_token: Option<String>,
    /// All other keys and values, URL-decoded.
    pub others: Vec<(String, String)>,
}

impl std::fmt::Debug for Comment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Comment").field("traceparent", &self.traceparent).finish_non_exhaustive()
    }
}

/// Splits a trailing sqlcommenter comment off, and the semicolon and blanks around it; everything else about the
/// request comes from the first part alone. A comment of any other form stays where it is.
pub fn split(text: &str) -> (&str, Option<Comment>) {
    let end = text.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ';');
    let none = (text, None);
    // Cheap for the usual text, which has none.
    let Some(inside) = end.strip_suffix("*/") else { return none };
    let Some(start) = inside.rfind("/*") else { return none };
    if !is_comment_at(end, start) {
        return none;
    }
    let comment = inside.get(start + 2..).and_then(parse);
    match (comment, text.get(..start)) {
        (Some(comment), Some(before)) => (before.trim_end(), Some(comment)),
        _ => none,
    }
}

/// Whether the text's last token is blank and a block comment of the outermost level opens in it at `start`.
fn is_comment_at(text: &str, start: usize) -> bool {
    let mut lexer = Lexer::new(text);
    let last = lexer.by_ref().last();
    if lexer.broken || !last.is_some_and(|token| token.kind == Kind::Blank && token.range.start <= start) {
        return false;
    }
    // What is before must be complete by itself: then `start` is neither inside another comment nor on a `--` line.
    let before = text.get(..start).unwrap_or_default();
    let mut lexer = Lexer::new(before);
    lexer.by_ref().for_each(drop);
    !lexer.broken && !on_line_comment(before)
}

/// Whether text added at the end would belong to a `--` comment.
fn on_line_comment(before: &str) -> bool {
    let mut probe = String::with_capacity(before.len() + 2);
    probe.push_str(before);
    probe.push_str(" x");
    Lexer::new(&probe).last().is_none_or(|token| token.kind != Kind::Word)
}

fn parse(inside: &str) -> Option<Comment> {
    let mut comment = Comment::default();
    for pair in inside.trim().split(',') {
        let (key, value) = pair.trim().split_once('=')?;
        let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        let (key, value) = (decode(key.trim())?, decode(value)?);
        if key.is_empty() {
            return None;
        }
        match key.as_str() {
            "traceparent" => comment.traceparent = Some(value),
            "user_token" => comment.user_token = Some(value),
            _ => comment.others.push((key, value)),
        }
    }
    Some(comment)
}

/// Decodes `%41`; a quote may be written `\'`. `None` if it is not valid, or not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                let digits =
                    std::str::from_utf8(&pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            }
            b'\\' => bytes.push(rest.next()?),
            b'\'' => return None,
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_comment_is_taken_off() {
        let (text, comment) = split("SELECT 1 /*traceparent='00-ab-cd-01',user_token='a%2Eb',route='%2Fx%20y'*/;");
        let comment = comment.unwrap();
        assert_eq!(text, "SELECT 1");
        assert_eq!(comment.traceparent.as_deref(), Some("00-ab-cd-01"));
        assert_eq!(comment.user_token.as_deref(), Some("a.b"));
        assert_eq!(comment.others, [("route".to_owned(), "/x y".to_owned())]);
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "SELECT 1",
            "SELECT 1 /* hello */",
            "SELECT '/*a=''b''*/'",
            "SELECT 1 -- /*a='b'*/",
            "SELECT 1 /* /*a='b'*/",
            "SELECT $$ /*a='b'*/$$",
            "SELECT \"/*a='b'*/",
            "SELECT 1 /*a='%zz'*/",
            "SELECT 1 /*a='b'*/ + 1",
            "*/",
            "/*/",
        ] {
            assert_eq!(split(text), (text, None), "{text}");
        }
    }
}
