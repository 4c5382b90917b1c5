//! Any request and any response, for tests.

use proptest::prelude::*;

use super::attributes::{Attributes, Owner, Times};
use super::extension::Extension;
use super::part::{Data, Handle, Hello, Numbers, Pairs, Path, Text};
use super::request::{OpenFlags, Operation, Request};
use super::response::{Answer, Message, Name, Response, Status, StatusCode};

fn without_nul() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..6)
}

fn path() -> impl Strategy<Value = Path> {
    without_nul().prop_map(|bytes| Path::new(bytes).unwrap())
}

fn text() -> impl Strategy<Value = Text> {
    without_nul().prop_map(|bytes| Text::new(bytes).unwrap())
}

fn handle() -> impl Strategy<Value = Handle> {
    prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..6),
        1 => prop::collection::vec(any::<u8>(), 256),
    ]
    .prop_map(|bytes| Handle::new(bytes).unwrap())
}

fn data() -> impl Strategy<Value = Data> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Data::new)
}

fn pairs() -> impl Strategy<Value = Pairs> {
    prop::collection::btree_map(text(), data(), 0..3).prop_map(|pairs| pairs.into_iter().collect::<Vec<_>>().into())
}

fn numbers() -> impl Strategy<Value = Numbers> {
    prop::collection::vec(any::<u32>(), 0..4).prop_map(Numbers::from)
}

pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    let owner = any::<(u32, u32)>().prop_map(|(user, group)| Owner { user, group });
    let times = any::<(u32, u32)>().prop_map(|(accessed, modified)| Times { accessed, modified });
    (any::<Option<u64>>(), prop::option::of(owner), any::<Option<u32>>(), prop::option::of(times))
        .prop_flat_map(|fields| (Just(fields), prop::option::of(pairs())))
        .prop_map(|((size, owner, permissions, times), extended)| Attributes {
            size,
            owner,
            permissions,
            times,
            extended,
        })
}

fn hello(versions: impl Strategy<Value = u32>) -> impl Strategy<Value = Hello> {
    (versions, pairs()).prop_map(|(version, extensions)| Hello { version, extensions })
}

fn extension() -> impl Strategy<Value = Extension> {
    let copy = (handle(), any::<u64>(), any::<u64>(), handle(), any::<u64>());
    prop_oneof![
        (path(), path()).prop_map(|(from, to)| Extension::PosixRename { from, to }),
        path().prop_map(|path| Extension::Statvfs { path }),
        handle().prop_map(|handle| Extension::Fstatvfs { handle }),
        (path(), path()).prop_map(|(existing, link)| Extension::Hardlink { existing, link }),
        handle().prop_map(|handle| Extension::Fsync { handle }),
        (path(), attributes()).prop_map(|(path, attributes)| Extension::Lsetstat { path, attributes }),
        Just(Extension::Limits),
        path().prop_map(|path| Extension::ExpandPath { path }),
        copy.prop_map(|(from, from_offset, length, to, to_offset)| Extension::CopyData {
            from,
            from_offset,
            length,
            to,
            to_offset
        }),
        text().prop_map(|user| Extension::HomeDirectory { user }),
        (numbers(), numbers()).prop_map(|(users, groups)| Extension::UsersGroupsById { users, groups }),
        (text(), data()).prop_map(|(name, data)| Extension::Unknown { name, data }),
    ]
}

fn by_path() -> impl Strategy<Value = Operation> {
    (path(), path(), attributes(), 0u32..0x40).prop_flat_map(|(path, other, attributes, flags)| {
        let flags = OpenFlags::from_bits(flags).unwrap();
        prop::sample::select(vec![
            Operation::Open { path: path.clone(), flags, attributes: attributes.clone() },
            Operation::Lstat { path: path.clone() },
            Operation::Setstat { path: path.clone(), attributes: attributes.clone() },
            Operation::Opendir { path: path.clone() },
            Operation::Remove { path: path.clone() },
            Operation::Mkdir { path: path.clone(), attributes },
            Operation::Rmdir { path: path.clone() },
            Operation::Realpath { path: path.clone() },
            Operation::Stat { path: path.clone() },
            Operation::Rename { from: path.clone(), to: other.clone() },
            Operation::Readlink { path: path.clone() },
            Operation::Symlink { target: path, link: other },
        ])
    })
}

fn by_handle() -> impl Strategy<Value = Operation> {
    (handle(), attributes(), data(), any::<u64>(), any::<u32>()).prop_flat_map(
        |(handle, attributes, data, offset, length)| {
            prop::sample::select(vec![
                Operation::Close { handle: handle.clone() },
                Operation::Read { handle: handle.clone(), offset, length },
                Operation::Write { handle: handle.clone(), offset, data },
                Operation::Fstat { handle: handle.clone() },
                Operation::Fsetstat { handle: handle.clone(), attributes },
                Operation::Readdir { handle },
            ])
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let operation = prop_oneof![2 => by_path(), 1 => by_handle(), 2 => extension().prop_map(Operation::Extended)];
    prop_oneof![
        1 => hello(3u32..8).prop_map(Request::Init),
        9 => (any::<u32>(), operation).prop_map(|(id, operation)| Request::Operation { id, operation }),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    let message = (text(), text()).prop_map(|(text, language)| Message { text, language });
    ((0u32..12).prop_map(StatusCode::from_number), prop::option::of(message))
        .prop_map(|(code, message)| Status { code, message })
}

fn name() -> impl Strategy<Value = Name> {
    (path(), text(), attributes()).prop_map(|(path, listing, attributes)| Name { path, listing, attributes })
}

pub(crate) fn response() -> impl Strategy<Value = Response> {
    let answer = prop_oneof![
        status().prop_map(Answer::Status),
        handle().prop_map(Answer::Handle),
        data().prop_map(Answer::Data),
        prop::collection::vec(name(), 0..4).prop_map(Answer::Names),
        attributes().prop_map(Answer::Attributes),
        data().prop_map(Answer::Extended),
    ];
    prop_oneof![
        1 => hello(Just(3)).prop_map(Response::Version),
        9 => (any::<u32>(), answer).prop_map(|(id, answer)| Response::Answer { id, answer }),
    ]
}
