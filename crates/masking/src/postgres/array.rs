//! SQL arrays (`array_out`, `array_send`).

use super::types::Kind;
use super::value::{Fault, Form, Written, prefixed};

/// Writes an array with the same dimensions, each element by `element`, which is not called for NULLs.
pub(crate) fn rewrite(
    raw: &[u8],
    binary: bool,
    element_oid: u32,
    out: &mut Vec<u8>,
    element: impl FnMut(Form, &[u8], &mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<(), Fault> {
    if binary { rewrite_binary(raw, out, element) } else { rewrite_text(raw, Kind::of(element_oid), out, element) }
}

/// Writes an array of one element.
pub(crate) fn single(value: &[u8], binary: bool, element_oid: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
    if !binary {
        out.push(b'{');
        quoted(value, out);
        out.push(b'}');
        return Ok(());
    }
    // Dimensions, whether there are NULLs, the element's oid, the length and lower bound of the only dimension.
    for word in [1, 0, element_oid, 1, 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    prefixed(out, value, |_| Ok(Written::Same)).map(|_| ())
}

fn rewrite_binary(
    raw: &[u8],
    out: &mut Vec<u8>,
    mut element: impl FnMut(Form, &[u8], &mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<(), Fault> {
    /// `MAXDIM` of the server.
    const MAX_DIMENSIONS: u32 = 6;
    let start = out.len();
    let mut reader = Reader(raw);
    let (dimensions, _, oid) = (reader.word()?, reader.word()?, reader.word()?);
    if dimensions > MAX_DIMENSIONS {
        return Err(Fault::Shape);
    }
    let mut count: u32 = if dimensions == 0 { 0 } else { 1 };
    for _ in 0..dimensions {
        count = count.checked_mul(reader.word()?).ok_or(Fault::Shape)?;
        reader.word()?;
    }
    let header = raw.len().saturating_sub(reader.0.len());
    out.extend_from_slice(raw.get(..header).ok_or(Fault::Shape)?);
    let form = Form { kind: Kind::of(oid), binary: true };
    let mut nulls = 0u32;
    for _ in 0..count {
        match reader.value()? {
            Some(value) => {
                if prefixed(out, value, |out| element(form, value, out))? == Written::Null {
                    nulls = 1;
                }
            }
            None => {
                out.extend_from_slice(&(-1i32).to_be_bytes());
                nulls = 1;
            }
        }
    }
    reader.end()?;
    let flags = out.get_mut(start + 4..start + 8).ok_or(Fault::Shape)?;
    flags.copy_from_slice(&nulls.to_be_bytes());
    Ok(())
}

/// Big-endian words and values with their lengths in front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn word(&mut self) -> Result<u32, Fault> {
        let (word, rest) = self.0.split_first_chunk::<4>().ok_or(Fault::Shape)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// `None` is NULL.
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        let length = i32::from_be_bytes(self.word()?.to_be_bytes());
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Fault::Shape)?;
        let (value, rest) = self.0.split_at_checked(length).ok_or(Fault::Shape)?;
        self.0 = rest;
        Ok(Some(value))
    }

    pub(crate) fn end(&self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Shape) }
    }
}

/// Nothing, or bounds that are not the usual ones: `[0:1][-3:2]=`.
fn are_bounds(bytes: &[u8]) -> bool {
    let is_bound = |text: &str| text.parse::<i32>().is_ok();
    let is_dimension = |text: &str| {
        let pair = text.strip_prefix('[').and_then(|text| text.split_once(':'));
        pair.is_some_and(|(lower, upper)| is_bound(lower) && is_bound(upper))
    };
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    text.is_empty() || text.strip_suffix("]=").is_some_and(|dimensions| dimensions.split(']').all(is_dimension))
}

fn rewrite_text(
    raw: &[u8],
    kind: Kind,
    out: &mut Vec<u8>,
    mut element: impl FnMut(Form, &[u8], &mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<(), Fault> {
    let form = Form { kind, binary: false };
    let mut depth = 0usize;
    let open = raw.iter().position(|byte| *byte == b'{').ok_or(Fault::Shape)?;
    let bounds = raw.get(..open).filter(|bounds| are_bounds(bounds)).ok_or(Fault::Shape)?;
    out.extend_from_slice(bounds);
    let mut rest = raw.get(open..).ok_or(Fault::Shape)?;
    let mut decoded = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.checked_sub(1).ok_or(Fault::Shape)?,
            b',' => {}
            _ => {
                let (bare, after) = token(rest, &mut decoded)?;
                if depth == 0 {
                    return Err(Fault::Shape);
                }
                if bare && decoded.eq_ignore_ascii_case(b"NULL") {
                    out.extend_from_slice(b"NULL");
                } else {
                    text_element(&decoded, out, |out| element(form, &decoded, out))?;
                }
                rest = after;
                continue;
            }
        }
        out.push(*byte);
        rest = after;
        if depth == 0 {
            break;
        }
    }
    if depth == 0 && rest.is_empty() { Ok(()) } else { Err(Fault::Shape) }
}

fn text_element(
    decoded: &[u8],
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<(), Fault> {
    let start = out.len();
    match fill(out)? {
        Written::Same => quoted(decoded, out),
        Written::Null => out.extend_from_slice(b"NULL"),
        Written::Other => {
            let written = out.split_off(start);
            quoted(&written, out);
        }
    }
    Ok(())
}

/// Reads one element, and whether it stood without quotes.
fn token<'a>(text: &'a [u8], decoded: &mut Vec<u8>) -> Result<(bool, &'a [u8]), Fault> {
    decoded.clear();
    let quoted = text.first() == Some(&b'"');
    let mut at = usize::from(quoted);
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => {
                at += 1;
                decoded.push(*text.get(at).ok_or(Fault::Shape)?);
            }
            b'"' if quoted => return Ok((false, text.get(at + 1..).unwrap_or_default())),
            b',' | b'}' if !quoted => return Ok((true, text.get(at..).unwrap_or_default())),
            byte => decoded.push(*byte),
        }
        at += 1;
    }
    Err(Fault::Shape)
}

/// As `array_out` quotes.
fn quoted(value: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | b'\t'..=b'\r');
    if !value.is_empty() && !value.iter().any(special) && !value.eq_ignore_ascii_case(b"NULL") {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
