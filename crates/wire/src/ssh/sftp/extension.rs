//! Requests beyond the draft: OpenSSH's (PROTOCOL, section 4), and what answers them.

use bytes::Bytes;

use super::attributes::Attributes;
use super::error::PacketError;
use super::part::{Data, Handle, Numbers, Path, Text};
use super::read::Reader;
use super::response::Expected;

/// The names on the wire.
pub mod name {
    /// See [`super::Extension::PosixRename`].
    pub const POSIX_RENAME: &str = "posix-rename@openssh.com";
    /// See [`super::Extension::Statvfs`].
    pub const STATVFS: &str = "statvfs@openssh.com";
    /// See [`super::Extension::Fstatvfs`].
    pub const FSTATVFS: &str = "fstatvfs@openssh.com";
    /// See [`super::Extension::Hardlink`].
    pub const HARDLINK: &str = "hardlink@openssh.com";
    /// See [`super::Extension::Fsync`].
    pub const FSYNC: &str = "fsync@openssh.com";
    /// See [`super::Extension::Lsetstat`].
    pub const LSETSTAT: &str = "lsetstat@openssh.com";
    /// See [`super::Extension::Limits`].
    pub const LIMITS: &str = "limits@openssh.com";
    /// See [`super::Extension::ExpandPath`].
    pub const EXPAND_PATH: &str = "expand-path@openssh.com";
    /// See [`super::Extension::CopyData`].
    pub const COPY_DATA: &str = "copy-data";
    /// See [`super::Extension::HomeDirectory`].
    pub const HOME_DIRECTORY: &str = "home-directory";
    /// See [`super::Extension::UsersGroupsById`].
    pub const USERS_GROUPS_BY_ID: &str = "users-groups-by-id@openssh.com";
}

/// An extended request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Extension {
    /// rename(2): whatever is at `to` is replaced (4.3).
    PosixRename {
        /// What is renamed.
        from: Path,
        /// Its new name.
        to: Path,
    },
    /// statvfs(3) of a path (4.4).
    Statvfs {
        /// Any file of the file system.
        path: Path,
    },
    /// fstatvfs(3) of an open file (4.4).
    Fstatvfs {
        /// Any file of the file system.
        handle: Handle,
    },
    /// link(2) (4.5).
    Hardlink {
        /// What exists.
        existing: Path,
        /// Its second name.
        link: Path,
    },
    /// fsync(2) (4.6).
    Fsync {
        /// The file.
        handle: Handle,
    },
    /// SETSTAT that follows no symbolic link at the end of the path (4.7).
    Lsetstat {
        /// What is changed.
        path: Path,
        /// To what.
        attributes: Attributes,
    },
    /// Which limits the server has (4.8).
    Limits,
    /// REALPATH that also knows `~` and `~user` (4.9).
    ExpandPath {
        /// The path.
        path: Path,
    },
    /// Copies from one open file into another, at the server (4.10, draft-ietf-secsh-filexfer-extensions-00, section 7).
    CopyData {
        /// What is read.
        from: Handle,
        /// From this byte on.
        from_offset: u64,
        /// So many bytes; 0 is up to its end.
        length: u64,
        /// What is written.
        to: Handle,
        /// From this byte on.
        to_offset: u64,
    },
    /// The home directory of a user (4.11).
    HomeDirectory {
        /// The user's name; empty is whoever is logged in.
        user: Text,
    },
    /// Names of users and groups (4.12).
    UsersGroupsById {
        /// Numbers of users.
        users: Numbers,
        /// Numbers of groups.
        groups: Numbers,
    },
    /// Any other: what it does is not known.
    Unknown {
        /// Its name.
        name: Text,
        /// What is behind the name.
        data: Data,
    },
}

impl Extension {
    /// The name that it is sent with.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::PosixRename { .. } => name::POSIX_RENAME.as_bytes(),
            Self::Statvfs { .. } => name::STATVFS.as_bytes(),
            Self::Fstatvfs { .. } => name::FSTATVFS.as_bytes(),
            Self::Hardlink { .. } => name::HARDLINK.as_bytes(),
            Self::Fsync { .. } => name::FSYNC.as_bytes(),
            Self::Lsetstat { .. } => name::LSETSTAT.as_bytes(),
            Self::Limits => name::LIMITS.as_bytes(),
            Self::ExpandPath { .. } => name::EXPAND_PATH.as_bytes(),
            Self::CopyData { .. } => name::COPY_DATA.as_bytes(),
            Self::HomeDirectory { .. } => name::HOME_DIRECTORY.as_bytes(),
            Self::UsersGroupsById { .. } => name::USERS_GROUPS_BY_ID.as_bytes(),
            Self::Unknown { name, .. } => name.bytes(),
        }
    }

    /// What may answer it.
    pub fn expects(&self) -> Expected {
        match self {
            Self::PosixRename { .. } | Self::Hardlink { .. } | Self::Fsync { .. } => Expected::Status,
            Self::Lsetstat { .. } | Self::CopyData { .. } => Expected::Status,
            Self::Statvfs { .. } | Self::Fstatvfs { .. } => Expected::Statvfs,
            Self::Limits => Expected::Limits,
            Self::ExpandPath { .. } | Self::HomeDirectory { .. } => Expected::OneName,
            Self::UsersGroupsById { users, groups } => {
                Expected::UsersGroups { users: users.get().len(), groups: groups.get().len() }
            }
            Self::Unknown { .. } => Expected::Unknown,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let name = reader.text()?;
        let Ok(known) = std::str::from_utf8(name.bytes()) else {
            return Ok(Self::Unknown { name, data: Data::new(reader.rest()?) });
        };
        Ok(match known {
            name::POSIX_RENAME => Self::PosixRename { from: reader.path()?, to: reader.path()? },
            name::STATVFS => Self::Statvfs { path: reader.path()? },
            name::FSTATVFS => Self::Fstatvfs { handle: reader.handle()? },
            name::HARDLINK => Self::Hardlink { existing: reader.path()?, link: reader.path()? },
            name::FSYNC => Self::Fsync { handle: reader.handle()? },
            name::LSETSTAT => Self::Lsetstat { path: reader.path()?, attributes: Attributes::read(reader)? },
            name::LIMITS => Self::Limits,
            name::EXPAND_PATH => Self::ExpandPath { path: reader.path()? },
            name::COPY_DATA => Self::CopyData {
                from: reader.handle()?,
                from_offset: reader.u64()?,
                length: reader.u64()?,
                to: reader.handle()?,
                to_offset: reader.u64()?,
            },
            name::HOME_DIRECTORY => Self::HomeDirectory { user: reader.text()? },
            name::USERS_GROUPS_BY_ID => {
                Self::UsersGroupsById { users: Numbers::read(reader)?, groups: Numbers::read(reader)? }
            }
            _ => Self::Unknown { name, data: Data::new(reader.rest()?) },
        })
    }
}

