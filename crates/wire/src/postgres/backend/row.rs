//! The description of rows.

use crate::postgres::error::MessageError;
use crate::postgres::part::{Format, Text};
use crate::postgres::read::Reader;

/// One column of a RowDescription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Its label.
    pub name: Text<'a>,
    /// The object id of the table that the column is of; 0 if it is computed. A view is a table here.
    pub table: u32,
    /// The column's number in that table; 0 if it is computed or is the whole row.
    pub column: i16,
    /// The object id of its type.
    pub type_oid: u32,
    /// The size of its type in bytes; negative if it varies.
    pub type_size: i16,
    /// The modifier of its type; -1 for none.
    pub type_modifier: i32,
    /// How its values are written; text when a statement (not a portal) was described.
    pub format: Format,
}

impl<'a> Field<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(Self {
            name: reader.text()?,
            table: reader.u32()?,
            column: reader.i16()?,
            type_oid: reader.u32()?,
            type_size: reader.i16()?,
            type_modifier: reader.i32()?,
            format: Format::from_code(reader.i16()?)?,
        })
    }
}

/// The columns of a RowDescription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fields<'a> {
    count: u16,
    fields: Text<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let count = reader.u16()?;
        let fields = reader.span(|reader| (0..count).try_for_each(|_| Field::read(reader).map(drop)))?;
        Ok(Self { count, fields: Text::new(fields) })
    }

    /// How many.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// The columns in order.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        let mut reader = Reader::new(self.fields.bytes());
        (0..self.count).map_while(move |_| Field::read(&mut reader).ok())
    }

    pub(crate) const fn raw(self) -> &'a [u8] {
        self.fields.bytes()
    }
}
