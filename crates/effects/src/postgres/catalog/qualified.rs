//! Texts that mean the same under every search path.
//!
//! They run on a client's own connection, whose path may begin with a schema in which somebody made an operator `=` or a
//! type `text`: what they find must not hang on that, and no function of a user's may run because of them.

/// The text of a query with its operators and types looked up in `pg_catalog` alone. Relations and functions are written
/// with their schema to begin with. An operator stands between blanks; a type after `::`. The texts are such that the
/// precedence of what is written so, one for all operators, changes nothing, and that only text is joined to text: before
/// version 14, the operator for other types is a function in SQL that looks up another.
pub(super) fn qualified(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() * 2);
    for (at, piece) in plain.split('\'').enumerate() {
        match at % 2 {
            0 => outside(piece, &mut out),
            _ => out.extend(["'", piece, "'"]),
        }
    }
    out
}

/// A piece that is not inside quotes.
fn outside(piece: &str, out: &mut String) {
    for (at, word) in piece.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let is_operator = !word.is_empty() && word.chars().all(|symbol| "+-<>=|&%".contains(symbol));
        if is_operator {
            out.extend(["OPERATOR(pg_catalog.", word, ")"]);
        } else {
            types(word, out);
        }
    }
}

/// A word, in which a type may follow `::`.
fn types(word: &str, out: &mut String) {
    for (at, part) in word.split("::").enumerate() {
        if at > 0 {
            out.push_str("::");
            let is_qualified = part.starts_with("pg_catalog.");
            out.push_str(if is_qualified { "" } else { "pg_catalog." });
        }
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::qualified;

    #[test]
    fn operators_and_types_are_qualified_and_constants_are_not() {
        let plain = "SELECT a::text || ' = ' || count(*)::int8::pg_catalog.text FROM t \
                     WHERE a <> 'x::y'::name AND b = ANY ('{c}'::\"char\"[])";
        let expected = "SELECT a::pg_catalog.text OPERATOR(pg_catalog.||) ' = ' OPERATOR(pg_catalog.||) \
                        count(*)::pg_catalog.int8::pg_catalog.text FROM t WHERE a OPERATOR(pg_catalog.<>) \
                        'x::y'::pg_catalog.name AND b OPERATOR(pg_catalog.=) ANY ('{c}'::pg_catalog.\"char\"[])";
        assert_eq!(qualified(plain), expected);
    }
}
