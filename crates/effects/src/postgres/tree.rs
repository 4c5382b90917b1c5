//! From text to tree, safely: the one place that calls the parser.
//!
//! The parser itself is iterative (bison, with a stack of its own that ends in an error at 10,000 states), so a text can
//! neither overflow its stack nor ours before it is a tree; [`super::MAX_DEPTH`] bounds our recursion over that tree.
//! Brackets are counted first all the same, so that a text made to be deep costs no parse.

use pg_raw_parse::ParseResult;

use super::lexer::{Kind, Lexer, Token};

/// How deep brackets may nest before a text is not even parsed.
const MAX_BRACKETS: usize = 512;

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
    let tree = pg_raw_parse::parse(text).map_err(|_| "it does not parse")?;
    Ok((Source { text, tokens }, tree))
}
