use model::revocation::{Extent, Revocation, Whose};
use tempfile::TempDir;

use super::*;

fn revocation(whose: Whose, extent: Extent, until: Option<Timestamp>) -> Revocation {
    Revocation { whose, extent, at: T, until, by: key("sluice|admin"), reason: Some("lost laptop".into()) }
}

fn sorted(mut all: Vec<Revocation>) -> Vec<Revocation> {
    all.sort_by_key(|one| (one.whose.clone(), one.extent.kind()));
    all
}

#[test]
fn revocations_outlive_the_process_and_end_in_their_time() {
    let dir = TempDir::new().unwrap();
    let jane = Whose::Subject(key("corp|jane"));
    let groups = Extent::GroupsBut(["corp|a".into()].into());
    let all = [
        revocation(jane.clone(), Extent::All, Some(T.plus_millis(MINUTE))),
        revocation(jane.clone(), groups, None),
        revocation(Whose::Token(Digest([7; 32])), Extent::All, Some(T)),
        revocation(Whose::TokenId { issuer: "corp".into(), id: "t-1".into() }, Extent::All, None),
        revocation(Whose::Issuer("corp".into()), Extent::All, None),
    ];
    let state = Sqlite::open(dir.path()).unwrap();
    all.iter().for_each(|one| state.put_revocation(one).unwrap());
    // The same again takes its own place.
    state.put_revocation(&all[0]).unwrap();
    drop(state);
    let state = Sqlite::open(dir.path()).unwrap();
    assert_eq!(sorted(state.revocations().unwrap()), sorted(all.to_vec()));
    state.sweep_revocations(T).unwrap();
    assert_eq!(state.revocations().unwrap().len(), 4);
    state.remove_revocations(&jane, Some("groups")).unwrap();
    assert_eq!(state.revocations().unwrap().len(), 3);
    state.remove_revocations(&jane, None).unwrap();
    assert_eq!(state.revocations().unwrap().len(), 2);
}

#[test]
fn a_security_event_is_taken_once_until_it_is_forgotten() {
    let dir = TempDir::new().unwrap();
    let state = Sqlite::open(dir.path()).unwrap();
    assert!(!state.has_security_event("corp", "e-1").unwrap());
    assert!(state.take_security_event("corp", "e-1", T).unwrap());
    assert!(state.has_security_event("corp", "e-1").unwrap());
    assert!(!state.take_security_event("corp", "e-1", T).unwrap());
    assert!(state.take_security_event("other", "e-1", T).unwrap());
    drop(state);
    let state = Sqlite::open(dir.path()).unwrap();
    assert!(!state.take_security_event("corp", "e-1", T).unwrap());
    state.sweep_revocations(T).unwrap();
    assert!(state.take_security_event("corp", "e-1", T).unwrap());
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_nobody() {
    let dir = TempDir::new().unwrap();
    let state = Sqlite::open(dir.path()).unwrap();
    state.put_revocation(&revocation(Whose::Issuer("corp".into()), Extent::All, None)).unwrap();
    drop(state);
    let connection = Connection::open(dir.path().join("state.db")).unwrap();
    connection.execute("UPDATE revocations SET revocation = '{}'", []).unwrap();
    drop(connection);
    let state = Sqlite::open(dir.path()).unwrap();
    assert!(matches!(state.revocations(), Err(Error::Corrupt("a revocation"))));
}
