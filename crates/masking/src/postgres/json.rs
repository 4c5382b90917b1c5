//! JSON, rewritten token by token: what is not masked stays as it was written, numbers to the last digit.

use std::borrow::Cow;

use model::lineage::Container;

use super::plan::{Leaf, Members, Part, Search, Treatment};
use super::text;
use super::types::Kind;
use super::value::{Fault, Form, Sink, Written};
use crate::detect::Hints;
use crate::mask::Mask;

/// How deep a value may be nested to be read; deeper ones are masked whole.
const MAX_DEPTH: usize = 128;

/// Takes the version byte off a binary `jsonb` and writes it to `out`.
pub(crate) fn open<'a>(form: Form, raw: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    if form.kind == Kind::Jsonb && form.binary {
        out.push(1);
        return raw.strip_prefix(&[1]).ok_or(Fault::Shape);
    }
    Ok(raw)
}

/// Writes a constructed value member by member. Anything but the announced shape is a fault: a key that was not
/// announced, another number of elements, a scalar.
pub(crate) fn members(members: &Members, json: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader { json, at: 0 };
    member_values(members, &mut reader, sink, out)?;
    copy_blank(&mut reader, out);
    if reader.peek().is_none() { Ok(()) } else { Err(Fault::Shape) }
}

fn member_values(
    members: &Members,
    reader: &mut Reader<'_>,
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let (open, close) = match members.container {
        Container::JsonObject => (b'{', b'}'),
        Container::JsonArray | Container::JsonArrayOf => (b'[', b']'),
        Container::ArrayOf | Container::Row => return Err(Fault::Shape),
    };
    copy_blank(reader, out);
    reader.expect(open)?;
    out.push(open);
    copy_blank(reader, out);
    let mut count = 0usize;
    while reader.peek() != Some(close) {
        if count > 0 {
            reader.expect(b',')?;
            out.push(b',');
            copy_blank(reader, out);
        }
        let part = if open == b'{' { keyed(members, reader, out)? } else { placed(members, count)? };
        value(part, reader, sink, out)?;
        copy_blank(reader, out);
        count += 1;
    }
    reader.expect(close)?;
    out.push(close);
    let complete = members.container != Container::JsonArray || count == members.members.len();
    if complete { Ok(()) } else { Err(Fault::Shape) }
}

fn placed(members: &Members, at: usize) -> Result<&Part, Fault> {
    let at = if members.container == Container::JsonArrayOf { 0 } else { at };
    members.members.get(at).map(|(_, part)| part).ok_or(Fault::Shape)
}

/// Copies a key and its colon and finds the member of that name.
fn keyed<'m>(members: &'m Members, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<&'m Part, Fault> {
    let raw = reader.string()?;
    let key = decode(raw)?;
    let (_, part) = members
        .members
        .iter()
        .find(|(name, _)| name.as_deref().is_some_and(|name| name.as_bytes() == key.as_bytes()))
        .ok_or(Fault::Shape)?;
    out.extend_from_slice(raw);
    copy_blank(reader, out);
    reader.expect(b':')?;
    out.push(b':');
    copy_blank(reader, out);
    Ok(part)
}

fn value(part: &Part, reader: &mut Reader<'_>, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = reader.at;
    if let Part::Members(members) = part {
        if reader.peek() == Some(b'n') {
            out.extend_from_slice(reader.value()?);
            return Ok(());
        }
        let (written, counted) = (out.len(), sink.pending.len());
        if member_values(members, reader, sink, out).is_ok() {
            return Ok(());
        }
        out.truncate(written);
        sink.pending.truncate(counted);
        reader.at = start;
        return leaf(&members.whole, reader.value()?, sink, out);
    }
    let Part::Leaf(treated) = part else { return Err(Fault::Shape) };
    leaf(treated, reader.value()?, sink, out)
}

