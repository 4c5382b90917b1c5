use super::*;
use crate::ssh::sftp::frame::Framer;
use crate::ssh::sftp::strategies;
use proptest::prelude::*;

fn framed(code: u8, body: &[u8]) -> Packet {
    let length = u32::try_from(body.len() + 1).unwrap();
    let mut framer = Framer::default();
    framer.push([&length.to_be_bytes()[..], &[code], body].concat().into());
    framer.packet().unwrap().unwrap()
}

/// Parses a packet; whatever is accepted has to be encoded again as it came.
fn parse(code: u8, body: &[u8]) -> Result<Response, PacketError> {
    let packet = framed(code, body);
    let response = Response::parse(&packet)?;
    let mut again = Vec::new();
    response.encode(&mut again).unwrap();
    assert_eq!(packet.bytes(), &again[..]);
    Ok(response)
}

fn status(code: StatusCode) -> Answer {
    Answer::Status(Status { code, message: None })
}

fn name(path: &'static str) -> Name {
    Name { path: Path::new(path).unwrap(), listing: Text::default(), attributes: Attributes::default() }
}

const ALL: [Expected; 10] = [
    Expected::Status,
    Expected::Handle,
    Expected::Data { most: 3 },
    Expected::Entries,
    Expected::OneName,
    Expected::Attributes,
    Expected::Statvfs,
    Expected::Limits,
    Expected::UsersGroups { users: 1, groups: 2 },
    Expected::Unknown,
];

/// The requests that an answer fits.
fn fitting(answer: &Answer) -> Vec<Expected> {
    ALL.into_iter().filter(|expected| answer.fits(*expected)).collect()
}

#[test]
fn malformed_packets_are_refused() {
    for (code, body, error) in [
        (2, &[0, 0, 0, 2][..], PacketError::Version(2)),
        (2, &[0, 0, 0, 4], PacketError::Version(4)),
        (101, &[0, 0, 0, 1, 0, 0, 0], PacketError::Truncated),
        // A message without a language is neither the old form nor the new one.
        (101, &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0], PacketError::Truncated),
        (101, &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0], PacketError::EmbeddedNul("a text")),
        (102, &[0, 0, 0, 1, 0, 0, 0, 2, 9], PacketError::Truncated),
        (103, &[0, 0, 0, 1, 0, 0, 0, 1, 9, 9], PacketError::Trailing(1)),
        (104, &[0, 0, 0, 1, 255, 255, 255, 255], PacketError::Truncated),
        (104, &[0, 0, 0, 1, 0, 0, 0, 0, 0], PacketError::Trailing(1)),
        (105, &[0, 0, 0, 1, 0, 0, 1, 0], PacketError::Flags { field: "attribute flags", bits: 0x100 }),
        (104, &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], PacketError::EmbeddedNul("a path")),
    ] {
        assert_eq!(parse(code, body), Err(error), "{code} {body:?}");
    }
}

#[test]
fn every_type_is_a_response_or_unknown() {
    for code in 0..=u8::MAX {
        let known = matches!(code, 2 | 101..=105 | 201);
        assert_eq!(parse(code, &[0, 0, 0, 9]) == Err(PacketError::Type(code)), !known, "{code}");
    }
}

#[test]
fn codes_of_later_versions_are_kept() {
    for number in 0..20 {
        let code = StatusCode::from_number(number);
        assert_eq!(code.number(), number);
        assert_eq!(matches!(code, StatusCode::Other(_)), number > 8);
    }
}

#[test]
fn a_failure_answers_anything_and_success_only_what_has_no_other_answer() {
    for code in (1..=9).map(StatusCode::from_number) {
        assert_eq!(fitting(&status(code)), ALL);
    }
    assert_eq!(fitting(&status(StatusCode::Ok)), [Expected::Status, Expected::Unknown]);
}

#[test]
fn answers_fit_what_was_asked() {
    assert_eq!(fitting(&Answer::Handle(Handle::default())), [Expected::Handle]);
    assert_eq!(fitting(&Answer::Attributes(Attributes::default())), [Expected::Attributes]);
    assert_eq!(fitting(&Answer::Data(Data::new("123"))), [Expected::Data { most: 3 }]);
    assert_eq!(fitting(&Answer::Data(Data::new("1234"))), []);
    assert_eq!(fitting(&Answer::Names(vec![name("a")])), [Expected::Entries, Expected::OneName]);
    assert_eq!(fitting(&Answer::Names(vec![name("a"), name("..")])), [Expected::Entries]);
    assert_eq!(fitting(&Answer::Names(vec![])), []);
    assert_eq!(fitting(&Answer::Extended(Data::new("?"))), [Expected::Unknown]);
}

#[test]
fn no_file_of_a_directory_is_elsewhere() {
    assert_eq!(fitting(&Answer::Names(vec![name("a"), name("../b")])), []);
    assert_eq!(fitting(&Answer::Names(vec![name("/etc/passwd")])), [Expected::OneName]);
    assert_eq!(fitting(&Answer::Names(vec![name("")])), [Expected::OneName]);
}

#[test]
fn extended_replies_fit_what_was_asked() {
    let texts = |names: &[&'static str]| names.iter().map(|name| Text::new(*name).unwrap()).collect::<Vec<_>>();
    let limits = Limits { packet: 262_144, read: 261_120, write: 261_120, handles: 1019 };
    assert_eq!(Limits::parse(&limits.data()), Ok(limits));
    assert_eq!(fitting(&Answer::Extended(limits.data())), [Expected::Limits, Expected::Unknown]);
    let statvfs = Statvfs { block_size: 4096, longest_name: 255, flags: 1, ..Statvfs::default() };
    assert_eq!(Statvfs::parse(&statvfs.data()), Ok(statvfs));
    assert_eq!(fitting(&Answer::Extended(statvfs.data())), [Expected::Statvfs, Expected::Unknown]);
    let names = UsersGroups { users: texts(&["root"]), groups: texts(&["wheel", ""]) };
    let data = names.data().unwrap();
    assert_eq!(UsersGroups::parse(&data), Ok(names));
    let expected = [Expected::UsersGroups { users: 1, groups: 2 }, Expected::Unknown];
    assert_eq!(fitting(&Answer::Extended(data)), expected);
    let fewer = UsersGroups { users: texts(&["root"]), groups: texts(&["wheel"]) }.data().unwrap();
    assert_eq!(fitting(&Answer::Extended(fewer)), [Expected::Unknown]);
}

proptest! {
    #[test]
    fn responses_survive(response in strategies::response(), extra: u8) {
        let mut out = Vec::new();
        response.encode(&mut out).unwrap();
        let (code, body) = (out[4], out[5..].to_vec());
        prop_assert_eq!(&parse(code, &body), &Ok(response.clone()));
        let is_open = matches!(
            response,
            Response::Version(_) | Response::Answer { answer: Answer::Extended(_) | Answer::Status(_), .. }
        );
        for end in (0..body.len()).filter(|_| !is_open) {
            prop_assert!(parse(code, &body[..end]).is_err());
        }
        if !is_open {
            prop_assert_eq!(parse(code, &[&body[..], &[extra]].concat()), Err(PacketError::Trailing(1)));
        }
    }

    #[test]
    fn whatever_is_accepted_is_accounted_for(
        code in prop_oneof![Just(2u8), 101u8..=105, Just(201)],
        body in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => 1u8..8, 1 => any::<u8>()], 0..60),
    ) {
        let _ = parse(code, &body);
    }
}
