//! From a text to a decision: what it would do, whether it may, and what the journal is told.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use effects::postgres::{NameUse, Session as Reading, Statement, comment};
use model::approval::Consumed;
use model::decision::{Denial, Need, Outcome};
use model::effect::{Effect, Object, Verb};
use model::event::{Entry, Event};
use model::id::{ApprovalId, Digest, RequestId};
use model::subject::{Subject, SubjectKey};
use policy::{Approved, Context, Decision, Permit, decide, prepare};
use wire::postgres::backend::TransactionStatus;
use wire::postgres::part::Values;

use super::analysed::{Analysed, Judged, Known};
use super::catalogs::{Catalogs, Snapshot, is_fresh};
use super::hold::Sought;
use super::names::{PortalName, StatementName};
use super::own::What;
use super::refusal::Refusal;
use super::session::{Session, Stall};
use super::standing::UNBELIEVED_USER;
use super::upstream::ConnectError;
use crate::clock;
use crate::explained;
use crate::judging::acts;
use crate::recorder::entry;

/// How many statements a text may have: each is named in the journal's entry of its decision.
pub(super) const MOST_STATEMENTS: usize = 1000;

/// What became of a text.
pub(super) enum Understood {
    /// It is analysed and judged.
    Ready(Known),
    /// Something has to be read or settled first.
    Stalled(Stall),
    /// It cannot be looked at.
    Refused(Refusal),
}

/// What became of a request.
pub(super) enum Admission {
    /// It may be forwarded, with the receipt of this entry of the batch.
    Permitted { permit: Permit, entry: usize, approval: Option<ApprovalId> },
    /// It may not.
    Refused(Refusal),
    /// A human is asked.
    Stalled(Stall),
}

/// The parameters of a Bind; none for a Query.
#[derive(Clone, Copy, Default)]
pub(super) struct Bound<'a> {
    pub(super) types: &'a [u32],
    pub(super) values: Values<'a>,
    pub(super) formats: wire::postgres::part::Formats<'a>,
}

/// What came with a text in a trailing comment, verified.
#[derive(Clone, Default)]
pub(super) struct Origin {
    /// On whose behalf, by a credential that a prepared statement may outlive.
    pub(super) user: Option<Arc<Subject>>,
    pub(super) traceparent: Option<Arc<str>>,
}

impl Origin {
    /// Who that user is.
    pub(super) fn user_key(&self) -> Option<&SubjectKey> {
        self.user.as_ref().map(|user| &user.key)
    }
}

/// A request as it is decided.
#[derive(Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) request: RequestId,
    pub(super) known: &'a Known,
    pub(super) bound: Bound<'a>,
    pub(super) origin: &'a Origin,
}

impl Session {
    /// On whose behalf a statement is: the user that it names itself, or else the session's.
    pub(super) fn user_of<'a>(&'a self, origin: &'a Origin) -> Option<&'a Arc<Subject>> {
        origin.user.as_ref().or(self.caller.user())
    }

