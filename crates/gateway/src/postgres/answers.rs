//! What the target sends, message by message: masked, counted, and handed on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use masking::MaskError;
use masking::postgres::{Described, Plan, Touched};
use model::lineage::{Mentions, Output};
use policy::Context;
use wire::postgres::backend::{Backend, Fields, ReportFields};
use wire::postgres::error::Violation;
use wire::postgres::frame::{BackendTag, Phase, backend};
use wire::postgres::pipeline::{Pipeline, Reply, Sent, Step};

use super::analysed::{Analysed, Judged};
use super::end::End;
use super::refusal::{Refusal, Told};
use super::say;
use super::session::{Owed, Relay, Session, ShapeCell};
use super::shape::Shape;
use wire::postgres::encode::Severity;

/// How long a target may take to heed a cancel.
const MOST_AFTER_CUT: Duration = Duration::from_secs(5);

/// How many columns the rows of a server can have (MaxTupleAttributeNumber, access/htup_details.h).
const MOST_COLUMNS: usize = 1664;

const CUT: &str = "a new revision of the policies denies what ran";

/// An entry that a reply belongs to, as far as the reply needs it.
enum Owner {
    Relay { run: Option<u64>, ends: bool, quiet: bool, parses: Option<Arc<Analysed>>, describes: Option<ShapeCell> },
    Refused(Box<Told>),
    Replaced(&'static str),
    Own,
    OwnDescribe(ShapeCell),
}

impl Owner {
    fn of(owed: &Owed) -> Self {
        match owed {
            Owed::Relay(relay) => {
                let Relay { run, ends, quiet, .. } = *relay;
                let (parses, describes) = (relay.parses.clone(), relay.describes.clone());
                Self::Relay { run, ends, quiet, parses, describes }
            }
            Owed::Refused(told) => Self::Refused(told.clone()),
            Owed::Replaced(tag) => Self::Replaced(tag),
            Owed::Own => Self::Own,
            Owed::OwnDescribe(shape) => Self::OwnDescribe(Arc::clone(shape)),
        }
    }
}

/// A place, what was skipped, and whether the connection ends.
type Placed = (Option<Place>, Vec<(Sent, Owed)>, bool);

/// Where a reply belongs; what the target skipped because of it; and whether it ends the connection.
fn place_of(pipeline: &mut Pipeline<Owed>, reply: Reply) -> Result<Placed, Violation> {
    Ok(match pipeline.receive(reply)? {
        Step::Asynchronous => (None, Vec::new(), false),
        Step::Continues { sent, entry } => {
            (Some(Place { sent, owner: Owner::of(entry), finished: false, done: None }), Vec::new(), false)
        }
        Step::Finishes { sent, entry, dropped } => {
            let owner = Owner::of(&entry);
            let done = if let Owed::Relay(relay) = entry { Some(relay) } else { None };
            (Some(Place { sent, owner, finished: true, done }), dropped.collect(), false)
        }
        Step::Closes { dropped } => (None, dropped.collect(), true),
    })
}

/// Where a reply belongs.
struct Place {
    sent: Sent,
    owner: Owner,
    finished: bool,
    /// The client's own message, if this is the last that comes to it.
    done: Option<Relay>,
}

impl Session {
    /// Takes every complete message that the target sent.
    pub(super) fn serve_target(&mut self) -> Result<(), End> {
        let served = self.take_messages();
        self.outbox.wipe();
        served
    }

    fn take_messages(&mut self) -> Result<(), End> {
        loop {
            let inbox = &mut self.target.leg().inbox;
            let header = backend(inbox, Phase::Ready, &self.limits).map_err(|error| {
                tracing::warn!(session = %self.caller.session, %error, "the target broke its protocol");
                End::Target("the target broke its protocol")
            })?;
            let length = match header {
                Some(header) if inbox.len() >= header.length() => header.length(),
                Some(_) | None => return Ok(()),
            };
            let bytes = self.target.leg().inbox.split_to(length).freeze();
            self.target_message(&bytes)?;
        }
    }

