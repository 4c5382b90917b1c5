//! What OpenSSH's client and server said to each other (`fuzz/record_sftp.py`) is understood to the last byte, and every
//! answer fits its request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail so")]

use std::collections::BTreeSet;
use std::path::Path;

use wire::ssh::sftp::extension::Extension;
use wire::ssh::sftp::response::{Expected, StatusCode};
use wire::ssh::sftp::{Answer, Framer, Operation, Packet, Request, Response};

fn packets(side: &str, name: &str) -> Vec<Packet> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(side).join(name);
    let mut framer = Framer::default();
    // The first byte is the fuzz target's.
    framer.push(std::fs::read(path).unwrap().split_off(1).into());
    let packets = std::iter::from_fn(|| framer.packet().unwrap()).collect();
    assert_eq!(framer.pending(), 0);
    packets
}

/// Each operation with its answer. `sftp-server` answers in order; `sftp` uses an id again once it was answered.
fn session(name: &str) -> Vec<(Operation, Answer)> {
    let (requests, responses) = (packets("sftp_requests", name), packets("sftp_responses", name));
    assert_eq!(requests.len(), responses.len());
    let both = requests.iter().zip(&responses);
    both.filter_map(|(asked, answered)| exchange(&parsed(asked), &Response::parse(answered).unwrap())).collect()
}

fn parsed(packet: &Packet) -> Request {
    let mut again = Vec::new();
    let request = Request::parse(packet).unwrap();
    request.encode(&mut again).unwrap();
    assert_eq!(packet.bytes(), &again);
    request
}

fn exchange(request: &Request, response: &Response) -> Option<(Operation, Answer)> {
    match (request, response) {
        (Request::Init(_), Response::Version(hello)) => {
            assert_eq!(hello.extensions.of("limits@openssh.com").count(), 1);
            None
        }
        (Request::Operation { id, operation }, Response::Answer { id: answered, answer }) => {
            assert_eq!(id, answered);
            assert!(answer.fits(operation.expects()), "{operation:?} {answer:?}");
            Some((operation.clone(), answer.clone()))
        }
        (request, response) => panic!("{request:?} was answered with {response:?}"),
    }
}

#[test]
fn a_session_of_openssh_is_understood() {
    let session = session("openssh");
    let codes: BTreeSet<u8> = session.iter().map(|(operation, _)| operation.code()).collect();
    for code in [3, 4, 5, 6, 9, 11, 12, 13, 14, 15, 16, 17, 20, 200] {
        assert!(codes.contains(&code), "{code} is not in it");
    }
    let link = session.iter().find_map(|(operation, answer)| match operation {
        Operation::Symlink { target, link } => Some((target.bytes(), link.bytes(), answer)),
        _ => None,
    });
    let (target, link, answer) = link.unwrap();
    assert!(target == "small" && link.ends_with(b"/one/soft"));
    assert!(matches!(answer, Answer::Status(status) if status.code == StatusCode::Ok));
}

#[test]
fn every_extension_is_answered_as_expected() {
    let (mut names, mut expected) = (BTreeSet::new(), BTreeSet::new());
    for (operation, answer) in session("openssh").into_iter().chain(session("others")) {
        let Operation::Extended(extension) = &operation else { continue };
        names.insert(String::from_utf8(extension.name().to_vec()).unwrap());
        let is_known = !matches!(extension, Extension::Unknown { .. });
        match answer {
            Answer::Status(status) => assert_eq!(status.code == StatusCode::Ok, is_known, "{operation:?}"),
            answer => {
                assert!(is_known, "{operation:?}");
                expected.insert(format!("{:?} {}", operation.expects(), answer.code()));
            }
        }
    }
    assert_eq!(names.len(), 12, "{names:?}");
    for (expects, code) in [(Expected::Statvfs, 201), (Expected::Limits, 201), (Expected::OneName, 104)] {
        assert!(expected.contains(&format!("{expects:?} {code}")), "{expects:?} in {expected:?}");
    }
}
