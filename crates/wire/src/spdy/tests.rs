//! What is read, what is not, and that it does not matter how the bytes came.

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<Violation>) {
    let (mut reader, mut all) = (Reader::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        loop {
            match reader.frame() {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(violation) => return (all, Some(violation)),
            }
        }
    }
    (all, None)
}

fn written(all: &[Frame]) -> Vec<u8> {
    let (mut writer, mut bytes) = (Writer::default(), Vec::new());
    all.iter().for_each(|frame| writer.write(&mut bytes, frame));
    bytes
}

fn field(name: &str, value: &str) -> Field {
    (name.into(), value.into())
}

/// What `kubectl exec` opens its first two streams with, and says on the second: recorded of moby/spdystream 0.5.0.
#[test]
fn streams_of_the_library_of_kubernetes_are_read() {
    let bytes = b"\x80\x03\x00\x01\x00\x00\x00\x29\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x78\xf9\xe3\xc6\xa7\xc2\x62\x60\x60\x60\
        \x04\xa7\xb3\x92\xa2\xd4\xc4\x5c\x68\x51\xc2\x9a\x0a\x0a\x68\x00\x00\x00\x00\xff\xff\x80\x03\x00\x01\x00\x00\x00\x17\x00\x00\x00\x03\
        \x00\x00\x00\x00\x00\x00\xc2\x2e\x55\x5c\x92\x92\x99\x07\x00\x00\x00\xff\xff\x00\x00\x00\x03\x01\x00\x00\x03\x6c\x73\x0a";
    let open = |stream, kind| Frame::Open { stream, is_last: false, fields: vec![field("streamtype", kind)] };
    let said = Frame::Data { stream: 3, is_last: true, content: b"ls\n".to_vec() };
    assert_eq!(read(bytes, 1), (vec![open(1, "error"), open(3, "stdin"), said], None));
}

#[test]
fn sm_18_frames_that_break_the_protocol_are_not_read() {
    for (bytes, expected) in [
        (b"\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01".as_slice(), Violation::Version),
        (b"\x80\x03\x00\x05\x00\x00\x00\x00", Violation::Type),
        (b"\x80\x03\x00\x06\x01\x00\x00\x04\x00\x00\x00\x01", Violation::Flags),
        (b"\x80\x03\x00\x06\x00\x00\x00\x05\x00\x00\x00\x01\x00", Violation::Length),
        (b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01", Violation::Stream),
        (b"\x80\x03\x00\x07\x00\x00\x00\x08\x80\x00\x00\x00\x00\x00\x00\x01", Violation::Stream),
        (b"\x80\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01", Violation::Length),
        (b"\x80\x03\x00\x01\x02\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", Violation::Flags),
        (b"\x80\x03\x00\x02\x00\x00\x00\x06\x00\x00\x00\x01\xff\xff", Violation::Fields),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00", Violation::Stream),
        (b"\x00\x00\x00\x01\x02\x00\x00\x00", Violation::Flags),
        (b"\x00\x00\x00\x01\x00\x10\x00\x01", Violation::TooLong),
    ] {
        assert_eq!(read(bytes, bytes.len()), (vec![], Some(expected)), "{bytes:x?}");
    }
}

#[test]
fn fields_are_bounded_before_and_after_they_are_unpacked() {
    let many: Vec<Field> = (0..=MOST_FIELDS).map(|number| field(&format!("n{number}"), "")).collect();
    let long = vec![field("n", &"a".repeat(MOST_OF_FIELDS))];
    for fields in [many, long] {
        let bytes = written(&[Frame::Open { stream: 1, is_last: false, fields }]);
        assert_eq!(read(&bytes, bytes.len()), (vec![], Some(Violation::TooManyFields)));
    }
    for fields in [vec![field("a", "1"), field("a", "2")], vec![field("A", "1")], vec![field("a", "1\u{0}2")]] {
        let bytes = written(&[Frame::Open { stream: 1, is_last: false, fields }]);
        assert_eq!(read(&bytes, bytes.len()), (vec![], Some(Violation::Fields)));
    }
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let stream = 1_u32..=u32::MAX / 2;
    let fields = prop::collection::btree_map("[a-z][a-z0-9-]{0,12}", "[ -~]{0,20}", 0..5)
        .prop_map(|all| all.iter().map(|(name, value)| field(name, value)).collect::<Vec<_>>());
    let one = prop_oneof![
        (stream.clone(), any::<bool>(), fields.clone()).prop_map(|(stream, is_last, fields)| Frame::Open {
            stream,
            is_last,
            fields
        }),
        (stream.clone(), any::<bool>(), fields.clone()).prop_map(|(stream, is_last, fields)| Frame::Reply {
            stream,
            is_last,
            fields
        }),
        (stream.clone(), any::<bool>(), fields).prop_map(|(stream, is_last, fields)| Frame::Fields {
            stream,
            is_last,
            fields
        }),
        (stream.clone(), any::<u32>()).prop_map(|(stream, status)| Frame::Reset { stream, status }),
        any::<u32>().prop_map(Frame::Ping),
        (0..=u32::MAX / 2, any::<u32>()).prop_map(|(last, status)| Frame::GoAway { last, status }),
        (stream, any::<bool>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(stream, is_last, content)| Frame::Data { stream, is_last, content }),
    ];
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_comes(all in frames(), piece in 1_usize..20) {
        let bytes = written(&all);
        prop_assert_eq!(read(&bytes, bytes.len()), (all.clone(), None));
        prop_assert_eq!(read(&bytes, 1), (all.clone(), None));
        prop_assert_eq!(read(&bytes, piece), (all, None));
    }

    #[test]
    fn any_bytes_are_read_the_same_however_they_come(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(read(&bytes, 1), read(&bytes, bytes.len()));
    }
}
