use std::collections::BTreeSet;

use model::id::Digest;
use model::subject::{Binding, Credential, SubjectKind};

use super::*;

fn key(text: &str) -> SubjectKey {
    let (issuer, id) = text.split_once('|').unwrap();
    SubjectKey { issuer: issuer.into(), id: id.into() }
}

/// `corp|app` in two groups, for `corp|jane`, by a token of the moment 100.
fn subject() -> Subject {
    Subject {
        key: key("corp|app"),
        kind: SubjectKind::Service,
        groups: vec!["corp|a".into(), "corp|b".into()],
        on_behalf_of: vec![key("corp|jane")],
        expires_at: Timestamp(1_000),
        binding: Binding::Bearer,
        token_id: Some("t-1".into()),
        credential: Credential {
            issued_at: Timestamp(100),
            digest: Some(Digest([7; 32])),
            generation: 0,
            made_of: Vec::new(),
        },
    }
}

fn of(whose: Whose, extent: Extent, at: u64) -> Revocation {
    Revocation { whose, extent, at: Timestamp(at), until: None, by: key("sluice|admin"), reason: None }
}

fn revoked(revocations: impl IntoIterator<Item = Revocation>) -> Revoked {
    let mut revoked = Revoked::default();
    revocations.into_iter().for_each(|revocation| {
        revoked.insert(revocation);
    });
    revoked
}

fn is_believed(revocation: Revocation) -> bool {
    revoked([revocation]).apply(subject(), Timestamp(500)).is_ok()
}

#[test]
fn each_identity_of_a_delegation_its_issuer_and_its_token_can_be_revoked() {
    let token = |id: &str| Whose::TokenId { issuer: "corp".into(), id: id.into() };
    for whose in [
        Whose::Subject(key("corp|app")),
        Whose::Subject(key("corp|jane")),
        Whose::Issuer("corp".into()),
        token("t-1"),
        Whose::Token(Digest([7; 32])),
    ] {
        assert!(!is_believed(of(whose.clone(), Extent::All, 1)), "{whose}");
    }
    for whose in [
        Whose::Subject(key("corp|ann")),
        Whose::Subject(key("other|jane")),
        Whose::Issuer("other".into()),
        token("t-2"),
        Whose::TokenId { issuer: "other".into(), id: "t-1".into() },
        Whose::Token(Digest([8; 32])),
    ] {
        assert!(is_believed(of(whose.clone(), Extent::All, u64::MAX)), "{whose}");
    }
}

#[test]
fn what_is_issued_later_is_believed_unless_all_is_revoked() {
    let jane = || Whose::Subject(key("corp|jane"));
    assert!(is_believed(of(jane(), Extent::Issued, 99)));
    assert!(!is_believed(of(jane(), Extent::Issued, 100)));
    assert!(!is_believed(of(jane(), Extent::All, 99)));
    // What is not known to be newer is not.
    let unknown = Subject { credential: Credential::default(), ..subject() };
    assert!(revoked([of(jane(), Extent::Issued, 1)]).apply(unknown, Timestamp(500)).is_err());
}

#[test]
fn groups_are_lost_and_never_won() {
    let but =
        |groups: &[&str]| Extent::GroupsBut(groups.iter().map(|group| Arc::from(*group)).collect::<BTreeSet<_>>());
    let left = |whose: &str, extent, at| {
        let revoked = revoked([of(Whose::Subject(key(whose)), extent, at)]);
        revoked.apply(subject(), Timestamp(500)).unwrap().groups.join(",")
    };
    assert_eq!(left("corp|app", but(&["corp|b", "corp|c"]), 100), "corp|b");
    assert_eq!(left("corp|app", but(&[]), 100), "");
    assert_eq!(left("corp|app", but(&[]), 99), "corp|a,corp|b", "a newer token says what holds now");
    assert_eq!(left("corp|jane", but(&[]), 100), "corp|a,corp|b", "they are not the caller's");
}

#[test]
fn it_ends_when_it_is_over_or_lifted() {
    let whose = Whose::Subject(key("corp|app"));
    let until = Revocation { until: Some(Timestamp(500)), ..of(whose.clone(), Extent::All, 1) };
    let mut revoked = revoked([until]);
    assert!(revoked.apply(subject(), Timestamp(499)).is_err());
    assert!(revoked.apply(subject(), Timestamp(500)).is_ok());
    assert_eq!((revoked.tokens(), revoked.others()), (0, 1));
    revoked.sweep(Timestamp(500));
    assert_eq!(revoked.others(), 0);
    revoked.insert(of(whose.clone(), Extent::All, 1));
    revoked.insert(of(whose.clone(), Extent::Issued, 1));
    assert_eq!((revoked.others(), revoked.lift(&whose, Some("all")).len()), (1, 1));
    assert!(revoked.apply(subject(), Timestamp(2)).is_ok(), "the other one is about older tokens");
    assert_eq!((revoked.others(), revoked.lift(&whose, None).len()), (1, 1));
    assert_eq!(revoked.others(), 0);
    assert!(revoked.apply(subject(), Timestamp(2)).is_ok());
}

#[test]
fn single_tokens_are_counted_apart() {
    let token = Whose::Token(Digest([7; 32]));
    let mut revoked = revoked([of(token.clone(), Extent::All, 1), of(token.clone(), Extent::All, 2)]);
    assert_eq!((revoked.tokens(), revoked.others()), (1, 0));
    revoked.lift(&token, None);
    revoked.lift(&token, None);
    assert_eq!(revoked.tokens(), 0);
}
