//! Typed messages to bytes.
//!
//! Every function appends one packet to a buffer, or leaves the buffer as it was and returns an error. A length is computed
//! in one place, by checked conversion (SM-04: a wrapped length turns data into packets).

use super::attributes::Attributes;
use super::error::EncodeError;
use super::extension::{Extension, UsersGroups};
use super::frame::MAX_LENGTH;
use super::part::{Data, Hello, Numbers, Pairs, Text, count};
use super::request::{Operation, Request};
use super::response::{Answer, Name, Response, Status};

/// Appends fields to a packet.
struct Body<'b> {
    out: &'b mut Vec<u8>,
}

type Written = Result<(), EncodeError>;

impl Body<'_> {
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// Bytes behind their length.
    fn string(&mut self, value: &[u8]) -> Written {
        self.bytes(&length_word(value.len())?);
        self.bytes(value);
        Ok(())
    }

    fn strings<const N: usize>(&mut self, values: [&[u8]; N]) -> Written {
        values.into_iter().try_for_each(|value| self.string(value))
    }

    fn pairs(&mut self, pairs: &Pairs) -> Written {
        pairs.iter().try_for_each(|(name, data)| self.strings([name.bytes(), data.bytes()]))
    }

    fn numbers(&mut self, numbers: &Numbers) -> Written {
        let length = numbers.get().len();
        self.bytes(&length_word(length.checked_mul(4).ok_or(EncodeError::TooMany(length))?)?);
        numbers.get().iter().for_each(|number| self.u32(*number));
        Ok(())
    }

    fn attributes(&mut self, attributes: &Attributes) -> Written {
        self.u32(attributes.flags());
        if let Some(size) = attributes.size {
            self.u64(size);
        }
        if let Some(owner) = attributes.owner {
            self.u32(owner.user);
            self.u32(owner.group);
        }
        if let Some(permissions) = attributes.permissions {
            self.u32(permissions);
        }
        if let Some(times) = attributes.times {
            self.u32(times.accessed);
            self.u32(times.modified);
        }
        if let Some(extended) = &attributes.extended {
            self.u32(count(extended.iter().len())?);
            self.pairs(extended)?;
        }
        Ok(())
    }
}

impl Request {
    /// Appends the packet.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Written {
        match self {
            Self::Init(hello) => packet(out, 1, |body| write_hello(body, hello)),
            Self::Operation { id, operation } => packet(out, operation.code(), |body| {
                body.u32(*id);
                write_operation(body, operation)
            }),
        }
    }
}

impl Response {
    /// Appends the packet.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Written {
        match self {
            Self::Version(hello) => packet(out, 2, |body| write_hello(body, hello)),
            Self::Answer { id, answer } => packet(out, answer.code(), |body| {
                body.u32(*id);
                write_answer(body, answer)
            }),
        }
    }
}

impl UsersGroups {
    /// As the content of an extended reply.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn data(&self) -> Result<Data, EncodeError> {
        let mut out = Vec::new();
        let mut body = Body { out: &mut out };
        for names in [&self.users, &self.groups] {
            body.string(&list(names)?)?;
        }
        Ok(Data::new(out))
    }
}

fn list(names: &[Text]) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut body = Body { out: &mut out };
    names.iter().try_for_each(|name| body.string(name.bytes()))?;
    Ok(out)
}

fn write_hello(body: &mut Body<'_>, hello: &Hello) -> Written {
    body.u32(hello.version);
    body.pairs(&hello.extensions)
}

