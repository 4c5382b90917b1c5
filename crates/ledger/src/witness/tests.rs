use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::cosignature::WitnessKey;
use crate::disk::{Disk, Fault, FaultyDisk};
use crate::journal::Journal;
use crate::note::SigningKey;
use crate::prove::prove_consistency;
use crate::samples::{dir, entry, key, open as open_journal};

fn home() -> &'static Path {
    Path::new("/witness")
}

fn open(disk: &FaultyDisk) -> Result<Witness, WitnessError> {
    Witness::open(Arc::new(disk.clone()), home(), "witness.example/w1", &[9; 32], vec![key().public().clone()])
}

/// A log, and its checkpoints at these sizes.
fn log(sizes: &[u64], numbers: impl Fn(u64) -> u64) -> (FaultyDisk, Journal, Vec<Checkpoint>) {
    let disk = FaultyDisk::new();
    let (journal, _) = open_journal(&disk, 150).unwrap();
    let checkpoints = sizes.iter().map(|size| {
        for number in journal.size()..*size {
            drop(journal.append(&[entry(numbers(number))]).unwrap().at_process());
        }
        journal.checkpoint().unwrap()
    });
    let checkpoints = checkpoints.collect();
    (disk, journal, checkpoints)
}

fn submission(disk: &dyn Disk, old: u64, checkpoint: &Checkpoint) -> Submission {
    let proof = match old {
        0 => Vec::new(),
        old => prove_consistency(disk, dir(), old, checkpoint.size()).unwrap().hashes,
    };
    Submission { old, proof, note: checkpoint.note().to_owned() }
}

fn submit(witness: &Witness, submission: &Submission) -> Result<String, Refusal> {
    witness.submit(submission.text().as_bytes(), 77)
}

fn conflict(result: Result<String, Refusal>) -> Option<u64> {
    match result {
        Err(Refusal::Conflict(size)) => Some(size),
        _ => None,
    }
}

#[test]
fn a_log_that_grows_is_cosigned_each_time() {
    let (disk, _, checkpoints) = log(&[3, 4, 9, 40], |number| number);
    let witness = open(&FaultyDisk::new()).unwrap();
    let mut old = 0;
    for checkpoint in &checkpoints {
        let lines = submit(&witness, &submission(&disk, old, checkpoint)).unwrap();
        let cosigned = checkpoint.with_cosignature(&lines, witness.public()).unwrap();
        assert_eq!(cosigned.cosigned_at(witness.public()), Ok(77));
        old = checkpoint.size();
        // Once more, as a log does whose answer was lost.
        submit(&witness, &submission(&disk, old, checkpoint)).unwrap();
    }
}

#[test]
fn td_04_a_rolled_back_log_is_refused_and_told_the_size() {
    let (disk, _, checkpoints) = log(&[3, 9], |number| number);
    let witness = open(&FaultyDisk::new()).unwrap();
    submit(&witness, &submission(&disk, 0, &checkpoints[1])).unwrap();
    for old in [0, 3] {
        assert_eq!(conflict(submit(&witness, &submission(&disk, old, &checkpoints[0]))), Some(9), "from {old}");
    }
    let pretended = Submission { old: 9, ..submission(&disk, 0, &checkpoints[0]) };
    assert!(matches!(submit(&witness, &pretended), Err(Refusal::Malformed)), "old is larger than the checkpoint");
}

#[test]
fn td_03_a_history_written_anew_with_the_stolen_key_is_refused() {
    let (disk, _, checkpoints) = log(&[5, 9], |number| number);
    let witness = open(&FaultyDisk::new()).unwrap();
    submit(&witness, &submission(&disk, 0, &checkpoints[0])).unwrap();
    let (forged_disk, _, forged) = log(&[5, 9], |number| if number == 2 { 99 } else { number });
    assert_eq!(conflict(submit(&witness, &submission(&forged_disk, 5, &forged[0]))), Some(5), "the same size");
    assert!(matches!(submit(&witness, &submission(&forged_disk, 5, &forged[1])), Err(Refusal::Inconsistent)));
    let borrowed = Submission { note: forged[1].note().to_owned(), ..submission(&disk, 5, &checkpoints[1]) };
    assert!(matches!(submit(&witness, &borrowed), Err(Refusal::Inconsistent)));
    submit(&witness, &submission(&disk, 5, &checkpoints[1])).unwrap();
}

