//! What a client sends (draft-ietf-secsh-filexfer-02, section 6).

use super::attributes::Attributes;
use super::error::PacketError;
use super::extension::Extension;
use super::frame::Packet;
use super::part::{Data, Handle, Hello, Path};
use super::read::Reader;
use super::response::Expected;

/// A client's packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// `SSH_FXP_INIT`, the first packet. Whoever forwards it says version 3, whatever higher one the client speaks.
    Init(Hello),
    /// Any other.
    Operation {
        /// Chosen by the client; the answer has it too.
        id: u32,
        /// What is to be done.
        operation: Operation,
    },
}

/// What a server is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `SSH_FXP_OPEN`.
    Open {
        /// Which file.
        path: Path,
        /// For what.
        flags: OpenFlags,
        /// Of the file if it is made.
        attributes: Attributes,
    },
    /// `SSH_FXP_CLOSE`.
    Close {
        /// What is closed.
        handle: Handle,
    },
    /// `SSH_FXP_READ`.
    Read {
        /// The file.
        handle: Handle,
        /// From this byte on.
        offset: u64,
        /// At most so many bytes.
        length: u32,
    },
    /// `SSH_FXP_WRITE`.
    Write {
        /// The file.
        handle: Handle,
        /// From this byte on; servers ignore it in a file that was opened to append.
        offset: u64,
        /// What is written.
        data: Data,
    },
    /// `SSH_FXP_LSTAT`.
    Lstat {
        /// Which file; a symbolic link is not followed.
        path: Path,
    },
    /// `SSH_FXP_FSTAT`.
    Fstat {
        /// The file.
        handle: Handle,
    },
    /// `SSH_FXP_SETSTAT`.
    Setstat {
        /// What is changed.
        path: Path,
        /// To what.
        attributes: Attributes,
    },
    /// `SSH_FXP_FSETSTAT`.
    Fsetstat {
        /// What is changed.
        handle: Handle,
        /// To what.
        attributes: Attributes,
    },
    /// `SSH_FXP_OPENDIR`.
    Opendir {
        /// Which directory.
        path: Path,
    },
    /// `SSH_FXP_READDIR`.
    Readdir {
        /// The directory.
        handle: Handle,
    },
    /// `SSH_FXP_REMOVE`.
    Remove {
        /// Which file.
        path: Path,
    },
    /// `SSH_FXP_MKDIR`.
    Mkdir {
        /// Where.
        path: Path,
        /// Of the new directory.
        attributes: Attributes,
    },
    /// `SSH_FXP_RMDIR`.
    Rmdir {
        /// Which directory.
        path: Path,
    },
    /// `SSH_FXP_REALPATH`.
    Realpath {
        /// The path that the server is asked to resolve.
        path: Path,
    },
    /// `SSH_FXP_STAT`.
    Stat {
        /// Which file.
        path: Path,
    },
    /// `SSH_FXP_RENAME`.
    Rename {
        /// What is renamed.
        from: Path,
        /// Its new name.
        to: Path,
    },
    /// `SSH_FXP_READLINK`.
    Readlink {
        /// Which symbolic link.
        path: Path,
    },
    /// `SSH_FXP_SYMLINK`.
    ///
    /// In OpenSSH's order, target before link (PROTOCOL, 4.1); the draft has them the other way around. A server that keeps
    /// to the draft makes a link at what is called `target` here, so of a target that is not OpenSSH both have to be judged
    /// as the place that is written to.
    Symlink {
        /// What the link says.
        target: Path,
        /// Where the link is made.
        link: Path,
    },
    /// `SSH_FXP_EXTENDED`.
    Extended(Extension),
}

/// What a file is opened for (section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct OpenFlags(u32);

impl OpenFlags {
    /// `SSH_FXF_READ`.
    pub const READ: Self = Self(0x01);
    /// `SSH_FXF_WRITE`.
    pub const WRITE: Self = Self(0x02);
    /// `SSH_FXF_APPEND`.
    pub const APPEND: Self = Self(0x04);
    /// `SSH_FXF_CREAT`.
    pub const CREATE: Self = Self(0x08);
    /// `SSH_FXF_TRUNC`.
    pub const TRUNCATE: Self = Self(0x10);
    /// `SSH_FXF_EXCL`.
    pub const EXCLUSIVE: Self = Self(0x20);

    /// The flags of these bits.
    ///
    /// # Errors
    /// [`PacketError::Flags`] with those that version 3 does not know.
    pub const fn from_bits(bits: u32) -> Result<Self, PacketError> {
        match bits & !0x3f {
            0 => Ok(Self(bits)),
            unknown => Err(PacketError::Flags { field: "open flags", bits: unknown }),
        }
    }