fn leaf(leaf: &Leaf, json: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if json == b"null" {
        out.extend_from_slice(json);
        return Ok(());
    }
    sink.count(leaf.tally, matches!(leaf.treatment, Treatment::Mask(_)));
    if leaf.alike {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &leaf.treatment {
        Treatment::Pass => out.extend_from_slice(json),
        Treatment::Mask(mask) => mask_member(mask, json, sink, out),
        Treatment::Search(how) => {
            if search(how, json, sink, out)? == Written::Same {
                out.extend_from_slice(json);
            }
        }
    }
    Ok(())
}

/// Masks a member: a string by its transform, numbers and booleans as null, for a string in their place would break a
/// client that knows their type.
fn mask_member(mask: &Mask, json: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) {
    match json.first() {
        Some(b'"' | b'{' | b'[') => mask_value(mask, json, sink, out),
        _ => out.extend_from_slice(b"null"),
    }
}

/// Masks a whole value: a string by its transform, everything else by a string that names the class.
pub(crate) fn mask_value(mask: &Mask, json: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) {
    let json = json.trim_ascii();
    sink.scratch.clear();
    let text = if json.first() == Some(&b'"') { decode(json).ok() } else { None };
    let written = match text {
        Some(text) => mask.text(&text, sink.scratch),
        None if mask.transform == model::class::Transform::Null => false,
        None => {
            mask.redacted(sink.scratch);
            true
        }
    };
    if written { encode(sink.scratch, out) } else { out.extend_from_slice(b"null") }
}

/// Replaces what content shows in strings (keys too) and long numbers. A key speaks of the values behind it.
pub(crate) fn search(how: &Search, json: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    let mut reader = Reader { json, at: 0 };
    let (mut copied, mut near, mut found) = (0, how.clone(), Vec::new());
    while let Some(byte) = reader.peek() {
        let start = reader.at;
        let replaced = match byte {
            b'"' => {
                let raw = reader.string()?;
                let text = decode(raw)?;
                found.clear();
                let written = text::search(&near, text.as_bytes(), sink, &mut found);
                if reader.is_key() {
                    near.hints = how.hints.with(Hints::of(&text));
                }
                written
            }
            b'-' | b'0'..=b'9' => number(&near, reader.number(), sink),
            _ => {
                reader.at += 1;
                Written::Same
            }
        };
        if replaced == Written::Same {
            continue;
        }
        out.extend_from_slice(json.get(copied..start).ok_or(Fault::Shape)?);
        match (byte, replaced) {
            (b'"', Written::Other) => encode(&String::from_utf8_lossy(&found), out),
            (b'"', _) if reader.is_key() => out.extend_from_slice(b"\"\""),
            _ => out.extend_from_slice(b"null"),
        }
        copied = reader.at;
    }
    if copied == 0 {
        return Ok(Written::Same);
    }
    out.extend_from_slice(json.get(copied..).ok_or(Fault::Shape)?);
    Ok(Written::Other)
}

/// A number is replaced as a whole or not at all.
fn number(near: &Search, digits: &[u8], sink: &mut Sink<'_>) -> Written {
    match text::search(near, digits, sink, &mut Vec::new()) {
        Written::Same => Written::Same,
        Written::Other | Written::Null => Written::Null,
    }
}

/// A place in a JSON text that the target has checked; where it is not JSON all the same, it is a fault.
struct Reader<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(Fault::Shape);
        }
        self.at += 1;
        Ok(())
    }

    fn taken(&self, start: usize) -> Result<&'a [u8], Fault> {
        self.json.get(start..self.at).ok_or(Fault::Shape)
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let rest = self.json.get(self.at..).ok_or(Fault::Shape)?;
            let next = memchr::memchr2(b'"', b'\\', rest).ok_or(Fault::Shape)?;
            let escape = rest.get(next) == Some(&b'\\');
            self.at += next + 1 + usize::from(escape);
            if !escape {
                return self.taken(start);
            }
        }
    }

    fn number(&mut self) -> &'a [u8] {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let inside = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(inside).count().max(1);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Whether the string just read is a key.
    fn is_key(&self) -> bool {
        let rest = self.json.get(self.at..).unwrap_or_default();
        rest.trim_ascii_start().first() == Some(&b':')
    }

    /// A whole value of any kind.
    fn value(&mut self) -> Result<&'a [u8], Fault> {
        let (start, mut depth) = (self.at, 0usize);
        loop {
            match self.peek().ok_or(Fault::Shape)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(Fault::Shape)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                b'-' | b'0'..=b'9' => {
                    self.number();
                }
                b'a'..=b'z' => {
                    let rest = self.json.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
                }
                _ => return Err(Fault::Shape),
            }
            if depth == 0 {
                return self.taken(start);
            }
            if depth > MAX_DEPTH {
                return Err(Fault::Shape);
            }
        }
    }
}

fn copy_blank(reader: &mut Reader<'_>, out: &mut Vec<u8>) {
    while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = reader.peek() {
        out.push(byte);
        reader.at += 1;
    }
}

/// The text of a string with its quotes. A surrogate without its partner, which the `json` type lets through, becomes
/// U+FFFD.
fn decode(raw: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let inner = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).ok_or(Fault::Shape)?;
    let inner = std::str::from_utf8(inner).map_err(|_| Fault::Shape)?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut high: Option<u32> = None;
    let mut symbols = inner.chars();
    while let Some(symbol) = symbols.next() {
        let unit = if symbol == '\\' { escaped(&mut symbols)? } else { u32::from(symbol) };
        if let Some(first) = high.take() {
            if (0xdc00..0xe000).contains(&unit) {
                text.extend(char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (unit - 0xdc00)));
                continue;
            }
            text.push(char::REPLACEMENT_CHARACTER);
        }
        if (0xd800..0xdc00).contains(&unit) {
            high = Some(unit);
        } else {
            text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
    if high.is_some() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Ok(Cow::Owned(text))
}

/// The code unit of an escape, after its backslash.
fn escaped(symbols: &mut std::str::Chars<'_>) -> Result<u32, Fault> {
    Ok(match symbols.next().ok_or(Fault::Shape)? {
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'u' => {
            let mut unit = 0;
            for _ in 0..4 {
                let digit = symbols.next().and_then(|digit| digit.to_digit(16)).ok_or(Fault::Shape)?;
                unit = unit * 16 + digit;
            }
            unit
        }
        symbol @ ('"' | '\\' | '/') => u32::from(symbol),
        _ => return Err(Fault::Shape),
    })
}

/// Writes a text as a string.
fn encode(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
