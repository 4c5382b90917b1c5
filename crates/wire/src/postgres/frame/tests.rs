use super::*;
use proptest::prelude::*;

fn header(tag: u8, length: i32) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes()].concat()
}

fn ready(buffer: &[u8]) -> Result<Option<Header<FrontendTag>>, FrameError> {
    frontend(buffer, Phase::Ready, &Limits::default())
}

#[test]
fn every_byte_is_a_known_tag_or_an_error() {
    for byte in 0..=u8::MAX {
        let known = FrontendTag::from_byte(byte);
        assert_eq!(known.map(FrontendTag::byte), known.map(|_| byte));
        assert_eq!(ready(&[byte]) == Err(FrameError::UnknownTag(byte)), known.is_none());
        let known = BackendTag::from_byte(byte);
        assert_eq!(known.map(BackendTag::byte), known.map(|_| byte));
        let judged = backend(&[byte], Phase::Ready, &Limits::default());
        assert_eq!(judged == Err(FrameError::UnknownTag(byte)), known.is_none());
    }
}

#[test]
fn absurd_lengths_are_refused_from_the_header() {
    // SM-03, RX-03
    for tag in FrontendTag::ALL.iter().filter(|tag| **tag != FrontendTag::Password) {
        for length in [0, 1, 2, 3, -1, i32::MIN] {
            assert_eq!(ready(&header(tag.byte(), length)), Err(FrameError::Length(length)));
        }
        assert!(matches!(
            ready(&header(tag.byte(), i32::MAX)),
            Err(FrameError::TooLarge { .. } | FrameError::StatementTooLarge { .. })
        ));
    }
}

#[test]
fn the_bound_for_statements_is_exact_and_54000() {
    let limits = Limits { statement: 100, ..Limits::default() };
    for tag in [FrontendTag::Query, FrontendTag::Parse] {
        let judge = |length| frontend(&header(tag.byte(), length), Phase::Ready, &limits);
        assert_eq!(judge(104), Ok(Some(Header { tag, body: 100 })));
        let error = judge(105).unwrap_err();
        assert_eq!(error, FrameError::StatementTooLarge { body: 101, limit: 100 });
        assert_eq!(error.sqlstate(), "54000");
    }
    let other = ready(&header(b'X', 5)).unwrap_err();
    assert_eq!(other.sqlstate(), "08P01");
}

#[test]
fn no_configured_bound_exceeds_the_protocol() {
    let limits = Limits { statement: u32::MAX, row: u32::MAX, ..Limits::default() };
    let length = i32::try_from(MAX_LENGTH).unwrap();
    assert!(frontend(&header(b'Q', length), Phase::Ready, &limits).is_ok());
    assert!(frontend(&header(b'Q', length + 1), Phase::Ready, &limits).is_err());
    assert!(backend(&header(b'D', length + 1), Phase::Ready, &limits).is_err());
}

#[test]
fn phases_admit_what_belongs_to_them() {
    let limits = Limits::default();
    for tag in FrontendTag::ALL {
        let password = *tag == FrontendTag::Password;
        assert_eq!(frontend(&[tag.byte()], Phase::Authentication, &limits).is_ok(), password);
        assert_eq!(frontend(&[tag.byte()], Phase::Ready, &limits).is_ok(), !password);
    }
    let admitted = |phase| BackendTag::ALL.iter().filter(|tag| backend(&[tag.byte()], phase, &limits).is_ok()).count();
    assert_eq!(admitted(Phase::Authentication), 7);
    assert_eq!(admitted(Phase::Ready), BackendTag::ALL.len() - 3);
}

proptest! {
    #[test]
    fn a_stream_is_cut_the_same_however_it_arrives(
        frames in prop::collection::vec((prop::sample::select(&b"QPBd"[..]), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        cuts in prop::collection::vec(1usize..17, 1..20),
    ) {
        // SM-19
        let stream: Vec<u8> = frames.iter().flat_map(|(tag, body)| {
            [&header(*tag, i32::try_from(body.len() + 4).unwrap())[..], body].concat()
        }).collect();
        let (mut buffer, mut found, mut fed) = (Vec::new(), Vec::new(), 0);
        let mut cuts = cuts.iter().cycle();
        while fed < stream.len() {
            let end = stream.len().min(fed + cuts.next().unwrap());
            buffer.extend_from_slice(&stream[fed..end]);
            fed = end;
            while let Some(frame) = ready(&buffer).unwrap().and_then(|header| header.frame(&buffer)) {
                found.push((frame.tag.byte(), frame.body.to_vec()));
                let length = frame.bytes.len();
                buffer.drain(..length);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(found, frames);
    }
}
