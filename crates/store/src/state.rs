//! The one door to state.

use model::approval::{Answer, Asked, Consumed, Status};
use model::class::DataClass;
use model::event::Entry;
use model::id::{ApprovalId, Digest, ProposalId, RequestId, RevisionId, SessionId};
use model::revocation::{Revocation, Whose};
use model::subject::SubjectKey;
use model::time::Timestamp;
use tokio::sync::broadcast;

use crate::approval::{AnswerError, Approval, AskError, AskedFor, Filter, Limits, Spending, Spent};
use crate::audit::{ClassReport, Disclosed, FoundEvent, FoundRequest, FoundSession, Search, SessionSearch};
use crate::history::KeptRevision;
use crate::issued::KeptCredential;
use crate::proposal::Proposal;
use crate::revision::RevisionText;
use crate::vault::{SealedSecret, SecretInfo, VaultChange};
use crate::window::{WindowRequest, WindowUse};
use crate::{Error, Index};

/// State as the rest of Sluice sees it. Methods block for a short time (a transaction each) and are safe to call from
/// any thread; every `now` is the caller's wall clock.
pub trait State: Send + Sync {
    // ---- Approvals (RULES.md 22-25)

    /// Asks for an answer. What the same subject has already asked with the same digest and needs, and is still open,
    /// is returned instead, so that a retry pages nobody; so it is for a `Hold` of the same session. An open one whose
    /// needs are no longer those of policy is withdrawn.
    fn ask(&self, asked: &Asked, id: ApprovalId, limits: &Limits) -> Result<AskedFor, AskError>;

    /// Asks ahead for a time-boxed grant. It is answered like any other; [`State::consume_window`] uses it.
    fn request_window(&self, window: &WindowRequest, id: ApprovalId, limits: &Limits) -> Result<AskedFor, AskError>;

    /// One approval with its answers and uses.
    fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, Error>;

    /// Approvals, the newest first.
    fn approvals(&self, filter: &Filter) -> Result<Vec<Approval>, Error>;

    /// Records one person's answer and returns where the approval stands then.
    ///
    /// `on_behalf_of` is the approver's own delegation chain. Four eyes: no identity of the approver may be one of the
    /// requester's, compared by the bare id across issuers and without case, so that nobody answers their own request
    /// through a second issuer (AP-03). For the same reason two answers that share an identity are one person's
    /// (AP-04). Any person whose groups meet a need may say no, which ends it even after it was approved.
    fn answer(
        &self,
        id: ApprovalId,
        answer: &Answer,
        on_behalf_of: &[SubjectKey],
        now: Timestamp,
    ) -> Result<Status, AnswerError>;