    /// As on the wire.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the file can be read through the handle. OpenSSH opens for reading too where neither READ nor WRITE is set
    /// (`flags_from_portable`, sftp-server.c).
    pub const fn reads(self) -> bool {
        self.has(Self::READ) || !self.has(Self::WRITE)
    }

    /// Whether the file may be made, cut off or written to, by the open itself or through the handle. Systems cut a file
    /// off even if it is opened for reading alone.
    pub const fn changes(self) -> bool {
        let any = Self::WRITE.and(Self::APPEND).and(Self::CREATE).and(Self::TRUNCATE);
        self.0 & any.0 != 0
    }
}

impl Request {
    /// Reads a client's packet.
    ///
    /// # Errors
    /// [`PacketError`]. Of an unknown type, or if the packet has an id, the client can be answered with
    /// [`PacketError::status`].
    pub fn parse(packet: &Packet) -> Result<Self, PacketError> {
        let mut reader = Reader::new(packet.bytes(), Packet::FIELDS);
        let request = match packet.code() {
            1 => Self::Init(Hello::read(&mut reader)?),
            code @ (3..=20 | 200) => {
                Self::Operation { id: reader.u32()?, operation: Operation::read(code, &mut reader)? }
            }
            unknown => return Err(PacketError::Type(unknown)),
        };
        reader.end()?;
        Ok(request)
    }
}

impl Operation {
    fn read(code: u8, reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        Ok(match code {
            3 => Self::Open {
                path: reader.path()?,
                flags: OpenFlags::from_bits(reader.u32()?)?,
                attributes: Attributes::read(reader)?,
            },
            4 => Self::Close { handle: reader.handle()? },
            5 => Self::Read { handle: reader.handle()?, offset: reader.u64()?, length: reader.u32()? },
            6 => Self::Write { handle: reader.handle()?, offset: reader.u64()?, data: reader.data()? },
            7 => Self::Lstat { path: reader.path()? },
            8 => Self::Fstat { handle: reader.handle()? },
            9 => Self::Setstat { path: reader.path()?, attributes: Attributes::read(reader)? },
            10 => Self::Fsetstat { handle: reader.handle()?, attributes: Attributes::read(reader)? },
            11 => Self::Opendir { path: reader.path()? },
            12 => Self::Readdir { handle: reader.handle()? },
            13 => Self::Remove { path: reader.path()? },
            14 => Self::Mkdir { path: reader.path()?, attributes: Attributes::read(reader)? },
            15 => Self::Rmdir { path: reader.path()? },
            16 => Self::Realpath { path: reader.path()? },
            17 => Self::Stat { path: reader.path()? },
            18 => Self::Rename { from: reader.path()?, to: reader.path()? },
            19 => Self::Readlink { path: reader.path()? },
            20 => Self::Symlink { target: reader.path()?, link: reader.path()? },
            200 => Self::Extended(Extension::read(reader)?),
            unknown => return Err(PacketError::Type(unknown)),
        })
    }

    /// The type that it is sent with.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Open { .. } => 3,
            Self::Close { .. } => 4,
            Self::Read { .. } => 5,
            Self::Write { .. } => 6,
            Self::Lstat { .. } => 7,
            Self::Fstat { .. } => 8,
            Self::Setstat { .. } => 9,
            Self::Fsetstat { .. } => 10,
            Self::Opendir { .. } => 11,
            Self::Readdir { .. } => 12,
            Self::Remove { .. } => 13,
            Self::Mkdir { .. } => 14,
            Self::Rmdir { .. } => 15,
            Self::Realpath { .. } => 16,
            Self::Stat { .. } => 17,
            Self::Rename { .. } => 18,
            Self::Readlink { .. } => 19,
            Self::Symlink { .. } => 20,
            Self::Extended(_) => 200,
        }
    }

    /// What may answer it.
    pub fn expects(&self) -> Expected {
        match self {
            Self::Open { .. } | Self::Opendir { .. } => Expected::Handle,
            Self::Read { length, .. } => Expected::Data { most: *length },
            Self::Lstat { .. } | Self::Fstat { .. } | Self::Stat { .. } => Expected::Attributes,
            Self::Readdir { .. } => Expected::Entries,
            Self::Realpath { .. } | Self::Readlink { .. } => Expected::OneName,
            Self::Close { .. } | Self::Write { .. } | Self::Setstat { .. } | Self::Fsetstat { .. } => Expected::Status,
            Self::Remove { .. } | Self::Mkdir { .. } | Self::Rmdir { .. } => Expected::Status,
            Self::Rename { .. } | Self::Symlink { .. } => Expected::Status,
            Self::Extended(extension) => extension.expects(),
        }
    }
}

#[cfg(test)]
mod tests;
