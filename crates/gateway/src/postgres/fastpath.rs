//! Function calls without a statement (protocol docs, "Function Call"), which large objects are read and written by.
//!
//! A call is the same as selecting the function of its parameters, and is looked at as that: decided, recorded and masked
//! by the statement that says so. What is forwarded is the call as it came.

use std::sync::Arc;

use bytes::Bytes;
use masking::postgres::Described;
use wire::postgres::frontend::FunctionCall;
use wire::postgres::part::Format;
use wire::postgres::pipeline::Sent;

use super::answers::withheld;
use super::end::End;
use super::query::{Bound, Origin, Understood};
use super::refusal::Refusal;
use super::session::{Flow, Owed, Relay, Session};
use super::shape::Shape;
use super::staging::{Staged, Substitute};

impl Session {
    /// Takes a FunctionCall.
    pub(super) async fn function_call(&mut self, call: FunctionCall<'_>, bytes: &Bytes) -> Result<Flow, End> {
        // What it is looked up in has to be of now; any text that is not about the transaction asks for that.
        if let Err(outcome) = self.be_current("SELECT", &[]).await {
            return Ok(self.not_ready(outcome));
        }
        let Some(function) = self.catalog.catalog.callable(call.function) else {
            return Ok(self.refuse_unread(Refusal::UnknownFunction(call.function), Substitute::Query));
        };
        let known = match self.understand(&function.text, &function.arguments, None).await {
            Understood::Ready(known) => known,
            outcome => return Ok(self.not_ready(outcome)),
        };
        let bound = Bound { types: &function.arguments, values: call.arguments, formats: call.formats };
        let (permit, entry) = match self.start(&known, bound, &Origin::default(), Substitute::Query) {
            Ok(started) => started,
            Err(flow) => return Ok(flow),
        };
        let request = permit.request();
        self.note_execution(request.number);
        let result = result(&function.text, function.result, call.result_format);
        let plan = self.plan(request.number, &Arc::new(result));
        if let Some(run) = self.runs.get_mut(&request.number) {
            run.plan = plan;
        }
        let owed = Owed::Relay(Relay { run: Some(request.number), ends: true, ..Relay::default() });
        let (sent, entry) = (Some((Sent::FunctionCall, owed)), Some(entry));
        self.staged.push(Staged { permit, entry, sent, bytes: bytes.clone(), substitute: Substitute::Query });
        Ok(Flow::Done)
    }

    fn not_ready(&mut self, outcome: Understood) -> Flow {
        match outcome {
            Understood::Stalled(stall) => Flow::Stalled(stall),
            Understood::Refused(refusal) => self.refuse_unread(refusal, Substitute::Query),
            Understood::Ready(_) => Flow::Done,
        }
    }

    /// Takes the result of a call.
    pub(super) fn function_result(&mut self, run: Option<u64>, body: &[u8]) -> Result<(), End> {
        let plan = run.and_then(|run| self.runs.get(&run)).and_then(|run| run.plan.clone());
        let plan = plan.ok_or(End::Target("the target sent what was not asked for"))?;
        self.outbox.function_call_response(&plan, body).map_err(withheld)?;
        self.statement_done(run);
        Ok(())
    }
}

fn result(name: &str, type_oid: u32, format: Format) -> Shape {
    let binary = format == Format::Binary;
    let column = Described { name: name.into(), source: None, whole_row_of: None, type_oid, binary };
    Shape { columns: vec![column] }
}