    pub(super) fn target_message(&mut self, bytes: &Bytes) -> Result<(), End> {
        let broken = |reason: &dyn std::fmt::Display| {
            tracing::warn!(%reason, "the target broke its protocol");
            End::Target("the target broke its protocol")
        };
        let tag = bytes.first().copied().and_then(BackendTag::from_byte).ok_or_else(|| broken(&"unknown message"))?;
        let body = bytes.get(wire::postgres::frame::HEADER..).unwrap_or_default();
        if tag == BackendTag::DataRow
            && let Some((_, Owed::Relay(relay))) = self.pipeline.front()
        {
            let run = relay.run;
            self.pipeline.receive(Reply::DATA_ROW).map_err(|error| broken(&error))?;
            return self.next_row(run, body);
        }
        let frame = wire::postgres::frame::Frame { tag, body, bytes };
        let message = Backend::parse(&frame).map_err(|error| broken(&error))?;
        let reply = Reply::from(&message);
        let (place, dropped, closes) = place_of(&mut self.pipeline, reply).map_err(|error| broken(&error))?;
        if closes {
            self.fatal(&message, dropped.into_iter().map(|(_, owed)| owed).collect());
            return Err(End::Target("the target ended the connection"));
        }
        match place {
            None => self.asynchronous(&message),
            Some(mut place) => {
                let done = place.done.take();
                self.reply(&message, body, place)?;
                match (done, &message) {
                    (Some(relay), Backend::ErrorResponse(_)) => self.dropped(relay),
                    (Some(relay), _) => self.answered(&relay),
                    (None, _) => {}
                }
            }
        }
        dropped.into_iter().for_each(|(_, owed)| self.forget(owed));
        Ok(())
    }

    pub(super) fn asynchronous(&mut self, message: &Backend<'_>) {
        match message {
            Backend::NoticeResponse(fields) => {
                let touched = self.touched_by(fields);
                self.outbox.notice(fields.iter().map(|(field, text)| (field, text.bytes())), touched);
            }
            Backend::ParameterStatus(status) => {
                self.outbox.parameter_status(status.name.bytes(), status.value.bytes());
            }
            Backend::NotificationResponse(notification) => {
                let process = i32::from_be_bytes(notification.process.to_be_bytes());
                self.outbox.notification(process, notification.channel.bytes(), notification.payload.bytes());
            }
            _ => {}
        }
    }

    /// The target's last words.
    pub(super) fn fatal(&mut self, message: &Backend<'_>, dropped: Vec<Owed>) {
        if let Backend::ErrorResponse(fields) = message {
            let touched = self.touched_by(fields);
            self.outbox.error(fields.iter().map(|(field, text)| (field, text.bytes())), touched);
        }
        dropped.into_iter().for_each(|owed| self.forget(owed));
        let _ = self.release();
    }

    /// Whether the target's own words may hold what the subject may not see, or a secret of a text.
    fn touched_by(&self, said: &ReportFields<'_>) -> Touched {
        let runs = self.runs.values().map(|run| &run.analysed);
        let parsed = match self.pipeline.front() {
            Some((_, Owed::Relay(relay))) => relay.parses.as_ref(),
            _ => None,
        };
        let hides = self.runs.values().any(|run| run.judged.hides) || self.transaction_hides;
        if hides || runs.chain(parsed).any(|text| tells(said, text)) { Touched::Hidden } else { Touched::Nothing }
    }

    fn reply(&mut self, message: &Backend<'_>, body: &[u8], place: Place) -> Result<(), End> {
        let Place { sent, owner, finished, .. } = place;
        match owner {
            Owner::Own => {
                self.own_reply(message, finished);
                Ok(())
            }
            Owner::OwnDescribe(shape) => self.own_description(message, &shape),
            Owner::Refused(told) => self.refused_reply(message, &told),
            Owner::Replaced(tag) => self.replaced_reply(message, body, tag),
            Owner::Relay { parses: Some(text), .. }
                if let Backend::ErrorResponse(fields) = message
                    && tells(fields, &text) =>
            {
                self.outbox.error(fields.iter().map(|(field, text)| (field, text.bytes())), Touched::Hidden);
                Ok(())
            }
            Owner::Relay { run, ends, quiet, describes, .. } => {
                let unasked =
                    matches!(message, Backend::ParseComplete | Backend::BindComplete | Backend::NoData) && quiet;
                if unasked {
                    self.described(Shape::default(), None, describes.as_ref());
                } else {
                    self.relay(message, body, run, describes.as_ref())?;
                }
                if let (Some(number), true, true) = (run, ends, finished) {
                    self.run_finished(number, sent, message);
                }
                Ok(())
            }
        }
    }

