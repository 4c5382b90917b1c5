use ledger::tape::Direction;
use ledger::{Disk, RealDisk};
use model::id::SessionId;
use model::time::Timestamp;
use std::sync::Arc;

use super::super::{Line, Tape, open};
use super::*;

const SESSION: SessionId = SessionId::from_bits(77);

fn on(channel: u32, lane: Lane) -> Track {
    Track { channel, lane }
}

/// What is played of a tape on which `pieces` were recorded, one a millisecond.
fn played(pieces: &[(Track, &[u8])], finish: bool) -> Vec<Line> {
    let dir = tempfile::TempDir::new().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut tape = ledger::tape::Tape::create(&disk, dir.path(), SESSION, Timestamp(0), None).unwrap();
    for (at, (track, bytes)) in (1..).zip(pieces) {
        let direction = match track.lane {
            Lane::Output | Lane::Error => Direction::ToClient,
            _ => Direction::FromClient,
        };
        let _ = tape.record_on(direction, *track, Timestamp(at), &[bytes]).unwrap();
    }
    if finish {
        tape.finish(Timestamp(99)).unwrap();
    }
    let keys = ledger::tape::KeyStore::new(&dir.path().join("keys"), &model::secret::Secret::new([7; 32])).unwrap();
    let mut tape: Tape = open(disk, dir.path(), SESSION, &keys).map_err(|_| "cannot be opened").unwrap();
    let mut all = Vec::new();
    while !tape.is_over() {
        all.extend(tape.next_lines());
    }
    all
}

fn line(at: u64, channel: u32, event: Event) -> Line {
    Line { at: Timestamp(at), channel: named(channel), event }
}

fn clear(text: &str) -> Passed {
    Passed { data: text.into(), bytes: None }
}

#[test]
fn each_channel_is_played_with_what_ran_on_it() {
    let digested = |bytes, sha256: Option<&str>| Some(Digested { bytes, sha256: sha256.map(str::to_owned) });
    let lines = played(
        &[
            (
                on(1, Lane::Requests),
                br#"{"request":"s.1","statement":"pty xterm","values":[]}
{"request":"s.2","sta"#,
            ),
            (on(2, Lane::Requests), b"{\"request\":\"s.3\",\"statement\":\"subsystem sftp\",\"values\":[]}\n"),
            (on(1, Lane::Requests), b"tement\":\"shell\",\"values\":[]}\n"),
            (on(1, Lane::Size), b"120x40"),
            (on(1, Lane::Input), b"ls\r"),
            (on(1, Lane::Output), b"ls\r\n"),
            (on(1, Lane::Error), b"wait\n"),
            (
                on(2, Lane::End),
                b"{\"request\":\"s.4\",\"read\":{\"bytes\":3,\"sha256\":\"ab\"},\"written\":{\"bytes\":9}}\n",
            ),
            (on(1, Lane::End), b"{\"exit_status\":3}\n"),
            (on(3, Lane::End), b"{\"signal\":\"TERM\",\"output\":{\"bytes\":5,\"sha256\":\"cd\"}}\n"),
            (on(0, Lane::Requests), b"{\"request\":\"s.5\",\"statement\":\"listen 1\",\"values\":[]}\n"),
        ],
        true,
    );
    let request = |request: &str, statement: &str| Event::Request {
        request: request.into(),
        statement: statement.into(),
        values: vec![],
    };
    let expected = [
        line(1, 1, request("s.1", "pty xterm")),
        line(2, 2, request("s.3", "subsystem sftp")),
        line(3, 1, request("s.2", "shell")),
        line(4, 1, Event::Size { columns: 120, rows: 40 }),
        line(5, 1, Event::Input(clear("ls\r"))),
        line(6, 1, Event::Output(clear("ls\r\n"))),
        line(7, 1, Event::ErrorOutput(clear("wait\n"))),
        line(8, 2, Event::File { request: "s.4".into(), read: digested(3, Some("ab")), written: digested(9, None) }),
        line(9, 1, Event::Exit { exit_status: Some(3), signal: None, input: None, output: None }),
        line(
            10,
            3,
            Event::Exit {
                exit_status: None,
                signal: Some("TERM".into()),
                input: None,
                output: digested(5, Some("cd")),
            },
        ),
        line(11, 0, request("s.5", "listen 1")),
        line(99, 0, Event::End { complete: true }),
    ];
    // The end of a tape has no moment of its own: it is that of what came last.
    let lines: Vec<Line> = lines
        .into_iter()
        .map(|line| match line.event {
            Event::End { .. } => Line { at: Timestamp(99), ..line },
            _ => line,
        })
        .collect();
    assert_eq!(lines, expected);
    let text = serde_json::to_string(&lines).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Line>>(&text).unwrap(), lines, "as programs get it");
}

/// However a stream is cut into records, its characters are whole, and its bytes are all there.
#[test]
fn characters_are_whole_wherever_a_stream_is_cut() {
    let all = "aä€😀z".as_bytes();
    for first in 0..=all.len() {
        for second in first..=all.len() {
            let pieces = [&all[..first], &all[first..second], &all[second..]];
            let pieces: Vec<(Track, &[u8])> = pieces.iter().map(|piece| (on(1, Lane::Output), *piece)).collect();
            let lines = played(&pieces, true);
            let mut text = String::new();
            for line in lines {
                if let Event::Output(passed) = line.event {
                    assert_eq!(passed.bytes, None, "cut at {first} and {second}");
                    text.push_str(&passed.data);
                }
            }
            assert_eq!(text.as_bytes(), all);
        }
    }
}

#[test]
fn what_is_no_text_is_there_byte_for_byte() {
    let lines = played(&[(on(1, Lane::Output), b"a\xff\xfeb"), (on(1, Lane::Output), b"c\xe2\x82")], true);
    let raw =
        |data: &str, bytes: &[u8]| Event::Output(Passed { data: data.into(), bytes: Some(STANDARD.encode(bytes)) });
    let events: Vec<Event> = lines.into_iter().map(|line| line.event).collect();
    let expected = [
        raw("a\u{fffd}\u{fffd}b", b"a\xff\xfeb"),
        Event::Output(clear("c")),
        raw("\u{fffd}", b"\xe2\x82"),
        Event::End { complete: true },
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_played() {
    let lines = played(
        &[
            (on(1, Lane::Requests), b"nonsense\n"),
            (on(1, Lane::Size), b"80 x 24"),
            (on(1, Lane::End), b"{\"exit_status\":\"zero\"}\n"),
            (on(1, Lane::Output), b"x"),
            (on(1, Lane::End), b"{\"exit_sta"),
        ],
        false,
    );
    let kinds: Vec<String> = lines
        .iter()
        .map(|line| match &line.event {
            Event::Unreadable { reason } => reason.clone(),
            Event::Output(passed) => passed.data.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "a request (9 bytes)",
        "the size of a terminal (7 bytes)",
        "how a channel ended (23 bytes)",
        "x",
        "the end, which is cut off (10 bytes)",
        "End { complete: false }",
    ];
    assert_eq!(kinds, expected);
    let (channel, events) = Channels::default().feed(b"\x01\x00\x00\x00\x63?");
    assert_eq!((channel, events), (None, vec![unreadable("something of a channel", 6)]));
}
