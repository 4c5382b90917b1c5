//! COPY … TO STDOUT: rows in CopyData messages, whose boundaries are not those of rows.

use super::plan::Plan;

/// The layout of the rows (from the statement's options, and CopyOutResponse).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    /// `FORMAT text`.
    Text(TextFormat),
    /// `FORMAT csv`.
    Csv(CsvFormat),
    /// `FORMAT binary`.
    Binary,
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
        };
        let stage = if has_header { Stage::Header } else { Stage::Rows };
        Self { plan, format, held: Vec::new(), max_row, stage }
    }
}
