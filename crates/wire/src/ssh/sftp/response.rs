//! What a server sends (draft-ietf-secsh-filexfer-02, section 7).

use super::VERSION;
use super::attributes::Attributes;
use super::error::PacketError;
use super::extension::{Limits, Statvfs, UsersGroups};
use super::frame::Packet;
use super::part::{Data, Handle, Hello, Path, Text};
use super::read::Reader;

/// A target's packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    /// `SSH_FXP_VERSION`, the answer to INIT. Always version 3.
    Version(Hello),
    /// Any other.
    Answer {
        /// Of the request that it answers.
        id: u32,
        /// What came of it.
        answer: Answer,
    },
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// `SSH_FXP_STATUS`.
    Status(Status),
    /// `SSH_FXP_HANDLE`.
    Handle(Handle),
    /// `SSH_FXP_DATA`.
    Data(Data),
    /// `SSH_FXP_NAME`.
    Names(Vec<Name>),
    /// `SSH_FXP_ATTRS`.
    Attributes(Attributes),
    /// `SSH_FXP_EXTENDED_REPLY`: what it says hangs on the request.
    Extended(Data),
}

/// Whether something was done, or why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The reason as a number.
    pub code: StatusCode,
    /// The reason as text. Servers that were made for earlier versions leave it out.
    pub message: Option<Message>,
}

/// A reason as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// For people.
    pub text: Text,
    /// The language that it is in (RFC 1766); mostly empty.
    pub language: Text,
}

/// Why something was not done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StatusCode {
    /// `SSH_FX_OK`: it was done.
    Ok,
    /// `SSH_FX_EOF`: there is nothing more to read.
    EndOfFile,
    /// `SSH_FX_NO_SUCH_FILE`.
    NoSuchFile,
    /// `SSH_FX_PERMISSION_DENIED`.
    PermissionDenied,
    /// `SSH_FX_FAILURE`: any other reason.
    Failure,
    /// `SSH_FX_BAD_MESSAGE`.
    BadMessage,
    /// `SSH_FX_NO_CONNECTION`.
    NoConnection,
    /// `SSH_FX_CONNECTION_LOST`.
    ConnectionLost,
    /// `SSH_FX_OP_UNSUPPORTED`.
    OperationUnsupported,
    /// A later version's, which clients take for a failure.
    Other(u32),
}

impl StatusCode {
    /// The code of this number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::EndOfFile,
            2 => Self::NoSuchFile,
            3 => Self::PermissionDenied,
            4 => Self::Failure,
            5 => Self::BadMessage,
            6 => Self::NoConnection,
            7 => Self::ConnectionLost,
            8 => Self::OperationUnsupported,
            other => Self::Other(other),
        }
    }

    /// As on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::EndOfFile => 1,
            Self::NoSuchFile => 2,
            Self::PermissionDenied => 3,
            Self::Failure => 4,
            Self::BadMessage => 5,
            Self::NoConnection => 6,
            Self::ConnectionLost => 7,
            Self::OperationUnsupported => 8,
            Self::Other(number) => number,
        }
    }
}

/// A file of a directory, or a path that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// Its name in a directory, else a path.
    pub path: Path,
    /// A line as `ls -l` shows it, for people.
    pub listing: Text,
    /// What is known of it; empty where a path was asked for.
    pub attributes: Attributes,
}

/// What may answer a request. A failure may answer any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Expected {
    /// A status.
    Status,
    /// A handle.
    Handle,
    /// Data.
    Data {
        /// At most so many bytes.
        most: u32,
    },
    /// Files of a directory, one at least, each by a name in it and not by a path.
    Entries,
    /// One path.
    OneName,
    /// Attributes.
    Attributes,
    /// [`Statvfs`].
    Statvfs,
    /// [`Limits`].
    Limits,
    /// [`UsersGroups`].
    UsersGroups {
        /// How many numbers of users were asked for.
        users: usize,
        /// How many numbers of groups were asked for.
        groups: usize,
    },
    /// Not known: a status, or an extended reply.
    Unknown,
}

