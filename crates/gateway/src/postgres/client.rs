//! What the client sends, message by message.

use std::sync::Arc;

use bytes::Bytes;
use effects::postgres::{CopyDirection, Own};
use model::decision::{Denial, Outcome};
use model::event::Event;
use model::id::RequestId;
use policy::{Permit, ProtocolAct};
use tokio::time::Instant;
use wire::postgres::frame::{Frame, FrontendTag, HEADER};
use wire::postgres::frontend::Frontend;
use wire::postgres::part::Text;
use wire::postgres::pipeline::Sent;

use super::analysed::{Analysed, Known};
use super::end::End;
use super::query::{Admission, Bound, Origin, Understood};
use super::refusal::Refusal;
use super::run::Run;
use super::say;
use super::script::Script;
use super::session::{Flow, Owed, Relay, Session, Stall};
use super::staging::{Staged, Substitute};
use super::standing::UNBELIEVED_USER;
use crate::recorder::entry;

/// A message that broke off: it is refused, or it waits.
pub(super) enum Broken {
    Refused(Refusal),
    Stalled(Stall),
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) fn violation(sqlstate: &'static str, message: impl Into<String>) -> End {
    End::Violation { sqlstate, message: message.into() }
}

/// A name as text. PostgreSQL takes any bytes; a session pinned to UTF-8 has no other names.
pub(super) fn name<'a>(text: Text<'a>) -> Result<&'a str, Refusal> {
    let name = text.utf8().map_err(|_| Refusal::NotUtf8)?;
    if name.starts_with(say::RESERVED) { Err(Refusal::ReservedName) } else { Ok(name) }
}

impl Session {
    /// Takes one message of the client, or says why it has to wait.
    pub(super) async fn client_message(&mut self, bytes: &Bytes) -> Result<Flow, End> {
        let tag = bytes.first().copied().and_then(FrontendTag::from_byte);
        let (Some(tag), Some(body)) = (tag, bytes.get(HEADER..)) else {
            return Err(violation("08P01", "invalid message"));
        };
        if self.pipeline.is_skipping()
            && self.staged.is_empty()
            && self.script.is_none()
            && !matches!(tag, FrontendTag::Sync | FrontendTag::Terminate)
        {
            // The target skips to Sync after an error, and so does Sluice.
            return Ok(Flow::Done);
        }
        if self.copy_starting.is_some() && tag != FrontendTag::Terminate {
            return Ok(Flow::Stalled(Stall::Settle));
        }
        if matches!(tag, FrontendTag::Query | FrontendTag::Parse | FrontendTag::Bind | FrontendTag::FunctionCall)
            && let Some(stall) = self.tend_wall()
        {
            return Ok(Flow::Stalled(stall));
        }
        let frame = Frame { tag, body, bytes };
        let message = Frontend::parse(&frame).map_err(|error| violation("08P01", error.to_string()))?;
        match message {
            Frontend::Query(text) => self.query(text, bytes).await,
            Frontend::Parse(parse) => self.parse(parse, bytes).await,
            Frontend::Bind(bind) => self.bind(bind, bytes).await,
            Frontend::Describe(_) | Frontend::Execute(_) | Frontend::Close(_) if self.unsettled > 0 => {
                // SQL may be about to give the name another meaning.
                self.ask_for_replies();
                Ok(Flow::Stalled(Stall::Settle))
            }
            Frontend::Describe(object) => Ok(self.describe(object, bytes)),
            Frontend::Execute(execute) => self.execute(execute, bytes).await,
            Frontend::Close(object) => Ok(self.close_name(object, bytes)),
            Frontend::Sync => Ok(self.sync(bytes)),
            Frontend::Flush => Ok(self.protocol(ProtocolAct::Flush, None, bytes)),
            Frontend::CopyData(_) => Ok(self.copy(None, bytes)),
            Frontend::CopyDone => Ok(self.copy(Some(Sent::CopyDone), bytes)),
            Frontend::CopyFail(_) => Ok(self.copy(Some(Sent::CopyFail), bytes)),
            Frontend::FunctionCall(call) => self.function_call(call, bytes).await,
            Frontend::Password(_) => Err(violation("08P01", "a password was not asked for")),
            Frontend::Terminate => Err(End::Client("the client said goodbye")),
        }
    }

