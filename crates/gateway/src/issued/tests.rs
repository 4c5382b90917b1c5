use model::subject::{Binding, SubjectKind};
use store::Sqlite;

use super::*;

const NOW: Timestamp = Timestamp(1_795_406_400_000);

fn key(id: &str) -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: id.into() }
}

fn stands_for(id: &str, seconds: u64) -> StandsFor {
    let subject = Subject {
        key: key(id),
        kind: SubjectKind::Service,
        groups: vec!["corp|orders".into()],
        on_behalf_of: vec![key("jane")],
        expires_at: NOW.plus_millis(seconds * 1000),
        binding: Binding::Bearer,
        token_id: Some("t".into()),
        credential: Credential { issued_at: NOW, made_of: vec![Digest([5; 32])], ..Credential::default() },
    };
    let made_of = vec![Digest([5; 32])];
    StandsFor {
        kind: Kind::Password,
        subject,
        target: Some("payments".into()),
        confirmation: None,
        issued_at: NOW,
        made_of,
    }
}

/// Whom a password of a minute stands for, so that it can be revoked.
fn found(id: &str, password: &Secret<String>) -> Subject {
    let subject = stands_for(id, 60).subject;
    let credential = Credential { digest: Some(sha256(password.expose().as_bytes())), ..subject.credential.clone() };
    Subject { credential, ..subject }
}

fn open(dir: &tempfile::TempDir, most: usize, now: Timestamp) -> IssuedCredentials {
    IssuedCredentials::open(Arc::new(Sqlite::open(dir.path()).unwrap()), most, now).unwrap()
}

fn find(passwords: &IssuedCredentials, password: &str, seconds: u64) -> Result<Subject, IdentityError> {
    passwords.find_password(password, &Proven::NOTHING, "payments", NOW.plus_millis(seconds * 1000))
}

#[test]
fn a_password_stands_for_its_subject_at_its_target_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = open(&dir, 10, NOW);
    let password = passwords.issue_password(stands_for("app", 60), NOW).unwrap();
    assert!(is_password(password.expose()) && password.expose().len() < 63);
    assert_eq!(find(&passwords, password.expose(), 59).unwrap(), found("app", &password));
    assert_eq!(find(&passwords, password.expose(), 60), Err(IdentityError::Password("it ended")));
    let elsewhere = passwords.find_password(password.expose(), &Proven::NOTHING, "orders", NOW);
    assert_eq!(elsewhere, Err(IdentityError::Password("it is for another target")));
    let other = password.expose().chars().rev().collect::<String>();
    assert_eq!(find(&passwords, &other, 0), Err(IdentityError::Password("it is unknown")));
}

#[test]
fn a_restart_ends_none_before_its_time_and_what_is_kept_is_no_password() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = open(&dir, 10, NOW);
    let (long, short) =
        (passwords.issue_password(stands_for("app", 60), NOW), passwords.issue_password(stands_for("app", 10), NOW));
    let (long, short) = (long.unwrap(), short.unwrap());
    drop(passwords);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(long.expose()) && !holds(short.expose()));
    }
    let passwords = open(&dir, 10, NOW.plus_millis(10_000));
    assert_eq!(find(&passwords, long.expose(), 10).unwrap(), found("app", &long));
    assert!(find(&passwords, short.expose(), 10).is_err());
    let state = Sqlite::open(dir.path()).unwrap();
    assert_eq!(state.issued_credentials(NOW).unwrap().len(), 1);
    passwords.sweep(NOW.plus_millis(60_000)).unwrap();
    assert_eq!((passwords.held().len(), state.issued_credentials(NOW).unwrap().len()), (0, 0));
}

#[test]
fn no_subject_has_more_than_it_may_and_all_of_its_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = open(&dir, 2, NOW);
    let issued: Vec<_> = (0..2).map(|_| passwords.issue_password(stands_for("app", 60), NOW).unwrap()).collect();
    for _ in 0..50 {
        assert!(matches!(passwords.issue_password(stands_for("app", 60), NOW), Err(IssueError::TooManyOfSubject(2))));
    }
    assert!(passwords.has_room(&key("app"), NOW).is_err() && passwords.has_room(&key("other"), NOW).is_ok());
    let other = passwords.issue_password(stands_for("other", 60), NOW).unwrap();
    assert_eq!(passwords.drop_of(&key("app")).unwrap(), 2);
    assert!(issued.iter().all(|password| find(&passwords, password.expose(), 0).is_err()));
    assert!(find(&passwords, other.expose(), 0).is_ok());
    // On whose behalf it is, that is whose it is too; and it stays so after a restart.
    assert_eq!(passwords.drop_of(&key("jane")).unwrap(), 1);
    assert!(find(&open(&dir, 2, NOW), other.expose(), 0).is_err());
    // Those that ended take no place.
    assert!(
        passwords.issue_password(stands_for("app", 1), NOW).is_ok()
            && passwords.issue_password(stands_for("app", 1), NOW).is_ok()
    );
    assert!(passwords.issue_password(stands_for("app", 60), NOW.plus_millis(1000)).is_ok());
}

#[test]
fn a_password_for_a_bound_credential_is_bound_too() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = open(&dir, 2, NOW);
    let certificate = Digest([7; 32]);
    let confirmation = Some(Confirmation::Certificate(certificate));
    let password = passwords.issue_password(StandsFor { confirmation, ..stands_for("app", 60) }, NOW).unwrap();
    let with = |certificate| {
        let proven = Proven { certificate, ..Proven::NOTHING };
        passwords.find_password(password.expose(), &proven, "payments", NOW)
    };
    assert!(with(Some(certificate)).is_ok());
    assert!(matches!(with(None), Err(IdentityError::Binding(_))));
    assert!(matches!(with(Some(Digest([8; 32]))), Err(IdentityError::Binding(_))));
}
