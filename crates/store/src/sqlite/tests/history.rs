//! Files of revisions, and proposals.

use model::id::ProposalId;

use super::*;
use crate::history::MOST_REVISIONS;
use crate::proposal::{Draft, MOST_OPEN, MOST_OPEN_OF_ONE, Proposal, ProposalStatus};
use crate::revision::{Change, RevisionText};

fn text(path: &str, text: &str) -> RevisionText {
    RevisionText { path: path.into(), digest: crate::revision::digest_of(text), text: Some(text.into()) }
}

fn revision(state: &Sqlite, number: u64, files: &[RevisionText]) {
    let mut digest = Digest::default();
    digest.0[..8].copy_from_slice(&number.to_be_bytes());
    assert_eq!(state.next_revision(digest, T.plus_millis(number)).unwrap(), RevisionId(number));
    state.keep_revision(RevisionId(number), files).unwrap();
}

fn proposal(id: u64, author: &str, reason: &str) -> Proposal {
    let change = Change { file: "policies/a.cedar".parse().unwrap(), before: None, after: Some(reason.into()) };
    let (base, base_digest, becomes) = (RevisionId(1), Digest([1; 32]), Digest([2; 32]));
    let draft = Draft { reason: reason.into(), base, base_digest, becomes, changes: vec![change] };
    Proposal::new(ProposalId::from_bits(id), key(author), vec![], draft, T)
}

#[test]
fn files_of_revisions_are_kept_once_and_the_oldest_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(folder.path()).unwrap();
    let hidden = RevisionText { text: None, ..text("targets.toml", "secret") };
    for number in 1..=u64::from(MOST_REVISIONS) + 2 {
        let own = text("policies/a.cedar", &format!("// {number}"));
        revision(&state, number, &[own, text("policies/same.cedar", "// same"), hidden.clone()]);
    }
    assert_eq!(state.revision_files(RevisionId(2)).unwrap(), None);
    let files = state.revision_files(RevisionId(3)).unwrap().unwrap();
    let texts: Vec<_> = files.iter().map(|file| (&*file.path, file.text.as_deref())).collect();
    let expected =
        [("policies/a.cedar", Some("// 3")), ("policies/same.cedar", Some("// same")), ("targets.toml", None)];
    assert_eq!(texts, expected);
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        locked(&state.state).query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!((count("revision_files"), count("revision_texts")), (3 * MOST_REVISIONS, MOST_REVISIONS + 1));
    let listed = state.revisions().unwrap();
    assert_eq!((listed.len(), listed[0].revision), (200, RevisionId(202)));
    drop(state);
    let state = Sqlite::open(folder.path()).unwrap();
    assert!(state.revision_files(RevisionId(202)).unwrap().is_some());
}

#[test]
fn of_two_changes_of_one_proposal_the_first_counts_and_what_ended_stays() {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(folder.path()).unwrap();
    let first = proposal(1, "corp|ann", "a");
    assert!(state.propose(&first, T).unwrap());
    let read = || state.proposal(first.id).unwrap().unwrap();
    assert_eq!(read(), first);
    let (mut one, mut other) = (read(), read());
    one.reason = "one".into();
    other.reason = "other".into();
    assert!(state.change_proposal(&one).unwrap());
    assert!(!state.change_proposal(&other).unwrap());
    assert_eq!((&*read().reason, read().version), ("one", 1));
    let mut applied = read();
    revision(&state, 1, &[]);
    applied.applied(key("corp|bob"), T, Some(RevisionId(1)));
    assert!(state.change_proposal(&applied).unwrap());
    assert!(!state.change_proposal(&read()).unwrap(), "it has ended");
    let kept = &state.revisions().unwrap()[0];
    assert_eq!((kept.proposal, kept.by.clone()), (Some(first.id), Some(key("corp|bob"))));
    assert!(state.proposals().unwrap()[0].changes.is_empty(), "lists are without files");
}

#[test]
fn only_so_many_proposals_are_open_and_those_that_ended_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(folder.path()).unwrap();
    let mut id = 0;
    let mut propose = |author: &str, now: Timestamp| {
        id += 1;
        let proposal = Proposal { created_at: now, changed_at: now, ..proposal(id, author, "a") };
        (state.propose(&proposal, now).unwrap(), proposal)
    };
    let mut last = None;
    for _ in 0..MOST_OPEN_OF_ONE {
        let (kept, proposal) = propose("corp|ann", T);
        assert!(kept);
        last = Some(proposal);
    }
    assert!(!propose("corp|ann", T).0);
    for author in 0..MOST_OPEN - MOST_OPEN_OF_ONE {
        assert!(propose(&format!("corp|author-{author}"), T).0);
    }
    assert!(!propose("corp|eve", T).0);
    let mut withdrawn = last.unwrap();
    withdrawn.withdraw(&key("corp|ann"), &[], T).unwrap();
    assert!(state.change_proposal(&withdrawn).unwrap());
    assert!(propose("corp|ann", T).0);
    assert!(!propose("corp|eve", T).0);
    // What nobody wanted in time keeps nobody out.
    let later = T.plus_millis(31 * 24 * 60 * MINUTE);
    assert!(propose("corp|eve", later).0);
    assert!(state.proposals().unwrap().iter().any(|one| one.status_at(later) == ProposalStatus::Expired));
}
