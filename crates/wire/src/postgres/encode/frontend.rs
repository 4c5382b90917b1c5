//! What a client sends, and what Sluice sends to a target.

use super::{Body, append, message};
use crate::postgres::error::EncodeError;
use crate::postgres::frame::{FrontendTag, MAX_LENGTH};
use crate::postgres::frontend::{Bind, Frontend, FunctionCall, Object, Parse};
use crate::postgres::part::Format;
use crate::postgres::startup::{CANCEL_REQUEST, MAX_CANCEL_KEY, MAX_PACKET, SSL_REQUEST, Version};

impl Frontend<'_> {
    /// Appends the message.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        message(out, self.tag().byte(), |body| match self {
            Self::Bind(bind) => write_bind(body, bind),
            Self::Close(object) | Self::Describe(object) => write_object(body, object),
            Self::CopyData(data) | Self::Password(data) => {
                body.bytes(data.get());
                Ok(())
            }
            Self::CopyDone | Self::Flush | Self::Sync | Self::Terminate => Ok(()),
            Self::CopyFail(text) | Self::Query(text) => body.text(text.bytes()),
            Self::Execute(execute) => {
                body.text(execute.portal.bytes())?;
                body.i32(execute.max_rows);
                Ok(())
            }
            Self::FunctionCall(call) => write_call(body, call),
            Self::Parse(parse) => write_parse(body, parse),
        })
    }
}

fn write_bind(body: &mut Body<'_>, bind: &Bind<'_>) -> Result<(), EncodeError> {
    body.text(bind.portal.bytes())?;
    body.text(bind.statement.bytes())?;
    body.u16(bind.formats.count());
    body.bytes(bind.formats.raw());
    body.u16(bind.parameters.count());
    body.bytes(bind.parameters.raw());
    body.u16(bind.result_formats.count());
    body.bytes(bind.result_formats.raw());
    Ok(())
}

fn write_object(body: &mut Body<'_>, object: &Object<'_>) -> Result<(), EncodeError> {
    body.u8(object.kind.byte());
    body.text(object.name.bytes())
}

fn write_call(body: &mut Body<'_>, call: &FunctionCall<'_>) -> Result<(), EncodeError> {
    body.u32(call.function);
    body.u16(call.formats.count());
    body.bytes(call.formats.raw());
    body.u16(call.arguments.count());
    body.bytes(call.arguments.raw());
    body.u16(call.result_format.code());
    Ok(())
}

fn write_parse(body: &mut Body<'_>, parse: &Parse<'_>) -> Result<(), EncodeError> {
    body.text(parse.statement.bytes())?;
    body.text(parse.text.bytes())?;
    body.list(parse.types.iter(), |body, oid| {
        body.u32(oid);
        Ok(())
    })
}

/// Appends a Query.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn query(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    message(out, FrontendTag::Query.byte(), |body| body.text(text.as_bytes()))
}

/// Appends a Parse; `types` may be shorter than the list of parameters.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn parse(out: &mut Vec<u8>, statement: &[u8], text: &[u8], types: &[u32]) -> Result<(), EncodeError> {
    message(out, FrontendTag::Parse.byte(), |body| {
        body.text(statement)?;
        body.text(text)?;
        body.list(types, |body, oid| {
            body.u32(*oid);
            Ok(())
        })
    })
}

/// What a Bind is built from.
#[derive(Clone, Copy, Default)]
pub struct BindParts<'a> {
    /// The portal's name; empty is the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name; empty is the unnamed one.
    pub statement: &'a [u8],
    /// None for text, one for all parameters, or one for each.
    pub formats: &'a [Format],
    /// The parameters; `None` is NULL.
    pub parameters: &'a [Option<&'a [u8]>],
    /// None for text, one for all result columns, or one for each.
    pub result_formats: &'a [Format],
}

/// Appends a Bind.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn bind(out: &mut Vec<u8>, parts: &BindParts<'_>) -> Result<(), EncodeError> {
    message(out, FrontendTag::Bind.byte(), |body| {
        body.text(parts.portal)?;
        body.text(parts.statement)?;
        write_formats(body, parts.formats)?;
        body.list(parts.parameters, |body, value| body.value(*value))?;
        write_formats(body, parts.result_formats)
    })
}

fn write_formats(body: &mut Body<'_>, formats: &[Format]) -> Result<(), EncodeError> {
    body.list(formats, |body, format| {
        body.u16(format.code());
        Ok(())
    })
}

/// Appends a PasswordMessage: the password in clear, or its MD5 form.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn password(out: &mut Vec<u8>, password: &[u8]) -> Result<(), EncodeError> {
    message(out, FrontendTag::Password.byte(), |body| body.text(password))
}

/// Appends a SASLInitialResponse.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn sasl_initial_response(out: &mut Vec<u8>, mechanism: &str, data: Option<&[u8]>) -> Result<(), EncodeError> {
    message(out, FrontendTag::Password.byte(), |body| {
        body.text(mechanism.as_bytes())?;
        body.value(data)
    })
}

/// Appends a SASLResponse.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn sasl_response(out: &mut Vec<u8>, data: &[u8]) -> Result<(), EncodeError> {
    message(out, FrontendTag::Password.byte(), |body| {
        body.bytes(data);
        Ok(())
    })
}

/// Appends a StartupMessage of at most 10,000 bytes.
///
/// # Errors
/// [`EncodeError`]; nothing was appended.
pub fn startup<'p>(
    out: &mut Vec<u8>,
    version: Version,
    parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> Result<(), EncodeError> {
    append(out, None, MAX_PACKET, |body| {
        body.u32(version.code());
        for (name, value) in parameters {
            body.text(name.as_bytes())?;
            body.text(value.as_bytes())?;
        }
        body.u8(0);
        Ok(())
    })
}

/// Appends an SSLRequest.
///
/// # Errors
/// None in practice: its length is fixed.
pub fn ssl_request(out: &mut Vec<u8>) -> Result<(), EncodeError> {
    append(out, None, MAX_LENGTH, |body| {
        body.u32(SSL_REQUEST);
        Ok(())
    })
}

/// Appends a CancelRequest with the process id and key of BackendKeyData.
///
/// # Errors
/// [`EncodeError::TooLarge`] for a key that no server gives out; nothing was appended.
pub fn cancel_request(out: &mut Vec<u8>, process: u32, key: &[u8]) -> Result<(), EncodeError> {
    if key.len() > MAX_CANCEL_KEY {
        return Err(EncodeError::TooLarge(key.len()));
    }
    append(out, None, MAX_PACKET, |body| {
        body.u32(CANCEL_REQUEST);
        body.u32(process);
        body.bytes(key);
        Ok(())
    })
}
