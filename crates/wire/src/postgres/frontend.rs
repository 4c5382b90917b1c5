//! What a client sends in a session.

use super::error::MessageError;
use super::frame::{Frame, FrontendTag};
use super::part::{Bytes, Format, Formats, Oids, Text, Values};
use super::read::Reader;

/// A client's message. It borrows from the frame that it was parsed from, every byte of which it accounts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frontend<'a> {
    /// Binds parameters to a statement, which makes a portal.
    Bind(Bind<'a>),
    /// Closes a statement or portal.
    Close(Object<'a>),
    /// Data for COPY FROM STDIN.
    CopyData(Bytes<'a>),
    /// The data is complete.
    CopyDone,
    /// The data cannot be completed; the text says why.
    CopyFail(Text<'a>),
    /// Asks what a statement takes and gives, or what a portal gives.
    Describe(Object<'a>),
    /// Runs a portal.
    Execute(Execute<'a>),
    /// Asks for replies to be sent now.
    Flush,
    /// Calls a function by its object id, past the parser ("fast path").
    FunctionCall(FunctionCall<'a>),
    /// Prepares a statement.
    Parse(Parse<'a>),
    /// An answer to an authentication request: see [`password`], [`SaslInitial`]; a SASLResponse is the body itself.
    Password(Bytes<'a>),
    /// Runs statements by the simple protocol.
    Query(Text<'a>),
    /// Ends an extended query, and the skipping of messages after an error.
    Sync,
    /// Says goodbye.
    Terminate,
}

/// Parse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parse<'a> {
    /// The statement's name; empty is the unnamed one.
    pub statement: Text<'a>,
    /// SQL.
    pub text: Text<'a>,
    /// The types of its first parameters; 0, or none, leaves a type to the server.
    pub types: Oids<'a>,
}

/// Bind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bind<'a> {
    /// The portal's name; empty is the unnamed one.
    pub portal: Text<'a>,
    /// The statement's name.
    pub statement: Text<'a>,
    /// How the parameters are written; fits their number.
    pub formats: Formats<'a>,
    /// The parameters.
    pub parameters: Values<'a>,
    /// How the result columns shall be written.
    pub result_formats: Formats<'a>,
}

/// What Describe and Close name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Object<'a> {
    /// Which kind.
    pub kind: ObjectKind,
    /// Its name; empty is the unnamed one.
    pub name: Text<'a>,
}

/// A prepared statement or a portal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ObjectKind {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl ObjectKind {
    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}

/// Execute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Execute<'a> {
    /// The portal's name.
    pub portal: Text<'a>,
    /// How many rows to send before PortalSuspended; 0 or less is no limit (`postgres.c exec_execute_message`).
    pub max_rows: i32,
}

/// FunctionCall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionCall<'a> {
    /// The function's object id.
    pub function: u32,
    /// How the arguments are written; fits their number.
    pub formats: Formats<'a>,
    /// The arguments.
    pub arguments: Values<'a>,
    /// How the result shall be written.
    pub result_format: Format,
}

/// SASLInitialResponse: the client's choice of a mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SaslInitial<'a> {
    /// The mechanism's name.
    pub mechanism: Text<'a>,
    /// Its first message, if it has one.
    pub data: Option<Bytes<'a>>,
}

impl<'a> Frontend<'a> {
    /// Parses a complete frame.
    ///
    /// # Errors
    /// [`MessageError`] if any byte of the body is missing, left over or wrong.
    pub fn parse(frame: &Frame<'a, FrontendTag>) -> Result<Self, MessageError> {
        let mut reader = Reader::new(frame.body);
        let message = Self::read(frame.tag, &mut reader)?;
        reader.end()?;
        Ok(message)
    }

    fn read(tag: FrontendTag, reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        Ok(match tag {
            FrontendTag::Bind => Self::Bind(Bind::read(reader)?),
            FrontendTag::Close => Self::Close(Object::read(reader)?),
            FrontendTag::CopyData => Self::CopyData(Bytes::new(reader.take_rest())),
            FrontendTag::CopyDone => Self::CopyDone,
            FrontendTag::CopyFail => Self::CopyFail(reader.text()?),
            FrontendTag::Describe => Self::Describe(Object::read(reader)?),
            FrontendTag::Execute => Self::Execute(Execute { portal: reader.text()?, max_rows: reader.i32()? }),
            FrontendTag::Flush => Self::Flush,
            FrontendTag::FunctionCall => Self::FunctionCall(FunctionCall::read(reader)?),
            FrontendTag::Parse => {
                Self::Parse(Parse { statement: reader.text()?, text: reader.text()?, types: Oids::read(reader)? })
            }
            FrontendTag::Password => Self::Password(Bytes::new(reader.take_rest())),
            FrontendTag::Query => Self::Query(reader.text()?),
            FrontendTag::Sync => Self::Sync,
            FrontendTag::Terminate => Self::Terminate,
        })
    }

    /// The tag that it is sent with.
    pub const fn tag(&self) -> FrontendTag {
        match self {
            Self::Bind(_) => FrontendTag::Bind,
            Self::Close(_) => FrontendTag::Close,
            Self::CopyData(_) => FrontendTag::CopyData,
            Self::CopyDone => FrontendTag::CopyDone,
            Self::CopyFail(_) => FrontendTag::CopyFail,
            Self::Describe(_) => FrontendTag::Describe,
            Self::Execute(_) => FrontendTag::Execute,
            Self::Flush => FrontendTag::Flush,
            Self::FunctionCall(_) => FrontendTag::FunctionCall,
            Self::Parse(_) => FrontendTag::Parse,
            Self::Password(_) => FrontendTag::Password,
            Self::Query(_) => FrontendTag::Query,
            Self::Sync => FrontendTag::Sync,
            Self::Terminate => FrontendTag::Terminate,
        }
    }
}

impl<'a> Bind<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let (portal, statement) = (reader.text()?, reader.text()?);
        let (formats, parameters) = (Formats::read(reader)?, Values::read(reader)?);
        formats.fit(parameters.count())?;
        Ok(Self { portal, statement, formats, parameters, result_formats: Formats::read(reader)? })
    }
}

impl<'a> Object<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let kind = match reader.u8()? {
            b'S' => ObjectKind::Statement,
            b'P' => ObjectKind::Portal,
            other => return Err(MessageError::Code { field: "object kind", value: i32::from(other) }),
        };
        Ok(Self { kind, name: reader.text()? })
    }
}

impl<'a> FunctionCall<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let function = reader.u32()?;
        let (formats, arguments) = (Formats::read(reader)?, Values::read(reader)?);
        formats.fit(arguments.count())?;
        Ok(Self { function, formats, arguments, result_format: Format::from_code(reader.i16()?)? })
    }
}

impl<'a> SaslInitial<'a> {
    /// Reads the body of a [`Frontend::Password`] as SASLInitialResponse.
    ///
    /// # Errors
    /// [`MessageError`] if it is none.
    pub fn parse(body: Bytes<'a>) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body.get());
        let mechanism = reader.text()?;
        let data = reader.value()?.map(Bytes::new);
        reader.end()?;
        Ok(Self { mechanism, data })
    }
}

/// Reads the body of a [`Frontend::Password`] as a password in clear or hashed by MD5.
///
/// # Errors
/// [`MessageError`] unless it is one NUL-terminated string and nothing else.
pub fn password(body: Bytes<'_>) -> Result<Bytes<'_>, MessageError> {
    let mut reader = Reader::new(body.get());
    let password = reader.text()?;
    reader.end()?;
    Ok(Bytes::new(password.bytes()))
}

#[cfg(test)]
mod tests;