    /// Spends an approved, unexpired hold or ticket on exactly one request: `None` if there is none. Once this returned
    /// a [`Consumed`], no other call ever will for the same approval.
    fn consume(&self, spending: &Spending<'_>) -> Result<Option<Consumed>, Error>;

    /// Uses an approved window that covers the request, if there is one.
    fn consume_window(&self, usage: &WindowUse<'_>) -> Result<Option<Consumed>, Error>;

    /// The request that an approval was spent on ended, or its outcome was journaled as unknown.
    fn completed(&self, approval: ApprovalId, request: RequestId) -> Result<(), Error>;

    /// What was spent and never reported complete. At start-up: before anything is forwarded, the outcome of each is
    /// unknown. It is journaled so and never retried.
    fn unresolved(&self) -> Result<Vec<(ApprovalId, RequestId)>, Error>;

    /// Tells state what the journal knows to be spent, so that a restored backup revives nothing (AP-12). Called at
    /// start-up with every spent approval that may still be open in a backup.
    fn mark_consumed(&self, spent: &[Spent]) -> Result<(), Error>;

    /// Turns a hold whose connection cannot wait longer into a ticket, which any session of the subject may spend.
    /// Its end stays. Returns whether it was an open hold.
    fn make_ticket(&self, id: ApprovalId) -> Result<bool, Error>;

    /// Ends an open approval; returns whether it was open.
    fn withdraw(&self, id: ApprovalId, reason: &str, now: Timestamp) -> Result<bool, Error>;

    /// Ends every open hold of a session that disconnected or cancelled; returns which (AP-09).
    fn withdraw_session(&self, session: SessionId, reason: &str, now: Timestamp) -> Result<Vec<ApprovalId>, Error>;

    /// Ends every open approval whose time is over; returns which. Nothing depends on its being called in time.
    fn expire(&self, now: Timestamp) -> Result<Vec<ApprovalId>, Error>;

    /// Tells of every approval that changes, after the change is durable. A receiver that lagged reads the approvals
    /// that it waits for again.
    fn subscribe(&self) -> broadcast::Receiver<ApprovalId>;

    // ---- The index for audit (RULES.md 29, 30)

    /// Adds journal entries with their positions, in order, in one transaction. Positions already indexed are skipped.
    fn index(&self, entries: &[(u64, Entry)]) -> Result<(), Error>;

    /// The position of the last indexed entry; `None` when nothing is indexed.
    fn indexed_to(&self) -> Result<Option<u64>, Error>;

    /// Forgets the whole index, to be fed again from the journal's first entry.
    fn reindex(&self) -> Result<(), Error>;

    /// The index, to be asked all that it can be.
    fn records(&self) -> &Index;

    /// Requests that match, the newest first.
    fn search(&self, search: &Search) -> Result<Vec<FoundRequest>, Error>;

    /// How many values of `class` the matching requests delivered, and how many requests may have and nobody knows.
    fn disclosed(&self, class: &DataClass, search: &Search) -> Result<Disclosed, Error>;

    /// The same for each subject since `since`, the most values in clear first.
    fn report(&self, class: &DataClass, since: Timestamp) -> Result<Vec<ClassReport>, Error>;

    /// Sessions that match, the newest first.
    fn sessions(&self, search: &SessionSearch) -> Result<Vec<FoundSession>, Error>;

    /// Every other event that matches (approvals, break-glass, revisions, secrets used, administration), the newest
    /// first. Of `search` only times, subject, target, session, approval, secret and limit are regarded.
    fn events(&self, search: &Search) -> Result<Vec<FoundEvent>, Error>;

    // ---- Sealed secrets: bytes only; `vault::Vault` seals and opens them

    /// Stores a sealed secret in place of an older one of that name, and notes who did it.
    fn put_sealed(&self, name: &str, sealed: &SealedSecret, by: &str, now: Timestamp) -> Result<(), Error>;

    /// A sealed secret.
    fn sealed(&self, name: &str) -> Result<Option<SealedSecret>, Error>;

    /// Names and dates, by name.
    fn secrets(&self) -> Result<Vec<SecretInfo>, Error>;

    /// Removes a secret, and notes who did it; returns whether it was there.
    fn remove_sealed(&self, name: &str, by: &str, now: Timestamp) -> Result<bool, Error>;

    /// The vault's check value: stores `first` if there is none yet, and returns the one that is stored.
    fn vault_check(&self, first: &SealedSecret, by: &str, now: Timestamp) -> Result<SealedSecret, Error>;

    /// Changes of the vault that are not in the journal yet, the oldest first, at most a hundred. The vault may be changed
    /// where no journal can be written: by another process, or while Sluice is stopped.
    fn vault_changes(&self) -> Result<Vec<VaultChange>, Error>;

    /// The changes up to this number are in the journal.
    fn vault_changes_recorded(&self, last: u64) -> Result<(), Error>;

    // ---- Short-lived passwords and SSH certificates

    /// Keeps one that is about to be given out; it is durable when this returns `Ok`.
    fn keep_credential(&self, issued: &KeptCredential) -> Result<(), Error>;

    /// Those that have not ended.
    fn issued_credentials(&self, now: Timestamp) -> Result<Vec<KeptCredential>, Error>;

    /// Removes these, before they end.
    fn drop_credentials(&self, digests: &[Digest]) -> Result<(), Error>;

    /// Removes those that have ended. Nothing depends on its being called in time.
    fn drop_ended_credentials(&self, now: Timestamp) -> Result<(), Error>;

    // ---- What may be used once

    /// Notes that what this digest names is used; whether that is the first time, durably when this returns `Ok`. It is
    /// remembered until `ends_at`, after which whoever calls this refuses it anyway.
    fn use_once(&self, digest: &Digest, ends_at: Timestamp, now: Timestamp) -> Result<bool, Error>;

    // ---- Who is no longer believed

    /// Keeps a revocation, in place of an earlier one of the same kind.
    fn put_revocation(&self, revocation: &Revocation) -> Result<(), Error>;

    /// Forgets every revocation of these credentials, or those of one kind.
    fn remove_revocations(&self, whose: &Whose, kind: Option<&str>) -> Result<(), Error>;

    /// Every revocation, in no order.
    fn revocations(&self) -> Result<Vec<Revocation>, Error>;

    /// Whether a security event was taken.
    fn has_security_event(&self, issuer: &str, id: &str) -> Result<bool, Error>;

    /// Notes that a security event was taken; false if it was before. It is remembered until `until`.
    fn take_security_event(&self, issuer: &str, id: &str, until: Timestamp) -> Result<bool, Error>;

    /// Forgets revocations and security events whose time is over.
    fn sweep_revocations(&self, now: Timestamp) -> Result<(), Error>;

    // ---- Revisions

    /// The number of the revision with this digest. The digest of the latest keeps its number, any other gets the next.
    fn next_revision(&self, digest: Digest, now: Timestamp) -> Result<RevisionId, Error>;

    /// Keeps the files of a revision, and forgets those of the oldest ([`crate::history::MOST_REVISIONS`]).
    fn keep_revision(&self, revision: RevisionId, files: &[RevisionText]) -> Result<(), Error>;

    /// The revisions that are or were in force, the newest first.
    fn revisions(&self) -> Result<Vec<KeptRevision>, Error>;

    /// The files of a revision, in the order of their names; `None` where they are not kept.
    fn revision_files(&self, revision: RevisionId) -> Result<Option<Vec<RevisionText>>, Error>;

    // ---- Proposed changes of the policies

    /// Keeps a new proposal; false where there are too many that are open.
    fn propose(&self, proposal: &Proposal, now: Timestamp) -> Result<bool, Error>;

    /// One proposal, with its files.
    fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, Error>;

    /// Proposals without their files, the newest first.
    fn proposals(&self) -> Result<Vec<Proposal>, Error>;

    /// Puts a proposal in the place of the open one of its version, which is counted up; false where somebody was quicker.
    fn change_proposal(&self, proposal: &Proposal) -> Result<bool, Error>;
}
