//! `FORMAT text`: values between delimiters, one row a line, escapes with a backslash.

use super::{Shown, TextFormat};
use crate::error::MaskError;
use crate::postgres::plan::PlanParts;
use crate::postgres::value::Sink;

/// Appends one row, whose newline it ends with.
pub(super) fn row(
    options: &TextFormat,
    plan: &PlanParts,
    line: &[u8],
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MaskError> {
    let line = line.strip_suffix(b"\n").ok_or(MaskError::Malformed)?;
    let mut rest = Some(line);
    let mut decoded = Vec::new();
    for (at, column) in plan.columns.iter().enumerate() {
        let (raw, after) = split(rest.ok_or(MaskError::Malformed)?, options.delimiter);
        rest = after;
        if at > 0 {
            out.push(options.delimiter);
        }
        let null = raw == options.null;
        if null && column.in_place_of_null().is_none() {
            out.extend_from_slice(raw);
        } else if column.stands() {
            column.count(sink);
            out.extend_from_slice(raw);
        } else {
            decode(raw, &mut decoded)?;
            if null {
                decoded.clear();
            }
            column.write(&decoded, sink, |written, value| {
                match Shown::of(written, value) {
                    Shown::Same => out.extend_from_slice(raw),
                    Shown::Null => out.extend_from_slice(&options.null),
                    Shown::Other(value) => encode(value, options.delimiter, out),
                }
                Ok(())
            })?;
        }
    }
    // A row without columns is an empty line.
    if rest.is_some() && !(plan.columns.is_empty() && line.is_empty()) {
        return Err(MaskError::Malformed);
    }
    out.push(b'\n');
    Ok(())
}

/// The next field, and what follows its delimiter.
fn split(text: &[u8], delimiter: u8) -> (&[u8], Option<&[u8]>) {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == delimiter => break,
            _ => at += 1,
        }
    }
    (text.get(..at).unwrap_or(text), text.get(at + 1..).filter(|_| at < text.len()))
}

/// As `CopyReadAttributesText` reads.
fn decode(raw: &[u8], decoded: &mut Vec<u8>) -> Result<(), MaskError> {
    decoded.clear();
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            decoded.push(*byte);
            continue;
        }
        decoded.push(escaped(*bytes.next().ok_or(MaskError::Malformed)?));
    }
    Ok(())
}

/// What a character behind a backslash stands for.
const fn escaped(character: u8) -> u8 {
    match character {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    }
}

/// As `CopyReadAttributesText` reads what comes in, where bytes may be written by number as well.
pub(in crate::postgres) fn decode_input(raw: &[u8], decoded: &mut Vec<u8>) {
    decoded.clear();
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let Some((escape, after)) = after.split_first().filter(|_| *byte == b'\\') else {
            decoded.push(*byte);
            continue;
        };
        let (digits, radix, most) = match escape {
            b'0'..=b'7' => (rest, 8, 3),
            b'x' => (after, 16, 2),
            _ => (after, 0, 0),
        };
        let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let count = digits.iter().take(most).take_while(|byte| radix > 0 && is_digit(byte)).count();
        let number = digits.get(..count).and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| u32::from_str_radix(digits, radix.max(2)).ok()) {
            Some(number) => {
                // The server keeps the low byte of an octal number.
                decoded.extend(u8::try_from(number & 0xff));
                rest = digits.get(count..).unwrap_or_default();
            }
            None => {
                decoded.push(escaped(*escape));
                rest = after;
            }
        }
    }
}

/// As `CopyAttributeOutText` writes.
fn encode(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in value {
        let escape = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            byte if *byte == delimiter => delimiter,
            _ => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escape]);
    }
}
