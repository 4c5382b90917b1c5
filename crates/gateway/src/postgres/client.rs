//! What the client sends, message by message.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use effects::postgres::{CopyDirection, Own, OwnSetting};
use model::decision::{Denial, Outcome};
use model::event::Event;
use model::id::RequestId;
use policy::ProtocolAct;
use tokio::time::Instant;
use wire::postgres::frame::{Frame, FrontendTag, HEADER};
use wire::postgres::frontend::{Bind, Execute, Frontend, Object, ObjectKind, Parse};
use wire::postgres::part::{Format, Text};
use wire::postgres::pipeline::Sent;

use super::analysed::{Analysed, Known};
use super::names::{Portal, Prepared};
use super::query::{Admission, Bound, Origin, Understood};
use super::refusal::Refusal;
use super::run::Run;
use super::say;
use super::script::Script;
use super::session::{End, Flow, Owed, Relay, Session, ShapeCell, Staged, Stall, Substitute};
use crate::recorder::entry;

/// A message that broke off: it is refused, or it waits.
enum Broken {
    Refused(Refusal),
    Stalled(Stall),
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn violation(sqlstate: &'static str, message: impl Into<String>) -> End {
    End::Violation { sqlstate, message: message.into() }
}

/// A name as text. PostgreSQL takes any bytes; a session pinned to UTF-8 has no other names.
fn name<'a>(text: Text<'a>) -> Result<&'a str, Refusal> {
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
            Frontend::FunctionCall(_) => {
                Ok(self.refuse_unread(Refusal::Unsupported("the function call protocol"), Substitute::Query))
            }
            Frontend::Password(_) => Err(violation("08P01", "a password was not asked for")),
            Frontend::Terminate => Err(End::Client("the client said goodbye")),
        }
    }

    fn protocol(&mut self, act: ProtocolAct, sent: Option<(Sent, Owed)>, bytes: &Bytes) -> Flow {
        self.stage_protocol(act, sent, bytes.clone());
        Flow::Done
    }

    /// Refuses a message that was not analysed. It is counted and logged, and what it was is in nobody's journal.
    fn refuse_unread(&mut self, refusal: Refusal, substitute: Substitute) -> Flow {
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

    fn journal_unread(&mut self, request: RequestId, refusal: &Refusal) {
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
            on_behalf_of: self.caller.user.clone(),
            traceparent: None,
        }));
    }

    fn broken(&mut self, broken: Broken, substitute: Substitute) -> Flow {
        match broken {
            Broken::Refused(refusal) => self.refuse_unread(refusal, substitute),
            Broken::Stalled(stall) => Flow::Stalled(stall),
        }
    }

    // ---- the simple protocol

    async fn query(&mut self, text: Text<'_>, bytes: &Bytes) -> Result<Flow, End> {
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
        let (permit, entry, approval) = match self.admit(&known, Bound::default(), &origin) {
            Admission::Permitted { permit, entry, approval } => (permit, entry, approval),
            Admission::Refused(refusal) => {
                let told = refusal.tell(self.request());
                self.stage_refusal(Substitute::Query, told);
                return Ok(Flow::Done);
            }
            Admission::Stalled(stall) => return Ok(Flow::Stalled(stall)),
        };
        let request = permit.request();
        let Some(continuation) = permit.continuation() else { return Err(End::Internal("a permit of another kind")) };
        self.begin(request.number, &known, continuation, approval);
        self.note_execution(request.number);
        self.tape.request(request, &self.masked_text(&known.analysed), &[]);
        self.names.forget_unnamed();
        let bytes = if whole { bytes.clone() } else { say::query(&known.analysed.text) };
        let owed = Owed::Relay(Relay { run: Some(request.number), ends: true, ..Relay::default() });
        let (sent, entry) = (Some((Sent::Query, owed)), Some(entry));
        self.staged.push(Staged { permit, entry, sent, bytes, substitute: Substitute::Query });
        Ok(Flow::Done)
    }

    /// Reads a text: without its trailing comment, analysed and judged. The flag says whether there was no comment, so
    /// that the message can be forwarded as it came.
    async fn read_text(&mut self, text: Text<'_>, types: &[u32]) -> Result<(Known, Origin, bool), Broken> {
        let text = text.utf8().map_err(|_| Refusal::NotUtf8)?;
        let (rest, origin) = self.split_comment(text).await?;
        match self.understand(rest, types, origin.user.as_ref()).await {
            Understood::Ready(known) => Ok((known, origin, rest.len() == text.len())),
            Understood::Stalled(stall) => Err(Broken::Stalled(stall)),
            Understood::Refused(refusal) => Err(Broken::Refused(refusal)),
        }
    }

    pub(super) fn begin(
        &mut self,
        number: u64,
        known: &Known,
        permit: policy::Permit,
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
            permit,
            portal: None,
            approval,
            unsettled: false,
            executed: false,
        };
        self.runs.insert(number, run);
    }

    /// Notes that a request is sent to run: what it may change is unsettled until it is answered.
    pub(super) fn note_execution(&mut self, number: u64) {
        let transaction_changed = self.transaction_changed;
        let Some(run) = self.runs.get_mut(&number) else { return };
        run.executed = true;
        let statements = &run.analysed.statements;
        let ends = transaction_changed && statements.iter().any(|statement| statement.transaction.is_some());
        if !run.unsettled && (ends || run.analysed.changes_meaning()) {
            run.unsettled = true;
            self.unsettled += 1;
        }
        let copies_in = |copy: &effects::postgres::Copy| copy.direction == CopyDirection::In;
        if statements.iter().any(|statement| statement.copy.as_ref().is_some_and(copies_in)) {
            self.copy_starting = Some(number);
        }
    }

    // ---- Sluice's own settings

    async fn own_query(&mut self, own: &Own, known: &Known) -> Result<Flow, End> {
        match self.carry_out(own).await {
            Ok(tag) => {
                self.introduce(&known.analysed);
                self.names.forget_unnamed();
                let sent = Some((Sent::Query, Owed::Replaced(tag)));
                let permit = policy::Permit::own(policy::OwnStatement::Empty, self.caller.session.request(0));
                let (entry, bytes) = (None, say::query(""));
                self.staged.push(Staged { permit, entry, sent, bytes, substitute: Substitute::Itself });
                Ok(Flow::Done)
            }
            Err(refusal) => Ok(self.refuse_unread(refusal, Substitute::Query)),
        }
    }

    /// Does what a `SET sluice.…` asks for; returns the command tag.
    async fn carry_out(&mut self, own: &Own) -> Result<&'static str, Refusal> {
        match own {
            Own::Set { setting: OwnSetting::Token, value, .. } => {
                let subject = self.verify_renewal(value).await?;
                self.renew(subject).map_err(|_| Refusal::TokenRefused)?;
                Ok("SET")
            }
            Own::Set { setting: OwnSetting::UserToken, value, local } => {
                let verified = self.node.issuers.verify(value, None).await;
                let subject = verified.map_err(|error| self.token_refused(&error.to_string()))?;
                self.caller.user = Some(subject.key);
                self.user_is_local = *local;
                Ok("SET")
            }
            Own::Set { setting: OwnSetting::Reason, value, .. } => {
                self.caller.reason = Some(value.chars().take(500).collect::<String>().into());
                Ok("SET")
            }
            Own::Reset(OwnSetting::Token) => Err(Refusal::Unsupported("RESET sluice.token")),
            Own::Reset(OwnSetting::UserToken) => {
                self.caller.user = None;
                Ok("RESET")
            }
            Own::Reset(OwnSetting::Reason) => {
                self.caller.reason = None;
                Ok("RESET")
            }
            Own::Show(_) => Err(Refusal::Unsupported("SHOW of Sluice's own settings")),
        }
    }

    async fn verify_renewal(&self, token: &str) -> Result<model::subject::Subject, Refusal> {
        match self.node.issuers.verify(token, None).await {
            Ok(subject) if self.caller.subject.is_same_caller(&subject) => Ok(subject),
            Ok(_) => Err(self.token_refused("the token is another caller's")),
            Err(error) => Err(self.token_refused(&error.to_string())),
        }
    }

    fn token_refused(&self, reason: &str) -> Refusal {
        let (session, source) = (self.caller.session, self.caller.source);
        let reason = format!("renewal: {reason}").into();
        self.node.recorder.note(Event::SessionRefused { session, source, reason });
        Refusal::TokenRefused
    }

    // ---- the extended protocol

    async fn parse(&mut self, parse: Parse<'_>, bytes: &Bytes) -> Result<Flow, End> {
        self.awaiting_sync = true;
        match self.read_parse(parse).await {
            Ok((statement, types, known, origin, whole)) => {
                Ok(self.prepare(statement, types, &known, origin, whole.then(|| bytes.clone())))
            }
            Err(broken) => Ok(self.broken(broken, Substitute::Parse)),
        }
    }

    async fn read_parse<'a>(&mut self, parse: Parse<'a>) -> Result<(&'a str, Arc<[u32]>, Known, Origin, bool), Broken> {
        let statement = name(parse.statement)?;
        if self.names.count() >= self.node.config.limits.max_prepared && !statement.is_empty() {
            return Err(Refusal::TooManyNames.into());
        }
        let types: Arc<[u32]> = parse.types.iter().collect();
        let (known, origin, whole) = self.read_text(parse.text, &types).await?;
        Ok((statement, types, known, origin, whole))
    }

    fn prepare(
        &mut self,
        statement: &str,
        types: Arc<[u32]>,
        known: &Known,
        origin: Origin,
        whole: Option<Bytes>,
    ) -> Flow {
        let prepared = Prepared {
            text: Arc::clone(&known.analysed.text),
            types: Arc::clone(&types),
            standard_conforming_strings: known.analysed.standard_conforming_strings,
            shape: Arc::new(OnceLock::new()),
            origin: origin.clone(),
        };
        if own_setting(&known.analysed).is_some() {
            let change = self.names.prepare(statement, prepared);
            let sent = Some((Sent::Parse, Owed::Relay(Relay { change: Some(change), ..Relay::default() })));
            let permit = policy::Permit::own(policy::OwnStatement::Empty, self.caller.session.request(0));
            let bytes = say::parse(statement, "", &[]);
            self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
            return Flow::Done;
        }
        match self.admit_preparation(known, &origin) {
            Admission::Permitted { permit, entry, .. } => {
                let change = self.names.prepare(statement, prepared);
                let owed = Owed::Relay(Relay { change: Some(change), ..Relay::default() });
                let bytes = whole.unwrap_or_else(|| say::parse(statement, &known.analysed.text, &types));
                let (sent, entry) = (Some((Sent::Parse, owed)), Some(entry));
                self.staged.push(Staged { permit, entry, sent, bytes, substitute: Substitute::Parse });
                Flow::Done
            }
            Admission::Refused(refusal) => {
                let told = refusal.tell(self.request());
                self.stage_refusal(Substitute::Parse, told);
                Flow::Done
            }
            Admission::Stalled(stall) => Flow::Stalled(stall),
        }
    }

    async fn bind(&mut self, bind: Bind<'_>, bytes: &Bytes) -> Result<Flow, End> {
        self.awaiting_sync = true;
        match self.read_bind(bind).await {
            Ok((portal, prepared, known)) => Ok(self.bind_known(bind, portal, &prepared, &known, bytes)),
            Err(broken) => Ok(self.broken(broken, Substitute::Parse)),
        }
    }

    /// What a Bind refers to, analysed again if what its text means may have changed since Parse: the target revalidates
    /// its plan then.
    async fn read_bind<'a>(&mut self, bind: Bind<'a>) -> Result<(&'a str, Arc<Prepared>, Known), Broken> {
        let (portal, statement) = (name(bind.portal)?, name(bind.statement)?);
        if self.names.portals() >= self.node.config.limits.max_portals && !portal.is_empty() {
            return Err(Refusal::TooManyNames.into());
        }
        if self.unsettled > 0 || !self.names.is_certain_statement(statement) {
            self.ask_for_replies();
            return Err(Broken::Stalled(Stall::Settle));
        }
        let prepared = match self.names.prepared(statement) {
            Some(prepared) => Arc::clone(prepared),
            None => return Err(self.unknown_statement(statement).into()),
        };
        match self.understand(&prepared.text, &prepared.types, prepared.origin.user.as_ref()).await {
            Understood::Ready(known)
                if known.analysed.standard_conforming_strings != prepared.standard_conforming_strings =>
            {
                Err(Refusal::Unsupported("a statement from under another standard_conforming_strings").into())
            }
            Understood::Ready(known) => Ok((portal, prepared, known)),
            Understood::Stalled(stall) => Err(Broken::Stalled(stall)),
            Understood::Refused(refusal) => Err(Broken::Refused(refusal)),
        }
    }

    /// A name that SQL's PREPARE made has a text that Sluice did not keep, so Bind to it is not offered.
    fn unknown_statement(&self, statement: &str) -> Refusal {
        match self.names.statement(statement) {
            Some(_) => Refusal::Unsupported("Bind to a statement that SQL's PREPARE made"),
            None => Refusal::UnknownStatement,
        }
    }

    fn bind_known(
        &mut self,
        bind: Bind<'_>,
        portal: &str,
        prepared: &Arc<Prepared>,
        known: &Known,
        bytes: &Bytes,
    ) -> Flow {
        let formats: Arc<[Format]> = bind.result_formats.iter().collect();
        let shape = Arc::new(OnceLock::new());
        if let Some(described) = prepared.shape.get() {
            let _ = shape.set(described.in_formats(&formats));
        }
        let named = known.analysed.named.is_some();
        let bound_portal = |run| Portal {
            run,
            analysed: Arc::clone(&known.analysed),
            statement_shape: Arc::clone(&prepared.shape),
            shape,
            described: false,
            formats,
            names_at_bind: None,
        };
        if own_setting(&known.analysed).is_some() {
            let change = self.names.bind(portal, bound_portal(0));
            let sent = Some((Sent::Bind, Owed::Relay(Relay { change: Some(change), ..Relay::default() })));
            let permit = policy::Permit::own(policy::OwnStatement::Empty, self.caller.session.request(0));
            let staged = Staged { permit, entry: None, sent, bytes: bytes.clone(), substitute: Substitute::Itself };
            self.staged.push(staged);
            return Flow::Done;
        }
        let bound = Bound { types: &prepared.types, values: bind.parameters, formats: bind.formats };
        let (permit, entry, approval) = match self.admit(known, bound, &prepared.origin) {
            Admission::Permitted { permit, entry, approval } => (permit, entry, approval),
            Admission::Refused(refusal) => {
                let told = refusal.tell(self.request());
                self.stage_refusal(Substitute::Parse, told);
                return Flow::Done;
            }
            Admission::Stalled(stall) => return Flow::Stalled(stall),
        };
        let request = permit.request();
        let Some(continuation) = permit.continuation() else { return Flow::Done };
        self.begin(request.number, known, continuation, approval);
        let values = self.shown_values(&known.analysed, bound);
        self.tape.request(request, &self.masked_text(&known.analysed), &values);
        let bound_portal = bound_portal(request.number);
        if let Some(run) = self.runs.get_mut(&request.number) {
            run.portal = Some(bound_portal.clone());
        }
        let change = self.names.bind(portal, bound_portal);
        if let (true, version, Some(bound)) = (named, self.names.version(), self.names.portal_mut(portal)) {
            bound.names_at_bind = Some(version);
        }
        let owed = Owed::Relay(Relay { run: Some(request.number), change: Some(change), ..Relay::default() });
        let (sent, entry) = (Some((Sent::Bind, owed)), Some(entry));
        self.staged.push(Staged { permit, entry, sent, bytes: bytes.clone(), substitute: Substitute::Parse });
        Flow::Done
    }

    fn describe(&mut self, object: Object<'_>, bytes: &Bytes) -> Flow {
        self.awaiting_sync = true;
        if let Some(stall) = self.uncertain(object) {
            return Flow::Stalled(stall);
        }
        let described = match self.named_description(object) {
            Ok(described) => described,
            Err(refusal) => return self.refuse_unread(refusal, Substitute::Parse),
        };
        let (run, describes) = described;
        let sent = match object.kind {
            ObjectKind::Statement => Sent::DescribeStatement,
            ObjectKind::Portal => Sent::DescribePortal,
        };
        let owed = Owed::Relay(Relay { run, describes: Some(describes), ..Relay::default() });
        // A description runs nothing and carries a name only: the statement behind it was permitted when it was made.
        self.protocol(ProtocolAct::Describe, Some((sent, owed)), bytes)
    }

    /// Whether it has to be waited for what a name stands for.
    fn uncertain(&mut self, object: Object<'_>) -> Option<Stall> {
        let name = object.name.utf8().ok()?;
        let certain = match object.kind {
            ObjectKind::Statement => self.names.is_certain_statement(name),
            ObjectKind::Portal => self.names.is_certain_portal(name),
        };
        (!certain).then(|| {
            self.ask_for_replies();
            Stall::Settle
        })
    }

    fn named_description(&mut self, object: Object<'_>) -> Result<(Option<u64>, ShapeCell), Refusal> {
        let name = name(object.name)?;
        match object.kind {
            ObjectKind::Statement => {
                let prepared = self.names.prepared(name).ok_or(Refusal::UnknownStatement)?;
                Ok((None, Arc::clone(&prepared.shape)))
            }
            ObjectKind::Portal if self.names.portal(name).is_none() && self.names.is_cursor(name) => {
                // Its rows come by FETCH, which is analysed and described by itself.
                Ok((None, Arc::default()))
            }
            ObjectKind::Portal => {
                let portal = self.names.portal_mut(name).ok_or(Refusal::UnknownPortal)?;
                portal.described = true;
                Ok((Some(portal.run), Arc::clone(&portal.shape)))
            }
        }
    }

    async fn execute(&mut self, execute: Execute<'_>, bytes: &Bytes) -> Result<Flow, End> {
        self.awaiting_sync = true;
        if let Some(stall) = self.uncertain(Object { kind: ObjectKind::Portal, name: execute.portal }) {
            return Ok(Flow::Stalled(stall));
        }
        let name = match name(execute.portal) {
            Ok(name) => name,
            Err(refusal) => return Ok(self.refuse_unread(refusal, Substitute::Parse)),
        };
        let Some(portal) = self.names.portal(name).cloned() else {
            let refusal = match self.names.is_cursor(name) {
                true => Refusal::Unsupported("Execute of an SQL cursor"),
                false => Refusal::UnknownPortal,
            };
            return Ok(self.refuse_unread(refusal, Substitute::Parse));
        };
        if let Some(own) = own_setting(&portal.analysed) {
            let own = own.clone();
            return Ok(self.execute_own(&own, bytes).await);
        }
        if portal.names_at_bind.is_some_and(|version| version != self.names.version()) {
            // What the statement names may not be what it was judged by.
            let refusal = Refusal::Unsupported("EXECUTE or FETCH of a name that has changed since Bind");
            return Ok(self.refuse_unread(refusal, Substitute::Parse));
        }
        if let Some(refusal) = self.reconsider(portal.run) {
            return Ok(self.refuse_unread(refusal, Substitute::Parse));
        }
        self.describe_unasked(name, &portal);
        self.note_execution(portal.run);
        self.in_pipeline = true;
        let Some(permit) = self.runs.get(&portal.run).and_then(Run::continuation) else {
            return Ok(self.refuse_unread(Refusal::UnknownPortal, Substitute::Parse));
        };
        let owed = Owed::Relay(Relay { run: Some(portal.run), ends: true, ..Relay::default() });
        let sent = Some((Sent::Execute, owed));
        let bytes = bytes.clone();
        self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Parse });
        Ok(Flow::Done)
    }

    async fn execute_own(&mut self, own: &Own, bytes: &Bytes) -> Flow {
        match self.carry_out(own).await {
            Ok(tag) => {
                let permit = policy::Permit::own(policy::OwnStatement::Empty, self.caller.session.request(0));
                let (sent, bytes) = (Some((Sent::Execute, Owed::Replaced(tag))), bytes.clone());
                self.staged.push(Staged { permit, entry: None, sent, bytes, substitute: Substitute::Itself });
                Flow::Done
            }
            Err(refusal) => self.refuse_unread(refusal, Substitute::Parse),
        }
    }

    /// Rows of a portal that nobody described would come without a shape: Sluice describes it itself.
    fn describe_unasked(&mut self, name: &str, portal: &Portal) {
        let has_rows = portal
            .analysed
            .statements
            .iter()
            .any(|statement| statement.output != model::lineage::Output::None || statement.is_opaque());
        if portal.described || portal.shape.get().is_some() || !has_rows {
            return;
        }
        if let Some(kept) = self.names.portal_mut(name) {
            kept.described = true;
        }
        let sent = Some((Sent::DescribePortal, Owed::OwnDescribe(Arc::clone(&portal.shape))));
        self.stage_protocol(ProtocolAct::Describe, sent, say::describe_portal(name));
    }

    fn close_name(&mut self, object: Object<'_>, bytes: &Bytes) -> Flow {
        self.awaiting_sync = true;
        let name = match name(object.name) {
            Ok(name) => name,
            Err(refusal) => return self.refuse_unread(refusal, Substitute::Parse),
        };
        let change = match object.kind {
            ObjectKind::Statement => self.names.close_statement(name),
            ObjectKind::Portal => self.names.close_portal(name),
        };
        let owed = Owed::Relay(Relay { change: Some(change), ..Relay::default() });
        self.protocol(ProtocolAct::Close, Some((Sent::Close, owed)), bytes)
    }

    fn sync(&mut self, bytes: &Bytes) -> Flow {
        self.awaiting_sync = false;
        self.in_pipeline = false;
        let owed = self.owed_sync();
        self.protocol(ProtocolAct::Sync, Some((Sent::Sync, owed)), bytes)
    }

    /// What a Sync is owed. It may end a transaction and with it what was set in it, so that the next text waits.
    pub(super) fn owed_sync(&mut self) -> Owed {
        self.names.synced();
        let settles = self.transaction_changed || self.unsettled > 0;
        self.unsettled += usize::from(settles);
        Owed::Relay(Relay { settles, ..Relay::default() })
    }

    // ---- COPY FROM STDIN

    /// Data for a COPY that was permitted, or its end. Outside a COPY the server ignores it, and so does Sluice.
    fn copy(&mut self, end: Option<Sent>, bytes: &Bytes) -> Flow {
        let run = match self.pipeline.front() {
            Some((_, Owed::Relay(relay))) if self.pipeline.is_copying_in() => relay.run,
            _ => return Flow::Done,
        };
        let Some(permit) = run.and_then(|run| self.runs.get(&run)).and_then(Run::continuation) else {
            return Flow::Done;
        };
        let sent = end.map(|sent| (sent, Owed::Relay(Relay::default())));
        let bytes = bytes.clone();
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
fn own_setting(analysed: &Analysed) -> Option<&Own> {
    match analysed.statements.as_slice() {
        [only] => only.own.as_ref(),
        _ => None,
    }
}
