//! COPY … TO STDOUT: rows in CopyData messages, whose boundaries are not those of rows.

use super::plan::Plan;
use super::row;
use super::value::{Sink, Written};
use crate::error::MaskError;

pub(super) mod csv;
pub(super) mod text;

#[cfg(test)]
mod tests;

/// The layout of the rows (from the statement's options, and CopyOutResponse).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    /// `FORMAT text`.
    Text(TextFormat),
    /// `FORMAT csv`.
    Csv(CsvFormat),
    /// `FORMAT binary`.
    Binary,
    /// Of a statement that was not understood: nothing says where a value begins. It passes as it is, by a plan of one
    /// column, where nothing in it could be hidden from the subject, and not at all elsewhere.
    Unknown,
}

/// Options of `FORMAT text`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextFormat {
    /// Between values; a tab unless stated.
    pub delimiter: u8,
    /// What stands for NULL; `\N` unless stated.
    pub null: Vec<u8>,
    /// Whether the first line names the columns.
    pub header: bool,
}

impl Default for TextFormat {
    fn default() -> Self {
        Self { delimiter: b'\t', null: b"\\N".to_vec(), header: false }
    }
}

/// Options of `FORMAT csv`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsvFormat {
    /// Between values; a comma unless stated.
    pub delimiter: u8,
    /// Around values; `"` unless stated.
    pub quote: u8,
    /// Before a quote inside a value; the quote unless stated.
    pub escape: u8,
    /// What stands, unquoted, for NULL; nothing unless stated.
    pub null: Vec<u8>,
    /// Whether the first line names the columns.
    pub header: bool,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', escape: b'"', null: Vec::new(), header: false }
    }
}

/// The masks of one COPY in flight: what came of a row that is not complete yet, and where in the stream it is.
pub struct CopyMasker {
    pub(crate) plan: Plan,
    pub(crate) format: CopyFormat,
    /// The start of a row whose end has not come yet.
    pub(crate) held: Vec<u8>,
    pub(crate) max_row: usize,
    pub(crate) stage: Stage,
}

/// What comes next in the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Header,
    Rows,
    /// After the binary trailer: nothing may follow.
    Ended,
}

impl CopyMasker {
    /// Masks one COPY by `plan`. A row of more than `max_row` bytes is [`crate::MaskError::TooLarge`].
    pub fn new(plan: Plan, format: CopyFormat, max_row: usize) -> Self {
        let has_header = match &format {
            CopyFormat::Text(options) => options.header,
            CopyFormat::Csv(options) => options.header,
            CopyFormat::Binary => true,
            CopyFormat::Unknown => false,
        };
        let stage = if has_header { Stage::Header } else { Stage::Rows };
        Self { plan, format, held: Vec::new(), max_row, stage }
    }

    /// Whether the stream may end here.
    pub(crate) fn is_between_rows(&self) -> bool {
        self.held.is_empty() && (self.format != CopyFormat::Binary || self.stage == Stage::Ended)
    }
}