impl Response {
    /// Reads a target's packet.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn parse(packet: &Packet) -> Result<Self, PacketError> {
        let mut reader = Reader::new(packet.bytes(), Packet::FIELDS);
        let response = match packet.code() {
            2 => Self::Version(version(&mut reader)?),
            code @ (101..=105 | 201) => Self::Answer { id: reader.u32()?, answer: Answer::read(code, &mut reader)? },
            unknown => return Err(PacketError::Type(unknown)),
        };
        reader.end()?;
        Ok(response)
    }
}

fn version(reader: &mut Reader<'_>) -> Result<Hello, PacketError> {
    let hello = Hello::read(reader)?;
    match hello.version {
        VERSION => Ok(hello),
        other => Err(PacketError::Version(other)),
    }
}

impl Answer {
    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        Ok(match code {
            101 => Self::Status(Status::read(reader)?),
            102 => Self::Handle(reader.handle()?),
            103 => Self::Data(reader.data()?),
            104 => Self::Names(names(reader)?),
            105 => Self::Attributes(Attributes::read(reader)?),
            201 => Self::Extended(Data::new(reader.rest()?)),
            unknown => return Err(PacketError::Type(unknown)),
        })
    }

    /// The type that it is sent with.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Status(_) => 101,
            Self::Handle(_) => 102,
            Self::Data(_) => 103,
            Self::Names(_) => 104,
            Self::Attributes(_) => 105,
            Self::Extended(_) => 201,
        }
    }

    /// Whether it may answer a request that expects this. What it says must be all that was asked for, and no success may
    /// come without it: a target could otherwise make a client take one file, or one length, for another.
    pub fn fits(&self, expected: Expected) -> bool {
        match (self, expected) {
            (Self::Status(_), Expected::Status | Expected::Unknown) => true,
            (Self::Status(status), _) => status.code != StatusCode::Ok,
            (Self::Handle(_), Expected::Handle) | (Self::Attributes(_), Expected::Attributes) => true,
            (Self::Data(data), Expected::Data { most }) => {
                u32::try_from(data.bytes().len()).is_ok_and(|length| length <= most)
            }
            (Self::Names(names), Expected::Entries) => !names.is_empty() && names.iter().all(Name::is_entry),
            (Self::Names(names), Expected::OneName) => names.len() == 1,
            (Self::Extended(data), expected) => extended_fits(data, expected),
            (Self::Handle(_) | Self::Data(_) | Self::Names(_) | Self::Attributes(_), _) => false,
        }
    }
}

fn extended_fits(data: &Data, expected: Expected) -> bool {
    match expected {
        Expected::Statvfs => Statvfs::parse(data).is_ok(),
        Expected::Limits => Limits::parse(data).is_ok(),
        Expected::UsersGroups { users, groups } => {
            UsersGroups::parse(data).is_ok_and(|found| found.users.len() == users && found.groups.len() == groups)
        }
        Expected::Unknown => true,
        Expected::Status | Expected::Handle | Expected::Data { .. } => false,
        Expected::Entries | Expected::OneName | Expected::Attributes => false,
    }
}

impl Status {
    fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let code = StatusCode::from_number(reader.u32()?);
        let message = match reader.left() {
            0 => None,
            _ => Some(Message { text: reader.text()?, language: reader.text()? }),
        };
        Ok(Self { code, message })
    }
}

impl Name {
    /// Whether it is the name of a file in a directory, and no path out of it. `.` and `..` are.
    pub fn is_entry(&self) -> bool {
        let name = self.path.bytes();
        !name.is_empty() && memchr::memchr(b'/', name).is_none()
    }
}

fn names(reader: &mut Reader<'_>) -> Result<Vec<Name>, PacketError> {
    let count = reader.u32()?;
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(Name { path: reader.path()?, listing: reader.text()?, attributes: Attributes::read(reader)? });
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
