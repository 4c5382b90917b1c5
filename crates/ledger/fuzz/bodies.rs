//! What is tried with any bytes, for the fuzz targets and for the test that runs the same over the seeds
//! (`tests/fuzz_bodies.rs`). Checksums are made right first: behind a wrong one nothing is looked at.

use std::path::Path;
use std::sync::Arc;

use ledger::tape::{Part, Tape, TapeEnd, TapeReader};
use ledger::witness::{Head, Submission, decide};
use ledger::{Checkpoint, Cosigner, Disk, Reader, RealDisk, SigningKey, decode, fits, verify};
use model::id::SessionId;
use model::time::Timestamp;

/// Whose the tapes are.
pub const SESSION: SessionId = SessionId::from_bits(42);

/// What signs the checkpoints.
pub fn key() -> SigningKey {
    SigningKey::from_seed("fuzz", &[7; 32]).unwrap()
}

/// The payload of an entry: no input panics, and what is decoded can be written.
pub fn entry(input: &[u8]) {
    if let Ok(entry) = decode(input) {
        assert!(fits(&entry));
    }
}

/// A file in a directory of its own.
fn file(name: &str, content: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    folder
}

fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// Writes the checksum of `covered` at `at`.
fn seal(bytes: &mut [u8], at: usize, covered: std::ops::Range<usize>) {
    if let Some(crc) = bytes.get(covered).map(crc32c::crc32c) {
        bytes.iter_mut().skip(at).zip(crc.to_le_bytes()).for_each(|(to, from)| *to = from);
    }
}

/// A part with a header of so many bytes, with the checksums that its bytes have to have.
fn with_checksums(input: &[u8], header: usize) -> Vec<u8> {
    let mut bytes = input.to_vec();
    seal(&mut bytes, header - 4, 0..header - 4);
    let mut at = header;
    while let Some(end) = length_at(&bytes, at + 13).and_then(|length| (at + 17).checked_add(length)) {
        seal(&mut bytes, at, at + 4..end);
        at = end;
    }
    bytes
}

/// Reads all of a tape, twice; says how it ends.
fn read_tape(folder: &Path) -> Option<TapeEnd> {
    let mut reader = TapeReader::open(&RealDisk, folder, SESSION, None).ok()?;
    let mut times = Vec::new();
    while let Ok(Some(record)) = reader.next() {
        times.push(record.at);
    }
    let end = reader.end();
    if let Ok((_, length)) = reader.digest() {
        assert_eq!(end, Some(TapeEnd::Complete));
        assert!(length > 0);
    }
    for at in [Timestamp(0), times.last().copied().unwrap_or(Timestamp(1)), Timestamp(u64::MAX)] {
        let _ = reader.seek(at).and_then(|()| reader.next());
    }
    end
}

/// A tape as it is written: no input panics. A complete one says the same when it is compressed.
pub fn tape(input: &[u8]) {
    read_sealed_tape(input);
    read_sealed_part(input);
}

/// Likewise as the second part of a tape whose first is whole; says how the tape ends.
pub fn read_sealed_part(input: &[u8]) -> Option<TapeEnd> {
    const HEADER: usize = 68;
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut tape = Tape::create(&disk, folder.path(), SESSION, Timestamp(1000), None).unwrap();
    tape.rotate(Timestamp(1001), true).unwrap().sync().unwrap();
    let bytes = with_checksums(input, HEADER);
    std::fs::write(folder.path().join(format!("{SESSION}.parts/00002.tape")), bytes).unwrap();
    let end = read_tape(folder.path());
    let mut reader = TapeReader::open(&RealDisk, folder.path(), SESSION, None).unwrap();
    let _ = reader.skip_towards(Timestamp(u64::MAX)).and_then(|()| reader.next());
    end
}

/// Likewise; says how it ends.
pub fn read_sealed_tape(input: &[u8]) -> Option<TapeEnd> {
    let folder = file(&format!("{SESSION}.tape"), &with_checksums(input, 28));
    let end = read_tape(folder.path());
    if end == Some(TapeEnd::Complete) {
        let digest = || TapeReader::open(&RealDisk, folder.path(), SESSION, None).unwrap().digest().unwrap();
        let before = digest();
        ledger::tape::compress(&RealDisk, folder.path(), SESSION, Part::FIRST, None).unwrap();
        assert_eq!(digest(), before);
    }
    end
}

/// A compressed tape: no input panics, and none unpacks to more than a block at a time.
pub fn packed(input: &[u8]) {
    read_sealed_packed(input);
}

/// Likewise; says how it ends.
pub fn read_sealed_packed(input: &[u8]) -> Option<TapeEnd> {
    const FOOTER: usize = 20;
    const INDEX_ENTRY: usize = 36;
    let mut bytes = input.to_vec();
    let footer = bytes.len().saturating_sub(FOOTER);
    let index = bytes.get(footer..).and_then(|footer| footer.first_chunk()).copied().map(u64::from_le_bytes);
    let index = index.and_then(|index| usize::try_from(index).ok()).unwrap_or_default().min(footer);
    for entry in (index..footer).step_by(INDEX_ENTRY) {
        let offset = bytes.get(entry..).and_then(|entry| entry.first_chunk()).copied().map(u64::from_le_bytes);
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        let end = offset.zip(length_at(&bytes, entry + 8)).and_then(|(offset, length)| offset.checked_add(length));
        if let Some((offset, end)) = offset.zip(end) {
            seal(&mut bytes, entry + 12, offset..end);
        }
    }
    seal(&mut bytes, footer + 8, index..footer + 8);
    let folder = file(&format!("{SESSION}.tapez"), &bytes);
    read_tape(folder.path())
}

/// The first segment of a journal: no input panics, and what reads it and what verifies it come to an end.
pub fn segment(input: &[u8]) {
    read_sealed_segment(input);
}

/// Likewise; says how many entries were read.
pub fn read_sealed_segment(input: &[u8]) -> u64 {
    let mut bytes = input.to_vec();
    seal(&mut bytes, 32, 0..32);
    let (mut at, mut index) = (36, 0_u64);
    while let Some(length) = bytes.get(at + 12..).and_then(|rest| rest.first_chunk()).copied().map(u16::from_le_bytes) {
        bytes.iter_mut().skip(at + 4).zip(index.to_le_bytes()).for_each(|(to, from)| *to = from);
        let end = at + 14 + usize::from(length);
        seal(&mut bytes, at, at + 4..end);
        (at, index) = (end, index + 1);
    }
    let folder = file("00000000000000000000.segment", &bytes);
    let mut reader = Reader::open(Arc::new(RealDisk), folder.path(), 0);
    while let Ok(Some((read, _))) = reader.next() {
        assert!(read < index);
    }
    let _ = verify(&RealDisk, folder.path(), key().public(), &[]);
    reader.position()
}

/// A signed checkpoint: no input panics, and what is accepted is kept as it came.
pub fn checkpoint(input: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::open(input, key().public()) {
        assert_eq!(checkpoint.note().as_bytes(), input);
    }
}

/// What is sent to a witness: there is one spelling of it, and no input panics on the way to a decision.
pub fn submission(input: &[u8]) {
    let Ok(submission) = Submission::parse(input) else { return };
    assert_eq!(submission.text().as_bytes(), input);
    let head = Head { size: submission.old, root: [7; 32] };
    if let Ok(checkpoint) = decide(&submission, &[key().public().clone()], |_| Some(head)) {
        let witness = Cosigner::from_seed("fuzz", &[9; 32]).unwrap();
        assert!(checkpoint.cosigned_at(witness.public()).is_err());
    }
}
