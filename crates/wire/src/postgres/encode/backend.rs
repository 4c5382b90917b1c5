//! What a server sends, and what Sluice sends to a client.

use super::{Body, message};
use crate::postgres::backend::{Authentication, Backend, CopyResponse, Field, field};
use crate::postgres::error::EncodeError;
use crate::postgres::frame::BackendTag;
use crate::postgres::startup::Version;

impl Backend<'_> {
    /// Appends the message.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        message(out, self.tag().byte(), |body| self.write(body))
    }

    fn write(&self, body: &mut Body<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Authentication(request) => write_authentication(body, request),
            Self::BackendKeyData(data) => {
                body.u32(data.process);
                body.bytes(data.key.get());
            }
            Self::BindComplete | Self::CloseComplete | Self::CopyDone | Self::EmptyQueryResponse => (),
            Self::NoData | Self::ParseComplete | Self::PortalSuspended => (),
            Self::CommandComplete(tag) => body.text(tag.bytes())?,
            Self::CopyData(data) => body.bytes(data.get()),
            Self::CopyInResponse(copy) | Self::CopyOutResponse(copy) | Self::CopyBothResponse(copy) => {
                write_copy(body, copy)?;
            }
            Self::DataRow(values) => {
                body.u16(values.count());
                body.bytes(values.raw());
            }
            Self::ErrorResponse(report) | Self::NoticeResponse(report) => body.bytes(report.raw()),
            Self::FunctionCallResponse(value) => body.value(value.map(|value| value.get()))?,
            Self::NegotiateProtocolVersion(negotiate) => {
                write_negotiate(body, negotiate.version, negotiate.unknown_options().map(|option| option.bytes()))?;
            }
            Self::NotificationResponse(notification) => {
                body.u32(notification.process);
                body.text(notification.channel.bytes())?;
                body.text(notification.payload.bytes())?;
            }
            Self::ParameterDescription(types) => {
                body.u16(u16::try_from(types.count()).map_err(|_| EncodeError::TooMany(types.count()))?);
                body.bytes(types.raw());
            }
            Self::ParameterStatus(status) => {
                body.text(status.name.bytes())?;
                body.text(status.value.bytes())?;
            }
            Self::ReadyForQuery(status) => body.u8(status.byte()),
            Self::RowDescription(fields) => {
                body.u16(fields.count());
                body.bytes(fields.raw());
            }
        }
        Ok(())
    }
}

fn write_authentication(body: &mut Body<'_>, request: &Authentication<'_>) {
    body.i32(request.code());
    match request {
        Authentication::Ok | Authentication::CleartextPassword => (),
        Authentication::Md5Password(salt) => body.bytes(salt),
        Authentication::Sasl(mechanisms) => body.bytes(mechanisms.raw()),
        Authentication::SaslContinue(data) | Authentication::SaslFinal(data) => body.bytes(data.get()),
    }
}

fn write_copy(body: &mut Body<'_>, copy: &CopyResponse<'_>) -> Result<(), EncodeError> {
    body.u8(u8::try_from(copy.format.code()).unwrap_or_default());
    body.list(copy.columns.iter(), |body, format| {
        body.u16(format.code());
        Ok(())
    })
}

fn write_negotiate<'o>(
    body: &mut Body<'_>,
    version: Version,
    mut options: impl Iterator<Item = &'o [u8]> + Clone,
) -> Result<(), EncodeError> {
    let count = options.clone().count();
    body.u32(version.code());
    body.u32(u32::try_from(count).map_err(|_| EncodeError::TooMany(count))?);
    options.try_for_each(|option| body.text(option))
}

/// The one byte that answers an SSLRequest (`S`) or refuses it or a GSSENCRequest (`N`).
pub const fn encryption_answer(accept: bool) -> u8 {
    if accept { b'S' } else { b'N' }
}

/// Appends an Authentication message.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn authentication(out: &mut Vec<u8>, request: &Authentication<'_>) -> Result<(), EncodeError> {
    Backend::Authentication(*request).encode(out)
}

/// Appends an AuthenticationSASL that offers these mechanisms, the favourite first.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn authentication_sasl(out: &mut Vec<u8>, mechanisms: &[&str]) -> Result<(), EncodeError> {
    message(out, BackendTag::Authentication.byte(), |body| {
        body.i32(10);
        mechanisms.iter().try_for_each(|mechanism| body.text(mechanism.as_bytes()))?;
        body.u8(0);
        Ok(())
    })
}

