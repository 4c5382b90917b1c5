//! A simple Query of several statements of which one changes what a later one means: a migration in one text.
//!
//! What such a later statement does cannot be read beforehand, so the text is run as the server would run it, one
//! statement after the other in one implicit transaction: as a pipeline of the extended protocol that one Sync ends.
//! Each statement is looked at when the ones before it have run, and is a request of its own. A refusal is an error like
//! any other: what follows is skipped, and nothing of the text stays.

use std::collections::VecDeque;

use bytes::Bytes;
use effects::postgres::CopyDirection;
use policy::{Permit, ProtocolAct};
use wire::postgres::pipeline::Sent;

use super::analysed::{Analysed, Known};
use super::names::Portal;
use super::query::{Admission, Bound, Origin, Understood};
use super::say;
use super::session::{Flow, Owed, Relay, Session};
use super::staging::{Staged, Substitute};

/// The statements of a text that are still to come.
pub(super) struct Script {
    origin: Origin,
    left: VecDeque<String>,
}

impl Script {
    /// The statements of a text that has to be run one by one; `None` if it need not, or cannot.
    pub(super) fn of(analysed: &Analysed, origin: &Origin) -> Option<Self> {
        let statements = &analysed.statements;
        let reads_client = |copy: &effects::postgres::Copy| copy.direction == CopyDirection::In;
        let copies_in = statements.iter().any(|statement| statement.copy.as_ref().is_some_and(reads_client));
        let own = statements.iter().any(|statement| statement.own.is_some());
        if !analysed.needs_order || copies_in || own {
            return None;
        }
        let text = |statement: &effects::postgres::Statement| {
            analysed.text.get(statement.range.clone()).map(|text| text.trim().trim_end_matches(';').to_owned())
        };
        let left: Option<VecDeque<String>> = statements.iter().map(text).collect();
        left.map(|left| Self { origin: origin.clone(), left })
    }

    /// Nothing of it is run any more.
    pub(super) fn give_up(&mut self) {
        self.left.clear();
    }
}

impl Session {
    /// Runs what is left of a script, as far as it can be run now.
    pub(super) async fn go_on(&mut self, mut script: Script) -> Flow {
        self.awaiting_sync = true;
        while let Some(text) = script.left.front() {
            if self.pipeline.is_skipping() {
                break;
            }
            let known = match self.understand(text, &[], script.origin.user_key()).await {
                Understood::Ready(known) => known,
                Understood::Stalled(stall) => {
                    self.script = Some(script);
                    return Flow::Stalled(stall);
                }
                Understood::Refused(refusal) => {
                    let told = refusal.tell(self.request());
                    self.stage_refusal(Substitute::Parse, told);
                    break;
                }
            };
            match self.admit(&known, Bound::default(), &script.origin) {
                Admission::Permitted { permit, entry, approval } => self.stage_step(permit, entry, approval, &known),
                Admission::Refused(refusal) => {
                    let told = refusal.tell(self.request());
                    self.stage_refusal(Substitute::Parse, told);
                    break;
                }
                Admission::Stalled(stall) => {
                    self.script = Some(script);
                    return Flow::Stalled(stall);
                }
            }
            script.left.pop_front();
            self.pending_request = None;
        }
        self.awaiting_sync = false;
        self.in_pipeline = false;
        let owed = self.owed_sync();
        self.stage_protocol(ProtocolAct::Sync, Some((Sent::Sync, owed)), say::sync());
        Flow::Done
    }

    /// Stages one statement as Parse, Bind, Describe and Execute; of their answers the client gets those that a simple
    /// Query has.
    fn stage_step(&mut self, permit: Permit, entry: usize, approval: Option<model::id::ApprovalId>, known: &Known) {
        let number = permit.request().number;
        let (Some(bind), Some(execute), Some(kept)) =
            (permit.continuation(), permit.continuation(), permit.continuation())
        else {
            return;
        };
        self.begin(number, known, kept, approval);
        let text = self.masked_text(&known.analysed);
        self.tape_request(permit.request(), &text, &[]);
        let portal = Portal::of_script(number, known);
        let shape = std::sync::Arc::clone(&portal.shape);
        if let Some(run) = self.runs.get_mut(&number) {
            run.portal = Some(portal);
        }
        self.note_execution(number);
        self.in_pipeline = true;
        let quiet = || Some(Owed::Relay(Relay { quiet: true, ..Relay::default() }));
        let text = &known.analysed.text;
        let parse = (Sent::Parse, say::parse("", text, &[]), quiet());
        self.stage_part(permit, Some(entry), parse);
        self.stage_part(bind, None, (Sent::Bind, say::bind("", ""), quiet()));
        let described = Owed::Relay(Relay { quiet: true, describes: Some(shape), ..Relay::default() });
        let describe = Some((Sent::DescribePortal, described));
        self.stage_protocol(ProtocolAct::Describe, describe, say::describe_portal(""));
        let owed = Owed::Relay(Relay { run: Some(number), ends: true, ..Relay::default() });
        self.stage_part(execute, None, (Sent::Execute, say::execute(""), Some(owed)));
    }

    fn stage_part(&mut self, permit: Permit, entry: Option<usize>, (sent, bytes, owed): (Sent, Bytes, Option<Owed>)) {
        let sent = owed.map(|owed| (sent, owed));
        let substitute = if entry.is_some() { Substitute::Parse } else { Substitute::Itself };
        self.staged.push(Staged { permit, entry, sent, bytes, substitute });
    }
}
