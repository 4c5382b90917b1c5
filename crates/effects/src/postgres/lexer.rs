//! PostgreSQL's lexical rules (`scan.l`, `standard_conforming_strings = on`), as far as Sluice needs them: where
//! constants, parameters and comments are, and how deep brackets nest. The parser stays the judge: a constant of the
//! tree that is not a constant here makes its statement opaque.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Blanks and comments.
    Blank,
    /// A string, number or bit string, with its prefix.
    Constant,
    /// `$1`.
    Parameter,
    /// An identifier or keyword, quoted or not.
    Word,
    /// `(`, `[`.
    Open,
    /// `)`, `]`.
    Close,
    /// `;`.
    Semicolon,
    /// One character of anything else.
    Other,
}

/// One token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// Reads a text token by token. Ends early, with [`Lexer::broken`] set, at a string, name or comment without an end.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    pub(super) broken: bool,
}

/// Whether a name in the text is not ASCII, or may be none once its escapes are read.
pub(super) fn has_foreign_name(text: &str) -> bool {
    let escaped = |word: &str| word.as_bytes().get(1) == Some(&b'&');
    Lexer::new(text)
        .filter(|token| token.kind == Kind::Word)
        .filter_map(|token| text.get(token.range))
        .any(|word| !word.is_ascii() || escaped(word))
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, broken: false }
    }

    fn byte(&self, offset: usize) -> u8 {
        // No NUL is ever in a text, so 0 stands for its end.
        self.at.checked_add(offset).and_then(|at| self.text.as_bytes().get(at)).copied().unwrap_or(0)
    }

    fn skip_while(&mut self, test: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| !test(*byte)).unwrap_or(rest.len());
    }

    fn starts(&self, what: &str) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    fn fail(&mut self) {
        self.broken = true;
        self.at = self.text.len();
    }

    /// `--` to the end of its line.
    fn line_comment(&mut self) {
        self.skip_while(|byte| byte != b'\n' && byte != b'\r');
    }

    /// `/* … */`, which nests.
    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.at < self.text.len() {
            if self.starts("/*") {
                depth += 1;
                self.at += 2;
            } else if self.starts("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
        self.fail();
    }

    fn blank(&mut self) -> bool {
        let start = self.at;
        loop {
            self.skip_while(is_space);
            if self.starts("--") {
                self.line_comment();
            } else if self.starts("/*") {
                self.block_comment();
            } else {
                return self.at > start;
            }
        }
    }

    /// A quoted run; the opening quote is at `self.at`. `escapes` is the syntax of `E''`.
    fn quoted(&mut self, quote: u8, escapes: bool) {
        self.at += 1;
        loop {
            self.skip_while(|byte| byte != quote && !(escapes && byte == b'\\'));
            if self.at >= self.text.len() {
                return self.fail();
            }
            if self.byte(0) != quote {
                // A backslash and whatever follows it, which may be a character of several bytes.
                self.at += 2;
                while self.at < self.text.len() && !self.text.is_char_boundary(self.at) {
                    self.at += 1;
                }
            } else if self.byte(1) == quote {
                self.at += 2;
            } else {
                self.at += 1;
                return;
            }
        }
    }

    /// A string and its continuations: further quoted parts after blanks that hold a line break (`{quotecontinue}`).
    fn string(&mut self, escapes: bool) {
        self.quoted(b'\'', escapes);
        loop {
            let end = self.at;
            let mut newline = false;
            loop {
                let start = self.at;
                self.skip_while(is_space);
                newline |= self
                    .text
                    .as_bytes()
                    .get(start..self.at)
                    .is_some_and(|blank| blank.iter().any(|byte| matches!(byte, b'\n' | b'\r')));
                if newline && self.starts("--") {
                    self.line_comment();
                } else {
                    break;
                }
            }
            if newline && self.byte(0) == b'\'' && !self.broken {
                self.quoted(b'\'', escapes);
            } else {
                self.at = end;
                return;
            }
        }
    }

    /// `$tag$ … $tag$`; false if no such quote starts here.
    fn dollar_quoted(&mut self) -> bool {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let Some(length) = rest.find('$') else { return false };
        let tag = rest.get(..length).unwrap_or_default();
        let starts_well = tag.bytes().next().is_none_or(is_word_start);
        if !starts_well || !tag.bytes().all(|byte| is_word_start(byte) || byte.is_ascii_digit()) {
            return false;
        }
        let delimiter = format!("${tag}$");
        let body = self.at + delimiter.len();
        match self.text.get(body..).and_then(|body| body.find(&delimiter)) {
            Some(end) => self.at = body + end + delimiter.len(),
            None => self.fail(),
        }
        true
    }

    fn number(&mut self) {
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X' | b'o' | b'O' | b'b' | b'B') {
            self.at += 2;
            self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return;
        }
        let digits = |byte: u8| byte.is_ascii_digit() || byte == b'_';
        self.skip_while(digits);
        // `1..10` is the number 1 and then dots.
        if self.byte(0) == b'.' && self.byte(1) != b'.' {
            self.at += 1;
            self.skip_while(digits);
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if self.byte(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.skip_while(digits);
            }
        }
    }

    fn token(&mut self) -> Kind {
        let (first, second) = (self.byte(0), self.byte(1));
        match first {
            b'\'' => {
                self.string(false);
                Kind::Constant
            }
            b'e' | b'E' if second == b'\'' => {
                self.at += 1;
                self.string(true);
                Kind::Constant
            }
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if second == b'\'' => {
                self.at += 1;
                self.string(false);
                Kind::Constant
            }
            b'u' | b'U' if second == b'&' && self.byte(2) == b'\'' => {
                self.at += 2;
                self.string(false);
                Kind::Constant
            }
            b'u' | b'U' if second == b'&' && self.byte(2) == b'"' => {
                self.at += 2;
                self.quoted(b'"', false);
                Kind::Word
            }
            b'"' => {
                self.quoted(b'"', false);
                Kind::Word
            }
            b'$' if second.is_ascii_digit() => {
                self.at += 1;
                self.skip_while(|byte| byte.is_ascii_digit());
                Kind::Parameter
            }
            b'$' if self.dollar_quoted() => Kind::Constant,
            b'0'..=b'9' => {
                self.number();
                Kind::Constant
            }
            b'.' if second == b'.' => {
                self.at += 2;
                Kind::Other
            }
            b'.' if second.is_ascii_digit() => {
                self.number();
                Kind::Constant
            }
            b'(' | b'[' => {
                self.at += 1;
                Kind::Open
            }
            b')' | b']' => {
                self.at += 1;
                Kind::Close
            }
            b';' => {
                self.at += 1;
                Kind::Semicolon
            }
            _ if is_word_start(first) => {
                self.skip_while(|byte| is_word_start(byte) || byte.is_ascii_digit() || byte == b'$');
                Kind::Word
            }
            _ => {
                self.at += 1;
                Kind::Other
            }
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let kind = if self.blank() { Kind::Blank } else { self.token() };
        Some(Token { kind, range: start..self.at.min(self.text.len()) })
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests;
