//! CSV and its like: rows of values, each row looked at when it is whole. The first one names the columns.

use std::ops::Range;
use std::sync::Arc;

use super::error::Unmaskable;
use super::form::meant;
use super::plan::{Plan, Treatment};
use super::spelling::Spelling;
use super::work::Work;
use crate::detect::Hints;

/// Some put it in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What stands between values, where nothing says which it is.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Masks a table.
pub(super) struct Table {
    plan: Plan,
    delimiter: Option<u8>,
    /// What is known of the columns; nothing until the first row.
    columns: Option<Vec<Column>>,
    /// The row in hand.
    row: Vec<u8>,
    /// Whether it ends within quotes so far.
    quoted: bool,
    /// Whether the last quote in it ended a value.
    closed: bool,
}

/// What is known of a column.
struct Column {
    hints: Hints,
    treatment: Option<Arc<Treatment>>,
}

/// A value in a row.
struct Field {
    /// With its quotes.
    range: Range<usize>,
    quoted: bool,
    /// Whether readers would differ over where it ends.
    doubtful: bool,
}

impl Table {
    /// A table that may have a row of names.
    pub(super) fn new(plan: &Plan, header: bool, delimiter: Option<u8>) -> Result<Self, Unmaskable> {
        if !header && plan.hides_by_place() {
            return Err(Unmaskable::MediaType);
        }
        Ok(Self {
            plan: plan.clone(),
            delimiter,
            columns: if header { None } else { Some(Vec::new()) },
            row: Vec::new(),
            quoted: false,
            closed: false,
        })
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        while let Some(end) = self.row_end(bytes) {
            let (part, rest) = bytes.split_at(end);
            self.add(part)?;
            self.end(work)?;
            // Of two bytes that end a row the second one ends an empty one.
            let (line_end, rest) = rest.split_at_checked(1).unwrap_or((rest, &[]));
            work.verbatim(line_end);
            bytes = rest;
        }
        self.add(bytes)
    }

    fn add(&mut self, part: &[u8]) -> Result<(), Unmaskable> {
        if memchr::memchr(0, part).is_some() {
            return Err(Unmaskable::Charset);
        }
        if self.row.len().saturating_add(part.len()) > self.plan.0.limits.record {
            return Err(Unmaskable::TooLong);
        }
        self.row.extend_from_slice(part);
        Ok(())
    }

    /// Where the line end is that ends the row: in no quotes. They are quotes only around a whole value.
    fn row_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        loop {
            let rest = bytes.get(from..).unwrap_or_default();
            let at = from.saturating_add(memchr::memchr3(b'"', b'\n', b'\r', rest)?);
            if bytes.get(at) == Some(&b'"') {
                let before = at.checked_sub(1).map_or(self.row.last(), |before| bytes.get(before)).copied();
                self.quote(before);
            } else if !self.quoted {
                return Some(at);
            }
            from = at.saturating_add(1);
        }
    }

    /// A quote, behind this byte of the row.
    fn quote(&mut self, before: Option<u8>) {
        let opens = before.is_none_or(|byte| match self.delimiter {
            Some(delimiter) => byte == delimiter,
            None => DELIMITERS.contains(&byte) || byte == 0xbf,
        });
        let doubled = self.closed && before == Some(b'"');
        self.closed = self.quoted;
        self.quoted = !self.quoted && (opens || doubled);
    }

    /// The row in hand is over.
    pub(super) fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        let row = std::mem::take(&mut self.row);
        (self.quoted, self.closed) = (false, false);
        if !row.is_empty() {
            self.whole_row(&row, work)?;
        }
        self.row = row;
        self.row.clear();
        Ok(())
    }

    fn whole_row(&mut self, row: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let mark = if self.columns.is_none() && row.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK } else { &[] };
        work.verbatim(mark);
        let row = row.get(mark.len()..).unwrap_or_default();
        let delimiter = *self.delimiter.get_or_insert_with(|| likely_delimiter(row));
        let fields = fields(row, delimiter);
        let strict = self.plan.hides_by_place();
        if strict && fields.iter().any(|field| field.doubtful) {
            return Err(Unmaskable::Malformed);
        }
        let Some(columns) = &self.columns else { return self.first_row(row, &fields, delimiter, work) };
        if strict && fields.len() != columns.len() {
            return Err(Unmaskable::Malformed);
        }
        work.count_row();
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                work.verbatim(&[delimiter]);
            }
            self.field(columns.get(at), field, row, delimiter, work)?;
        }
        Ok(())
    }

    /// Takes the names of the columns. Where values are hidden by their places, one of the names has to be one of theirs: a
    /// first row that has none is hardly one of names.
    fn first_row(&mut self, row: &[u8], fields: &[Field], delimiter: u8, work: &mut Work) -> Result<(), Unmaskable> {
        let mut columns = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                work.verbatim(&[delimiter]);
            }
            let name = field.meant(row)?;
            let treatment = self.plan.0.treatment(self.plan.0.paths.named(name.trim()).into_iter());
            columns.push(Column { hints: Hints::of(&name), treatment });
            self.field(None, field, row, delimiter, work)?;
        }
        let hides = |column: &Column| column.treatment.as_ref().is_some_and(|treatment| treatment.mask.is_some());
        if self.plan.hides_by_place() && !columns.iter().any(hides) {
            return Err(Unmaskable::Malformed);
        }
        self.columns = Some(columns);
        Ok(())
    }

    fn field(
        &self,
        column: Option<&Column>,
        field: &Field,
        row: &[u8],
        delimiter: u8,
        work: &mut Work,
    ) -> Result<(), Unmaskable> {
        let treatment = column.and_then(|column| column.treatment.as_ref());
        let raw = row.get(field.range.clone()).unwrap_or_default();
        if let Some(treatment) = treatment.filter(|_| !raw.is_empty()) {
            work.count(&treatment.classes, treatment.mask.is_some());
            if let Some(mask) = &treatment.mask {
                let start = work.out().len();
                work.masked(mask, &field.meant(row)?, Spelling::Plain);
                quote(work.out(), start, field.quoted, delimiter);
                return Ok(());
            }
        }
        let lens = treatment.map_or(&self.plan.0.lens, |treatment| &treatment.lens);
        let hints = column.map_or_else(Hints::default, |column| column.hints);
        match field.inner(raw) {
            Some(inner) => {
                work.verbatim(b"\"");
                work.whole(Spelling::Quoted, hints, inner, lens)?;
                work.verbatim(b"\"");
                Ok(())
            }
            None => work.whole(Spelling::Plain, hints, raw, lens),
        }
    }
}