fn write_operation(body: &mut Body<'_>, operation: &Operation) -> Written {
    match operation {
        Operation::Open { path, flags, attributes } => {
            body.string(path.bytes())?;
            body.u32(flags.bits());
            body.attributes(attributes)
        }
        Operation::Read { handle, offset, length } => {
            body.string(handle.bytes())?;
            body.u64(*offset);
            body.u32(*length);
            Ok(())
        }
        Operation::Write { handle, offset, data } => {
            body.string(handle.bytes())?;
            body.u64(*offset);
            body.string(data.bytes())
        }
        Operation::Close { handle } | Operation::Fstat { handle } | Operation::Readdir { handle } => {
            body.string(handle.bytes())
        }
        Operation::Fsetstat { handle, attributes } => {
            body.string(handle.bytes())?;
            body.attributes(attributes)
        }
        Operation::Setstat { path, attributes } | Operation::Mkdir { path, attributes } => {
            body.string(path.bytes())?;
            body.attributes(attributes)
        }
        Operation::Lstat { path } | Operation::Stat { path } | Operation::Opendir { path } => body.string(path.bytes()),
        Operation::Remove { path } | Operation::Rmdir { path } => body.string(path.bytes()),
        Operation::Realpath { path } | Operation::Readlink { path } => body.string(path.bytes()),
        Operation::Rename { from, to } => body.strings([from.bytes(), to.bytes()]),
        Operation::Symlink { target, link } => body.strings([target.bytes(), link.bytes()]),
        Operation::Extended(extension) => write_extension(body, extension),
    }
}

fn write_extension(body: &mut Body<'_>, extension: &Extension) -> Written {
    body.string(extension.name())?;
    match extension {
        Extension::PosixRename { from, to } => body.strings([from.bytes(), to.bytes()]),
        Extension::Hardlink { existing, link } => body.strings([existing.bytes(), link.bytes()]),
        Extension::Statvfs { path } | Extension::ExpandPath { path } => body.string(path.bytes()),
        Extension::Fstatvfs { handle } | Extension::Fsync { handle } => body.string(handle.bytes()),
        Extension::Lsetstat { path, attributes } => {
            body.string(path.bytes())?;
            body.attributes(attributes)
        }
        Extension::Limits => Ok(()),
        Extension::CopyData { from, from_offset, length, to, to_offset } => {
            body.string(from.bytes())?;
            body.u64(*from_offset);
            body.u64(*length);
            body.string(to.bytes())?;
            body.u64(*to_offset);
            Ok(())
        }
        Extension::HomeDirectory { user } => body.string(user.bytes()),
        Extension::UsersGroupsById { users, groups } => {
            body.numbers(users)?;
            body.numbers(groups)
        }
        Extension::Unknown { data, .. } => {
            body.bytes(data.bytes());
            Ok(())
        }
    }
}

fn write_answer(body: &mut Body<'_>, answer: &Answer) -> Written {
    match answer {
        Answer::Status(status) => write_status(body, status),
        Answer::Handle(handle) => body.string(handle.bytes()),
        Answer::Data(data) => body.string(data.bytes()),
        Answer::Names(names) => {
            body.u32(count(names.len())?);
            names.iter().try_for_each(|name| write_name(body, name))
        }
        Answer::Attributes(attributes) => body.attributes(attributes),
        Answer::Extended(data) => {
            body.bytes(data.bytes());
            Ok(())
        }
    }
}

fn write_status(body: &mut Body<'_>, status: &Status) -> Written {
    body.u32(status.code.number());
    match &status.message {
        Some(message) => body.strings([message.text.bytes(), message.language.bytes()]),
        None => Ok(()),
    }
}

fn write_name(body: &mut Body<'_>, name: &Name) -> Written {
    body.strings([name.path.bytes(), name.listing.bytes()])?;
    body.attributes(&name.attributes)
}

/// Appends a packet of this type.
fn packet(out: &mut Vec<u8>, code: u8, write: impl FnOnce(&mut Body<'_>) -> Written) -> Written {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, code]);
    let written =
        write(&mut Body { out }).and_then(|()| length_word(out.len().saturating_sub(start).saturating_sub(4)));
    match written {
        Ok(word) => put(out, start, word),
        Err(_) => out.truncate(start),
    }
    written.map(drop)
}

/// The length of a packet without its length word, or of a field of one.
fn length_word(length: usize) -> Result<[u8; 4], EncodeError> {
    let word = u32::try_from(length).ok().filter(|length| *length <= MAX_LENGTH);
    word.map(u32::to_be_bytes).ok_or(EncodeError::TooLarge(length))
}

/// Overwrites the length word that was reserved at `at`.
fn put(out: &mut [u8], at: usize, word: [u8; 4]) {
    if let Some(reserved) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *reserved = word;
    }
}

#[cfg(test)]
mod tests;
