//! Putting a proposal into force: what people agreed to, on the revision that they looked at, and nothing else.

use std::path::Path;

use model::id::{Digest, ProposalId, RevisionId};
use model::revocation::{Extent, Revocation, Whose};
use model::subject::SubjectKey;
use store::State;
use store::proposal::{Agreement, Proposal, ProposalError, ProposalStatus};
use store::revision::{Pending, Wanted, WriteError};

use crate::clock;
use crate::node::Node;
use crate::revision::{self, Active, Checked, Mistake};
use crate::sessions::Signal;

/// Why a proposal did not come into force. Nothing has changed, but for [`NotApplied::NotTaken`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotApplied {
    /// The configuration does not let the API do that.
    #[error(
        "[policy] apply is off in sluice.toml: this revision is changed where its files are kept; put the change there, or \
         turn it on"
    )]
    Off,
    /// There is no such proposal.
    #[error("there is no such proposal")]
    NotFound,
    /// It may not be.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// What is in the directory is not what is in force.
    #[error("what is in the revision's directory is not what is in force: mend it there first, see `sluice check`")]
    Unsettled,
    /// The revision that it makes is not right, or another one than was looked at.
    #[error("the revision that it would make is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
    /// The revision that it makes is another one than was looked at.
    #[error("it would make another revision than was looked at: look again")]
    OtherRevision,
    /// Its cases do not come out as they say.
    #[error("{0}")]
    Examined(String),
    /// The journal cannot be written.
    #[error("the journal cannot be written; see Sluice's log and try again")]
    NotRecorded,
    /// The directory cannot be written.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// State does not answer.
    #[error(transparent)]
    State(#[from] store::Error),
    /// It is written, and something else is in force: somebody changed another file in the same moment.
    #[error("the change is written, and what is in the directory is not in force: see `sluice check`")]
    NotTaken,
}

/// What is to be put into force, and by whom.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The proposal.
    pub proposal: ProposalId,
    /// What of it was looked at.
    pub digest: Digest,
    /// By whom.
    pub by: SubjectKey,
}

impl Node {
    /// Puts a proposal into force. `examine` runs the cases of the revision that it makes; `record` writes it durably into
    /// the journal before anything is written. Blocks.
    ///
    /// # Errors
    /// Why not.
    pub fn apply(
        &self,
        wish: &Wish,
        examine: impl FnOnce(&Checked, &Wanted) -> Result<(), String>,
        record: impl FnOnce(&Proposal) -> bool,
    ) -> Result<Option<RevisionId>, NotApplied> {
        if !self.config.policy.apply {
            return Err(NotApplied::Off);
        }
        let mut is_new = false;
        let revision = self.revisions.alone(|| {
            let proposal = self.agreed(wish, examine)?;
            if !record(&proposal) {
                return Err(NotApplied::NotRecorded);
            }
            self.write(wish, &proposal, &mut is_new)
        });
        // What came into force may be another one than was meant: sessions are judged by it all the same.
        if is_new {
            self.sessions.tell_all(Signal::Revision);
        }
        revision
    }

    /// The proposal, if everything about it is as it has to be.
    fn agreed(
        &self,
        wish: &Wish,
        examine: impl FnOnce(&Checked, &Wanted) -> Result<(), String>,
    ) -> Result<Proposal, NotApplied> {
        let (dir, in_force) = (self.revisions.dir(), self.revisions.current().digest);
        let mut proposal = self.state.proposal(wish.proposal)?.ok_or(NotApplied::NotFound)?;
        proposal.agreements.retain(|agreement| self.is_believed(agreement));
        proposal.may_apply(wish.digest, in_force, self.config.policy.approvals, clock::now())?;
        store::revision::is_kept_elsewhere(dir, &proposal.changes)?;
        let present = store::revision::RevisionFiles::digest_in(dir);
        if present.ok() != Some(in_force) {
            return Err(NotApplied::Unsettled);
        }
        let wanted: Wanted =
            proposal.changes.iter().map(|change| (change.file.clone(), change.after.clone())).collect();
        let checked = revision::check_with(dir, &wanted).map_err(NotApplied::Mistakes)?;
        if checked.digest() != proposal.becomes {
            return Err(NotApplied::OtherRevision);
        }
        examine(&checked, &wanted).map_err(NotApplied::Examined)?;
        Ok(proposal)
    }

    /// Whether neither anybody of those who agreed nor the token that they agreed by was revoked since.
    fn is_believed(&self, agreement: &Agreement) -> bool {
        let mut people = std::iter::once(&agreement.by).chain(&agreement.on_behalf_of);
        let is_of = |whose: &Whose, key: &SubjectKey| match whose {
            Whose::Subject(subject) => subject == key,
            Whose::Issuer(alias) => *alias == key.issuer,
            Whose::Token(_) | Whose::TokenId { .. } => false,
        };
        let is_token = |whose: &Whose| match whose {
            Whose::TokenId { issuer, id } => *issuer == agreement.by.issuer && agreement.token_id.as_ref() == Some(id),
            Whose::Subject(_) | Whose::Token(_) | Whose::Issuer(_) => false,
        };
        let revocations = self.revocations.list();
        let holds = |one: &&Revocation| one.at >= agreement.at || matches!(one.extent, Extent::All | Extent::Disabled);
        let in_force: Vec<&Revocation> = revocations.iter().filter(holds).collect();
        let is_revoked = |key: &SubjectKey| in_force.iter().any(|one| is_of(&one.whose, key));
        !revocations.iter().any(|one| is_token(&one.whose))
            && !people.any(|key| is_revoked(key) || !self.issuers.has(&key.issuer))
    }

    /// `is_new` says whether another revision is in force, be it the proposal's or not.
    fn write(&self, wish: &Wish, proposal: &Proposal, is_new: &mut bool) -> Result<Option<RevisionId>, NotApplied> {
        let Wish { proposal: id, digest, by } = wish.clone();
        let pending = Pending { proposal: id, digest, by, at: clock::now(), changes: proposal.changes.clone() };
        store::revision::begin(&self.config.data_dir, self.revisions.dir(), &pending)?;
        *is_new = self.revisions.take_up(self.state.as_ref(), &self.recorder, &self.metrics);
        let active = self.revisions.current();
        match active.digest == proposal.becomes {
            true => Ok(Some(active.id).filter(|_| proposal.becomes != proposal.base_digest)),
            false => Err(NotApplied::NotTaken),
        }
    }
}

/// Notes that a change is in the directory, and forgets that it was pending. What cannot be noted stays pending: it is
/// finished again, which changes nothing, and noted then.
pub(crate) fn settle(pending: &Pending, active: &Active, data_dir: &Path, state: &dyn State) {
    let noted = note(pending, active, state).map_err(|error| error.to_string());
    let settled = noted.and_then(|()| store::revision::forget(data_dir).map_err(|error| error.to_string()));
    if let Err(error) = settled {
        tracing::error!(%error, proposal = %pending.proposal, "that a proposal is in force is not noted yet");
    }
}

fn note(pending: &Pending, active: &Active, state: &dyn State) -> Result<(), store::Error> {
    // A restored backup of the state may lack it, and somebody may have noted it already.
    let open = state.proposal(pending.proposal)?.filter(|proposal| proposal.status == ProposalStatus::Open);
    let Some(mut proposal) = open else { return Ok(()) };
    let is_new = active.digest == proposal.becomes && proposal.becomes != proposal.base_digest;
    proposal.applied(pending.by.clone(), pending.at, is_new.then_some(active.id));
    state.change_proposal(&proposal).map(|_| ())
}
