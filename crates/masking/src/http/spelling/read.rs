//! What stands for one character in each spelling.

/// What stands for one character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// More bytes say what.
    Open,
    /// So many bytes stand for this.
    Is(usize, Meant),
    /// The first byte stands for itself.
    Itself,
    /// It may not stand here.
    Wrong,
}

/// Up to four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Meant([u8; 4], usize);

impl Meant {
    pub(super) fn code(code: u32) -> Self {
        let symbol = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut bytes = [0; 4];
        let length = symbol.encode_utf8(&mut bytes).len();
        Self(bytes, length)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// No reference to a character is longer, unless it has more zeros in front than anybody writes.
const LONGEST_REFERENCE: usize = 32;

/// An escape of JSON. A surrogate without its partner is no character, and stands for U+FFFD.
pub(super) fn json(bytes: &[u8], last: bool) -> Read {
    let code = match bytes.get(1) {
        None => return if last { Read::Wrong } else { Read::Open },
        Some(b'u') => return unicode(bytes, last),
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => 10,
        Some(b'r') => 13,
        Some(b't') => 9,
        Some(symbol @ (b'"' | b'\\' | b'/')) => u32::from(*symbol),
        Some(_) => return Read::Wrong,
    };
    Read::Is(2, Meant::code(code))
}

/// `\u` and four digits, or two of them for one character.
fn unicode(bytes: &[u8], last: bool) -> Read {
    let first = match unit(bytes) {
        Unit::Is(first) => first,
        Unit::Open if !last => return Read::Open,
        Unit::Open | Unit::Other => return Read::Wrong,
    };
    if !(0xd800..0xdc00).contains(&first) {
        return Read::Is(6, Meant::code(first));
    }
    match unit(bytes.get(6..).unwrap_or_default()) {
        Unit::Is(second) if (0xdc00..0xe000).contains(&second) => {
            Read::Is(12, Meant::code(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)))
        }
        Unit::Open if !last => Read::Open,
        _ => Read::Is(6, Meant::code(first)),
    }
}

enum Unit {
    Is(u32),
    Open,
    Other,
}

fn unit(bytes: &[u8]) -> Unit {
    let begins = bytes.iter().zip(b"\\u").all(|(byte, wanted)| byte == wanted);
    let digits = bytes.get(2..bytes.len().clamp(2, 6)).unwrap_or_default();
    if !begins || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Unit::Other;
    }
    if digits.len() < 4 { Unit::Open } else { Unit::Is(number(digits, 16)) }
}

/// `%` and two digits; anything else stands for itself.
pub(super) fn percent(bytes: &[u8], last: bool) -> Read {
    let digits = bytes.get(1..bytes.len().clamp(1, 3)).unwrap_or_default();
    if !digits.iter().all(u8::is_ascii_hexdigit) || last && digits.len() < 2 {
        return Read::Itself;
    }
    match u8::try_from(number(digits, 16)) {
        Ok(byte) if digits.len() == 2 => Read::Is(3, Meant([byte, 0, 0, 0], 1)),
        _ => Read::Open,
    }
}

/// A character reference (XML 1.0, 4.1; HTML, 13.5), with or without its semicolon. A name that stands for no character
/// that is in a value of interest stands for itself.
pub(super) fn reference(bytes: &[u8], last: bool) -> Read {
    let body = bytes.get(1..).unwrap_or_default();
    let (prefix, radix) = match body {
        [b'#', b'x' | b'X', ..] => (2, 16),
        [b'#', ..] => (1, 10),
        _ => (0, 0),
    };
    let rest = body.get(prefix..).unwrap_or_default();
    let is_part = |byte: &&u8| match radix {
        16 => byte.is_ascii_hexdigit(),
        10 => byte.is_ascii_digit(),
        _ => byte.is_ascii_alphanumeric(),
    };
    let count = rest.iter().take_while(is_part).count();
    let symbols = rest.get(..count).unwrap_or_default();
    let (open, long) = (count == rest.len(), bytes.len() >= LONGEST_REFERENCE);
    if open && !last && !long {
        return Read::Open;
    }
    if count == 0 || open && long {
        return Read::Itself;
    }
    let code = if radix == 0 { named(symbols) } else { Some(number(symbols, radix)) };
    let semicolon = usize::from(rest.get(count) == Some(&b';'));
    match code {
        Some(code) => Read::Is(1 + prefix + count + semicolon, Meant::code(code)),
        None => Read::Itself,
    }
}

/// The names of what may stand in a value of interest.
fn named(name: &[u8]) -> Option<u32> {
    let symbol = match name {
        b"amp" | b"AMP" => '&',
        b"lt" | b"LT" => '<',
        b"gt" | b"GT" => '>',
        b"quot" | b"QUOT" => '"',
        b"apos" => '\'',
        b"nbsp" | b"NonBreakingSpace" => '\u{a0}',
        b"commat" => '@',
        b"period" => '.',
        b"hyphen" | b"dash" => '\u{2010}',
        b"plus" => '+',
        b"lpar" => '(',
        b"rpar" => ')',
        b"sol" => '/',
        b"lowbar" | b"UnderBar" => '_',
        b"equals" => '=',
        b"NewLine" => '\n',
        b"Tab" => '\t',
        _ => return None,
    };
    Some(u32::from(symbol))
}

/// Digits, as far as they fit.
fn number(digits: &[u8], radix: u32) -> u32 {
    digits.iter().fold(0u32, |number, digit| {
        number.saturating_mul(radix).saturating_add(char::from(*digit).to_digit(radix).unwrap_or(0))
    })
}