    pub(super) fn protocol(&mut self, act: ProtocolAct, sent: Option<(Sent, Owed)>, bytes: &Bytes) -> Flow {
        self.stage_protocol(act, sent, bytes.clone());
        Flow::Done
    }

    /// Refuses a message that was not analysed. It is counted and logged, and what it was is in nobody's journal.
    pub(super) fn refuse_unread(&mut self, refusal: Refusal, substitute: Substitute) -> Flow {
        let request = self.request();
        let told = refusal.tell(request);
        self.node.metrics.decided(Outcome::Deny);
        self.journal_unread(request, &refusal);
        self.stage_refusal(substitute, told);
        if substitute == Substitute::Parse {
            self.awaiting_sync = true;
        }
        Flow::Done
    }

    pub(super) fn journal_unread(&mut self, request: RequestId, refusal: &Refusal) {
        let told = refusal.tell(request);
        let denial = Denial { policies: Vec::new(), message: told.message.into(), missing: told.sqlstate.into() };
        self.entries.push(entry(Event::Decided {
            request,
            statements: Vec::new(),
            values: Vec::new(),
            outcome: Outcome::Deny,
            policies: Vec::new(),
            revision: self.active.id,
            approval: None,
            denial: Some(denial),
            on_behalf_of: self.caller.user().map(|user| user.key.clone()),
            traceparent: None,
        }));
    }

    pub(super) fn broken(&mut self, broken: Broken, substitute: Substitute) -> Flow {
        match broken {
            Broken::Refused(refusal) => self.refuse_unread(refusal, substitute),
            Broken::Stalled(stall) => Flow::Stalled(stall),
        }
    }

    pub(super) async fn query(&mut self, text: Text<'_>, bytes: &Bytes) -> Result<Flow, End> {
        if let Some(script) = self.script.take() {
            return Ok(self.go_on(script).await);
        }
        let (known, origin, whole) = match self.read_text(text, &[]).await {
            Ok(read) => read,
            Err(broken) => return Ok(self.broken(broken, Substitute::Query)),
        };
        if let Some(own) = own_setting(&known.analysed) {
            let own = own.clone();
            return self.own_query(&own, &known).await;
        }
        if let Some(script) = Script::of(&known.analysed, &origin) {
            self.names.forget_unnamed();
            return Ok(self.go_on(script).await);
        }
        let (permit, entry) = match self.start(&known, Bound::default(), &origin, Substitute::Query) {
            Ok(started) => started,
            Err(flow) => return Ok(flow),
        };
        let request = permit.request();
        self.note_execution(request.number);
        self.names.forget_unnamed();
        let bytes = if whole { bytes.clone() } else { say::query(&known.analysed.text) };
        let owed = Owed::Relay(Relay { run: Some(request.number), ends: true, ..Relay::default() });
        let (sent, entry) = (Some((Sent::Query, owed)), Some(entry));
        self.staged.push(Staged { permit, entry, sent, bytes, substitute: Substitute::Query });
        Ok(Flow::Done)
    }

    /// Reads a text: without its trailing comment, analysed and judged. The flag says whether there was no comment, so
    /// that the message can be forwarded as it came.
    pub(super) async fn read_text(&mut self, text: Text<'_>, types: &[u32]) -> Result<(Known, Origin, bool), Broken> {
        let text = text.utf8().map_err(|_| Refusal::NotUtf8)?;
        let (rest, origin) = match self.split_comment(text).await {
            Ok(split) => split,
            Err(refusal) => {
                self.withdraw_holds(UNBELIEVED_USER);
                return Err(refusal.into());
            }
        };
        match self.understand(rest, types, origin.user_key()).await {
            Understood::Ready(known) => Ok((known, origin, rest.len() == text.len())),
            Understood::Stalled(stall) => Err(Broken::Stalled(stall)),
            Understood::Refused(refusal) => Err(Broken::Refused(refusal)),
        }
    }

