use super::*;
use crate::samples::key;

fn cosigner() -> Cosigner {
    Cosigner::from_seed("witness.example/w1", &[9; 32]).unwrap()
}

fn text_of(checkpoint: &Checkpoint) -> String {
    Note::parse(checkpoint.note().as_bytes()).unwrap().text.to_owned()
}

#[test]
fn a_cosignature_is_of_one_checkpoint_by_one_key() {
    let (witness, checkpoint) = (cosigner(), key().sign(12, [9; 32]));
    let line = witness.line(&text_of(&checkpoint), 1_679_315_147);
    let cosigned = checkpoint.with_cosignature(&line, witness.public()).unwrap();
    assert_eq!(cosigned.cosigned_at(witness.public()), Ok(1_679_315_147));
    assert_eq!(Checkpoint::open(cosigned.note().as_bytes(), key().public()), Ok(cosigned.clone()));
    assert_eq!(checkpoint.cosigned_at(witness.public()), Err(NoteError::Unsigned));
    let other = Cosigner::from_seed("witness.example/w1", &[8; 32]).unwrap();
    assert_eq!(cosigned.cosigned_at(other.public()), Err(NoteError::Unsigned));
    assert_eq!(key().sign(13, [9; 32]).with_cosignature(&line, witness.public()), Err(NoteError::Signature));
    // Lines of keys that are not known are left out; the cosignature is found among them.
    let lines = format!("{}{line}", other.line(&text_of(&checkpoint), 5));
    assert_eq!(checkpoint.with_cosignature(&lines, witness.public()), Ok(cosigned));
    for nothing in ["", "\n", "x", &other.line(&text_of(&checkpoint), 5)] {
        assert!(checkpoint.with_cosignature(nothing, witness.public()).is_err(), "{nothing:?}");
    }
}

#[test]
fn every_flipped_bit_of_a_cosignature_is_refused() {
    let (witness, checkpoint) = (cosigner(), key().sign(12, [9; 32]));
    let line = witness.line(&text_of(&checkpoint), 1_679_315_147);
    for bit in 0..line.len() * 8 {
        let mut bytes = line.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        assert!(checkpoint.with_cosignature(&changed, witness.public()).is_err(), "bit {bit}");
    }
}

/// The example of c2sp.org/tlog-cosignature: there is no key to it, but it shows where the time is.
#[test]
fn a_line_is_framed_as_in_the_specification() {
    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} witness.example.com/w1 \
        jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let note = Note::parse(note.as_bytes()).unwrap();
    let bytes = note.signed_by("witness.example.com/w1", [0x8d, 0x66, 0xcf, 0x3f], |_| true).unwrap();
    let (time, signature) = bytes.split_first_chunk::<8>().unwrap();
    assert_eq!((u64::from_be_bytes(*time), signature.len()), (1_679_315_147, 64));
    assert_eq!(message(note.text, 1_679_315_147).lines().nth(1), Some("time 1679315147"));
}

#[test]
fn keys_of_witnesses_and_of_logs_are_not_mistaken_for_each_other() {
    let witness = cosigner();
    let text = witness.public().to_string();
    assert_eq!(text.parse(), Ok(witness.public().clone()));
    assert!(text.parse::<crate::VerifyingKey>().is_err());
    assert!(key().public().to_string().parse::<WitnessKey>().is_err());
    assert!(text.replace("w1", "w2").parse::<WitnessKey>().is_err(), "the id binds the name");
    let secret = Cosigner::secret_text("witness.example/w1", &[9; 32]).unwrap();
    assert_eq!(Cosigner::from_secret_text(&secret).unwrap().public(), witness.public());
    for at in 0..secret.trim_end().len() {
        let mut changed = secret.clone().into_bytes();
        changed[at] ^= 1;
        assert!(Cosigner::from_secret_text(&String::from_utf8(changed).unwrap()).is_err(), "byte {at}");
    }
    assert!(Cosigner::secret_text("a b", &[9; 32]).is_err());
    assert!(!format!("{witness:?}").contains("pair"));
}

/// The same message, key id and signature as Python's own arithmetic finds.
#[test]
fn the_independent_verifier_agrees_on_cosignatures() {
    let (witness, checkpoint) = (cosigner(), key().sign(12, [9; 32]));
    let good = checkpoint.with_cosignature(&witness.line(&text_of(&checkpoint), 77), witness.public()).unwrap();
    let wrong = good.note().replace("\n12\n", "\n13\n");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good"), good.note()).unwrap();
    std::fs::write(folder.path().join("wrong"), wrong).unwrap();
    std::fs::write(folder.path().join("without"), checkpoint.note()).unwrap();
    let output = std::process::Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py"))
        .arg("--cosigned")
        .arg(witness.public().to_string())
        .arg(folder.path())
        .output()
        .expect("this test needs python3: install it (apt-get install python3)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "good 77\nwithout bad\nwrong bad\n");
}
