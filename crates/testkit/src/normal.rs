//! SQL texts in a form in which what a server logged can be compared with what a record shows: written from the manual's
//! chapter on lexical structure alone (PostgreSQL, 4.1), so that it shares no mistake with Sluice's own reading.

/// The statements of a text: without comments, with one blank for any run of them, `?` for each constant and parameter,
/// and split at each `;` that is a token.
pub fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, token) = token(rest, first);
        let (_, after) = rest.split_at_checked(length.max(first.len_utf8())).unwrap_or((rest, ""));
        let taken = rest.strip_suffix(after).unwrap_or(rest);
        rest = after;
        match (token, statements.last_mut()) {
            (Token::End, _) => statements.push(String::new()),
            (Token::Blank, Some(last)) if !last.is_empty() && !last.ends_with(' ') => last.push(' '),
            (Token::Constant, Some(last)) => {
                let behind_a_word = last.ends_with(|before: char| {
                    before.is_ascii_alphanumeric() || matches!(before, '_' | '$') || !before.is_ascii()
                });
                last.push_str(if behind_a_word { " ?" } else { "?" });
            }
            (Token::Other, Some(last)) => last.push_str(taken),
            (Token::Blank, _) | (_, None) => {}
        }
    }
    let trimmed = statements.into_iter().map(|statement| without_bare_secrets(statement.trim()));
    trimmed.filter(|statement| !statement.is_empty()).collect()
}

/// A setting whose name is a secret's may be given a bare word (`SET app.secret TO x`), of which a record shows nothing.
fn without_bare_secrets(statement: &str) -> String {
    let lower = statement.to_ascii_lowercase();
    let sets = ["set ", "alter system ", "alter role ", "alter user ", "alter database "];
    let value = ["=", " to "].iter().filter_map(|sign| Some(lower.find(sign)? + sign.len())).min();
    let Some(value) = value.filter(|_| sets.iter().any(|start| lower.starts_with(start))) else {
        return statement.to_owned();
    };
    let name = lower[..value].trim_end_matches([' ', '=']);
    let name = name.strip_suffix(" to").unwrap_or(name).trim_end().rsplit(' ').next().unwrap_or_default();
    let secret = ["password", "secret", "token", "passphrase", "api_key", "conninfo"];
    if secret.iter().any(|word| name.contains(word)) {
        format!("{} ?", statement[..value].trim_end())
    } else {
        statement.to_owned()
    }
}

/// Since version 16, a vertical tab too.
const fn is_blank(symbol: char) -> bool {
    symbol.is_ascii_whitespace() || symbol == '\x0b'
}

enum Token {
    Blank,
    Constant,
    End,
    Other,
}

/// The token at the start of `rest`, and its length in bytes.
fn token(rest: &str, first: char) -> (usize, Token) {
    let while_ = |test: &dyn Fn(char) -> bool| rest.find(|symbol| !test(symbol)).unwrap_or(rest.len());
    let is_word = |symbol: char| symbol.is_alphanumeric() || symbol == '_' || symbol == '$' || !symbol.is_ascii();
    match first {
        _ if is_blank(first) => (while_(&is_blank), Token::Blank),
        _ if rest.starts_with("--") => (rest.find(['\n', '\r']).unwrap_or(rest.len()), Token::Blank),
        _ if rest.starts_with("/*") => (comment(rest), Token::Blank),
        ';' => (1, Token::End),
        '\'' => (quoted(rest, 1, '\'', false), Token::Constant),
        '"' => (quoted(rest, 1, '"', false), Token::Other),
        '$' => dollar(rest),
        _ if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit())) => {
            (number(rest), Token::Constant)
        }
        _ if is_word(first) => word(rest, while_(&is_word)),
        _ => (first.len_utf8(), Token::Other),
    }
}

