//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync. Bind is the request (docs/adr/0002).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use effects::postgres::Own;
use policy::ProtocolAct;
use wire::postgres::frontend::{Bind, Execute, Object, ObjectKind, Parse};
use wire::postgres::part::Format;
use wire::postgres::pipeline::Sent;

use super::analysed::Known;
use super::end::End;
use super::names::{Portal, Prepared};
use super::query::{Admission, Bound, Origin, Understood};
use super::refusal::Refusal;
use super::run::Run;
use super::say;
use super::session::{Flow, Owed, Relay, Session, ShapeCell, Stall};
use super::staging::{Staged, Substitute};

use super::client::{Broken, name, own_setting};

impl Session {
    pub(super) async fn parse(&mut self, parse: Parse<'_>, bytes: &Bytes) -> Result<Flow, End> {
        self.awaiting_sync = true;
        match self.read_parse(parse).await {
            Ok((statement, types, known, origin, whole)) => {
                Ok(self.prepare(statement, types, &known, origin, whole.then(|| bytes.clone())))
            }
            Err(broken) => Ok(self.broken(broken, Substitute::Parse)),
        }
    }

    pub(super) async fn read_parse<'a>(
        &mut self,
        parse: Parse<'a>,
    ) -> Result<(&'a str, Arc<[u32]>, Known, Origin, bool), Broken> {
        let statement = name(parse.statement)?;
        if !statement.is_empty() && self.names.are_full(self.node.config.limits.max_prepared) {
            return Err(Refusal::TooManyNames.into());
        }
        let types: Arc<[u32]> = parse.types.iter().collect();
        let (known, origin, whole) = self.read_text(parse.text, &types).await?;
        Ok((statement, types, known, origin, whole))
    }

    pub(super) fn prepare(
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
            epoch: known.analysed.epoch,
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
                let parses = Some(Arc::clone(&known.analysed));
                let owed = Owed::Relay(Relay { change: Some(change), parses, ..Relay::default() });
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

    pub(super) async fn bind(&mut self, bind: Bind<'_>, bytes: &Bytes) -> Result<Flow, End> {
        self.awaiting_sync = true;
        match self.read_bind(bind).await {
            Ok((portal, prepared, known)) => Ok(self.bind_known(bind, portal, &prepared, &known, bytes)),
            Err(broken) => Ok(self.broken(broken, Substitute::Parse)),
        }
    }

    /// What a Bind refers to, analysed again if what its text means may have changed since Parse: the target revalidates
    /// its plan then.
    pub(super) async fn read_bind<'a>(&mut self, bind: Bind<'a>) -> Result<(&'a str, Arc<Prepared>, Known), Broken> {
        let (portal, statement) = (name(bind.portal)?, name(bind.statement)?);
        if !portal.is_empty() && self.names.are_portals_full(self.node.config.limits.max_portals) {
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
        match self.understand(&prepared.text, &prepared.types, prepared.origin.user_key()).await {
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
    pub(super) fn unknown_statement(&self, statement: &str) -> Refusal {
        match self.names.statement(statement) {
            Some(_) => Refusal::Unsupported("Bind to a statement that SQL's PREPARE made"),
            None => Refusal::UnknownStatement,
        }
    }

    pub(super) fn bind_known(
        &mut self,
        bind: Bind<'_>,
        portal: &str,
        prepared: &Arc<Prepared>,
        known: &Known,
        bytes: &Bytes,
    ) -> Flow {
        let formats: Arc<[Format]> = bind.result_formats.iter().collect();
        let shape = Arc::new(OnceLock::new());
        // What was described under another search path or catalog names columns that may not be those of now. Where
        // the analysis proves each column, a description only adds to it.
        let still_described = prepared.epoch == known.analysed.epoch || known.analysed.proves_its_rows();
        let statement_shape = if still_described { Arc::clone(&prepared.shape) } else { Arc::default() };
        if let Some(described) = statement_shape.get() {
            let _ = shape.set(described.in_formats(&formats));
        }
        let named = known.analysed.named.is_some();
        let bound_portal = |run| Portal {
            run,
            analysed: Arc::clone(&known.analysed),
            statement_shape: Arc::clone(&statement_shape),
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
        let (permit, entry) = match self.start(known, bound, &prepared.origin, Substitute::Parse) {
            Ok(started) => started,
            Err(flow) => return flow,
        };
        let request = permit.request();
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

    pub(super) fn describe(&mut self, object: Object<'_>, bytes: &Bytes) -> Flow {
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
    pub(super) fn uncertain(&mut self, object: Object<'_>) -> Option<Stall> {
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

    pub(super) fn named_description(&mut self, object: Object<'_>) -> Result<(Option<u64>, ShapeCell), Refusal> {
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

    pub(super) async fn execute(&mut self, execute: Execute<'_>, bytes: &Bytes) -> Result<Flow, End> {
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

    pub(super) async fn execute_own(&mut self, own: &Own, bytes: &Bytes) -> Flow {
        if let Some(stall) = self.waits_for_its_transaction(own) {
            return Flow::Stalled(stall);
        }
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
    pub(super) fn describe_unasked(&mut self, name: &str, portal: &Portal) {
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

    pub(super) fn close_name(&mut self, object: Object<'_>, bytes: &Bytes) -> Flow {
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

    pub(super) fn sync(&mut self, bytes: &Bytes) -> Flow {
        self.awaiting_sync = false;
        self.in_pipeline = false;
        let owed = self.owed_sync();
        self.protocol(ProtocolAct::Sync, Some((Sent::Sync, owed)), bytes)
    }

    /// What a Sync is owed. It may end a transaction and with it what was set in it, so that the next text waits.
    pub(super) fn owed_sync(&mut self) -> Owed {
        self.names.synced();
        let settles = self.transaction_changed || self.caller.local_user.is_some() || self.unsettled > 0;
        self.unsettled += usize::from(settles);
        Owed::Relay(Relay { settles, ..Relay::default() })
    }
}
