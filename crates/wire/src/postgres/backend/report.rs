//! Errors and notices.

use crate::postgres::error::MessageError;
use crate::postgres::part::Text;
use crate::postgres::read::Reader;

/// The codes of the fields of a report (postgres_ext.h `PG_DIAG_*`).
pub mod field {
    /// Severity, translated.
    pub const SEVERITY: u8 = b'S';
    /// Severity, never translated (since 9.6).
    pub const SEVERITY_PLAIN: u8 = b'V';
    /// SQLSTATE.
    pub const SQLSTATE: u8 = b'C';
    /// What happened.
    pub const MESSAGE: u8 = b'M';
    /// More about it. Often quotes values.
    pub const DETAIL: u8 = b'D';
    /// What to do.
    pub const HINT: u8 = b'H';
    /// Where in the statement, in characters from 1.
    pub const POSITION: u8 = b'P';
    /// The call stack. Often quotes values.
    pub const CONTEXT: u8 = b'W';
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportFields<'a> {
    fields: Text<'a>,
}

impl<'a> ReportFields<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let fields = reader.span(|reader| {
            while reader.u8()? != 0 {
                reader.text()?;
            }
            Ok(())
        })?;
        Ok(Self { fields: Text::new(fields) })
    }

    /// Code and text of each field in order.
    pub fn iter(self) -> impl Iterator<Item = (u8, Text<'a>)> {
        let mut reader = Reader::new(self.fields.bytes());
        std::iter::from_fn(move || {
            let code = reader.u8().ok().filter(|code| *code != 0)?;
            Some((code, reader.text().ok()?))
        })
    }

    /// The first field with this code: see [`field`].
    pub fn get(self, code: u8) -> Option<Text<'a>> {
        self.iter().find(|(known, _)| *known == code).map(|(_, text)| text)
    }

    /// The SQLSTATE; empty if the server sent none.
    pub fn sqlstate(self) -> Text<'a> {
        self.get(field::SQLSTATE).unwrap_or_default()
    }

    /// Whether the server ends the connection with it: FATAL or PANIC.
    pub fn is_fatal(self) -> bool {
        let severity = self.get(field::SEVERITY_PLAIN).or_else(|| self.get(field::SEVERITY)).unwrap_or_default();
        matches!(severity.bytes(), b"FATAL" | b"PANIC")
    }

    pub(crate) const fn raw(self) -> &'a [u8] {
        self.fields.bytes()
    }
}