/// A word, unless it is the prefix of a constant or a quoted name.
fn word(rest: &str, length: usize) -> (usize, Token) {
    let after = &rest[length..];
    match rest[..length].to_ascii_lowercase().as_str() {
        "e" if after.starts_with('\'') => (quoted(rest, 2, '\'', true), Token::Constant),
        "b" | "x" | "n" if after.starts_with('\'') => (quoted(rest, 2, '\'', false), Token::Constant),
        "u" if after.starts_with("&'") => (quoted(rest, 3, '\'', false), Token::Constant),
        "u" if after.starts_with("&\"") => (quoted(rest, 3, '"', false), Token::Other),
        _ => (length, Token::Other),
    }
}

/// Comments nest.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        let step = if here.starts_with("/*") {
            depth += 1;
            2
        } else if here.starts_with("*/") {
            depth = depth.saturating_sub(1);
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at.min(rest.len())
}

/// The length of what begins `start` bytes before its content and ends at a quote that is not doubled.
fn quoted(rest: &str, start: usize, quote: char, escapes: bool) -> usize {
    let mut symbols = rest[start..].char_indices().peekable();
    while let Some((at, symbol)) = symbols.next() {
        if symbol == '\\' && escapes {
            symbols.next();
        } else if symbol == quote && symbols.next_if(|(_, next)| *next == quote).is_none() {
            let end = start + at + 1;
            let gap = if quote == '\'' { continued(&rest[end..]) } else { None };
            return gap.map_or(end, |gap| end + gap + quoted(&rest[end + gap..], 1, quote, escapes));
        }
    }
    rest.len()
}

/// How far off the rest of a string is that goes on in another line: behind blanks and comments with an end of line.
fn continued(rest: &str) -> Option<usize> {
    let (mut at, mut lines) = (0, 0);
    loop {
        let here = &rest[at..];
        if here.starts_with('\n') || here.starts_with('\r') {
            lines += 1;
            at += 1;
        } else if here.starts_with([' ', '\t', '\x0b', '\x0c']) {
            at += 1;
        } else if here.starts_with("--") {
            at += here.find(['\n', '\r']).unwrap_or(here.len());
        } else {
            return (lines > 0 && here.starts_with('\'')).then_some(at);
        }
    }
}

/// `$1`, `$$…$$` or `$tag$…$tag$`.
fn dollar(rest: &str) -> (usize, Token) {
    let body = &rest[1..];
    let digits = body.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(body.len());
    if digits > 0 {
        return (1 + digits, Token::Constant);
    }
    let tag = body.find(|symbol: char| !(symbol.is_alphanumeric() || symbol == '_')).unwrap_or(body.len());
    if !body[tag..].starts_with('$') {
        return (1, Token::Other);
    }
    let (open, content) = rest.split_at(tag + 2);
    (content.find(open).map_or(rest.len(), |end| open.len() + end + open.len()), Token::Constant)
}

fn number(rest: &str) -> usize {
    let mut end = 0;
    let mut before = ' ';
    for symbol in rest.chars() {
        let sign = matches!(symbol, '+' | '-') && matches!(before, 'e' | 'E') && !rest.starts_with("0x");
        if !(symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == '.' || sign) {
            break;
        }
        before = symbol;
        end += symbol.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn texts_are_told_apart_by_what_they_do() {
        for (text, expected) in [
            ("SELECT  1 ;;\n", &["SELECT ?"][..]),
            ("select a1, '--' -- x\n, \"b;\"\"c\"", &["select a1, ? , \"b;\"\"c\""]),
            ("SELECT /* /* ; */ */ 1e-5+.5; DROP TABLE t", &["SELECT ?+?", "DROP TABLE t"]),
            (r"SELECT E'\';', 'a\'; DELETE FROM t", &["SELECT ?, ?", "DELETE FROM t"]),
            ("SELECT 'it''s;', $1, $$;$$, $a$ $$;$b$ $a$", &["SELECT ?, ?, ?, ?"]),
            ("SELECT U&'\\0041', u&\"d\\0061ta\", x'1F', B'01', a$b", &["SELECT ?, u&\"d\\0061ta\", ?, ?, a$b"]),
            ("SELECT 'a' -- b\n  'c', 'd' 'e'", &["SELECT ?, ? ?"]),
            ("", &[]),
        ] {
            assert_eq!(statements(text), expected, "{text}");
        }
    }
}