#[test]
fn td_09_a_forged_proof_is_refused() {
    let (disk, _, checkpoints) = log(&[3, 9], |number| number);
    let witness = open(&FaultyDisk::new()).unwrap();
    let extra = Submission { proof: vec![[1; 32]], ..submission(&disk, 0, &checkpoints[0]) };
    assert!(matches!(submit(&witness, &extra), Err(Refusal::Inconsistent)), "nothing is proved from nothing");
    submit(&witness, &submission(&disk, 0, &checkpoints[0])).unwrap();
    let again = Submission { proof: vec![[1; 32]], ..submission(&disk, 3, &checkpoints[0]) };
    assert!(matches!(submit(&witness, &again), Err(Refusal::Inconsistent)), "nor from the same");
    let good = submission(&disk, 3, &checkpoints[1]);
    for at in 0..good.proof.len() {
        let mut changed = good.clone();
        changed.proof[at][0] ^= 1;
        assert!(matches!(submit(&witness, &changed), Err(Refusal::Inconsistent)), "hash {at}");
        let mut shorter = good.clone();
        shorter.proof.remove(at);
        assert!(matches!(submit(&witness, &shorter), Err(Refusal::Inconsistent)), "without hash {at}");
    }
    submit(&witness, &good).unwrap();
}

#[test]
fn logs_and_keys_that_are_not_known() {
    let (disk, _, checkpoints) = log(&[3], |number| number);
    let witness = open(&FaultyDisk::new()).unwrap();
    let of = |checkpoint: &Checkpoint| Submission { old: 0, proof: Vec::new(), note: checkpoint.note().to_owned() };
    let elsewhere = SigningKey::from_seed("other.example", &[7; 32]).unwrap().sign(3, [1; 32]);
    assert!(matches!(submit(&witness, &of(&elsewhere)), Err(Refusal::UnknownLog)));
    let stranger = SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap().sign(3, [1; 32]);
    assert!(matches!(submit(&witness, &of(&stranger)), Err(Refusal::Unsigned)));
    let wrong = Submission { note: checkpoints[0].note().replace("\n3\n", "\n4\n"), ..of(&checkpoints[0]) };
    assert!(matches!(submit(&witness, &wrong), Err(Refusal::Unsigned)));
    let both = vec![stranger_key(), key().public().clone()];
    let rotated = Witness::open(Arc::new(FaultyDisk::new()), home(), "w", &[9; 32], both).unwrap();
    submit(&rotated, &submission(&disk, 0, &checkpoints[0])).unwrap();
}

fn stranger_key() -> crate::VerifyingKey {
    SigningKey::from_seed("sluice.example/journal", &[8; 32]).unwrap().public().clone()
}

#[test]
fn td_06_hostile_submissions_are_malformed() {
    let (disk, _, checkpoints) = log(&[3, 9], |number| number);
    let witness = open(&FaultyDisk::new()).unwrap();
    submit(&witness, &submission(&disk, 0, &checkpoints[0])).unwrap();
    let good = submission(&disk, 3, &checkpoints[1]);
    let text = good.text();
    assert_eq!(Submission::parse(text.as_bytes()).unwrap(), good);
    let hash = STANDARD.encode(good.proof[0]);
    let loose = format!("{}{}=", &hash[..42], next_letter(&hash[42..43]));
    let too_many = Submission { proof: vec![[1; 32]; 64], ..good.clone() }.text();
    let cases = [
        text.replace('\n', "\r\n"),
        text.replacen("old 3", "old 03", 1),
        text.replacen("old 3", "old +3", 1),
        text.replacen("old 3", "old  3", 1),
        text.replacen("old 3", "old 18446744073709551616", 1),
        text.replacen("old 3", "Old 3", 1),
        text.replacen("old 3\n", "", 1),
        text.replacen(&hash, &loose, 1),
        text.replacen(&hash, hash.trim_end_matches('='), 1),
        text.replacen(&hash, &format!("{hash} "), 1),
        text.replacen(&hash, &STANDARD.encode([1; 31]), 1),
        text.replacen("\n\n", "\n", 1),
        text.replacen("\n\n", "\n\n\n", 1),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("{text}{}", "x".repeat(MAX_SUBMISSION)),
        too_many,
        String::new(),
        String::from("old 3"),
        String::from("old 3\n\n"),
    ];
    for case in cases {
        let refused = witness.submit(case.as_bytes(), 77);
        assert!(matches!(refused, Err(Refusal::Malformed)), "{case:?}: {refused:?}");
    }
    let mut bytes = text.clone().into_bytes();
    bytes.push(0xff);
    assert!(matches!(witness.submit(&bytes, 77), Err(Refusal::Malformed)));
    witness.submit(text.as_bytes(), 77).unwrap();
}

/// The same value with another letter in the bits that base64 leaves over.
fn next_letter(letter: &str) -> char {
    char::from(letter.as_bytes()[0] + 1)
}

