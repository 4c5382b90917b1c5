//! What is known of a file, or to be set on it (draft-ietf-secsh-filexfer-02, section 5).

use super::error::PacketError;
use super::part::Pairs;
use super::read::Reader;

/// `SSH_FILEXFER_ATTR_SIZE`.
pub(crate) const SIZE: u32 = 0x0000_0001;
/// `SSH_FILEXFER_ATTR_UIDGID`.
pub(crate) const OWNER: u32 = 0x0000_0002;
/// `SSH_FILEXFER_ATTR_PERMISSIONS`.
pub(crate) const PERMISSIONS: u32 = 0x0000_0004;
/// `SSH_FILEXFER_ATTR_ACMODTIME`.
pub(crate) const TIMES: u32 = 0x0000_0008;
/// `SSH_FILEXFER_ATTR_EXTENDED`.
pub(crate) const EXTENDED: u32 = 0x8000_0000;

/// Attributes of a file; what is `None` was not sent.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Attributes {
    /// In bytes. To set it is to cut the file off, or to fill it up.
    pub size: Option<u64>,
    /// Numbers of user and group.
    pub owner: Option<Owner>,
    /// As POSIX has them, in what a server sends with the bits for the type of the file.
    pub permissions: Option<u32>,
    /// Last access and last change.
    pub times: Option<Times>,
    /// Attributes by name, of which version 3 defines none, and none twice. An empty list was sent as one.
    pub extended: Option<Pairs>,
}

/// Whose file it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// Seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Last access.
    pub accessed: u32,
    /// Last change.
    pub modified: u32,
}

impl Attributes {
    /// The flags that say which fields follow.
    pub(crate) fn flags(&self) -> u32 {
        let flag = |is_there: bool, flag: u32| if is_there { flag } else { 0 };
        flag(self.size.is_some(), SIZE)
            | flag(self.owner.is_some(), OWNER)
            | flag(self.permissions.is_some(), PERMISSIONS)
            | flag(self.times.is_some(), TIMES)
            | flag(self.extended.is_some(), EXTENDED)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let flags = reader.u32()?;
        let unknown = flags & !(SIZE | OWNER | PERMISSIONS | TIMES | EXTENDED);
        if unknown != 0 {
            return Err(PacketError::Flags { field: "attribute flags", bits: unknown });
        }
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(reader.u64()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some(Owner { user: reader.u32()?, group: reader.u32()? });
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(reader.u32()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some(Times { accessed: reader.u32()?, modified: reader.u32()? });
        }
        if flags & EXTENDED != 0 {
            let count = reader.u32()?;
            let extended = Pairs::read(reader, count)?;
            if !extended.are_unique() {
                return Err(PacketError::Duplicate("an extended attribute"));
            }
            attributes.extended = Some(extended);
        }
        Ok(attributes)
    }
}
