//! What a server sends.

mod authentication;
mod report;
mod row;

pub use authentication::{Authentication, Mechanisms, NegotiateProtocolVersion};
pub use report::{ReportFields, field};
pub use row::{Field, Fields};

use super::error::MessageError;
use super::frame::{BackendTag, Frame};
use super::part::{Bytes, Format, Formats, Oids, Text, Values};
use super::read::Reader;
use super::startup::MAX_CANCEL_KEY;

/// A server's message. It borrows from the frame that it was parsed from, every byte of which it accounts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend<'a> {
    /// Asks for proof of identity, or accepts it.
    Authentication(Authentication<'a>),
    /// What a CancelRequest has to say.
    BackendKeyData(BackendKeyData<'a>),
    /// A portal was made.
    BindComplete,
    /// A statement or portal is closed, or did not exist.
    CloseComplete,
    /// A statement is complete; the text is its tag, such as `SELECT 3`.
    CommandComplete(Text<'a>),
    /// Data of COPY TO STDOUT. A row may be split over several of them, or several be in one.
    CopyData(Bytes<'a>),
    /// The data is complete.
    CopyDone,
    /// Waits for data.
    CopyInResponse(CopyResponse<'a>),
    /// Data follows.
    CopyOutResponse(CopyResponse<'a>),
    /// Data in both directions: replication.
    CopyBothResponse(CopyResponse<'a>),
    /// A row.
    DataRow(Values<'a>),
    /// There was no statement in the text.
    EmptyQueryResponse,
    /// A request failed, or the connection.
    ErrorResponse(ReportFields<'a>),
    /// The result of a FunctionCall; `None` is NULL.
    FunctionCallResponse(Option<Bytes<'a>>),
    /// The client does not get the version, or the protocol options, that it asked for.
    NegotiateProtocolVersion(NegotiateProtocolVersion<'a>),
    /// The statement or portal gives no rows.
    NoData,
    /// A warning or note. Comes at any time.
    NoticeResponse(ReportFields<'a>),
    /// Somebody notified a channel that the session listens to. Comes at any time.
    NotificationResponse(Notification<'a>),
    /// The types of a statement's parameters.
    ParameterDescription(Oids<'a>),
    /// A setting has a new value. Comes at any time.
    ParameterStatus(ParameterStatus<'a>),
    /// A statement was prepared.
    ParseComplete,
    /// Execute's row limit was reached.
    PortalSuspended,
    /// The next request is awaited.
    ReadyForQuery(TransactionStatus),
    /// The columns of the rows to come.
    RowDescription(Fields<'a>),
}

/// What ReadyForQuery says of the transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TransactionStatus {
    /// None is open.
    #[default]
    Idle,
    /// One is open.
    Open,
    /// One is open and failed: everything but ROLLBACK is refused (25P02).
    Failed,
}

impl TransactionStatus {
    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }

    fn from_byte(byte: u8) -> Result<Self, MessageError> {
        match byte {
            b'I' => Ok(Self::Idle),
            b'T' => Ok(Self::Open),
            b'E' => Ok(Self::Failed),
            other => Err(MessageError::Code { field: "transaction status", value: i32::from(other) }),
        }
    }
}

/// BackendKeyData.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackendKeyData<'a> {
    /// The process id to name in a CancelRequest.
    pub process: u32,
    /// The secret: 4 bytes in protocol 3.0, up to 256 in 3.2.
    pub key: Bytes<'a>,
}

/// CopyInResponse, CopyOutResponse, CopyBothResponse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyResponse<'a> {
    /// The format of the whole.
    pub format: Format,
    /// The format of each column.
    pub columns: Formats<'a>,
}

/// NotificationResponse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notification<'a> {
    /// The process that notified.
    pub process: u32,
    /// The channel.
    pub channel: Text<'a>,
    /// What it said.
    pub payload: Text<'a>,
}

/// ParameterStatus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParameterStatus<'a> {
    /// The setting.
    pub name: Text<'a>,
    /// Its value.
    pub value: Text<'a>,
}

impl<'a> Backend<'a> {
    /// Parses a complete frame.
    ///
    /// # Errors
    /// [`MessageError`] if any byte of the body is missing, left over or wrong.
    pub fn parse(frame: &Frame<'a, BackendTag>) -> Result<Self, MessageError> {
        let mut reader = Reader::new(frame.body);
        let message = Self::read(frame.tag, &mut reader)?;
        reader.end()?;
        Ok(message)
    }

    fn read(tag: BackendTag, reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(match tag {
            BackendTag::Authentication => Self::Authentication(Authentication::read(reader)?),
            BackendTag::BackendKeyData => Self::BackendKeyData(BackendKeyData::read(reader)?),
            BackendTag::BindComplete => Self::BindComplete,
            BackendTag::CloseComplete => Self::CloseComplete,
            BackendTag::CommandComplete => Self::CommandComplete(reader.text()?),
            BackendTag::CopyData => Self::CopyData(Bytes::new(reader.take_rest())),
            BackendTag::CopyDone => Self::CopyDone,
            BackendTag::CopyInResponse => Self::CopyInResponse(CopyResponse::read(reader)?),
            BackendTag::CopyOutResponse => Self::CopyOutResponse(CopyResponse::read(reader)?),
            BackendTag::CopyBothResponse => Self::CopyBothResponse(CopyResponse::read(reader)?),
            BackendTag::DataRow => Self::DataRow(Values::read(reader)?),
            BackendTag::EmptyQueryResponse => Self::EmptyQueryResponse,
            BackendTag::ErrorResponse => Self::ErrorResponse(ReportFields::read(reader)?),
            BackendTag::FunctionCallResponse => Self::FunctionCallResponse(reader.value()?.map(Bytes::new)),
            BackendTag::NegotiateProtocolVersion => {
                Self::NegotiateProtocolVersion(NegotiateProtocolVersion::read(reader)?)
            }
            BackendTag::NoData => Self::NoData,
            BackendTag::NoticeResponse => Self::NoticeResponse(ReportFields::read(reader)?),
            BackendTag::NotificationResponse => Self::NotificationResponse(Notification {
                process: reader.u32()?,
                channel: reader.text()?,
                payload: reader.text()?,
            }),
            BackendTag::ParameterDescription => Self::ParameterDescription(Oids::read(reader)?),
            BackendTag::ParameterStatus => {
                Self::ParameterStatus(ParameterStatus { name: reader.text()?, value: reader.text()? })
            }
            BackendTag::ParseComplete => Self::ParseComplete,
            BackendTag::PortalSuspended => Self::PortalSuspended,
            BackendTag::ReadyForQuery => Self::ReadyForQuery(TransactionStatus::from_byte(reader.u8()?)?),
            BackendTag::RowDescription => Self::RowDescription(Fields::read(reader)?),
        })
    }

    /// The tag that it is sent with.
    pub const fn tag(&self) -> BackendTag {
        match self {
            Self::Authentication(_) => BackendTag::Authentication,
            Self::BackendKeyData(_) => BackendTag::BackendKeyData,
            Self::BindComplete => BackendTag::BindComplete,
            Self::CloseComplete => BackendTag::CloseComplete,
            Self::CommandComplete(_) => BackendTag::CommandComplete,
            Self::CopyData(_) => BackendTag::CopyData,
            Self::CopyDone => BackendTag::CopyDone,
            Self::CopyInResponse(_) => BackendTag::CopyInResponse,
            Self::CopyOutResponse(_) => BackendTag::CopyOutResponse,
            Self::CopyBothResponse(_) => BackendTag::CopyBothResponse,
            Self::DataRow(_) => BackendTag::DataRow,
            Self::EmptyQueryResponse => BackendTag::EmptyQueryResponse,
            Self::ErrorResponse(_) => BackendTag::ErrorResponse,
            Self::FunctionCallResponse(_) => BackendTag::FunctionCallResponse,
            Self::NegotiateProtocolVersion(_) => BackendTag::NegotiateProtocolVersion,
            Self::NoData => BackendTag::NoData,
            Self::NoticeResponse(_) => BackendTag::NoticeResponse,
            Self::NotificationResponse(_) => BackendTag::NotificationResponse,
            Self::ParameterDescription(_) => BackendTag::ParameterDescription,
            Self::ParameterStatus(_) => BackendTag::ParameterStatus,
            Self::ParseComplete => BackendTag::ParseComplete,
            Self::PortalSuspended => BackendTag::PortalSuspended,
            Self::ReadyForQuery(_) => BackendTag::ReadyForQuery,
            Self::RowDescription(_) => BackendTag::RowDescription,
        }
    }
}

impl<'a> BackendKeyData<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let process = reader.u32()?;
        let key = reader.take_rest();
        match key.len() {
            0..=3 => Err(MessageError::Truncated),
            length if length > MAX_CANCEL_KEY => Err(MessageError::Trailing(length.saturating_sub(MAX_CANCEL_KEY))),
            _ => Ok(Self { process, key: Bytes::new(key) }),
        }
    }
}

impl<'a> CopyResponse<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let format = Format::from_code(i16::from(reader.u8()?))?;
        Ok(Self { format, columns: Formats::read(reader)? })
    }
}

#[cfg(test)]
mod tests;
