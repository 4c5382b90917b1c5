//! One word of a shell's line: what it says, and what a shell would put in its place.
//!
//! The grammar's crate finds where words begin and end. What is inside is read here, as its own reader of words keeps
//! what it read in a cache of the process, where a password would stay.

/// How deeply substitutions and quotes may be in each other.
const DEEPEST: usize = 16;

/// A word as a shell would see it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Word {
    /// Without quotes; what is expanded stands as it was written.
    pub(super) text: String,
    /// Whether every shell makes exactly `text` of it.
    pub(super) constant: bool,
    /// Whether it begins with an unquoted `~`.
    pub(super) home: bool,
    /// The texts of the command substitutions in it.
    pub(super) inner: Vec<String>,
    /// Why it is not understood, if it is not.
    pub(super) unclear: Option<&'static str>,
}

impl Word {
    /// Whether it is certain which program this word names, where it names one.
    pub(super) fn names_a_program(&self) -> bool {
        self.constant && !self.home && !self.text.is_empty()
    }
}

/// Reads a word as it stands in a line.
pub(super) fn read(raw: &str) -> Word {
    let mut reader = Reader::new(raw);
    reader.unquoted();
    reader.word
}

/// Reads the text of a here-document in which a shell expands.
pub(super) fn read_document(raw: &str) -> Word {
    let mut reader = Reader::new(raw);
    while let Some(character) = reader.next() {
        reader.in_double_quotes(character);
    }
    reader.word
}

struct Reader {
    characters: Vec<char>,
    at: usize,
    word: Word,
}

