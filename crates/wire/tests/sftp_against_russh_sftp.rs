//! What Sluice reads and writes of SFTP against another implementation: `russh-sftp`, which a client and a server are made
//! of.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

use bytes::Bytes;
use proptest::prelude::*;
use russh_sftp::protocol as theirs;
use wire::ssh::sftp::attributes::{Owner, Times};
use wire::ssh::sftp::extension::{Limits, name};
use wire::ssh::sftp::part::Hello;
use wire::ssh::sftp::request::OpenFlags;
use wire::ssh::sftp::response::{Message, Name, Status, StatusCode};
use wire::ssh::sftp::{
    Answer, Attributes, Data, Extension, Framer, Handle, Operation, Packet, Path, Request, Response, Text,
};

fn path(text: &str) -> Path {
    Path::new(text.to_owned()).unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text.to_owned()).unwrap()
}

fn handle(text: &str) -> Handle {
    Handle::new(text.to_owned()).unwrap()
}

fn framed(bytes: Bytes) -> Packet {
    let mut framer = Framer::default();
    framer.push(bytes);
    let packet = framer.packet().unwrap().unwrap();
    assert_eq!(framer.pending(), 0);
    packet
}

/// Their packet and ours are the same bytes, and are read as ours.
fn same_request(packet: impl Into<theirs::Packet>, ours: &Request) {
    let bytes = Bytes::try_from(packet.into()).unwrap();
    let mut written = Vec::new();
    ours.encode(&mut written).unwrap();
    assert_eq!(bytes, written, "{ours:?}");
    assert_eq!(Request::parse(&framed(bytes)).as_ref(), Ok(ours));
    is_read_by_them(&written);
}

fn same_response(packet: impl Into<theirs::Packet>, ours: &Response) {
    let bytes = Bytes::try_from(packet.into()).unwrap();
    let mut written = Vec::new();
    ours.encode(&mut written).unwrap();
    assert_eq!(bytes, written, "{ours:?}");
    assert_eq!(Response::parse(&framed(bytes)).as_ref(), Ok(ours));
    is_read_by_them(&written);
}

/// They read it, and write it again as it was.
fn is_read_by_them(written: &[u8]) {
    let read = theirs::Packet::try_from(&mut Bytes::copy_from_slice(&written[4..])).unwrap();
    assert_eq!(Bytes::try_from(read).unwrap(), written);
}

/// A value of theirs and the same of ours.
type Both = (theirs::FileAttributes, Attributes);

fn attributes() -> impl Strategy<Value = Both> {
    let fields: (_, _, _, _) =
        (any::<Option<u64>>(), any::<Option<(u32, u32)>>(), any::<Option<u32>>(), any::<Option<(u32, u32)>>());
    fields.prop_map(|(size, owner, permissions, times)| {
        let mut theirs = theirs::FileAttributes::empty();
        (theirs.size, theirs.permissions) = (size, permissions);
        (theirs.uid, theirs.gid) = (owner.map(|owner| owner.0), owner.map(|owner| owner.1));
        (theirs.atime, theirs.mtime) = (times.map(|times| times.0), times.map(|times| times.1));
        let owner = owner.map(|(user, group)| Owner { user, group });
        let times = times.map(|(accessed, modified)| Times { accessed, modified });
        (theirs, Attributes { size, owner, permissions, times, extended: None })
    })
}

