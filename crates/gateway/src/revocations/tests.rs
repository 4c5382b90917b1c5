use model::revocation::Extent;
use model::subject::{Binding, Credential, SubjectKey, SubjectKind};
use store::Sqlite;
use tempfile::TempDir;

use super::*;

fn key(text: &str) -> SubjectKey {
    let (issuer, id) = text.split_once('|').unwrap();
    SubjectKey { issuer: issuer.into(), id: id.into() }
}

fn subject(issued_at: Timestamp) -> Subject {
    Subject {
        key: key("corp|jane"),
        kind: SubjectKind::User,
        groups: Vec::new(),
        on_behalf_of: Vec::new(),
        expires_at: Timestamp(u64::MAX),
        binding: Binding::Bearer,
        token_id: None,
        credential: Credential { issued_at, ..Credential::default() },
    }
}

fn revocation(extent: Extent, until: Option<Timestamp>) -> Revocation {
    let whose = Whose::Subject(key("corp|jane"));
    Revocation { whose, extent, at: clock::now(), until, by: key("sluice|admin"), reason: None }
}

fn open(dir: &TempDir) -> Result<Revocations, store::Error> {
    let gauge = IntGauge::new("revocations", "for tests").unwrap();
    Revocations::open(Arc::new(Sqlite::open(dir.path()).unwrap()), gauge)
}

#[test]
fn they_hold_at_once_and_after_a_restart_until_they_are_lifted() {
    let dir = TempDir::new().unwrap();
    let revocations = open(&dir).unwrap();
    let before = subject(clock::now());
    assert!(revocations.apply(before.clone()).is_ok());
    revocations.put(revocation(Extent::Issued, None)).unwrap();
    let again = || open(&dir).unwrap();
    for revocations in [&revocations, &again()] {
        assert!(revocations.apply(before.clone()).is_err());
        assert!(revocations.apply(subject(Timestamp(u64::MAX))).is_ok(), "a newer one is believed");
        assert_eq!(revocations.in_force.get(), 1);
    }
    assert_eq!(revocations.lift(&Whose::Subject(key("corp|jane")), None).unwrap().len(), 1);
    for revocations in [&revocations, &again()] {
        assert!(revocations.apply(before.clone()).is_ok());
        assert_eq!(revocations.in_force.get(), 0);
    }
}

#[test]
fn what_is_over_is_forgotten_here_and_in_state() {
    let dir = TempDir::new().unwrap();
    let revocations = open(&dir).unwrap();
    let now = clock::now();
    revocations.put(revocation(Extent::All, Some(now.plus_millis(60_000)))).unwrap();
    assert!(revocations.apply(subject(Timestamp(u64::MAX))).is_err());
    revocations.sweep(now).unwrap();
    assert_eq!(revocations.list().len(), 1);
    revocations.sweep(now.plus_millis(60_000)).unwrap();
    assert!(revocations.list().is_empty() && open(&dir).unwrap().list().is_empty());
}

#[test]
fn no_more_than_the_most_are_kept_and_the_same_again_takes_no_place() {
    let dir = TempDir::new().unwrap();
    let revocations = open(&dir).unwrap();
    let of = |id: usize| {
        let digest = model::id::Digest(std::array::from_fn(|place| id.to_be_bytes().get(place).copied().unwrap_or(0)));
        Revocation { whose: Whose::Token(digest), ..revocation(Extent::All, None) }
    };
    // Straight into memory: state would sync each.
    (0..MOST).for_each(|id| {
        revocations.write().insert(of(id));
    });
    assert!(matches!(revocations.put(of(MOST)), Err(RevokeError::Full)));
    revocations.put(of(0)).unwrap();
    // Subjects and issuers have places of their own: tokens that are given up do not keep an administrator from it.
    revocations.put(revocation(Extent::All, None)).unwrap();
}

/// A State that cannot be read is no empty one.
#[test]
fn what_cannot_be_read_starts_nothing() {
    let dir = TempDir::new().unwrap();
    open(&dir).unwrap().put(revocation(Extent::All, None)).unwrap();
    let database = dir.path().join("state.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let text = b"corp";
    let places: Vec<usize> = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    // Every text of the row is broken, so that the JSON has no end.
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + 4].copy_from_slice(b"\"\"\"\""));
    std::fs::write(&database, bytes).unwrap();
    assert!(open(&dir).is_err());
}