impl Reader {
    fn new(raw: &str) -> Self {
        let word = Word { constant: true, ..Word::default() };
        Self { characters: raw.chars().collect(), at: 0, word }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at.saturating_add(ahead)).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek(0)?;
        self.at = self.at.saturating_add(1);
        Some(next)
    }

    fn text_from(&self, start: usize) -> String {
        self.characters.get(start..self.at).unwrap_or_default().iter().collect()
    }

    fn unclear(&mut self, why: &'static str) {
        self.word.constant = false;
        self.word.unclear.get_or_insert(why);
    }

    fn varies(&mut self, character: char) {
        self.word.constant = false;
        self.word.text.push(character);
    }

    fn unquoted(&mut self) {
        while let Some(character) = self.next() {
            match character {
                '\\' => self.escaped(),
                '\'' => self.single(),
                '"' => self.double(),
                '$' => self.dollar(true),
                '`' => self.backquote(),
                '*' | '?' | '[' => self.varies(character),
                '{' if self.is_brace_expansion() => self.varies(character),
                // zsh puts the path of a program in place of `=name`.
                '=' if self.at == 1 => self.varies(character),
                '~' if self.at == 1 => {
                    self.word.home = true;
                    self.word.text.push(character);
                }
                '(' | ')' | '<' | '>' | '|' | '&' | ';' => self.unclear("an operator inside a word"),
                _ if character.is_whitespace() => self.unclear("a space inside a word"),
                _ => self.word.text.push(character),
            }
        }
    }

    fn escaped(&mut self) {
        match self.next() {
            Some('\n') => {}
            Some(character) => self.word.text.push(character),
            None => self.unclear("it ends with a backslash"),
        }
    }

    fn single(&mut self) {
        loop {
            match self.next() {
                Some('\'') => return,
                Some(character) => self.word.text.push(character),
                None => return self.unclear("a quote is not closed"),
            }
        }
    }

    fn double(&mut self) {
        loop {
            match self.next() {
                Some('"') => return,
                Some(character) => self.in_double_quotes(character),
                None => return self.unclear("a quote is not closed"),
            }
        }
    }

    fn in_double_quotes(&mut self, character: char) {
        match (character, self.peek(0)) {
            ('\\', Some('\n')) => self.at = self.at.saturating_add(1),
            ('\\', Some(next @ ('$' | '`' | '"' | '\\'))) => {
                self.at = self.at.saturating_add(1);
                self.word.text.push(next);
            }
            ('$', _) => self.dollar(false),
            ('`', _) => self.backquote(),
            _ => self.word.text.push(character),
        }
    }

    /// `{a,b}` and `{1..3}`; `{}` stands for itself.
    fn is_brace_expansion(&self) -> bool {
        let rest: String = self.characters.get(self.at..).unwrap_or_default().iter().collect();
        rest.contains(',') || rest.contains("..")
    }

    /// Behind a `$`.
    fn dollar(&mut self, outside_quotes: bool) {
        let start = self.at.saturating_sub(1);
        match self.peek(0) {
            Some('(') if self.peek(1) == Some('(') => self.arithmetic(),
            Some('(') => self.substitution(),
            Some('{') => self.parameter(),
            Some('[') => self.unclear("arithmetic in brackets"),
            Some('\'') if outside_quotes => return self.ansi_c(),
            // A translated text in bash, a `$` before a text in other shells.
            Some('"') if outside_quotes => self.word.constant = false,
            Some(name) if name.is_ascii_alphabetic() || name == '_' => {
                while self.peek(0).is_some_and(|next| next.is_ascii_alphanumeric() || next == '_') {
                    self.at = self.at.saturating_add(1);
                }
                self.word.constant = false;
            }
            Some(special) if special.is_ascii_digit() || "@*#?-$!".contains(special) => {
                self.at = self.at.saturating_add(1);
                self.word.constant = false;
            }
            _ => return self.word.text.push('$'),
        }
        let written = self.text_from(start);
        self.word.text.push_str(&written);
    }

    /// `$'…'`. Only bash and its like read escapes in it, and others end the quote elsewhere then.
    fn ansi_c(&mut self) {
        self.at = self.at.saturating_add(1);
        let start = self.at;
        self.word.constant = false;
        while let Some(character) = self.next() {
            match character {
                '\'' => {
                    let text = self.text_from(start);
                    self.word.text.push_str(text.strip_suffix('\'').unwrap_or(&text));
                    return;
                }
                '\\' => return self.unclear("escapes that shells read differently"),
                _ => {}
            }
        }
        self.unclear("a quote is not closed");
    }

    /// `$((…))` of numbers alone: a name in it can stand for a text that holds a command.
    fn arithmetic(&mut self) {
        let start = self.at;
        let is_plain = |next: char| next.is_ascii_digit() || " +-*/%()<>=!&|^~?:,".contains(next);
        let mut open = 0_usize;
        while let Some(character) = self.peek(0).filter(|next| is_plain(*next)) {
            self.at = self.at.saturating_add(1);
            match character {
                '(' => open = open.saturating_add(1),
                ')' => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
        self.word.constant = false;
        if open > 0 || !self.text_from(start).ends_with("))") {
            self.unclear("arithmetic with names in it");
        }
    }

    fn substitution(&mut self) {
        self.word.constant = false;
        self.at = self.at.saturating_add(1);
        let start = self.at;
        match self.skip_parenthesis(0) {
            Ok(()) => {
                let inner = self.text_from(start);
                self.word.inner.push(inner.strip_suffix(')').unwrap_or(&inner).to_owned());
            }
            Err(why) => self.unclear(why),
        }
    }

    /// To behind the `)` that closes what is open.
    fn skip_parenthesis(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth > DEEPEST {
            return Err("nested too deeply");
        }
        let mut before = '(';
        while let Some(character) = self.next() {
            match character {
                ')' => return Ok(()),
                '(' => self.skip_parenthesis(depth.saturating_add(1))?,
                '\\' => {
                    self.next();
                }
                '\'' => self.skip_to('\'')?,
                '"' => self.skip_double(depth)?,
                '`' => return Err("a backquote inside a substitution"),
                '<' if self.peek(0) == Some('<') => return Err("a here-document inside a substitution"),
                '#' if before.is_whitespace() || ";|&(".contains(before) => {
                    return Err("a comment inside a substitution");
                }
                _ => {}
            }
            before = character;
        }
        Err("a parenthesis is not closed")
    }

    fn skip_double(&mut self, depth: usize) -> Result<(), &'static str> {
        while let Some(character) = self.next() {
            match character {
                '"' => return Ok(()),
                '\\' => {
                    self.next();
                }
                '`' => return Err("a backquote inside a substitution"),
                '$' if self.peek(0) == Some('(') => {
                    self.next();
                    self.skip_parenthesis(depth.saturating_add(1))?;
                }
                _ => {}
            }
        }
        Err("a quote is not closed")
    }

    fn skip_to(&mut self, end: char) -> Result<(), &'static str> {
        while let Some(character) = self.next() {
            if character == end {
                return Ok(());
            }
        }
        Err("a quote is not closed")
    }

    fn backquote(&mut self) {
        self.word.constant = false;
        let start = self.at;
        if self.skip_to('`').is_err() {
            return self.unclear("a backquote is not closed");
        }
        let inner = self.text_from(start);
        let inner = inner.strip_suffix('`').unwrap_or(&inner).to_owned();
        if inner.contains('\\') {
            self.unclear("an escape between backquotes");
        }
        self.word.text.push_str(&format!("`{inner}`"));
        self.word.inner.push(inner);
    }

    /// `${…}`: a name, and operators that take a plain text. Others can run a command or change a variable.
    fn parameter(&mut self) {
        self.word.constant = false;
        self.at = self.at.saturating_add(1);
        let start = self.at;
        if self.skip_to('}').is_err() {
            return self.unclear("a brace is not closed");
        }
        let inner = self.text_from(start);
        let inner = inner.strip_suffix('}').unwrap_or(&inner);
        if !is_plain_parameter(inner) {
            self.unclear("an expansion that may do more than expand");
        }
    }
}

