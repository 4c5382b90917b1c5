//! Authentication requests, and the negotiation of the version.

use crate::postgres::error::MessageError;
use crate::postgres::part::{Bytes, Text};
use crate::postgres::read::Reader;
use crate::postgres::startup::Version;

/// An Authentication message; the codes are `AUTH_REQ_*` in pqcomm.h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authentication<'a> {
    /// Accepted.
    Ok,
    /// Asks for the password in clear.
    CleartextPassword,
    /// Asks for the password hashed with this salt.
    Md5Password([u8; 4]),
    /// Offers these mechanisms.
    Sasl(Mechanisms<'a>),
    /// The mechanism's next message.
    SaslContinue(Bytes<'a>),
    /// The mechanism's last message.
    SaslFinal(Bytes<'a>),
}

impl<'a> Authentication<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        match reader.i32()? {
            0 => Ok(Self::Ok),
            3 => Ok(Self::CleartextPassword),
            5 => Ok(Self::Md5Password(reader.array()?)),
            10 => Ok(Self::Sasl(Mechanisms::read(reader)?)),
            11 => Ok(Self::SaslContinue(Bytes::new(reader.take_rest()))),
            12 => Ok(Self::SaslFinal(Bytes::new(reader.take_rest()))),
            other => Err(MessageError::UnsupportedAuthentication(other)),
        }
    }

    /// The code on the wire.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Ok => 0,
            Self::CleartextPassword => 3,
            Self::Md5Password(_) => 5,
            Self::Sasl(_) => 10,
            Self::SaslContinue(_) => 11,
            Self::SaslFinal(_) => 12,
        }
    }
}

/// Names of SASL mechanisms, the server's favourite first; never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mechanisms<'a> {
    names: Text<'a>,
}

impl<'a> Mechanisms<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let names = reader.span(|reader| {
            if reader.text()?.is_empty() {
                return Err(MessageError::Truncated);
            }
            while !reader.text()?.is_empty() {}
            Ok(())
        })?;
        Ok(Self { names: Text::new(names) })
    }

    /// The names in order.
    pub fn iter(self) -> impl Iterator<Item = Text<'a>> {
        let mut reader = Reader::new(self.names.bytes());
        std::iter::from_fn(move || reader.text().ok().filter(|name| !name.is_empty()))
    }

    pub(crate) const fn raw(self) -> &'a [u8] {
        self.names.bytes()
    }
}

/// NegotiateProtocolVersion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest version that the server speaks, not above what was asked for.
    pub version: Version,
    count: u32,
    options: Text<'a>,
}

impl<'a> NegotiateProtocolVersion<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let version = Version::from_code(reader.u32()?);
        let count = reader.u32()?;
        let options = reader.span(|reader| (0..count).try_for_each(|_| reader.text().map(drop)))?;
        Ok(Self { version, count, options: Text::new(options) })
    }

    /// The protocol options that the server does not know.
    pub fn unknown_options(self) -> impl Iterator<Item = Text<'a>> + Clone {
        let mut reader = Reader::new(self.options.bytes());
        (0..self.count).map_while(move |_| reader.text().ok())
    }
}