    /// Splits a trailing comment off and verifies the user token in it.
    pub(super) async fn split_comment<'t>(&self, text: &'t str) -> Result<(&'t str, Origin), Refusal> {
        let (rest, comment) = comment::split(text);
        let Some(comment) = comment else { return Ok((text, Origin::default())) };
        let mut origin = Origin { user: None, traceparent: comment.traceparent.map(Arc::from) };
        if let Some(token) = comment.user_token {
            match self.verify(&token).await {
                Ok(subject) => origin.user = Some(Arc::new(subject)),
                Err(error) => return Err(self.user_refused(&error.to_string())),
            }
        }
        Ok((rest, origin))
    }

    /// Says what a text would do and what policy says of it, once everything that it depends on is known.
    pub(super) async fn understand(&mut self, text: &str, types: &[u32], user: Option<&SubjectKey>) -> Understood {
        if let Err(outcome) = self.be_current(text, types).await {
            return outcome;
        }
        let mut key = Cow::Borrowed(text);
        for oid in types {
            let key = key.to_mut();
            key.push('\0');
            key.push_str(&oid.to_string());
        }
        let known = self.memo.recall(&key, self.epoch).cloned();
        let known = match known {
            Some(known) if known.analysed.named.is_none() && self.still_holds(&known.judged, user) => {
                return self.ready_to_decide(known, user);
            }
            Some(known) => Known { judged: self.judged(&known.analysed, user), ..known },
            None => {
                let analysed = self.analysed(text, types);
                let count = analysed.statements.len();
                if count > MOST_STATEMENTS {
                    return Understood::Refused(Refusal::TooManyStatements(count));
                }
                let twin = self.memo.twin(&analysed.statements).map(|twin| Arc::clone(&twin.judged));
                let twin = twin.filter(|judged| analysed.named.is_none() && self.still_holds(judged, user));
                let judged = twin.unwrap_or_else(|| self.judged(&analysed, user));
                Known { analysed, judged }
            }
        };
        if known.analysed.named.is_none() {
            self.memo.learn(&key, known.clone());
        } else if !self.names.are_certain() {
            self.ask_for_replies();
            return Understood::Stalled(Stall::Settle);
        }
        self.ready_to_decide(known, user)
    }

    /// Has read and settled what the decision itself depends on.
    fn ready_to_decide(&mut self, known: Known, user: Option<&SubjectKey>) -> Understood {
        let known = match self.estimated(known, user) {
            Ok(known) => known,
            Err(stall) => return Understood::Stalled(stall),
        };
        match self.lower_wall(&known) {
            Some(stall) => Understood::Stalled(stall),
            None => Understood::Ready(known),
        }
    }

    /// Judges by what the target expects, where a policy that was asked reads it. Such a verdict is for this request alone
    /// and is not remembered.
    fn estimated(&mut self, known: Known, user: Option<&SubjectKey>) -> Result<Known, Stall> {
        if !known.judged.verdict.validity().estimated_rows {
            return Ok(known);
        }
        if let Some(text) = self.estimable(&known) {
            if !(self.pipeline.is_empty() && self.staged.is_empty()) {
                self.ask_for_replies();
                return Err(Stall::Settle);
            }
            if self.is_unbound() {
                self.start_own(What::Estimate(&text));
                return Err(Stall::Own);
            }
        }
        let judged = self.judged_by(&known.analysed, user, self.estimate.flatten());
        Ok(Known { judged, ..known })
    }

    /// Has everything settled and read that the meaning of a text depends on.
    pub(super) async fn be_current(&mut self, text: &str, types: &[u32]) -> Result<(), Understood> {
        if self.unsettled > 0 || self.copy_starting.is_some() {
            self.ask_for_replies();
            return Err(Understood::Stalled(Stall::Settle));
        }
        if self.is_too_late() {
            return Err(Understood::Refused(Refusal::TooLate));
        }
        self.make_current(text, types).await
    }

    /// Has the followed state and the catalog read if they may have changed.
    async fn make_current(&mut self, text: &str, types: &[u32]) -> Result<(), Understood> {
        let stale = self.state_changed || self.catalog_changed || self.followed.is_none();
        if stale && self.cannot_read() && !(self.pipeline.is_empty() && self.staged.is_empty()) {
            // What is under way may end the failed transaction.
            self.ask_for_replies();
            return Err(Understood::Stalled(Stall::Settle));
        }
        let in_transaction = self.pipeline.status() == TransactionStatus::Open;
        if stale && in_transaction && self.followed.is_some() && self.is_about_the_transaction(text, types) {
            // To read before it would be to take the transaction's snapshot, and then its level cannot be set any more.
            return Ok(());
        }
        if stale && self.cannot_read() {
            return self.only_the_end(text, types);
        }
        if std::mem::take(&mut self.own_unreadable) {
            return Err(Understood::Refused(Refusal::CatalogUnavailable));
        }
        if self.state_changed || self.followed.is_none() {
            self.start_own(What::State);
            return Err(Understood::Stalled(Stall::Own));
        }
        if self.freshen_catalog().await? {
            if self.cannot_read() {
                // Somebody else has changed the structure meanwhile.
                return self.only_the_end(text, types);
            }
            self.start_own(What::Objects);
            return Err(Understood::Stalled(Stall::Own));
        }
        Ok(())
    }

    /// In a failed transaction in which something would have to be read: only its end can run, and that names nothing.
    fn only_the_end(&self, text: &str, types: &[u32]) -> Result<(), Understood> {
        let is_the_end = self.is_about_the_transaction(text, types);
        if is_the_end { Ok(()) } else { Err(Understood::Refused(Refusal::TransactionAborted)) }
    }

    /// Whether a text only begins, shapes or ends transactions, or is empty: it names nothing, so that it means the same whatever has
    /// changed. How a backslash is read may be among that.
    fn is_about_the_transaction(&self, text: &str, types: &[u32]) -> bool {
        let is_level = |effect: &Effect| matches!(&effect.object, Object::Setting(name, _) if &**name == "transaction");
        let only = |statement: &Statement| {
            statement.transaction.is_some()
                || (statement.own.is_none()
                    && statement.names.is_none()
                    && statement.effects.iter().all(|effect| effect.verb == Verb::Transaction || is_level(effect)))
        };
        !text.contains('\\') && self.analysed(text, types).statements.iter().all(only)
    }

    /// Brings the catalog up to date; says whether it has to be read on the session's own connection: for what only the
    /// session can see, and when the shared reader does not get through, as while somebody holds a catalog of the target.
    async fn freshen_catalog(&mut self) -> Result<bool, Refusal> {
        let has_temporary = self.followed.as_ref().is_some_and(|followed| followed.has_temporary);
        let at_rest = self.is_at_rest_but_for_text();
        let catalogs = Arc::clone(&self.node.catalogs);
        if self.catalog_changed {
            return self.follow_own_changes(&catalogs, has_temporary || !at_rest).await;
        }
        let shared = match at_rest {
            true => shared(catalogs.current(&self.node, &self.place).await)?,
            false => catalogs.at_once(&self.node, &self.place).await,
        };
        let Some(shared) = shared else { return Ok(!self.overlay || !is_fresh(self.overlay_at)) };
        if self.overlay && (has_temporary || !at_rest) {
            // The shared part of what the session sees may have changed as well. What is read now has that in it.
            let is_behind = shared.version != self.catalog.version;
            self.shared = shared;
            return Ok(is_behind);
        }
        if !self.overlay && has_temporary {
            self.shared = shared;
            return Ok(true);
        }
        if shared.version != self.catalog.version || self.overlay {
            self.adopt_snapshot(shared);
        }
        Ok(false)
    }

    /// Likewise after the session itself has changed something, which others may not see yet.
    async fn follow_own_changes(&mut self, catalogs: &Catalogs, are_private: bool) -> Result<bool, Refusal> {
        if are_private {
            // For the views that are in it. What cannot be read now is read on the session's own connection.
            if let Some(shared) = catalogs.at_once(&self.node, &self.place).await {
                self.shared = shared;
            }
            return Ok(true);
        }
        let Some(fresh) = shared(catalogs.reread(&self.node, &self.place).await)? else { return Ok(true) };
        self.adopt_snapshot(fresh);
        self.catalog_changed = false;
        Ok(false)
    }

    fn adopt_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.catalog = snapshot;
        self.overlay = false;
        self.epoch.catalog += 1;
    }

    fn analysed(&self, text: &str, types: &[u32]) -> Arc<Analysed> {
        let nowhere: &[Arc<str>] = &[];
        let followed = self.followed.as_ref();
        let standard_conforming_strings = followed.is_some_and(|followed| followed.standard_conforming_strings);
        let consulted = Consulted { session: self, named: RefCell::default() };
        let reading = Reading {
            catalog: &self.catalog.catalog,
            search_path: followed.map_or(nowhere, |followed| &followed.search_path),
            user: followed.map_or("", |followed| &followed.current_user),
            standard_conforming_strings,
            prepared: &consulted,
            parameter_types: types,
        };
        let statements = effects::postgres::analyse(text, &reading);
        let named = consulted.named.take();
        let analysed = Analysed::new(text.into(), statements, self.epoch, &self.place, &self.memo);
        Arc::new(Analysed { named, standard_conforming_strings, ..analysed })
    }

    pub(super) fn judged(&self, analysed: &Analysed, user: Option<&SubjectKey>) -> Arc<Judged> {
        self.judged_by(analysed, user, None)
    }

    /// Judges a text of which the target expects to touch so many rows.
    pub(super) fn judged_by(
        &self,
        analysed: &Analysed,
        user: Option<&SubjectKey>,
        estimated_rows: Option<u64>,
    ) -> Arc<Judged> {
        let context = Context { estimated_rows, ..self.context(user) };
        let labels = self.labels();
        let bench = self.place.bench(&self.policies, &labels);
        let verdict = bench.verdict(acts(&analysed.statements), &context);
        let touched = bench.touched(&analysed.statements, &self.active.classification, &context);
        // What may be revealed may hang on the same circumstances.
        let timed = verdict.validity().and(self.policies.reveal_validity()).timed;
        Arc::new(Judged {
            verdict,
            timed,
            at: context.now,
            hides: !touched.hidden.is_empty() || analysed.hides_secrets(),
            hidden: touched.hidden,
            shows: touched.shows,
            user: context.on_behalf_of.cloned(),
            reason: self.caller.reason.clone(),
            estimated_rows,
        })
    }

    fn still_holds(&self, judged: &Judged, user: Option<&SubjectKey>) -> bool {
        (!judged.timed || clock::now().millis_since(judged.at) < policy::Validity::TIMED_MILLIS)
            && judged.user.as_ref() == self.context(user).on_behalf_of
            && judged.reason == self.caller.reason
    }

    /// The circumstances of a question asked now.
    pub(super) fn context<'a>(&'a self, user: Option<&'a SubjectKey>) -> Context<'a> {
        let now = clock::now();
        Context {
            now,
            source: self.caller.source,
            binding: self.caller.subject.binding,
            session_age: now.millis_since(self.caller.opened_at) / 1000,
            on_behalf_of: user.or(self.caller.user().map(|user| &user.key)).or(self
                .caller
                .subject
                .on_behalf_of
                .first()),
            reason: self.caller.reason.as_deref(),
            estimated_rows: None,
            observers: &[],
        }
    }

    /// Decides a request and tells the journal.
    pub(super) fn admit(&mut self, known: &Known, bound: Bound<'_>, origin: &Origin) -> Admission {
        let demand = Demand { request: self.request(), known, bound, origin };
        if let Some(refusal) = self.user_does_not_stand(known, origin) {
            self.withdraw_holds(UNBELIEVED_USER);
            return self.refuse(demand, refusal);
        }
        if let Some(column) = self.mask_as_data(&known.analysed, bound) {
            return self.refuse(demand, Refusal::MaskAsData(column));
        }
        match decide(&known.judged.verdict, demand.request, None, self.recording(known)) {
            // No approver is asked to take it down either.
            Decision::Allow(_) | Decision::Ask(_) if self.lifts_wall(known) => self.refuse(demand, Refusal::ReadOnly),
            Decision::Allow(permit) => self.permitted(permit, demand, None),
            Decision::Deny(denial) => self.refuse(demand, denied(known, denial)),
            Decision::Ask(needs) => match self.seek(demand, &needs) {
                Sought::Given(consumed, digest) => self.approved(demand, &needs, &consumed, digest),
                Sought::Refused(refusal) => self.refuse(demand, refusal),
                Sought::Waiting(stall) => Admission::Stalled(stall),
            },
        }
    }

    /// Decides a request on which an approval was spent. The store compared the needs that were shown to the approvers
    /// with the present ones when it spent it.
    fn approved(&mut self, demand: Demand<'_>, needs: &[Need], consumed: &Consumed, digest: Digest) -> Admission {
        let approved = Approved { consumed, asked: needs, digest };
        match decide(&demand.known.judged.verdict, demand.request, Some(approved), self.recording(demand.known)) {
            Decision::Allow(permit) => self.permitted(permit, demand, Some(consumed.approval())),
            Decision::Deny(denial) => self.refuse(demand, Refusal::Denied(denial, None)),
            Decision::Ask(_) => self.refuse(demand, Refusal::ApprovalsUnavailable),
        }
    }

    /// Decides whether a text may be prepared: parsed by the target, which runs nothing.
    pub(super) fn admit_preparation(&mut self, known: &Known, origin: &Origin) -> Admission {
        let demand = Demand { request: self.request(), known, bound: Bound::default(), origin };
        match prepare(&known.judged.verdict, demand.request) {
            Ok(permit) => self.prepared(permit, demand),
            Err(denial) => self.refuse(demand, denied(known, denial)),
        }
    }

    fn permitted(&mut self, permit: Permit, demand: Demand<'_>, approval: Option<ApprovalId>) -> Admission {
        let (request, known) = (demand.request, demand.known);
        self.introduce(&known.analysed);
        let verdict = &known.judged.verdict;
        if !verdict.waived().is_empty() {
            let (subject, waived) = (self.caller.subject.key.clone(), verdict.waived().to_vec());
            tracing::warn!(%request, %subject, "break-glass");
            self.entries.push(entry(Event::BreakGlass { request, subject, waived }));
        }
        if let Some(approval) = approval {
            self.entries.push(entry(Event::ApprovalConsumed { approval, request }));
        }
        let index = self.entries.len();
        let decided = self.decided(demand, Outcome::Allow, None, approval);
        self.entries.push(decided);
        self.level = self.level.max(permit.level());
        self.node.metrics.decided(Outcome::Allow);
        Admission::Permitted { permit, entry: index, approval }
    }

    fn prepared(&mut self, permit: Permit, demand: Demand<'_>) -> Admission {
        let (request, known) = (demand.request, demand.known);
        self.introduce(&known.analysed);
        let index = self.entries.len();
        self.entries.push(entry(Event::Prepared {
            request,
            statements: known.analysed.ids.clone(),
            policies: known.judged.verdict.policies().to_vec(),
            revision: self.active.id,
        }));
        Admission::Permitted { permit, entry: index, approval: None }
    }

    fn refuse(&mut self, demand: Demand<'_>, refusal: Refusal) -> Admission {
        self.introduce(&demand.known.analysed);
        let asked = matches!(refusal, Refusal::Ticket(..) | Refusal::HoldOver(_));
        let outcome = if asked { Outcome::Ask } else { Outcome::Deny };
        let denial = match &refusal {
            Refusal::Denied(denial, _) | Refusal::Missing(_, denial) => Some(denial.clone()),
            _ => None,
        };
        self.tape_refused(demand);
        let decided = self.decided(demand, outcome, denial, None);
        self.entries.push(decided);
        self.node.metrics.decided(outcome);
        Admission::Refused(refusal)
    }

    /// A refused request is on the tape as well: whoever replays it sees what the refusal answers.
    fn tape_refused(&mut self, demand: Demand<'_>) {
        let Demand { request, known, bound, .. } = demand;
        let values =
            if bound.values.iter().next().is_none() { Vec::new() } else { self.shown_values(&known.analysed, bound) };
        let text = self.masked_text(&known.analysed);
        self.tape_request(request, &text, &values);
    }

    fn decided(
        &self,
        demand: Demand<'_>,
        outcome: Outcome,
        denial: Option<Denial>,
        approval: Option<ApprovalId>,
    ) -> Entry {
        let Demand { request, known, bound, origin } = demand;
        entry(Event::Decided {
            request,
            statements: known.analysed.ids.clone(),
            values: explained::within_an_entry(self.shown_values(&known.analysed, bound)),
            outcome,
            policies: known.judged.verdict.policies().to_vec(),
            revision: self.active.id,
            approval,
            denial,
            on_behalf_of: self.user_of(origin).map(|user| user.key.clone()),
            traceparent: origin.traceparent.clone(),
        })
    }
}

