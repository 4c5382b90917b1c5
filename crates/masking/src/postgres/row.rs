//! A row: a count of columns, then each value with its length in front (DataRow, and a row of a binary COPY).

use super::plan::{Column, Part, PlanParts, Treatment};
use super::types::Kind;
use super::value::{self, Form, Sink, Written};
use crate::error::MaskError;

/// Appends the row with its masks. Columns that stand are copied in runs, so a row is walked once and written once.
pub(crate) fn write(plan: &PlanParts, row: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), MaskError> {
    let mut rest = must_count(plan.columns.len(), row)?;
    let (mut at, mut copied) = (2usize, 0usize);
    for column in &plan.columns {
        let (value, behind) = split_value(rest)?;
        let end = row.len().saturating_sub(behind.len());
        if let Some(value) = value.or_else(|| column.in_place_of_null()) {
            if column.stands() {
                column.count(sink);
            } else {
                out.extend_from_slice(row.get(copied..at).ok_or(MaskError::Malformed)?);
                copied = if column.replace(value, sink, out)? { end } else { at };
            }
        }
        (rest, at) = (behind, end);
    }
    out.extend_from_slice(row.get(copied..).ok_or(MaskError::Malformed)?);
    if rest.is_empty() { Ok(()) } else { Err(MaskError::Malformed) }
}

/// Whether a row has so many values, and nothing behind them.
pub(crate) fn must_have(columns: usize, row: &[u8]) -> Result<(), MaskError> {
    let mut rest = must_count(columns, row)?;
    for _ in 0..columns {
        rest = split_value(rest)?.1;
    }
    if rest.is_empty() { Ok(()) } else { Err(MaskError::Malformed) }
}

/// The values of a row that says that it has so many.
fn must_count(columns: usize, row: &[u8]) -> Result<&[u8], MaskError> {
    let (count, values) = row.split_first_chunk::<2>().ok_or(MaskError::Malformed)?;
    if usize::from(u16::from_be_bytes(*count)) == columns { Ok(values) } else { Err(MaskError::Malformed) }
}

/// The value (NULL is `None`) whose length comes first, and what is behind it.
fn split_value(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), MaskError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(MaskError::Malformed)?;
    match i32::from_be_bytes(*length) {
        -1 => Ok((None, rest)),
        length => {
            let length = usize::try_from(length).map_err(|_| MaskError::Malformed)?;
            let (value, behind) = rest.split_at_checked(length).ok_or(MaskError::Malformed)?;
            Ok((Some(value), behind))
        }
    }
}

/// Appends one value with its length in front.
fn append(written: Written, raw: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
    let value = match written {
        Written::Null => {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            return Ok(());
        }
        Written::Same => raw,
        Written::Other => value,
    };
    let length = i32::try_from(value.len()).map_err(|_| MaskError::TooLarge)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// A single value with its length in front (FunctionCallResponse).
pub(crate) fn single(plan: &PlanParts, body: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), MaskError> {
    let ([column], (value, [])) = (plan.columns.as_slice(), split_value(body)?) else {
        return Err(MaskError::Malformed);
    };
    let Some(raw) = value.or_else(|| column.in_place_of_null()) else {
        out.extend_from_slice(body);
        return Ok(());
    };
    column.write(raw, sink, |written, value| append(written, raw, value, out))
}

impl Column {
    /// Whether every value of the column is delivered as it is.
    pub(crate) const fn stands(&self) -> bool {
        match &self.part {
            Part::Leaf(leaf) => matches!(leaf.treatment, Treatment::Pass),
            Part::Members(_) => false,
        }
    }

    /// What is masked where there is NULL, if that must not show.
    pub(crate) fn in_place_of_null(&self) -> Option<&'static [u8]> {
        let Part::Leaf(leaf) = &self.part else { return None };
        // A binary `jsonb` begins with its version.
        let empty: &[u8] = if self.kind == Kind::Jsonb && self.binary { b"\x01" } else { b"" };
        leaf.alike.then_some(empty)
    }

    /// Appends what is shown in place of a value, with its length in front; nothing if the value stands, which it says.
    fn replace(&self, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<bool, MaskError> {
        let form = Form { kind: self.kind, binary: self.binary };
        let start = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        match value::write(&self.part, form, raw, sink, out)? {
            Written::Same => out.truncate(start),
            Written::Null => out.truncate(start + 4),
            Written::Other => {
                let length = i32::try_from(out.len().saturating_sub(start + 4)).map_err(|_| MaskError::TooLarge)?;
                let slot = out.get_mut(start..start + 4).ok_or(MaskError::Malformed)?;
                slot.copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(out.len() > start)
    }

    /// Masks one value and hands on what came of it.
    pub(crate) fn write(
        &self,
        raw: &[u8],
        sink: &mut Sink<'_>,
        then: impl FnOnce(Written, &[u8]) -> Result<(), MaskError>,
    ) -> Result<(), MaskError> {
        let form = Form { kind: self.kind, binary: self.binary };
        let mut buffer = std::mem::take(sink.buffer);
        buffer.clear();
        let done = value::write(&self.part, form, raw, sink, &mut buffer).and_then(|written| then(written, &buffer));
        *sink.buffer = buffer;
        done
    }

    pub(crate) fn count(&self, sink: &mut Sink<'_>) {
        if let Part::Leaf(leaf) = &self.part {
            sink.count(leaf.tally, false);
        }
    }
}
