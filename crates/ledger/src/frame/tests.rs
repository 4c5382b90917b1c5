use model::effect::Effect;
use model::event::Event;
use model::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::samples::{entry, every_effect, long_entry, one_of_each};

fn payload(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    encode(entry, 0, &mut out).unwrap();
    out.split_off(HEADER)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The encoding of the entries in every journal that exists. A line of the golden file never changes; a new kind of
/// event adds one at the end.
#[test]
fn the_encoding_of_every_event_is_pinned() {
    let golden = include_str!("../../tests/golden/events.txt");
    let now: String = one_of_each().iter().map(|entry| format!("{}\n", hex(&payload(entry)))).collect();
    if std::env::var_os("SLUICE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/events.txt"), &now).unwrap();
        return;
    }
    assert_eq!(now, golden, "set SLUICE_GOLDEN=1 to rewrite, and explain any line that changed");
}

/// The encoding of the effects in every journal that exists: a verb and an object is only ever added at the end.
#[test]
fn the_encoding_of_every_effect_is_pinned() {
    let golden = include_str!("../../tests/golden/effects.txt");
    let encoded = |effect: &Effect| hex(&postcard::to_stdvec(effect).unwrap());
    let now: String = every_effect().iter().map(|effect| format!("{} {effect}\n", encoded(effect))).collect();
    if std::env::var_os("SLUICE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/effects.txt"), &now).unwrap();
        return;
    }
    assert_eq!(now, golden, "set SLUICE_GOLDEN=1 to rewrite, and explain any line that changed");
}

#[test]
fn the_golden_file_of_effects_has_every_verb_and_object() {
    let bytes: Vec<Vec<u8>> = every_effect().iter().map(|effect| postcard::to_stdvec(effect).unwrap()).collect();
    for at in [0, 1] {
        let numbers: std::collections::BTreeSet<u8> = bytes.iter().map(|bytes| bytes[at]).collect();
        let count = u8::try_from(numbers.len()).unwrap();
        assert_eq!(numbers, (0..count).collect());
        // The next number is none: zeros behind it are enough for any variant.
        let mut unknown = [0_u8; 32];
        unknown[at] = count;
        assert!(postcard::take_from_bytes::<Effect>(&unknown).is_err(), "there is one without a sample");
    }
}

#[test]
fn the_golden_file_has_every_event() {
    // postcard numbers the variants by their order, after the version and the one-byte time of the samples.
    let numbers: Vec<u8> = one_of_each().iter().map(|entry| payload(entry)[2]).collect();
    assert_eq!(numbers, (0..numbers.len()).map(|number| u8::try_from(number).unwrap()).collect::<Vec<_>>());
    let next = [VERSION, 0, u8::try_from(numbers.len()).unwrap(), 0, 0, 0, 0, 0, 0, 0, 0];
    let unknown = postcard::take_from_bytes::<Entry>(&next[1..]).is_err();
    assert!(unknown, "there is an event without a sample");
}

#[test]
fn every_event_survives() {
    for entry in one_of_each() {
        assert_eq!(decode(&payload(&entry)), Ok(entry));
    }
}

#[test]
fn every_event_has_json_under_the_word_for_its_kind() {
    for (entry, kind) in one_of_each().iter().zip(Event::KINDS) {
        let json = serde_json::to_value(&entry.event).unwrap();
        let word = json.as_str().or_else(|| json.as_object()?.keys().next().map(String::as_str));
        assert_eq!((word, entry.event.kind()), (Some(kind), kind));
    }
    assert_eq!(one_of_each().len(), Event::KINDS.len());
}

#[test]
fn td_08_too_long_zero_length_and_non_canonical_entries_are_refused() {
    let overhead = payload(&long_entry(60_000)).len() - 60_000;
    assert_eq!(payload(&long_entry(MAX_PAYLOAD - overhead)).len(), MAX_PAYLOAD);
    let refused = encode(&long_entry(MAX_PAYLOAD - overhead + 1), 0, &mut Vec::new());
    assert!(matches!(refused, Err(EncodeError::TooLarge(65_536))));

    assert_eq!(decode(&[]), Err(DecodeError::Malformed));
    assert_eq!(decode(&[2, 0, 1]), Err(DecodeError::Version(2)));
    let stopped = payload(&Entry { at: model::time::Timestamp(0), event: Event::Stopped });
    assert_eq!(stopped, [VERSION, 0, 1]);
    assert_eq!(decode(&[VERSION, 0, 1, 0]), Err(DecodeError::Malformed), "bytes after the entry");
    assert_eq!(decode(&[VERSION, 0x80, 0, 1]), Err(DecodeError::Malformed), "a longer spelling of zero");
    let mut zero = vec![0; HEADER];
    let crc = crc32c::crc32c(&zero[4..]);
    zero[..4].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(parse(&zero), Parsed::Bad, "an empty entry");
}

proptest! {
    #[test]
    fn frames_survive(index: u64, number: u64) {
        let entry = entry(number >> 1);
        let mut out = vec![1, 2, 3];
        let leaf = encode(&entry, index, &mut out).unwrap();
        let Parsed::Frame { index: found, payload } = parse(&out[3..]) else { panic!("no frame") };
        prop_assert_eq!(found, index);
        prop_assert_eq!(crate::merkle::leaf_hash(payload), leaf);
        prop_assert_eq!(decode(payload).unwrap(), entry);
        prop_assert!(!is_short(&out[3..]));
        for end in 0..out.len() - 3 {
            prop_assert_eq!(parse(&out[3..3 + end]), Parsed::Short);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
        let _ = decode(&bytes);
    }
}

#[test]
fn a_change_of_the_key_is_told_from_all_others() {
    for entry in one_of_each() {
        for at in [0, 127, 128, u64::MAX] {
            let entry = Entry { at: Timestamp(at), ..entry.clone() };
            let mut frame = Vec::new();
            encode(&entry, 0, &mut frame).unwrap();
            let is_change = matches!(entry.event, model::event::Event::KeyRotated { .. });
            assert_eq!(may_change_key(&frame[HEADER..]), is_change, "{entry:?}");
        }
    }
    assert!(may_change_key(&[VERSION]));
}