/// What the names of a session stand for, as they are looked up: a prepared statement is analysed as the target will do,
/// which revalidates its plan.
struct Consulted<'s> {
    session: &'s Session,
    /// What was found; `None` if nothing was asked for.
    named: RefCell<Option<Vec<Arc<Analysed>>>>,
}

impl Consulted<'_> {
    fn found(&self, analysed: &Arc<Analysed>) {
        self.named.borrow_mut().get_or_insert_default().push(Arc::clone(analysed));
    }

    /// A text that the target read earlier: it keeps how it read the literals.
    fn again(&self, text: &str, types: &[u32], standard_conforming_strings: bool) -> Option<Arc<Analysed>> {
        let analysed = self.session.analysed(text, types);
        (analysed.standard_conforming_strings == standard_conforming_strings).then_some(analysed)
    }
}

impl effects::postgres::Prepared for Consulted<'_> {
    fn statement(&self, name: &str) -> Option<Arc<Statement>> {
        self.named.borrow_mut().get_or_insert_default();
        match self.session.names.statement(name)? {
            StatementName::Protocol(prepared) => {
                let analysed = self.again(&prepared.text, &prepared.types, prepared.standard_conforming_strings)?;
                self.found(&analysed);
                match analysed.statements.as_slice() {
                    [only] if analysed.named.is_none() => Some(Arc::new(only.clone())),
                    _ => None,
                }
            }
            StatementName::Sql { text, at, standard_conforming_strings } => {
                let analysed = self.again(text, &[], *standard_conforming_strings)?;
                self.found(&analysed);
                match &analysed.statements.get(*at)?.names {
                    Some(NameUse::Prepare { inner, .. }) => Some(Arc::clone(inner)),
                    _ => None,
                }
            }
        }
    }

    fn cursor(&self, name: &str) -> Option<Arc<Statement>> {
        self.named.borrow_mut().get_or_insert_default();
        match self.session.names.open(name)? {
            PortalName::Cursor { statement, text, .. } => {
                self.found(text);
                Some(Arc::clone(statement))
            }
            PortalName::Portal(portal) => {
                self.found(&portal.analysed);
                match portal.analysed.statements.as_slice() {
                    [only] if portal.analysed.named.is_none() => Some(Arc::new(only.clone())),
                    _ => None,
                }
            }
        }
    }
}

/// A denial, said as the server would say it where the reason is that something does not exist: applications look for
/// that.
fn denied(known: &Known, denial: Denial) -> Refusal {
    match known.analysed.statements.iter().find_map(Statement::missing) {
        Some(missing) if denial.policies.is_empty() => Refusal::Missing(missing, denial),
        Some(_) | None => Refusal::Denied(denial, known.judged.verdict.lacks().cloned()),
    }
}

/// What came of looking for the shared catalog. What cannot be read there can be on the session's own connection, but
/// where nothing can be recorded, nothing is read.
fn shared(read: Result<Arc<Snapshot>, ConnectError>) -> Result<Option<Arc<Snapshot>>, Refusal> {
    match read {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(ConnectError::NotRecorded) => Err(Refusal::NotRecorded),
        Err(_) => Ok(None),
    }
}

impl From<Refusal> for Understood {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