    /// A Describe that Sluice added: its answer shapes the rows and goes no further. Its failure is the portal's.
    pub(super) fn own_description(&mut self, message: &Backend<'_>, shape: &ShapeCell) -> Result<(), End> {
        match message {
            Backend::RowDescription(fields) => {
                let _ = shape.set(Arc::new(self.shape_of(*fields)?));
            }
            Backend::NoData => drop(shape.set(Arc::new(Shape::default()))),
            Backend::ErrorResponse(fields) => {
                let touched = self.touched_by(fields);
                self.outbox.error(fields.iter().map(|(field, text)| (field, text.bytes())), touched);
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads a RowDescription of as many columns as there can be.
    fn shape_of(&self, fields: Fields<'_>) -> Result<Shape, End> {
        if fields.iter().count() > MOST_COLUMNS {
            tracing::warn!(session = %self.caller.session, "the target described more columns than there can be");
            return Err(End::Target("the target broke its protocol"));
        }
        Ok(Shape::read(fields, &self.catalog.catalog, None))
    }

    /// The error of what stood in for a refused message becomes our own; whatever else it brings was never asked for.
    pub(super) fn refused_reply(&mut self, message: &Backend<'_>, told: &Told) -> Result<(), End> {
        match message {
            Backend::ErrorResponse(_) => {
                self.tell_error(told);
                Ok(())
            }
            Backend::ReadyForQuery(status) => {
                self.ready(*status);
                self.pass(BackendTag::ReadyForQuery, &[status.byte()])
            }
            _ => Err(End::Target("the target accepted what it cannot have accepted")),
        }
    }

    /// The empty statement that stood in for a request to Sluice itself is answered as that request would be.
    pub(super) fn replaced_reply(&mut self, message: &Backend<'_>, body: &[u8], tag: &str) -> Result<(), End> {
        match message {
            Backend::EmptyQueryResponse => {
                let mut complete = Vec::new();
                say::command_complete(&mut complete, tag);
                self.outbox.own(&complete).map_err(withheld)
            }
            Backend::ReadyForQuery(status) => {
                self.ready(*status);
                self.pass(BackendTag::ReadyForQuery, body)
            }
            Backend::ErrorResponse(fields) => {
                let touched = self.touched_by(fields);
                self.outbox.error(fields.iter().map(|(field, text)| (field, text.bytes())), touched);
                Ok(())
            }
            _ => Err(End::Target("the target answered an empty statement with something else")),
        }
    }

    /// Writes an ErrorResponse of our own.
    pub(super) fn tell_error(&mut self, told: &Told) {
        let mut message = Vec::new();
        say::report(&mut message, Severity::Error, told);
        if let Err(error) = self.outbox.own(&message) {
            tracing::error!(%error, "an error could not be composed");
        }
    }

    pub(super) fn pass(&mut self, tag: BackendTag, body: &[u8]) -> Result<(), End> {
        self.outbox.control(tag.byte(), body).map_err(withheld)
    }

    /// A reply to the client's own message.
    pub(super) fn relay(
        &mut self,
        message: &Backend<'_>,
        body: &[u8],
        run: Option<u64>,
        describes: Option<&ShapeCell>,
    ) -> Result<(), End> {
        self.account_for(run);
        let before = self.outbox.len();
        match message {
            Backend::CopyData(_) if self.is_cut(run) => self.keep_back(run)?,
            Backend::CommandComplete(_) | Backend::PortalSuspended | Backend::CopyDone if self.is_short(run) => {
                // The cancel came too late. What was kept back cannot be told from an answer that ends here.
                return Err(End::Withheld(CUT));
            }
            Backend::CopyData(data) => self.copy_out(run, data.get())?,
            Backend::CopyDone => self.copy_out_done(run)?,
            Backend::ErrorResponse(fields) => {
                let request = self.caller.session.request(run.unwrap_or(0));
                let sqlstate = match self.refused_since(run).map(|refusal| refusal.tell(request)) {
                    Some(told) => {
                        self.tell_error(&told);
                        told.sqlstate.to_owned()
                    }
                    None => {
                        let touched = self.touched_by(fields);
                        self.outbox.error(fields.iter().map(|(field, text)| (field, text.bytes())), touched);
                        super::upstream::sqlstate(*fields)
                    }
                };
                if let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) {
                    run.error = Some(sqlstate.into());
                }
            }
            Backend::RowDescription(fields) => {
                self.described(self.shape_of(*fields)?, run, describes);
                self.pass(message.tag(), body)?;
            }
            Backend::NoData => {
                self.described(Shape::default(), run, describes);
                self.pass(message.tag(), body)?;
            }
            Backend::CopyOutResponse(copy) => {
                self.begin_copy_out(run, copy.columns.count(), copy.format)?;
                self.pass(message.tag(), body)?;
            }
            Backend::CopyInResponse(_) => {
                self.copy_starting = None;
                self.pass(message.tag(), body)?;
            }
            Backend::CommandComplete(_) => {
                self.statement_done(run);
                self.pass(message.tag(), body)?;
            }
            Backend::ReadyForQuery(status) => {
                self.ready(*status);
                self.pass(message.tag(), body)?;
            }
            Backend::FunctionCallResponse(_) if self.is_cut(run) => return Err(End::Withheld(CUT)),
            Backend::FunctionCallResponse(_) => self.function_result(run, body)?,
            Backend::CopyBothResponse(_) => {
                return Err(End::Target("the target sent what was not asked for"));
            }
            _ => self.pass(message.tag(), body)?,
        }
        self.account(run, before);
        Ok(())
    }

    /// Why this request was refused after it was forwarded, if it was.
    fn refused_since(&self, run: Option<u64>) -> Option<&Refusal> {
        let refused = run.and_then(|run| self.runs.get(&run)).and_then(|run| run.refused.as_ref());
        refused.or_else(|| self.is_cut(run).then_some(&Refusal::Cut))
    }

    /// Whether a revision cut this request.
    fn is_cut(&self, run: Option<u64>) -> bool {
        self.cut && run.and_then(|run| self.runs.get(&run)).is_some_and(|run| run.cut.is_some())
    }

    /// Whether rows of this request were kept back.
    fn is_short(&self, run: Option<u64>) -> bool {
        self.cut && run.and_then(|run| self.runs.get(&run)).is_some_and(|run| run.is_short)
    }

    /// Drops a row. A target that goes on regardless of the cancel is left after a while.
    fn keep_back(&mut self, run: Option<u64>) -> Result<(), End> {
        let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) else { return Ok(()) };
        run.is_short = true;
        match run.cut {
            Some(cut) if cut.elapsed() > MOST_AFTER_CUT => Err(End::Withheld(CUT)),
            Some(_) | None => Ok(()),
        }
    }

    /// A row of an answer to the client's own message: masking is what reads it.
    fn next_row(&mut self, run: Option<u64>, body: &[u8]) -> Result<(), End> {
        if self.is_cut(run) {
            return self.keep_back(run);
        }
        self.account_for(run);
        let before = self.outbox.len();
        self.row(run, body)?;
        self.account(run, before);
        Ok(())
    }

    /// Counts for this request from now on.
    fn account_for(&mut self, run: Option<u64>) {
        if self.accounted != run {
            self.settle_account();
            self.accounted = run;
        }
    }

    /// Adds what was just written to the request that it answers.
    pub(super) fn account(&mut self, run: Option<u64>, before: usize) {
        let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) else { return };
        let written = u64::try_from(self.outbox.len().saturating_sub(before)).unwrap_or(u64::MAX);
        run.disclosure.bytes = run.disclosure.bytes.saturating_add(written);
    }