proptest! {
    #[test]
    fn requests_by_path_are_the_same(id: u32, a in "[^\0]{0,12}", b in "[^\0]{0,12}", bits in 0u32..0x40, both in attributes()) {
        let ours = |operation| Request::Operation { id, operation };
        let (attrs, attributes) = both;
        let flags = OpenFlags::from_bits(bits).unwrap();
        let pflags = theirs::OpenFlags::from_bits(bits).unwrap();
        same_request(
            theirs::Open { id, filename: a.clone(), pflags, attrs: attrs.clone() },
            &ours(Operation::Open { path: path(&a), flags, attributes: attributes.clone() }),
        );
        same_request(theirs::Lstat { id, path: a.clone() }, &ours(Operation::Lstat { path: path(&a) }));
        same_request(theirs::Stat { id, path: a.clone() }, &ours(Operation::Stat { path: path(&a) }));
        same_request(
            theirs::SetStat { id, path: a.clone(), attrs: attrs.clone() },
            &ours(Operation::Setstat { path: path(&a), attributes: attributes.clone() }),
        );
        same_request(
            theirs::MkDir { id, path: a.clone(), attrs },
            &ours(Operation::Mkdir { path: path(&a), attributes }),
        );
        same_request(theirs::OpenDir { id, path: a.clone() }, &ours(Operation::Opendir { path: path(&a) }));
        same_request(theirs::Remove { id, filename: a.clone() }, &ours(Operation::Remove { path: path(&a) }));
        same_request(theirs::RmDir { id, path: a.clone() }, &ours(Operation::Rmdir { path: path(&a) }));
        same_request(theirs::RealPath { id, path: a.clone() }, &ours(Operation::Realpath { path: path(&a) }));
        same_request(theirs::ReadLink { id, path: a.clone() }, &ours(Operation::Readlink { path: path(&a) }));
        same_request(
            theirs::Rename { id, oldpath: a.clone(), newpath: b.clone() },
            &ours(Operation::Rename { from: path(&a), to: path(&b) }),
        );
        // They keep to the draft's order, Sluice to OpenSSH's.
        same_request(
            theirs::Symlink { id, linkpath: a.clone(), targetpath: b.clone() },
            &ours(Operation::Symlink { target: path(&a), link: path(&b) }),
        );
    }

    #[test]
    fn requests_by_handle_are_the_same(id: u32, h in "[a-z0-9]{0,12}", offset: u64, len: u32, data: Vec<u8>, both in attributes()) {
        let ours = |operation| Request::Operation { id, operation };
        let (attrs, attributes) = both;
        same_request(theirs::Close { id, handle: h.clone() }, &ours(Operation::Close { handle: handle(&h) }));
        same_request(theirs::Fstat { id, handle: h.clone() }, &ours(Operation::Fstat { handle: handle(&h) }));
        same_request(theirs::ReadDir { id, handle: h.clone() }, &ours(Operation::Readdir { handle: handle(&h) }));
        same_request(
            theirs::FSetStat { id, handle: h.clone(), attrs },
            &ours(Operation::Fsetstat { handle: handle(&h), attributes }),
        );
        same_request(
            theirs::Read { id, handle: h.clone(), offset, len },
            &ours(Operation::Read { handle: handle(&h), offset, length: len }),
        );
        same_request(
            theirs::Write { id, handle: h.clone(), offset, data: data.clone() },
            &ours(Operation::Write { handle: handle(&h), offset, data: Data::new(data) }),
        );
    }

    #[test]
    fn extensions_are_the_same(id: u32, a in "[^\0]{0,12}", b in "[^\0]{0,12}", data: Vec<u8>) {
        use russh_sftp::extensions::{ExpandPathExtension, FsyncExtension, HardlinkExtension, StatvfsExtension};
        let hardlink: Vec<u8> = HardlinkExtension { oldpath: a.clone(), newpath: b.clone() }.try_into().unwrap();
        let fsync: Vec<u8> = FsyncExtension { handle: b.clone() }.try_into().unwrap();
        let statvfs: Vec<u8> = StatvfsExtension { path: a.clone() }.try_into().unwrap();
        let expand: Vec<u8> = ExpandPathExtension { path: a.clone() }.try_into().unwrap();
        for (request, data, ours) in [
            (name::HARDLINK, hardlink, Extension::Hardlink { existing: path(&a), link: path(&b) }),
            (name::FSYNC, fsync, Extension::Fsync { handle: handle(&b) }),
            (name::STATVFS, statvfs, Extension::Statvfs { path: path(&a) }),
            (name::EXPAND_PATH, expand, Extension::ExpandPath { path: path(&a) }),
            (name::LIMITS, Vec::new(), Extension::Limits),
            ("x@example.com", data.clone(), Extension::Unknown { name: text("x@example.com"), data: Data::new(data) }),
        ] {
            same_request(
                theirs::Extended { id, request: request.to_owned(), data },
                &Request::Operation { id, operation: Operation::Extended(ours) },
            );
        }
    }

    #[test]
    fn answers_are_the_same(id: u32, a in "[^\0]{0,12}", b in "[^\0]{0,12}", data: Vec<u8>, both in attributes()) {
        let ours = |answer| Response::Answer { id, answer };
        let (attrs, attributes) = both;
        let message = Message { text: text(&a), language: text(&b) };
        same_response(
            theirs::Status {
                id,
                status_code: theirs::StatusCode::PermissionDenied,
                error_message: a.clone(),
                language_tag: b.clone(),
            },
            &ours(Answer::Status(Status { code: StatusCode::PermissionDenied, message: Some(message) })),
        );
        same_response(theirs::Handle { id, handle: a.clone() }, &ours(Answer::Handle(handle(&a))));
        same_response(theirs::Data { id, data: data.clone() }, &ours(Answer::Data(Data::new(data.clone()))));
        same_response(theirs::Attrs { id, attrs: attrs.clone() }, &ours(Answer::Attributes(attributes.clone())));
        same_response(theirs::ExtendedReply { id, data: data.clone() }, &ours(Answer::Extended(Data::new(data))));
        let file = theirs::File { filename: a.clone(), longname: b.clone(), attrs };
        same_response(
            theirs::Name { id, files: vec![file.clone(), file] },
            &ours(Answer::Names(vec![Name { path: path(&a), listing: text(&b), attributes }; 2])),
        );
    }
}

#[test]
fn hellos_are_the_same() {
    let extensions = vec![(text("fsync@openssh.com"), Data::new("1"))];
    let theirs_of = || [("fsync@openssh.com".to_owned(), "1".to_owned())].into_iter().collect();
    let hello = Hello { version: 3, extensions: extensions.into() };
    same_request(
        theirs::Packet::Init(theirs::Init { version: 3, extensions: theirs_of() }),
        &Request::Init(hello.clone()),
    );
    same_response(
        theirs::Packet::Version(theirs::Version { version: 3, extensions: theirs_of() }),
        &Response::Version(hello),
    );
}

#[test]
fn limits_are_the_same() {
    let theirs = russh_sftp::extensions::LimitsExtension {
        max_packet_len: 1,
        max_read_len: 2,
        max_write_len: 3,
        max_open_handles: 4,
    };
    let bytes = russh_sftp::ser::to_bytes(&theirs).unwrap();
    let ours = Limits { packet: 1, read: 2, write: 3, handles: 4 };
    assert_eq!(ours.data().bytes(), &bytes);
    assert_eq!(Limits::parse(&Data::new(bytes)), Ok(ours));
}
