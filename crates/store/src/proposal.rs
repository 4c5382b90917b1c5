//! Proposed changes of the policies, and the rules for people: nobody agrees to their own, an agreement is to exactly what
//! was looked at, and what was changed since has to be agreed to again.

use std::sync::Arc;

use model::id::{Digest, ProposalId, RevisionId};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approval::people;
use crate::revision::{Change, digest_of_changes};

/// Open proposals in all.
pub const MOST_OPEN: usize = 100;
/// Open proposals of one author.
pub const MOST_OPEN_OF_ONE: usize = 20;

const DAY: u64 = 24 * 60 * 60 * 1000;
/// How long a proposal is open that nobody changes or agrees to.
pub(crate) const LIFE: u64 = 30 * DAY;
/// How long an agreement counts.
const AGREED_FOR: u64 = 7 * DAY;

/// How a proposal stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalStatus {
    /// It can be agreed to, changed, and put into force.
    Open,
    /// It is in force, or was.
    Applied,
    /// Its author took it back.
    Withdrawn,
    /// Nobody wanted it in time.
    Expired,
}

/// Somebody's agreement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Agreement {
    /// Who.
    pub by: SubjectKey,
    /// The delegation behind them.
    pub on_behalf_of: Vec<SubjectKey>,
    /// The id of the token that they gave it by, if that has one.
    #[serde(default)]
    pub token_id: Option<Arc<str>>,
    /// When.
    pub at: Timestamp,
    /// To what.
    pub digest: Digest,
    /// What they said.
    pub reason: Option<String>,
}

/// How a proposal ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProposalEnd {
    /// Who ended it.
    pub by: SubjectKey,
    /// When.
    pub at: Timestamp,
    /// As which revision it came into force; none where only files of cases changed.
    pub revision: Option<RevisionId>,
}

/// A proposed change of the policies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposal {
    /// Its id.
    pub id: ProposalId,
    /// Counts its changes: whoever writes says which one they read.
    pub version: u64,
    /// How it stands.
    pub status: ProposalStatus,
    /// Whose it is.
    pub author: SubjectKey,
    /// The delegation behind the author.
    pub on_behalf_of: Vec<SubjectKey>,
    /// Why, in the author's words.
    pub reason: String,
    /// The revision that it changes.
    pub base: RevisionId,
    /// The digest of that revision's files.
    pub base_digest: Digest,
    /// What is agreed to: the base, the reason, and each file before and after.
    pub digest: Digest,
    /// The digest of the revision that it makes.
    pub becomes: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed or agreed to last.
    pub changed_at: Timestamp,
    /// Who agreed, to whichever text.
    pub agreements: Vec<Agreement>,
    /// How it ended.
    pub ended: Option<ProposalEnd>,
    /// The files; kept apart, and empty in lists.
    #[serde(skip)]
    pub changes: Vec<Change>,
}

/// What is proposed: the files, and what comes of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Why.
    pub reason: String,
    /// The revision that it changes.
    pub base: RevisionId,
    /// Its digest.
    pub base_digest: Digest,
    /// The digest of the revision that it makes.
    pub becomes: Digest,
    /// The files.
    pub changes: Vec<Change>,
}

/// Why something cannot be done to a proposal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalError {
    /// It has ended.
    #[error("the proposal is not open any more")]
    NotOpen,
    /// It is somebody else's.
    #[error("the proposal is somebody else's: make one of your own")]
    NotYours,
    /// Nobody agrees to their own.
    #[error("nobody agrees to their own proposal: somebody else has to look at it")]
    OwnProposal,
    /// They agreed already, or somebody who may be the same person.
    #[error("you agreed to it already")]
    AlreadyAgreed,
    /// It is not what was looked at.
    #[error("the proposal was changed since you looked at it: look again")]
    OtherDigest,
    /// Too few agreed.
    #[error("{have} of {needed} others agreed to what it says now")]
    TooFew {
        /// How many agreed.
        have: usize,
        /// How many have to.
        needed: usize,
    },
    /// Another revision is in force.
    #[error("revision {base} is not in force any more: propose the change again on the one that is")]
    BaseMoved {
        /// What it was made for.
        base: RevisionId,
    },
}