    /// Adds what the outbox has counted to the request that it counted for.
    pub(super) fn settle_account(&mut self) {
        let disclosure = self.outbox.take_disclosure();
        self.node.metrics.disclosed(&disclosure);
        if let Some(run) = self.accounted.and_then(|run| self.runs.get_mut(&run)) {
            run.disclosure.add(&disclosure);
        }
    }

    /// Keeps a description for the rows to come. A simple Query's is for its current statement only.
    pub(super) fn described(&mut self, shape: Shape, run: Option<u64>, describes: Option<&ShapeCell>) {
        match describes {
            Some(cell) => drop(cell.set(Arc::new(shape))),
            None => {
                let Some(number) = run else { return };
                let plan = self.plan(number, &Arc::new(shape));
                if let Some(run) = self.runs.get_mut(&number) {
                    run.plan = plan;
                }
            }
        }
    }

    pub(super) fn row(&mut self, run: Option<u64>, body: &[u8]) -> Result<(), End> {
        let plan = match run.and_then(|run| self.runs.get(&run)) {
            Some(run) if run.plan.is_some() => run.plan.clone(),
            Some(run) => {
                let number = run.id.number;
                let shape = self.portal_shape(number);
                let plan = shape.and_then(|shape| self.plan(number, &shape));
                if let Some(run) = self.runs.get_mut(&number) {
                    run.plan.clone_from(&plan);
                }
                plan
            }
            None => None,
        };
        let plan = plan.ok_or(End::Target("the target sent rows that it did not describe"))?;
        self.outbox.data_row(&plan, body).map_err(withheld)
    }