/// Takes up the bytes of one CopyData and appends the rows that they complete; returns how many.
pub(crate) fn feed(
    masker: &mut CopyMasker,
    bytes: &[u8],
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<u64, MaskError> {
    if masker.format == CopyFormat::Unknown {
        return masker.whole(bytes, sink, out);
    }
    let mut held = std::mem::take(&mut masker.held);
    let input = if held.is_empty() {
        bytes
    } else {
        held.extend_from_slice(bytes);
        &held
    };
    let (mut rest, mut rows) = (input, 0u64);
    while let Some(length) = masker.next(rest)? {
        let (unit, after) = rest.split_at_checked(length).ok_or(MaskError::Malformed)?;
        rows = rows.saturating_add(u64::from(masker.unit(unit, sink, out)?));
        rest = after;
    }
    if rest.len() > masker.max_row {
        return Err(MaskError::TooLarge);
    }
    masker.held = if held.is_empty() {
        rest.to_vec()
    } else {
        let done = held.len().saturating_sub(rest.len());
        held.drain(..done);
        held
    };
    Ok(rows)
}

impl CopyMasker {
    /// Passes what has no layout; the server sends a row at a time.
    fn whole(&self, bytes: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<u64, MaskError> {
        let [column] = self.plan.0.columns.as_slice() else { return Err(MaskError::Malformed) };
        if sink.lens.hides_by_content() {
            // What is searched has to be whole values, without the escapes of a layout.
            return Err(MaskError::Unmaskable);
        }
        let stands = column.write(bytes, sink, |written, _| match written {
            Written::Same => Ok(()),
            Written::Null | Written::Other => Err(MaskError::Unmaskable),
        });
        stands.map(|()| out.extend_from_slice(bytes)).map(|()| 1)
    }

    /// How long the next header, row or trailer is, if all of it is there.
    fn next(&self, bytes: &[u8]) -> Result<Option<usize>, MaskError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        match &self.format {
            CopyFormat::Text(_) => Ok(memchr::memchr(b'\n', bytes).map(|end| end + 1)),
            CopyFormat::Csv(options) => Ok(csv::row_end(options, bytes)),
            CopyFormat::Binary => self.next_binary(bytes),
            CopyFormat::Unknown => Ok(None),
        }
    }

    /// Appends one header, row or trailer; whether it was a row.
    fn unit(&mut self, unit: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<bool, MaskError> {
        if self.stage != Stage::Rows || (self.format == CopyFormat::Binary && unit == TRAILER) {
            out.extend_from_slice(unit);
            self.stage = if self.stage == Stage::Rows { Stage::Ended } else { Stage::Rows };
            return Ok(false);
        }
        let plan = &self.plan.0;
        match &self.format {
            CopyFormat::Text(options) => text::row(options, plan, unit, sink, out)?,
            CopyFormat::Csv(options) => csv::row(options, plan, unit, sink, out)?,
            CopyFormat::Binary => row::write(plan, unit, sink, out)?,
            CopyFormat::Unknown => return Err(MaskError::Malformed),
        }
        Ok(true)
    }

    fn next_binary(&self, bytes: &[u8]) -> Result<Option<usize>, MaskError> {
        match self.stage {
            Stage::Header => binary_header(bytes),
            Stage::Rows => binary_row(bytes),
            Stage::Ended => Err(MaskError::Malformed),
        }
    }
}

/// What a binary COPY begins with (PostgreSQL documentation, COPY, "Binary Format").
pub(super) const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// What it ends with.
const TRAILER: &[u8] = &[0xff, 0xff];

/// The signature, flags (none are in use) and an extension with its length in front.
fn binary_header(bytes: &[u8]) -> Result<Option<usize>, MaskError> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes.get(..known) != SIGNATURE.get(..known) {
        return Err(MaskError::Malformed);
    }
    let Some((flags, rest)) = bytes.get(SIGNATURE.len()..).and_then(<[u8]>::split_first_chunk::<4>) else {
        return Ok(None);
    };
    if *flags != [0; 4] {
        return Err(MaskError::Malformed);
    }
    let Some((extension, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let extension = usize::try_from(u32::from_be_bytes(*extension)).map_err(|_| MaskError::Malformed)?;
    Ok((rest.len() >= extension).then(|| SIGNATURE.len() + 8 + extension))
}

/// A count of columns and the values, or the trailer.
fn binary_row(bytes: &[u8]) -> Result<Option<usize>, MaskError> {
    let Some((count, _)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    if count == TRAILER {
        return Ok(Some(TRAILER.len()));
    }
    let mut at = 2usize;
    for _ in 0..u16::from_be_bytes(*count) {
        let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
        let length = match i32::from_be_bytes(*length) {
            -1 => 0,
            length => usize::try_from(length).map_err(|_| MaskError::Malformed)?,
        };
        at = at.checked_add(4).and_then(|at| at.checked_add(length)).ok_or(MaskError::Malformed)?;
    }
    Ok((at <= bytes.len()).then_some(at))
}

/// What becomes of the fields of a text or CSV row.
enum Shown<'a> {
    /// As it came.
    Same,
    Null,
    Other(&'a [u8]),
}

impl<'a> Shown<'a> {
    const fn of(written: Written, value: &'a [u8]) -> Self {
        match written {
            Written::Same => Self::Same,
            Written::Null => Self::Null,
            Written::Other => Self::Other(value),
        }
    }
}
