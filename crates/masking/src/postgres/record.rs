//! Rows as values (`record_out`, `record_send`).

use super::array::Reader;
use super::types::Kind;
use super::value::{Fault, Form, Written, prefixed};

/// Writes a row, each field by `field`, which gets its position and is not called for NULLs. In text the types of
/// fields are not known.
pub(crate) fn rewrite(
    raw: &[u8],
    binary: bool,
    count: Option<usize>,
    out: &mut Vec<u8>,
    field: impl FnMut(usize, Form, &[u8], &mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<(), Fault> {
    let fields = if binary { rewrite_binary(raw, out, field)? } else { rewrite_text(raw, out, field)? };
    // A row of no column and one of one NULL look alike in text.
    let agrees = count.is_none_or(|count| fields == count || (!binary && count == 0 && fields == 1));
    if agrees { Ok(()) } else { Err(Fault::Shape) }
}

fn rewrite_binary(
    raw: &[u8],
    out: &mut Vec<u8>,
    mut field: impl FnMut(usize, Form, &[u8], &mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<usize, Fault> {
    let mut reader = Reader(raw);
    let word = reader.word()?;
    let count = usize::try_from(word).map_err(|_| Fault::Shape)?;
    out.extend_from_slice(&word.to_be_bytes());
    for at in 0..count {
        let oid = reader.word()?;
        out.extend_from_slice(&oid.to_be_bytes());
        let form = Form { kind: Kind::of(oid), binary: true };
        match reader.value()? {
            Some(value) => {
                prefixed(out, value, |out| field(at, form, value, out))?;
            }
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    reader.end()?;
    Ok(count)
}

fn rewrite_text(
    raw: &[u8],
    out: &mut Vec<u8>,
    mut field: impl FnMut(usize, Form, &[u8], &mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<usize, Fault> {
    let form = Form { kind: Kind::Other, binary: false };
    let mut rest = raw.strip_prefix(b"(").ok_or(Fault::Shape)?;
    out.push(b'(');
    let mut decoded = Vec::new();
    for at in 0.. {
        let (token, after) = token(rest, &mut decoded)?;
        let start = out.len();
        let written = if token.is_empty() { Written::Same } else { field(at, form, &decoded, out)? };
        match written {
            Written::Same => out.extend_from_slice(token),
            Written::Null => {}
            Written::Other => {
                let written = out.split_off(start);
                quoted(&written, out);
            }
        }
        match after.split_first() {
            Some((b',', after)) => rest = after,
            Some((b')', [])) => {
                out.push(b')');
                return Ok(at + 1);
            }
            _ => return Err(Fault::Shape),
        }
        out.push(b',');
    }
    Err(Fault::Shape)
}

/// Reads one field: what stands there, what it means, and what follows.
fn token<'a>(text: &'a [u8], decoded: &mut Vec<u8>) -> Result<(&'a [u8], &'a [u8]), Fault> {
    decoded.clear();
    let (mut at, mut inside) = (0, false);
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => {
                at += 1;
                decoded.push(*text.get(at).ok_or(Fault::Shape)?);
            }
            b'"' if inside && text.get(at + 1) == Some(&b'"') => {
                at += 1;
                decoded.push(b'"');
            }
            b'"' => inside = !inside,
            b',' | b')' if !inside => return text.split_at_checked(at).ok_or(Fault::Shape),
            byte => decoded.push(*byte),
        }
        at += 1;
    }
    Err(Fault::Shape)
}

/// As `record_out` quotes, but always.
fn quoted(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(b'"');
}
