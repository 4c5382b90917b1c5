//! `FORMAT csv`, with any delimiter, quote and escape.

use super::{CsvFormat, Shown};
use crate::error::MaskError;
use crate::postgres::plan::PlanParts;
use crate::postgres::value::Sink;

/// How long the first row is, its newline included, if all of it is there. A newline inside quotes ends no row.
pub(super) fn row_end(options: &CsvFormat, bytes: &[u8]) -> Option<usize> {
    let (mut at, mut inside) = (0, false);
    while let Some(byte) = bytes.get(at) {
        if inside && *byte == options.escape && options.escape != options.quote {
            at += 1;
        } else if *byte == options.quote {
            inside = !inside;
        } else if *byte == b'\n' && !inside {
            return Some(at + 1);
        }
        at += 1;
    }
    None
}

/// Appends one row, whose newline it ends with.
pub(super) fn row(
    options: &CsvFormat,
    plan: &PlanParts,
    line: &[u8],
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MaskError> {
    let line = line.strip_suffix(b"\n").ok_or(MaskError::Malformed)?;
    let mut rest = Some(line);
    let mut decoded = Vec::new();
    for (at, column) in plan.columns.iter().enumerate() {
        let text = rest.ok_or(MaskError::Malformed)?;
        let (raw, after) = field(options, text, &mut decoded);
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
            if null {
                decoded.clear();
            }
            column.write(&decoded, sink, |written, value| {
                match Shown::of(written, value) {
                    Shown::Same => out.extend_from_slice(raw),
                    Shown::Null => out.extend_from_slice(&options.null),
                    Shown::Other(value) => quoted(options, value, out),
                }
                Ok(())
            })?;
        }
    }
    if rest.is_some() && !(plan.columns.is_empty() && line.is_empty()) {
        return Err(MaskError::Malformed);
    }
    out.push(b'\n');
    Ok(())
}

/// The next field as it stands, what it means (in `decoded`), and what follows its delimiter.
pub(in crate::postgres) fn field<'a>(
    options: &CsvFormat,
    text: &'a [u8],
    decoded: &mut Vec<u8>,
) -> (&'a [u8], Option<&'a [u8]>) {
    decoded.clear();
    let (mut at, mut inside) = (0, false);
    while let Some(byte) = text.get(at) {
        let next = text.get(at + 1).copied();
        if inside && *byte == options.escape && next.is_some_and(|next| next == options.quote || next == options.escape)
        {
            decoded.extend(next);
            at += 1;
        } else if *byte == options.quote {
            inside = !inside;
        } else if *byte == options.delimiter && !inside {
            break;
        } else {
            decoded.push(*byte);
        }
        at += 1;
    }
    (text.get(..at).unwrap_or(text), text.get(at + 1..).filter(|_| at < text.len()))
}

/// A masked value, always in quotes: it can be mistaken neither for NULL nor for a delimiter.
fn quoted(options: &CsvFormat, value: &[u8], out: &mut Vec<u8>) {
    out.push(options.quote);
    for byte in value {
        if *byte == options.quote || *byte == options.escape {
            out.push(options.escape);
        }
        out.push(*byte);
    }
    out.push(options.quote);
}
