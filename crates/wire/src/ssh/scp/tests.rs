use super::*;
use proptest::prelude::*;

/// The records, the content, and how it ended.
type Followed = (Vec<Record>, Vec<u8>, Result<(), NotUnderstood>);

fn follow(stream: &[u8], cut: usize) -> Followed {
    let (mut follower, mut records, mut content) = (Follower::default(), Vec::new(), Vec::new());
    for mut piece in stream.chunks(cut) {
        while !piece.is_empty() {
            let (seen, rest) = match follower.next(piece) {
                Ok(seen) => seen,
                Err(error) => {
                    assert_eq!(follower.next(b"E\n"), Err(error));
                    return (records, content, Err(error));
                }
            };
            match seen {
                Seen::Record(record) => records.push(record),
                Seen::Content(bytes) => content.extend_from_slice(bytes),
                Seen::Nothing => (),
            }
            piece = rest;
        }
    }
    (records, content, Ok(()))
}

fn file(size: u64, name: &str) -> Record {
    Record::File { mode: 0o644, size, name: name.into() }
}

fn error(stream: &[u8]) -> NotUnderstood {
    follow(stream, 1 << 20).2.unwrap_err()
}

#[test]
fn a_tree_with_times_is_followed() {
    let stream = b"T1700000000 0 1700000001 999999\nD0755 0 a b\nC0644 5 x\nE\nC\n\0\0C0644 0 y\n\0E\n\0";
    let records = vec![
        Record::Times { modified: 1_700_000_000, accessed: 1_700_000_001 },
        Record::Directory { mode: 0o755, name: b"a b".to_vec() },
        file(5, "x"),
        Record::FileEnd { complete: true },
        file(0, "y"),
        Record::FileEnd { complete: true },
        Record::DirectoryEnd,
    ];
    for cut in [1, 2, 3, 7, 1000] {
        // What looks like records inside a file is content.
        assert_eq!(follow(stream, cut), (records.clone(), b"E\nC\n\0"[..].to_vec(), Ok(())));
    }
}

#[test]
fn what_could_not_be_read_is_said() {
    let stream = b"C0644 2 x\nab\x01scp: x: Input/output error\n\x01scp: z: not a regular file\n\x02lost\n";
    let (records, content, end) = follow(stream, 4);
    let warning = |text: &[u8]| Record::Warning(text.to_vec());
    assert_eq!((&content[..], end), (&b"ab"[..], Ok(())));
    assert_eq!(records[1], Record::FileEnd { complete: false });
    assert_eq!(records[2], warning(b"scp: x: Input/output error"));
    assert_eq!(records[3], warning(b"scp: z: not a regular file"));
    assert_eq!(records[4], Record::Fatal(b"lost".to_vec()));
}

#[test]
fn what_is_not_known_is_not_understood() {
    for line in [
        "",
        "X",
        "C",
        "C0644",
        "C0644 5",
        "C0644 5 ",
        "C0644  5 x",
        "C644 5 x",
        "C0844 5 x",
        "C+644 5 x",
        "C0644 +5 x",
        "C0644 -1 x",
        "C0644 18446744073709551616 x",
        "C0644 5 a/b",
        "C0644 5 ..",
        "C0644 5 .",
        "C0644 5 a\0",
        "D0755 0",
        "E ",
        "T1 0 1",
        "T1 0 1 1000000",
        "T1 x 1 0",
        "T-1 0 1 0",
        "SSH-2.0-x",
    ] {
        assert_eq!(error(format!("{line}\n").as_bytes()), NotUnderstood::Line, "{line:?}");
    }
    assert_eq!(error(b"C0644 1 x\naC"), NotUnderstood::Line);
    assert_eq!(error(b"E\n"), NotUnderstood::NoDirectory);
    assert_eq!(error(&b"D0755 0 d\n".repeat(2049)), NotUnderstood::TooDeep);
}

#[test]
fn a_line_is_bounded() {
    let line = |length: usize| [b"C0644 5 ", &vec![b'x'; length - 8][..], b"\n"].concat();
    assert_eq!(follow(&line(MAX_LINE), 100).2, Ok(()));
    for cut in [1, 100, 10_000] {
        assert_eq!(follow(&line(MAX_LINE + 1), cut).2, Err(NotUnderstood::TooLong));
    }
    assert_eq!(error(&[b'C'; MAX_LINE + 1]), NotUnderstood::TooLong);
}

#[test]
fn nothing_of_the_content_is_shown() {
    let records = follow(b"C0644 1 hunter2\nx\x01hunter2\nD0755 0 hunter2\n", 9).0;
    assert!(records.len() == 4 && !format!("{records:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn it_is_understood_the_same_however_it_arrives(
        parts in prop::collection::vec(prop::sample::select(vec![
            &b"C0644 3 x\nabc\0"[..], b"C0600 0 y\n\0", b"D0755 0 d\n", b"E\n", b"T1 0 2 0\n", b"\0", b"\x01w\n", b"C", b"\n", b"3 "
        ]), 0..12),
        cut in 1usize..9,
    ) {
        let stream = parts.concat();
        prop_assert_eq!(follow(&stream, cut), follow(&stream, stream.len().max(1)));
    }
}