impl Proposal {
    /// A new one.
    pub fn new(
        id: ProposalId,
        author: SubjectKey,
        on_behalf_of: Vec<SubjectKey>,
        draft: Draft,
        now: Timestamp,
    ) -> Self {
        let mut proposal = Self {
            id,
            version: 0,
            status: ProposalStatus::Open,
            author,
            on_behalf_of,
            reason: String::new(),
            base: RevisionId(0),
            base_digest: Digest::default(),
            digest: Digest::default(),
            becomes: Digest::default(),
            created_at: now,
            changed_at: now,
            agreements: Vec::new(),
            ended: None,
            changes: Vec::new(),
        };
        proposal.take(draft, now);
        proposal
    }

    fn take(&mut self, draft: Draft, now: Timestamp) {
        self.digest = digest_of_changes(draft.base_digest, &draft.reason, &draft.changes);
        self.agreements.clear();
        self.changed_at = now;
        (self.reason, self.base, self.base_digest) = (draft.reason, draft.base, draft.base_digest);
        (self.becomes, self.changes) = (draft.becomes, draft.changes);
    }

    /// How it stands now: whatever nobody wanted in time has ended.
    pub fn status_at(&self, now: Timestamp) -> ProposalStatus {
        let is_over = self.status == ProposalStatus::Open && now.millis_since(self.changed_at) > LIFE;
        if is_over { ProposalStatus::Expired } else { self.status }
    }

    fn is_open(&self, now: Timestamp) -> Result<(), ProposalError> {
        if self.status_at(now) == ProposalStatus::Open { Ok(()) } else { Err(ProposalError::NotOpen) }
    }

    /// By the same delegation too: others behind the same author are other people.
    fn is_of(&self, who: &SubjectKey, on_behalf_of: &[SubjectKey]) -> Result<(), ProposalError> {
        let is_theirs = self.author == *who && self.on_behalf_of == on_behalf_of;
        if is_theirs { Ok(()) } else { Err(ProposalError::NotYours) }
    }

    /// Replaces what is proposed. Whoever agreed did not agree to this.
    ///
    /// # Errors
    /// It is not the caller's, or not open.
    pub fn change(
        &mut self,
        who: &SubjectKey,
        on_behalf_of: &[SubjectKey],
        draft: Draft,
        now: Timestamp,
    ) -> Result<(), ProposalError> {
        self.is_of(who, on_behalf_of)?;
        self.is_open(now)?;
        self.take(draft, now);
        Ok(())
    }

    /// Takes it back.
    ///
    /// # Errors
    /// It is not the caller's, or not open.
    pub fn withdraw(
        &mut self,
        who: &SubjectKey,
        on_behalf_of: &[SubjectKey],
        now: Timestamp,
    ) -> Result<(), ProposalError> {
        self.is_of(who, on_behalf_of)?;
        self.is_open(now)?;
        self.status = ProposalStatus::Withdrawn;
        self.ended = Some(ProposalEnd { by: who.clone(), at: now, revision: None });
        Ok(())
    }

    /// Takes an agreement.
    ///
    /// # Errors
    /// It is not open, is of the author or somebody who agreed, or not to what it says now.
    pub fn agree(&mut self, agreement: Agreement) -> Result<(), ProposalError> {
        self.is_open(agreement.at)?;
        let who = people(&agreement.by, &agreement.on_behalf_of);
        if !people(&self.author, &self.on_behalf_of).is_disjoint(&who) {
            return Err(ProposalError::OwnProposal);
        }
        if agreement.digest != self.digest {
            return Err(ProposalError::OtherDigest);
        }
        let counted = self.counted(agreement.at);
        if counted.iter().any(|known| !people(&known.by, &known.on_behalf_of).is_disjoint(&who)) {
            return Err(ProposalError::AlreadyAgreed);
        }
        self.changed_at = agreement.at;
        self.agreements.push(agreement);
        Ok(())
    }

