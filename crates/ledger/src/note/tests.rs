use super::*;
use crate::merkle::EMPTY_ROOT;
use crate::samples::key;

fn open(note: impl AsRef<[u8]>) -> Result<Checkpoint, NoteError> {
    Checkpoint::open(note.as_ref(), key().public())
}

/// A note over any text, rightly signed.
fn signed(text: &str) -> String {
    let key = key();
    let mut signature = key.public.id().to_vec();
    signature.extend_from_slice(key.pair.sign(text.as_bytes()).as_ref());
    format!("{text}\n\u{2014} {} {}\n", key.public.name, STANDARD.encode(signature))
}

#[test]
fn a_checkpoint_survives_and_its_key_has_a_text() {
    let checkpoint = key().sign(12, [9; 32]);
    assert_eq!(open(checkpoint.note()), Ok(checkpoint.clone()));
    assert!(checkpoint.is_own_form());
    let text = key().public().to_string();
    assert_eq!(text.parse(), Ok(key().public().clone()));
    assert!(text.replace("journal", "journey").parse::<VerifyingKey>().is_err(), "the id binds the name");
    assert_eq!(VerifyingKey::new("a b", [0; 32]), Err(KeyError::Name));
    assert_eq!(VerifyingKey::new("a+b", [0; 32]), Err(KeyError::Name));
    assert!(!format!("{:?}", key()).contains("pair"));
}

/// The example key of c2sp.org/signed-note.
#[test]
fn the_key_id_is_that_of_the_specification() {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: VerifyingKey = text.parse().unwrap();
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\n\
                \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = Note::parse(note.as_bytes()).unwrap();
    note.signed_by(key.name(), key.id(), |signature| key.verifies(note.text, signature)).unwrap();
}

#[test]
fn td_06_edge_cases_of_checkpoints() {
    let root = STANDARD.encode([9; 32]);
    let good = key().sign(12, [9; 32]).note;
    let name = "sluice.example/journal";
    let (text, line) = good.split_once("\n\n").unwrap();

    let other = |name: &str, bytes: &[u8]| format!("\u{2014} {name} {}\n", STANDARD.encode(bytes));
    assert_eq!(open(key().sign(0, EMPTY_ROOT).note).map(|checkpoint| checkpoint.size()), Ok(0));
    assert!(open(format!("{good}{}", other("witness", &[1; 68]))).is_ok(), "unknown keys are ignored");
    assert!(open(signed(&format!("{name}\n12\n{root}\nextension\n"))).is_ok(), "extension lines are allowed");
    assert!(open(format!("{good}{}", other(name, &[1; 68]))).is_ok(), "same name, other key id: another key");
    let delete = signed(&format!("{name}\n12\n{root}\n\u{7f}\n"));
    assert!(open(delete).is_ok(), "a control character is one below U+0020");

    let mut collision = key().public().id().to_vec();
    collision.extend_from_slice(&[1; 64]);
    let cases: Vec<(String, NoteError)> = vec![
        (format!("{good}{}", other(name, &collision)), NoteError::Signature),
        (good.replace("\n12\n", "\n13\n"), NoteError::Signature),
        (signed(&format!("{name}\n012\n{root}\n")), NoteError::NotACheckpoint),
        (signed(&format!("{name}\n+12\n{root}\n")), NoteError::NotACheckpoint),
        (signed(&format!("{name}\n-1\n{root}\n")), NoteError::NotACheckpoint),
        (signed(&format!("{name}\n18446744073709551616\n{root}\n")), NoteError::NotACheckpoint),
        (signed(&format!("{name}\n12\n{}\n", STANDARD.encode([9; 31]))), NoteError::NotACheckpoint),
        (signed(&format!("{name}\n12\n")), NoteError::NotACheckpoint),
        (signed(&format!("{name}\n12\n{root}\n\n")), NoteError::NotACheckpoint),
        (signed(&format!("other.example\n12\n{root}\n")), NoteError::Origin),
        (signed(&format!("{name}\r\n12\n{root}\n")), NoteError::Malformed),
        (signed(&format!("{name}\n12\n{root}\n\tx\n")), NoteError::Malformed),
        (format!("{good}\n"), NoteError::Malformed),
        (good.trim_end().to_owned(), NoteError::Malformed),
        (format!("{text}\n\n{}", other("witness", &[1; 68])), NoteError::Unsigned),
        (format!("{text}\n\n{}", line.replacen('\u{2014}', "-", 1)), NoteError::Malformed),
        (format!("{good}{}", other("witness", &[1; 68]).repeat(16)), NoteError::Malformed),
        (format!("{good}{}", other("witness", &[1; 4])), NoteError::Malformed),
        (format!("{good}{}", other("wit+ness", &[1; 68])), NoteError::Malformed),
        (format!("{good}{}", other("wit\u{a0}ness", &[1; 68])), NoteError::Malformed),
        (String::new(), NoteError::Malformed),
    ];
    for (note, error) in cases {
        assert_eq!(open(&note), Err(error), "{note:?}");
    }
    let mut bytes = good.clone().into_bytes();
    bytes.insert(0, 0xff);
    assert_eq!(open(bytes), Err(NoteError::Malformed));
    assert!(open("x".repeat(MAX_NOTE + 1)).is_err());
}

#[test]
fn td_01_every_flipped_bit_of_a_checkpoint_is_refused() {
    let good = key().sign(12, [9; 32]).note;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!open(&bytes).is_ok_and(|checkpoint| checkpoint.is_own_form()), "bit {bit}");
    }
}
