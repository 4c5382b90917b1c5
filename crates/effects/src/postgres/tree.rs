//! From text to tree, safely: the one place that calls the parser.
//!
//! The parser itself is iterative (bison, with a stack of its own that ends in an error at 10,000 states), so a text can
//! neither overflow its stack nor ours before it is a tree; [`super::MAX_DEPTH`] bounds our recursion over that tree.
//! Brackets are counted first all the same, so that a text made to be deep costs no parse.

use pg_raw_parse::ParseResult;

use super::lexer::{Kind, Lexer, Token};
use super::secrets;

/// How deep brackets may nest before a text is not even parsed.
const MAX_BRACKETS: usize = 512;

/// How many characters of operators may follow each other, those of comments included. At each of them the parser may
/// look at the whole rest of their row, for an operator is as long as it can be (`{operator}` and `{xcstart}`, scan.l): a
/// mebibyte of nested `/*` would take it minutes.
const MAX_OPERATOR_CHARACTERS: usize = 1000;

/// A text and its tokens.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token>,
}

/// Reads and parses a text; the error says why it is opaque.
pub(super) fn parse(text: &str) -> Result<(Source<'_>, ParseResult), &'static str> {
    if text.contains('\0') {
        return Err("it has a NUL");
    }
    let mut lexer = Lexer::new(text);
    let tokens: Vec<Token> = lexer.by_ref().collect();
    if lexer.broken {
        return Err("it has a string, name or comment without an end");
    }
    let mut depth = 0usize;
    for token in &tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err("it nests too deep");
        }
    }
    if longest_row(text, &tokens) > MAX_OPERATOR_CHARACTERS {
        return Err("it has too many characters of operators in a row");
    }
    let tree = pg_raw_parse::parse(&secrets::without_own_token(text, &tokens)).map_err(|_| "it does not parse")?;
    Ok((Source { text, tokens }, tree))
}

/// The most characters of operators that follow each other outside of quotes.
fn longest_row(text: &str, tokens: &[Token]) -> usize {
    let (mut longest, mut row) = (0, 0);
    for token in tokens {
        let may_have_some = matches!(token.kind, Kind::Blank | Kind::Other);
        let bytes = text.as_bytes().get(token.range.clone()).filter(|_| may_have_some).unwrap_or(b" ");
        for byte in bytes {
            row = if is_operator(*byte) { row + 1 } else { 0 };
            longest = longest.max(row);
        }
    }
    longest
}

const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_operator_characters_are_bounded_and_quoted_ones_are_not_counted() {
        let row = |text: &str| {
            let mut lexer = Lexer::new(text);
            let tokens: Vec<Token> = lexer.by_ref().collect();
            longest_row(text, &tokens)
        };
        assert_eq!(row("SELECT 1 /* ==== */ + 1"), 4);
        assert_eq!(row("SELECT 1 +/**/- 1"), 6);
        assert_eq!(row("SELECT '----------', \"======\" <> 1"), 2);
        let limit = MAX_OPERATOR_CHARACTERS;
        assert!(parse(&format!("SELECT 1 /*{}*/", "*".repeat(limit - 4))).is_ok());
        for bomb in ["/*".repeat(limit) + &"*/".repeat(limit), "+".repeat(2 * limit), "@/*-*/".repeat(limit)] {
            assert!(parse(&format!("SELECT 1 {bomb} 1")).is_err());
        }
    }
}