    /// The agreements to what it says now that are not too old: each of another person, and none of the author.
    pub fn counted(&self, now: Timestamp) -> Vec<&Agreement> {
        let mut seen = people(&self.author, &self.on_behalf_of);
        let mut counted = Vec::new();
        for agreement in &self.agreements {
            let who = people(&agreement.by, &agreement.on_behalf_of);
            let is_to_this = agreement.digest == self.digest && now.millis_since(agreement.at) <= AGREED_FOR;
            if is_to_this && seen.is_disjoint(&who) {
                seen.extend(who);
                counted.push(agreement);
            }
        }
        counted
    }

    /// Whether it may be put into force now.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_apply(
        &self,
        digest: Digest,
        in_force: Digest,
        needed: usize,
        now: Timestamp,
    ) -> Result<(), ProposalError> {
        self.is_open(now)?;
        let is_whole = digest_of_changes(self.base_digest, &self.reason, &self.changes) == self.digest;
        if digest != self.digest || !is_whole {
            return Err(ProposalError::OtherDigest);
        }
        if in_force != self.base_digest {
            return Err(ProposalError::BaseMoved { base: self.base });
        }
        let (have, needed) = (self.counted(now).len(), needed.max(1));
        if have < needed { Err(ProposalError::TooFew { have, needed }) } else { Ok(()) }
    }

    /// Notes that it came into force: as this revision, unless it changes files of cases alone.
    pub fn applied(&mut self, by: SubjectKey, at: Timestamp, revision: Option<RevisionId>) {
        self.status = ProposalStatus::Applied;
        self.ended = Some(ProposalEnd { by, at, revision });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn key(id: &str) -> SubjectKey {
        SubjectKey { issuer: "corp".into(), id: id.into() }
    }

    fn draft(text: &str) -> Draft {
        let change = Change { file: "policies/a.cedar".parse().unwrap(), before: None, after: Some(text.into()) };
        let (base, base_digest) = (RevisionId(1), Digest([1; 32]));
        Draft { reason: "because".into(), base, base_digest, becomes: Digest([2; 32]), changes: vec![change] }
    }

    fn proposal() -> Proposal {
        Proposal::new(ProposalId::from_bits(1), key("ann"), vec![], draft("a"), NOW)
    }

    fn yes(proposal: &Proposal, by: SubjectKey) -> Agreement {
        Agreement { by, on_behalf_of: vec![], token_id: None, at: NOW, digest: proposal.digest, reason: None }
    }

    fn may(proposal: &Proposal, needed: usize) -> Result<(), ProposalError> {
        proposal.may_apply(proposal.digest, Digest([1; 32]), needed, NOW)
    }

    #[test]
    fn two_people_have_to_want_it() {
        let mut proposal = proposal();
        assert_eq!(may(&proposal, 1), Err(ProposalError::TooFew { have: 0, needed: 1 }));
        assert_eq!(may(&proposal, 0), Err(ProposalError::TooFew { have: 0, needed: 1 }), "nobody is no setting");
        proposal.agree(yes(&proposal, key("bob"))).unwrap();
        assert_eq!(may(&proposal, 1), Ok(()));
        assert_eq!(may(&proposal, 2), Err(ProposalError::TooFew { have: 1, needed: 2 }));
        assert_eq!(proposal.agree(yes(&proposal, key("bob"))), Err(ProposalError::AlreadyAgreed));
        proposal.agree(yes(&proposal, key("eve"))).unwrap();
        assert_eq!(may(&proposal, 2), Ok(()));
    }

    #[test]
    fn nobody_agrees_to_their_own_under_any_of_their_names() {
        let mut proposal = Proposal { on_behalf_of: vec![key("carol")], ..proposal() };
        let elsewhere = SubjectKey { issuer: "sluice".into(), id: " ANN".into() };
        for own in [key("ann"), key("carol"), elsewhere] {
            assert_eq!(proposal.agree(yes(&proposal, own)), Err(ProposalError::OwnProposal));
        }
        let through = Agreement { on_behalf_of: vec![key("ann")], ..yes(&proposal, key("deploy-bot")) };
        assert_eq!(proposal.agree(through.clone()), Err(ProposalError::OwnProposal));
        // Somebody else behind the same author would write it, and agree to it as another person.
        for other in [vec![key("bob")], vec![], vec![key("carol"), key("bob")]] {
            assert_eq!(proposal.change(&key("ann"), &other, draft("b"), NOW), Err(ProposalError::NotYours));
            assert_eq!(proposal.withdraw(&key("ann"), &other, NOW), Err(ProposalError::NotYours));
        }
        proposal.change(&key("ann"), &[key("carol")], draft("b"), NOW).unwrap();
        // Whatever the database holds.
        proposal.agreements = vec![through, yes(&proposal, key("ann"))];
        assert_eq!(proposal.counted(NOW).len(), 0);
        // One person behind two others counts once.
        let by = |who: &str| Agreement { on_behalf_of: vec![key("bob")], ..yes(&proposal, key(who)) };
        proposal.agreements = vec![by("bot-1"), by("bot-2"), yes(&proposal, key("bob"))];
        assert_eq!(proposal.counted(NOW).len(), 1);
    }

    #[test]
    fn what_was_agreed_to_is_what_is_applied() {
        let mut proposal = proposal();
        let before = yes(&proposal, key("bob"));
        proposal.agree(before.clone()).unwrap();
        proposal.change(&key("ann"), &[], draft("b"), NOW).unwrap();
        assert_eq!(may(&proposal, 1), Err(ProposalError::TooFew { have: 0, needed: 1 }));
        assert_eq!(proposal.agree(before.clone()), Err(ProposalError::OtherDigest), "again, as it was");
        proposal.agreements.push(before);
        assert_eq!(proposal.counted(NOW).len(), 0, "whatever the database holds");
        proposal.agree(yes(&proposal, key("bob"))).unwrap();
        let other = Digest([9; 32]);
        assert_eq!(proposal.may_apply(other, Digest([1; 32]), 1, NOW), Err(ProposalError::OtherDigest));
        let moved = Err(ProposalError::BaseMoved { base: RevisionId(1) });
        assert_eq!(proposal.may_apply(proposal.digest, other, 1, NOW), moved);
        let said = Draft { reason: "another".into(), ..draft("b") };
        let mut same_files = proposal.clone();
        same_files.change(&key("ann"), &[], said, NOW).unwrap();
        assert_ne!(same_files.digest, proposal.digest, "why is agreed to as well");
        proposal.changes[0].after = Some("c".into());
        assert_eq!(may(&proposal, 1), Err(ProposalError::OtherDigest), "files that are not those of the digest");
    }

    #[test]
    fn an_author_alone_changes_and_withdraws_and_what_ended_stays_so() {
        let mut proposal = proposal();
        assert_eq!(proposal.change(&key("bob"), &[], draft("b"), NOW), Err(ProposalError::NotYours));
        assert_eq!(proposal.withdraw(&key("bob"), &[], NOW), Err(ProposalError::NotYours));
        proposal.withdraw(&key("ann"), &[], NOW).unwrap();
        for ended in [proposal.clone(), Proposal { status: ProposalStatus::Applied, ..proposal.clone() }] {
            let mut ended = ended;
            assert_eq!(ended.withdraw(&key("ann"), &[], NOW), Err(ProposalError::NotOpen));
            assert_eq!(ended.change(&key("ann"), &[], draft("b"), NOW), Err(ProposalError::NotOpen));
            assert_eq!(ended.agree(yes(&ended, key("bob"))), Err(ProposalError::NotOpen));
            assert_eq!(may(&ended, 1), Err(ProposalError::NotOpen));
        }
    }

    #[test]
    fn neither_a_proposal_nor_an_agreement_lasts_for_ever() {
        let mut proposal = proposal();
        proposal.agree(yes(&proposal, key("bob"))).unwrap();
        let later = |millis: u64| Timestamp(NOW.0 + millis);
        let at = |now: Timestamp| proposal.may_apply(proposal.digest, Digest([1; 32]), 1, now);
        assert_eq!(at(later(AGREED_FOR)), Ok(()));
        assert_eq!(at(later(AGREED_FOR + 1)), Err(ProposalError::TooFew { have: 0, needed: 1 }));
        assert_eq!(at(later(LIFE + 1)), Err(ProposalError::NotOpen));
        assert_eq!(proposal.status_at(later(LIFE + 1)), ProposalStatus::Expired);
    }
}
