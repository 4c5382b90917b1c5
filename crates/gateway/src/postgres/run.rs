//! A request on its way: decided, forwarded, being answered.

use std::sync::Arc;

use masking::postgres::{CopyMasker, Plan};
use model::disclosure::Disclosure;
use model::id::{ApprovalId, RequestId};
use policy::Permit;
use tokio::time::Instant;

use super::analysed::{Analysed, Judged};
use super::copy_in::CopyIn;
use super::names::Portal;
use super::refusal::Refusal;

/// One request between its decision and the end of its answer.
pub(super) struct Run {
    /// The request.
    pub(super) id: RequestId,
    /// What it runs.
    pub(super) analysed: Arc<Analysed>,
    /// What policy said of it.
    pub(super) judged: Arc<Judged>,
    /// The revision that it was last judged by.
    pub(super) revision: model::id::RevisionId,
    /// Which of its statements is being answered.
    pub(super) at: usize,
    /// When it was forwarded.
    pub(super) started: Instant,
    /// What its answer gave away so far.
    pub(super) disclosure: Disclosure,
    /// How it failed.
    pub(super) error: Option<Arc<str>>,
    /// The masks of the answer that is coming.
    pub(super) plan: Option<Plan>,
    /// The masks of the COPY that is coming.
    pub(super) copy: Option<CopyMasker>,
    /// What looks at the rows of the COPY that comes in.
    pub(super) copy_in: Option<CopyIn>,
    /// Why it was refused while its data came in.
    pub(super) refused: Option<Refusal>,
    /// What lets its later messages through: Describe, Execute, CopyData.
    pub(super) permit: Permit,
    /// The portal that the request is, in the extended protocol. Its name may stand for another one by the time its rows
    /// come.
    pub(super) portal: Option<Portal>,
    /// The approval that was spent on it.
    pub(super) approval: Option<ApprovalId>,
    /// Whether it is counted among the unsettled: it was sent to run and may change what later text means.
    pub(super) unsettled: bool,
    /// Whether anything of it was sent to run. A portal that is bound and never executed is not.
    pub(super) executed: bool,
    /// When a revision denied it, or masked more of it: no more of its rows are delivered since.
    pub(super) cut: Option<Instant>,
    /// Whether rows were kept back since.
    pub(super) is_short: bool,
}

impl Run {
    /// The permit for a message that belongs to this request.
    pub(super) fn continuation(&self) -> Option<Permit> {
        self.permit.continuation()
    }
}
