//! From what a request would do to a decision in the journal, and the permit with which it goes on: for every protocol whose
//! requests are decided one by one, and may wait for somebody.
//!
//! A protocol says what is asked ([`Matter`]), of which session ([`Decides`]), and how whoever waits is told ([`Waits`]).
//! PostgreSQL, whose statements come in pipelines and wait inside of them, has a way of its own.

mod asking;
mod hold;
mod opening;
mod record;
mod refused;
mod standing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ledger::Receipt;
use model::class::Labels;
use model::effect::{Effect, Facts};
use model::event::Shown;
use model::id::{ApprovalId, RequestId, SessionId};
use model::time::Timestamp;
use policy::{Context, Permit, Verdict};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use hold::{Waits, decide_patiently};
pub(crate) use record::{complete, decide, refuse};
pub(crate) use refused::{Refused, denied, groups};
pub(crate) use standing::{Place, Standing};

use crate::clock;
use crate::node::Node;
use crate::sessions::Signals;

/// A request as it is decided.
#[derive(Clone, Copy)]
pub(crate) struct Matter<'a> {
    pub(crate) request: RequestId,
    /// What it would do.
    pub(crate) effects: &'a [Effect],
    /// Likewise, as the record and approvers may see it.
    pub(crate) told: &'a [Effect],
    /// What else policies may ask.
    pub(crate) facts: &'a Facts,
    /// What the journal's statement holds, with its values apart.
    pub(crate) statement: &'a str,
    pub(crate) values: &'a [Shown],
    /// The whole of it for people.
    pub(crate) shown: &'a str,
    /// All of it that an approval is bound to.
    pub(crate) exact: &'a [&'a str],
    /// What gives its text its meaning, which an approval is bound to as well, and approvers are shown.
    pub(crate) state: &'a [(&'a str, &'a str)],
    /// What approvers are shown beside it.
    pub(crate) beside: &'a [&'a str],
    /// Why, in the caller's words.
    pub(crate) reason: Option<&'a str>,
    /// The trace that it is part of.
    pub(crate) traceparent: Option<&'a str>,
    /// Whether its answer may hold a class in clear.
    pub(crate) shows: bool,
}

/// A session whose requests are decided.
pub(crate) trait Decides {
    /// Where it leads.
    type Place: Place;

    /// What of it counts for that.
    fn seat(&self) -> Seat<'_, Self::Place>;

    /// Takes up the revision in force; the session ends where it cannot go on by that.
    fn follow(&self);

    /// What it is judged by now. A revision that came into force is taken up though nobody told the session yet.
    fn standing(&self) -> Arc<Standing<Self::Place>> {
        let seat = self.seat();
        let stood = Arc::clone(&seat.standings.borrow());
        if seat.node.revisions.is_in_force(stood.active.id) || seat.over.is_cancelled() {
            return stood;
        }
        self.follow();
        Arc::clone(&seat.standings.borrow())
    }
}

/// What of a session counts for its decisions.
pub(crate) struct Seat<'a, P> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) id: SessionId,
    pub(crate) source: IpAddr,
    pub(crate) opened_at: Timestamp,
    pub(crate) signals: &'a Arc<Signals>,
    /// Cancelled when nothing of it may go on.
    pub(crate) over: &'a CancellationToken,
    /// What it is judged by, and each change of that.
    pub(crate) standings: &'a watch::Sender<Arc<Standing<P>>>,
}

/// A request that may go on.
pub(crate) struct Go {
    pub(crate) permit: Permit,
    pub(crate) receipt: Receipt,
    pub(crate) approval: Option<ApprovalId>,
    pub(crate) began: Instant,
}

impl Go {
    /// The request.
    pub(crate) fn request(&self) -> RequestId {
        self.permit.request()
    }

    /// The permit for what follows and is part of it, or for the one thing that it is about, where that has to be tried more
    /// than once.
    pub(crate) fn goes_on(&self) -> Permit {
        // There is one for every request.
        self.permit.continuation().unwrap_or_else(|| Permit::protocol(policy::ProtocolAct::Close, self.request()))
    }
}

/// What policy says of it now.
pub(crate) fn judge<S: Decides>(session: &S, standing: &Standing<S::Place>, matter: Matter<'_>) -> Verdict {
    let (labels, now, seat) = (Labels::default(), clock::now(), session.seat());
    let context = Context {
        session_age: now.millis_since(seat.opened_at) / 1000,
        reason: matter.reason,
        observers: &standing.observers,
        ..Context::at_the_start(&standing.subject, seat.source, now)
    };
    standing.bench(&labels).judge(matter.effects, matter.facts, &context)
}