#[test]
fn the_size_of_a_refusal_has_one_spelling() {
    assert_eq!(parse_size(b"9\n"), Some(9));
    for wrong in ["9", "09\n", "+9\n", "9\n\n", "9\r\n", "", "\n", "18446744073709551616\n"] {
        assert_eq!(parse_size(wrong.as_bytes()), None, "{wrong:?}");
    }
}

#[test]
fn a_witness_remembers_over_a_restart_and_has_one_process() {
    let (disk, _, checkpoints) = log(&[3, 9], |number| number);
    let own = FaultyDisk::new();
    let witness = open(&own).unwrap();
    let before = witness.public().clone();
    submit(&witness, &submission(&disk, 0, &checkpoints[1])).unwrap();
    drop(witness);
    // Another name and seed are for a first start alone.
    let logs = vec![key().public().clone()];
    let again = Witness::open(Arc::new(own.clone()), home(), "another", &[1; 32], logs).unwrap();
    assert_eq!(*again.public(), before);
    assert_eq!(conflict(submit(&again, &submission(&disk, 0, &checkpoints[0]))), Some(9));
    drop(again);
    let real = tempfile::tempdir().unwrap();
    let start = || Witness::open(Arc::new(crate::RealDisk), real.path(), "w", &[1; 32], Vec::new());
    let first = start().unwrap();
    assert!(matches!(start(), Err(WitnessError::InUse)));
    drop(first);
    start().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(real.path().join("witness.key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_a_witness_remembers_cannot_be_damaged_without_a_word() {
    let (disk, _, checkpoints) = log(&[3], |number| number);
    let own = FaultyDisk::new();
    submit(&open(&own).unwrap(), &submission(&disk, 0, &checkpoints[0])).unwrap();
    let contents = own.contents();
    let (path, good) = contents.iter().find(|(path, _)| path.to_string_lossy().ends_with(".checkpoint")).unwrap();
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        own.put(path, Some(flipped));
        // The log's own signature is not needed: what is above it is under the witness's.
        match open(&own) {
            Err(WitnessError::Damaged { .. }) => {}
            Ok(witness) => {
                assert_eq!(conflict(submit(&witness, &submission(&disk, 0, &checkpoints[0]))), Some(3), "bit {bit}");
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
    own.put(path, None);
    own.put(&home().join(format!("{}.checkpoint", "0".repeat(64))), Some(good.clone()));
    assert!(matches!(open(&own), Err(WitnessError::Damaged { .. })), "another log's file");
}

/// Whatever is cosigned is remembered, wherever the disk fails or the power is cut.
#[test]
fn rc_03_no_cosignature_leaves_before_it_is_remembered() {
    let (disk, _, checkpoints) = log(&[3, 9], |number| number);
    for fault in Fault::ALL {
        for at in 1.. {
            let own = FaultyDisk::new();
            let witness = open(&own).unwrap();
            submit(&witness, &submission(&disk, 0, &checkpoints[0])).unwrap();
            own.fail_from(at, fault);
            let answer = submit(&witness, &submission(&disk, 3, &checkpoints[1]));
            let is_over = own.heal();
            for keep in [0, 1 << 20] {
                let later = open(&own.power_cut(keep)).unwrap();
                let remembered = conflict(submit(&later, &submission(&disk, 0, &checkpoints[0])));
                assert!(remembered == Some(9) || (answer.is_err() && remembered == Some(3)), "{fault:?} at {at}");
            }
            // The log tries again, and the witness goes on.
            let from = conflict(submit(&witness, &submission(&disk, 0, &checkpoints[1]))).unwrap();
            submit(&witness, &submission(&disk, from, &checkpoints[1])).unwrap();
            if is_over {
                break;
            }
        }
    }
}

/// The checkpoint was written down, and the witness died before it answered: the log learns the size, and asks again.
#[test]
fn an_answer_that_was_lost_is_given_again() {
    let (disk, _, checkpoints) = log(&[3, 9], |number| number);
    let own = FaultyDisk::new();
    let witness = open(&own).unwrap();
    submit(&witness, &submission(&disk, 0, &checkpoints[0])).unwrap();
    drop(submit(&witness, &submission(&disk, 3, &checkpoints[1])).unwrap());
    let later = open(&own.power_cut(0)).unwrap();
    assert_eq!(conflict(submit(&later, &submission(&disk, 3, &checkpoints[1]))), Some(9));
    let lines = submit(&later, &submission(&disk, 9, &checkpoints[1])).unwrap();
    let key: &WitnessKey = later.public();
    checkpoints[1].with_cosignature(&lines, key).unwrap();
}
