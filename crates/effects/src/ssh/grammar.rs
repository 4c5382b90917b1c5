//! A text to the tree of the shell's grammar, within bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use brush_parser::ast::Program;
use brush_parser::{ParserOptions, Token, parse_tokens, uncached_tokenize_str};
use tracing::dispatcher::{Dispatch, with_default};

/// How deeply commands may be in each other, in one text.
const DEEPEST: usize = 24;
/// How many expansions one text may have: the tokeniser looks at what is inside of each again.
const MOST_EXPANSIONS: usize = 64;
/// How many tokens one text may have.
const MOST_TOKENS: usize = 4096;
/// The stack that the bounds above never use up, in bytes.
const STACK: usize = 8 * 1024 * 1024;

/// A text that was parsed.
pub(super) struct Parsed {
    pub(super) tokens: Vec<Token>,
    pub(super) program: Program,
}

/// Parses a text by the grammar of bash, which has that of POSIX in it.
///
/// # Errors
/// Why it is not understood.
pub(super) fn parse(text: &str) -> Result<Parsed, &'static str> {
    if text.contains('\0') {
        return Err("it has a NUL in it");
    }
    let expansions = text.matches(['$', '`']).count();
    if expansions > MOST_EXPANSIONS {
        return Err("it has too many expansions");
    }
    // The grammar would log the text, with what is secret in it. It also trusts itself not to panic; where it is wrong in
    // that, the text is not understood.
    let parsed = || with_default(&Dispatch::none(), || stacker::grow(STACK, || parse_silently(text)));
    catch_unwind(AssertUnwindSafe(parsed)).unwrap_or(Err("the grammar fails on it"))
}

fn parse_silently(text: &str) -> Result<Parsed, &'static str> {
    // Patterns in parentheses are an option of bash that is off where it runs a line, and a mistake in other shells.
    let options = ParserOptions { enable_extended_globbing: false, ..ParserOptions::default() };
    let tokens = uncached_tokenize_str(text, &options.tokenizer_options()).map_err(|_| "it does not parse")?;
    check(&tokens)?;
    let program = parse_tokens(&tokens, &options).map_err(|_| "it does not parse")?;
    Ok(Parsed { tokens, program })
}

/// Bounds what the parser tries, which grows steeply with what is nested.
fn check(tokens: &[Token]) -> Result<(), &'static str> {
    if tokens.len() > MOST_TOKENS {
        return Err("it has too many words");
    }
    let mut open = 0_usize;
    let mut before = "";
    for token in tokens {
        let now = token.to_str();
        match now {
            // Arithmetic in bash, two subshells in others; the parser tries both, at every level.
            "(" if before == "(" => return Err("two parentheses, which shells read differently"),
            "(" | "{" | "if" | "case" | "while" | "until" | "for" | "select" | "[[" | "!" => {
                open = open.saturating_add(1)
            }
            ")" | "}" | "fi" | "esac" | "done" | "]]" => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEEPEST {
            return Err("it is nested too deeply");
        }
        before = now;
    }
    Ok(())
}
