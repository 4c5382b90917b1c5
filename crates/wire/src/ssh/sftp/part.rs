//! The parts that packets are made of: paths, handles, texts, data, and lists of pairs.
//!
//! They share the memory of the packet that they were read from. `Debug` shows lengths only: content belongs in no log
//! line.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use super::error::PacketError;
use super::read::Reader;
use super::{EncodeError, VERSION};

/// The longest handle (draft-ietf-secsh-filexfer-02, section 6.2), in bytes.
pub const MAX_HANDLE: usize = 256;

/// Declares a type of bytes that shows nothing of itself.
macro_rules! bytes_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(Bytes);

        impl $name {
            /// The bytes.
            pub const fn bytes(&self) -> &Bytes {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({} bytes)", stringify!($name), self.0.len())
            }
        }
    };
}

bytes_of! {
    /// A path or the name of a file: any bytes but NUL, in no particular encoding. Empty is the server's own directory.
    Path
}

bytes_of! {
    /// What a server has called an open file or directory: any bytes, at most [`MAX_HANDLE`].
    Handle
}

bytes_of! {
    /// Names of extensions and users, messages, tags of languages, listings: any bytes but NUL.
    Text
}

bytes_of! {
    /// Any bytes: the content of a file, or of an extension.
    Data
}

impl Path {
    /// A path.
    ///
    /// # Errors
    /// [`PacketError::EmbeddedNul`]: system calls would end it there.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, PacketError> {
        without_nul(bytes.into(), "a path").map(Self)
    }
}

impl Handle {
    /// A handle.
    ///
    /// # Errors
    /// [`PacketError::HandleTooLong`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, PacketError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_HANDLE {
            return Err(PacketError::HandleTooLong(bytes.len()));
        }
        Ok(Self(bytes))
    }
}

impl Text {
    /// A text.
    ///
    /// # Errors
    /// [`PacketError::EmbeddedNul`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, PacketError> {
        without_nul(bytes.into(), "a text").map(Self)
    }
}

impl Data {
    /// Any bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }
}

fn without_nul(bytes: Bytes, what: &'static str) -> Result<Bytes, PacketError> {
    match memchr::memchr(0, &bytes) {
        Some(_) => Err(PacketError::EmbeddedNul(what)),
        None => Ok(bytes),
    }
}

/// Names with content. An extension may be announced in several versions, and then its name is there more than once.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pairs(Vec<(Text, Data)>);

impl From<Vec<(Text, Data)>> for Pairs {
    fn from(pairs: Vec<(Text, Data)>) -> Self {
        Self(pairs)
    }
}

impl Pairs {
    /// The pairs in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Text, Data)> {
        self.0.iter()
    }

    /// What stands behind this name, each time that it is there.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Data> {
        self.0.iter().filter(move |(other, _)| other.bytes() == name.as_bytes()).map(|(_, data)| data)
    }

    /// Whether no name is there more than once.
    pub(crate) fn are_unique(&self) -> bool {
        let mut names = BTreeSet::new();
        self.0.iter().all(|(name, _)| names.insert(name))
    }

    /// So many pairs.
    pub(crate) fn read(reader: &mut Reader<'_>, count: u32) -> Result<Self, PacketError> {
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((reader.text()?, reader.data()?));
        }
        Ok(Self(pairs))
    }

    /// All that is left.
    fn read_rest(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let mut pairs = Vec::new();
        while reader.left() > 0 {
            pairs.push((reader.text()?, reader.data()?));
        }
        Ok(Self(pairs))
    }
}

/// INIT and VERSION, which open the protocol: a version, and the extensions of whoever sends it (section 4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// From a client the highest that it speaks, at least 3; from a server the one that is spoken.
    pub version: u32,
    /// By name, with a version of each as text where OpenSSH announces them.
    pub extensions: Pairs,
}

impl Hello {
    /// With version 3.
    pub const fn new(extensions: Pairs) -> Self {
        Self { version: VERSION, extensions }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let version = reader.u32()?;
        // Below 3, packets have other fields.
        if version < VERSION {
            return Err(PacketError::Version(version));
        }
        Ok(Self { version, extensions: Pairs::read_rest(reader)? })
    }
}

/// 32-bit numbers, as users-groups-by-id@openssh.com lists them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Numbers(Vec<u32>);

impl Numbers {
    /// The numbers in their order.
    pub fn get(&self) -> &[u32] {
        &self.0
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        let bytes = reader.string()?;
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(PacketError::Numbers(bytes.len()));
        }
        Ok(Self(words.iter().map(|word| u32::from_be_bytes(*word)).collect()))
    }
}

impl From<Vec<u32>> for Numbers {
    fn from(numbers: Vec<u32>) -> Self {
        Self(numbers)
    }
}

/// The count of a list.
pub(crate) fn count(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).map_err(|_| EncodeError::TooMany(length))
}