fn is_plain_parameter(inner: &str) -> bool {
    let inner = inner.strip_prefix('#').filter(|rest| !rest.is_empty()).unwrap_or(inner);
    let named = |next: char| next.is_ascii_alphanumeric() || next == '_';
    let length = inner.find(|next| !named(next)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(length);
    if name.is_empty() {
        return matches!(inner, "@" | "*" | "#" | "?" | "-" | "$" | "!");
    }
    let operator = rest.strip_prefix(':').map_or_else(
        || rest.is_empty() || rest.starts_with(['-', '+', '?', '%', '#', '/', '^', ',']),
        |rest| rest.starts_with(['-', '+', '?']),
    );
    operator && !rest.contains(['$', '`', '\'', '"', '\\', '[', '{', '(', '<', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_go() {
        for (raw, text) in [
            ("plain", "plain"),
            ("'a b'", "a b"),
            ("a\\ b", "a b"),
            ("r'm'", "rm"),
            ("r\"\"m", "rm"),
            ("\\rm", "rm"),
            ("\"a\\\"b\\c\"", "a\"b\\c"),
            ("'it'\\''s'", "it's"),
            ("{}", "{}"),
            ("a\\\nb", "ab"),
        ] {
            let word = read(raw);
            assert_eq!((word.text.as_str(), word.constant, word.unclear), (text, true, None), "{raw}");
        }
    }

    #[test]
    fn what_a_shell_expands_is_not_constant() {
        for raw in [
            "$x", "${x}", "a$1", "\"$x\"", "r?", "/bin/r*", "[r]m", "{rm,-rf}", "=rm", "$(x)", "`x`", "$'rm'",
            "$\"rm\"",
        ] {
            let word = read(raw);
            assert!(!word.constant && word.unclear.is_none(), "{raw}: {word:?}");
        }
        assert!(!read("~/bin/x").names_a_program() && read("'~/bin/x'").names_a_program());
        assert!(!read("''").names_a_program());
    }

    #[test]
    fn substitutions_are_found() {
        for (raw, inner) in [
            ("$(rm a)", vec!["rm a"]),
            ("\"x $(rm \"a)\") y\"", vec!["rm \"a)\""]),
            ("$(a $(b))$(c)", vec!["a $(b)", "c"]),
            ("`rm a`", vec!["rm a"]),
            ("'$(rm)'", vec![]),
            ("\\$x", vec![]),
        ] {
            let word = read(raw);
            assert_eq!((word.inner, word.unclear), (inner.into_iter().map(str::to_owned).collect(), None), "{raw}");
        }
    }

    #[test]
    fn what_may_do_more_is_unclear() {
        for raw in [
            "$((x))",
            "$[1]",
            "${x:=y}",
            "${x=y}",
            "${!x}",
            "${x@P}",
            "${x[1]}",
            "${x:1}",
            "${x:-$(rm)}",
            "$'a\\'b'",
            "$(x # )\n rm)",
            "$(cat <<E)",
            "`a \\`b\\``",
            "$(a",
            "\"a",
        ] {
            assert!(read(raw).unclear.is_some(), "{raw}");
        }
        for raw in ["${x:-y}", "${x%.gz}", "${#x}", "$((1+2))", "${x/a/b}"] {
            assert!(read(raw).unclear.is_none(), "{raw}");
        }
    }

    #[test]
    fn a_document_is_expanded_but_for_quotes() {
        let word = read_document("a 'b' \"$(rm x)\" \\$y\n");
        assert_eq!((word.inner, word.unclear), (vec!["rm x".to_owned()], None));
    }
}