    /// The shape of a portal's rows: its own description, or its statement's in the formats of Bind.
    pub(super) fn portal_shape(&self, number: u64) -> Option<Arc<Shape>> {
        let portal = self.runs.get(&number)?.portal.as_ref()?;
        if let Some(shape) = portal.shape.get() {
            return Some(Arc::clone(shape));
        }
        portal.statement_shape.get().map(|shape| shape.in_formats(&portal.formats))
    }

    /// The masks for the answer of a request's current statement.
    pub(super) fn plan(&mut self, number: u64, shape: &Arc<Shape>) -> Option<Plan> {
        let run = self.runs.get(&number)?;
        let (analysed, judged, at) = (Arc::clone(&run.analysed), Arc::clone(&run.judged), run.at);
        if let Some(plan) = self.memo.plan(&judged, at, shape) {
            return Some(plan.clone());
        }
        let unknown = (Output::Unknown, Mentions { anything: true, ..Mentions::default() });
        let (output, mentions) = analysed
            .statements
            .get(at)
            .map_or((&unknown.0, &unknown.1), |statement| (&statement.output, &statement.mentions));
        let plan = self.make_plan(output, &shape.columns, mentions, &judged);
        self.memo.keep_plan(&judged, at, shape, plan.clone());
        Some(plan)
    }

    /// The masks for one answer, in the circumstances that its request was judged in.
    pub(super) fn make_plan(
        &self,
        output: &Output,
        described: &[Described],
        mentions: &Mentions,
        judged: &Judged,
    ) -> Plan {
        let labels = self.labels();
        let context =
            Context { on_behalf_of: judged.user.as_ref(), reason: judged.reason.as_deref(), ..self.context(None) };
        let bench = self.place.bench(&self.policies, &labels);
        bench.plan(&self.lens, (output, mentions), described, &context)
    }
}

pub(super) fn withheld(error: MaskError) -> End {
    tracing::warn!(%error, "an answer is withheld");
    End::Withheld(error.client_message())
}

/// Whether what the target says may tell a secret of a text.
fn tells(said: &ReportFields<'_>, text: &Analysed) -> bool {
    // Where in the server's source it was said is none of the caller's words (protocol docs, "Error and Notice Message Fields").
    let is_said = |field: u8| !b"SVCPpFLR".contains(&field);
    text.hides_secrets() || said.iter().any(|(field, said)| is_said(field) && text.quotes_secret(said.bytes()))
}