/// Appends a NegotiateProtocolVersion.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn negotiate_version<'o>(
    out: &mut Vec<u8>,
    version: Version,
    unknown_options: impl Iterator<Item = &'o str> + Clone,
) -> Result<(), EncodeError> {
    message(out, BackendTag::NegotiateProtocolVersion.byte(), |body| {
        write_negotiate(body, version, unknown_options.map(str::as_bytes))
    })
}

/// Appends a DataRow; `None` is NULL.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn data_row<'v>(out: &mut Vec<u8>, values: impl IntoIterator<Item = Option<&'v [u8]>>) -> Result<(), EncodeError> {
    message(out, BackendTag::DataRow.byte(), |body| body.list(values, |body, value| body.value(value)))
}

/// Appends a RowDescription.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn row_description<'f>(out: &mut Vec<u8>, fields: impl IntoIterator<Item = Field<'f>>) -> Result<(), EncodeError> {
    message(out, BackendTag::RowDescription.byte(), |body| body.list(fields, |body, field| write_field(body, &field)))
}

fn write_field(body: &mut Body<'_>, field: &Field<'_>) -> Result<(), EncodeError> {
    body.text(field.name.bytes())?;
    body.u32(field.table);
    body.i16(field.column);
    body.u32(field.type_oid);
    body.i16(field.type_size);
    body.i32(field.type_modifier);
    body.u16(field.format.code());
    Ok(())
}

/// How bad a report is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Severity {
    /// The request failed.
    Error,
    /// The connection ends.
    Fatal,
    /// Nothing failed, but somebody should know.
    Warning,
    /// Nothing failed.
    Notice,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
        }
    }

    const fn tag(self) -> BackendTag {
        match self {
            Self::Error | Self::Fatal => BackendTag::ErrorResponse,
            Self::Warning | Self::Notice => BackendTag::NoticeResponse,
        }
    }
}

/// An error or notice of Sluice's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<'a> {
    /// Decides whether it is an ErrorResponse or a NoticeResponse.
    pub severity: Severity,
    /// Five characters.
    pub sqlstate: &'a str,
    /// What happened, in one line.
    pub message: &'a str,
    /// More about it.
    pub detail: Option<&'a str>,
    /// What to do.
    pub hint: Option<&'a str>,
}

impl Report<'_> {
    /// Appends the ErrorResponse or NoticeResponse. A NUL in a text, which would end it early, becomes U+FFFD: an error
    /// about strange input has to reach its reader.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        message(out, self.severity.tag().byte(), |body| {
            let severity = self.severity.name();
            write_text(body, field::SEVERITY, severity)?;
            write_text(body, field::SEVERITY_PLAIN, severity)?;
            write_text(body, field::SQLSTATE, self.sqlstate)?;
            write_text(body, field::MESSAGE, self.message)?;
            self.detail.map_or(Ok(()), |detail| write_text(body, field::DETAIL, detail))?;
            self.hint.map_or(Ok(()), |hint| write_text(body, field::HINT, hint))?;
            body.u8(0);
            Ok(())
        })
    }
}

fn write_text(body: &mut Body<'_>, code: u8, text: &str) -> Result<(), EncodeError> {
    body.u8(code);
    if text.contains('\0') { body.text(text.replace('\0', "\u{fffd}").as_bytes()) } else { body.text(text.as_bytes()) }
}

/// Appends an ErrorResponse (`error`) or NoticeResponse from fields: for passing on a target's report without some of
/// them, or with other texts.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn report_fields<'f>(
    out: &mut Vec<u8>,
    error: bool,
    fields: impl IntoIterator<Item = (u8, &'f [u8])>,
) -> Result<(), EncodeError> {
    let tag = if error { BackendTag::ErrorResponse } else { BackendTag::NoticeResponse };
    message(out, tag.byte(), |body| {
        for (code, text) in fields {
            if code == 0 {
                return Err(EncodeError::ReportCode);
            }
            body.u8(code);
            body.text(text)?;
        }
        body.u8(0);
        Ok(())
    })
}