    /// Decides a request and begins its run, with the entry of its decision in the batch; or says how it is refused, or
    /// that it waits.
    pub(super) fn start(
        &mut self,
        known: &Known,
        bound: Bound<'_>,
        origin: &Origin,
        substitute: Substitute,
    ) -> Result<(Permit, usize), Flow> {
        let (permit, entry, approval) = match self.admit(known, bound, origin) {
            Admission::Permitted { permit, entry, approval } => (permit, entry, approval),
            Admission::Refused(refusal) => {
                let told = refusal.tell(self.request());
                self.stage_refusal(substitute, told);
                return Err(Flow::Done);
            }
            Admission::Stalled(stall) => return Err(Flow::Stalled(stall)),
        };
        let request = permit.request();
        let Some(continuation) = permit.continuation() else {
            return Err(self.refuse_unread(Refusal::Unsupported("this kind of request"), substitute));
        };
        self.begin(request.number, known, continuation, approval);
        let has_values = bound.values.iter().next().is_some();
        let values = if has_values { self.shown_values(&known.analysed, bound) } else { Vec::new() };
        let text = self.masked_text(&known.analysed);
        self.tape_request(request, &text, &values);
        Ok((permit, entry))
    }

    pub(super) fn begin(
        &mut self,
        number: u64,
        known: &Known,
        permit: Permit,
        approval: Option<model::id::ApprovalId>,
    ) {
        let run = Run {
            id: self.caller.session.request(number),
            analysed: Arc::clone(&known.analysed),
            judged: Arc::clone(&known.judged),
            revision: self.active.id,
            at: 0,
            started: Instant::now(),
            disclosure: model::disclosure::Disclosure::default(),
            error: None,
            plan: None,
            copy: None,
            copy_in: None,
            refused: None,
            permit,
            portal: None,
            approval,
            unsettled: false,
            executed: false,
            cut: None,
            is_short: false,
        };
        self.runs.insert(number, run);
    }

    /// Notes that a request is sent to run: what it may change is unsettled until it is answered.
    pub(super) fn note_execution(&mut self, number: u64) {
        self.note_reset(number);
        let Some(run) = self.runs.get_mut(&number) else { return };
        run.executed = true;
        let statements = &run.analysed.statements;
        // On whose behalf the next text is hangs on the end of a transaction that has a user of its own.
        let ends =
            self.caller.local_user.is_some() && statements.iter().any(effects::postgres::Statement::ends_transaction);
        if !run.unsettled && (ends || run.analysed.changes_meaning()) {
            run.unsettled = true;
            self.unsettled += 1;
        }
        let copies_in = |copy: &effects::postgres::Copy| copy.direction == CopyDirection::In;
        if statements.iter().any(|statement| statement.copy.as_ref().is_some_and(copies_in)) {
            self.copy_starting = Some(number);
        }
    }

    /// Data for a COPY that was permitted, or its end. Outside a COPY the server ignores it, and so does Sluice.
    pub(super) fn copy(&mut self, end: Option<Sent>, bytes: &Bytes) -> Flow {
        let run = match self.pipeline.front() {
            Some((_, Owed::Relay(relay))) if self.pipeline.is_copying_in() => relay.run,
            _ => return Flow::Done,
        };
        let Some(permit) = run.and_then(|run| self.runs.get(&run)).and_then(Run::continuation) else {
            return Flow::Done;
        };
        let Some((end, bytes)) = self.looked_at(run, end, bytes) else { return Flow::Done };
        let sent = end.map(|sent| (sent, Owed::Relay(Relay::default())));
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
        Flow::Done
    }

    /// Asks the target for the replies that it may be holding back until a Sync.
    pub(super) fn ask_for_replies(&mut self) {
        if self.awaiting_sync {
            self.stage_protocol(ProtocolAct::Flush, None, say::flush());
        }
    }
}

/// The request to Sluice itself that a text is, if it is nothing else.
pub(super) fn own_setting(analysed: &Analysed) -> Option<&Own> {
    match analysed.statements.as_slice() {
        [only] => only.own.as_ref(),
        _ => None,
    }
}
