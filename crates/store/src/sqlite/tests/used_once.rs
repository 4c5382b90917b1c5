//! What may be used once.

use super::*;

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn after(minutes: u64) -> Timestamp {
    T.plus_millis(minutes * MINUTE)
}

#[test]
fn it_is_used_once_and_a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(folder.path()).unwrap();
    assert!(state.use_once(&digest(1), after(5), T).unwrap());
    assert!(!state.use_once(&digest(1), after(5), T).unwrap());
    assert!(state.use_once(&digest(2), after(5), T).unwrap());
    drop(state);
    let state = Sqlite::open(folder.path()).unwrap();
    assert!(!state.use_once(&digest(1), after(9), after(1)).unwrap());
}

#[test]
fn it_is_forgotten_once_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(folder.path()).unwrap();
    assert!(state.use_once(&digest(1), after(5), T).unwrap());
    assert!(!state.use_once(&digest(1), after(5), Timestamp(after(5).0 - 1)).unwrap());
    assert!(state.use_once(&digest(1), after(9), after(5)).unwrap());
}