/// What answers [`Extension::Statvfs`] and [`Extension::Fstatvfs`]: the fields of statvfs(3).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statvfs {
    /// Size of a block, in bytes.
    pub block_size: u64,
    /// The unit of `blocks`, in bytes.
    pub fragment_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free blocks for whoever is not root.
    pub available_blocks: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub free_files: u64,
    /// Free inodes for whoever is not root.
    pub available_files: u64,
    /// The number of the file system.
    pub file_system: u64,
    /// 1 for read-only, 2 for no set-user-ID.
    pub flags: u64,
    /// The longest name of a file, in bytes.
    pub longest_name: u64,
}

impl Statvfs {
    /// Reads the content of an extended reply.
    ///
    /// # Errors
    /// [`PacketError`] if it is none.
    pub fn parse(data: &Data) -> Result<Self, PacketError> {
        whole(data.bytes(), |reader| {
            Ok(Self {
                block_size: reader.u64()?,
                fragment_size: reader.u64()?,
                blocks: reader.u64()?,
                free_blocks: reader.u64()?,
                available_blocks: reader.u64()?,
                files: reader.u64()?,
                free_files: reader.u64()?,
                available_files: reader.u64()?,
                file_system: reader.u64()?,
                flags: reader.u64()?,
                longest_name: reader.u64()?,
            })
        })
    }

    /// As the content of an extended reply.
    pub fn data(&self) -> Data {
        let first = [self.block_size, self.fragment_size, self.blocks, self.free_blocks, self.available_blocks];
        let second = [self.files, self.free_files, self.available_files, self.file_system, self.flags];
        words(first.iter().chain(&second).chain([&self.longest_name]))
    }
}

/// What answers [`Extension::Limits`]; 0 is no limit, or one that the server does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Limits {
    /// The longest packet, without its length word, in bytes.
    pub packet: u64,
    /// The most that a READ gets, in bytes.
    pub read: u64,
    /// The most that a WRITE may have, in bytes.
    pub write: u64,
    /// How many handles may be open.
    pub handles: u64,
}

impl Limits {
    /// Reads the content of an extended reply.
    ///
    /// # Errors
    /// [`PacketError`] if it is none.
    pub fn parse(data: &Data) -> Result<Self, PacketError> {
        whole(data.bytes(), |reader| {
            Ok(Self { packet: reader.u64()?, read: reader.u64()?, write: reader.u64()?, handles: reader.u64()? })
        })
    }

    /// As the content of an extended reply.
    pub fn data(&self) -> Data {
        words(&[self.packet, self.read, self.write, self.handles])
    }
}

/// What answers [`Extension::UsersGroupsById`]: a name for each number in its order, empty where there is none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct UsersGroups {
    /// Names of users.
    pub users: Vec<Text>,
    /// Names of groups.
    pub groups: Vec<Text>,
}

impl UsersGroups {
    /// Reads the content of an extended reply.
    ///
    /// # Errors
    /// [`PacketError`] if it is none.
    pub fn parse(data: &Data) -> Result<Self, PacketError> {
        whole(data.bytes(), |reader| {
            let (users, groups) = (reader.string()?, reader.string()?);
            Ok(Self { users: names(&users)?, groups: names(&groups)? })
        })
    }
}

fn names(list: &Bytes) -> Result<Vec<Text>, PacketError> {
    let mut reader = Reader::new(list, 0);
    let mut names = Vec::new();
    while reader.left() > 0 {
        names.push(reader.text()?);
    }
    Ok(names)
}

/// Reads all of it.
fn whole<T>(bytes: &Bytes, read: impl FnOnce(&mut Reader<'_>) -> Result<T, PacketError>) -> Result<T, PacketError> {
    let mut reader = Reader::new(bytes, 0);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn words<'a>(words: impl IntoIterator<Item = &'a u64>) -> Data {
    Data::new(words.into_iter().flat_map(|word| word.to_be_bytes()).collect::<Bytes>())
}
