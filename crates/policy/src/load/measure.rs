//! How intricate a policy may be. Cedar reads and validates expressions by recursion, and a stack that overflows ends the
//! whole process, not only the reading of a revision. So the depth is bounded before Cedar sees a text.
//!
//! Every level of an expression costs a bracket or an operator (Cedar's grammar, "Expr" to "Primary"); lists, records and
//! the parts of a name are flat. So both are counted, outside of texts and comments.

use super::PolicyError;
use super::files::place;

/// How deep brackets may stand in each other.
pub(crate) const MOST_BRACKETS: usize = 32;

/// How many operators a policy may have: `.`, `&&`, `has`, `if` and their kin.
pub(crate) const MOST_OPERATORS: usize = 400;

/// How many times a policy may say `if`: what checks types looks at each branch again for every `if` around it.
pub(crate) const MOST_IFS: usize = 8;

/// The operators that are words, and those words that join conditions.
const WORDS: [&str; 6] = ["has", "like", "in", "is", "when", "unless"];

/// What a text says, as far as its depth depends on it.
enum Token {
    Open,
    Close,
    Operator,
    If,
    End,
}

/// The first policy of a text that is too intricate.
pub(crate) fn too_intricate(path: &str, text: &str) -> Option<PolicyError> {
    let (mut depth, mut operators, mut ifs) = (0_usize, 0_usize, 0_usize);
    let mut found = None;
    tokens(text, |at, token| {
        match token {
            Token::Open => depth = depth.saturating_add(1),
            Token::Close => depth = depth.saturating_sub(1),
            Token::Operator => operators = operators.saturating_add(1),
            Token::If => ifs = ifs.saturating_add(1),
            Token::End => (depth, operators, ifs) = (0, 0, 0),
        }
        let is_over = depth > MOST_BRACKETS || operators > MOST_OPERATORS || ifs > MOST_IFS;
        found = is_over.then_some(at);
        !is_over
    });
    let message = format!(
        "the policy is too intricate: more than {MOST_BRACKETS} brackets in each other, {MOST_OPERATORS} \
         operators or {MOST_IFS} times `if`"
    );
    found.map(|at| place(path, text, Some(at)).error(&message, "split it into several, or write a list"))
}

/// Goes through the tokens until `each` says that it is enough.
fn tokens(text: &str, mut each: impl FnMut(usize, Token) -> bool) {
    let mut rest = text.char_indices().peekable();
    while let Some((at, symbol)) = rest.next() {
        let token = match symbol {
            '"' => {
                while let Some((_, inner)) = rest.next() {
                    match inner {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '/' if rest.peek().is_some_and(|(_, next)| *next == '/') => {
                while rest.next_if(|(_, next)| *next != '\n').is_some() {}
                continue;
            }
            '(' | '[' | '{' => Token::Open,
            ')' | ']' | '}' => Token::Close,
            '.' | '!' | '-' | '+' | '*' | '<' | '>' | '=' | '&' | '|' | '/' | '%' => Token::Operator,
            ';' => Token::End,
            _ if symbol.is_alphabetic() || symbol == '_' => {
                let mut end = at.saturating_add(symbol.len_utf8());
                while let Some((_, next)) = rest.next_if(|(_, next)| next.is_alphanumeric() || *next == '_') {
                    end = end.saturating_add(next.len_utf8());
                }
                match text.get(at..end) {
                    Some("if") => Token::If,
                    Some(word) if WORDS.contains(&word) => Token::Operator,
                    _ => continue,
                }
            }
            _ => continue,
        };
        if !each(at, token) {
            return;
        }
    }
}