impl Field {
    /// What is between the quotes.
    fn inner<'r>(&self, raw: &'r [u8]) -> Option<&'r [u8]> {
        let inner = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
        inner.filter(|_| self.quoted && !self.doubtful)
    }

    fn meant(&self, row: &[u8]) -> Result<String, Unmaskable> {
        let raw = row.get(self.range.clone()).unwrap_or_default();
        match self.inner(raw) {
            Some(inner) => meant(Spelling::Quoted, inner),
            None => meant(Spelling::Plain, raw),
        }
    }
}

/// Puts quotes around what was written, if there were some or there have to be.
fn quote(out: &mut Vec<u8>, start: usize, quoted: bool, delimiter: u8) {
    let written = out.get(start..).unwrap_or_default();
    let special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if quoted || written.iter().any(special) {
        let text = String::from_utf8_lossy(written).into_owned();
        out.truncate(start);
        out.push(b'"');
        Spelling::Quoted.write(&text, out);
        out.push(b'"');
    }
}

/// Cuts a row into its values.
fn fields(row: &[u8], delimiter: u8) -> Vec<Field> {
    let (mut fields, mut start) = (Vec::new(), 0);
    loop {
        let rest = row.get(start..).unwrap_or_default();
        let quoted = rest.first() == Some(&b'"');
        let closed = if quoted { closing_quote(rest) } else { Some(0) };
        let behind = closed.unwrap_or(rest.len());
        let tail = rest.get(behind..).unwrap_or_default();
        let length = memchr::memchr(delimiter, tail).unwrap_or(tail.len());
        let plain = tail.get(..length).unwrap_or_default();
        let doubtful = closed.is_none() || if quoted { length > 0 } else { memchr::memchr(b'"', plain).is_some() };
        let end = start.saturating_add(behind).saturating_add(length);
        fields.push(Field { range: start..end, quoted, doubtful });
        if end >= row.len() {
            return fields;
        }
        start = end.saturating_add(1);
    }
}

/// Behind the quote that ends a value.
fn closing_quote(value: &[u8]) -> Option<usize> {
    let mut at = 1usize;
    loop {
        let quote = at.checked_add(memchr::memchr(b'"', value.get(at..)?)?)?;
        at = quote.checked_add(1)?;
        if value.get(at) != Some(&b'"') {
            return Some(at);
        }
        at = at.checked_add(1)?;
    }
}

/// The one that is most often in the first row; a comma if none is.
fn likely_delimiter(row: &[u8]) -> u8 {
    let count = |delimiter: &u8| memchr::memchr_iter(*delimiter, row).count();
    // Of equals the last is taken.
    DELIMITERS.into_iter().rev().max_by_key(count).unwrap_or(b',')
}
