//! The second wall: whoever may not write gets a session at the target whose transactions begin read-only, so that even a
//! statement which is misjudged writes nothing (docs/adr/0007).

use effects::postgres::{NameUse, Statement, TransactionStep};
use model::decision::Outcome;
use model::effect::{Object, Verb};
use policy::SubjectPolicies;
use wire::postgres::backend::TransactionStatus;

use super::analysed::Known;
use super::own::What;
use super::refusal::Refusal;
use super::session::{Place, Session, Stall};

/// The setting that is the wall.
const SETTING: &str = "default_transaction_read_only";

/// Puts it up.
pub(super) const READ_ONLY: &str = "SET SESSION default_transaction_read_only = on";

/// Takes it down.
pub(super) const READ_WRITE: &str = "SET SESSION default_transaction_read_only = off";

/// Takes it down for the open transaction.
pub(super) const READ_WRITE_ONCE: &str = "SET TRANSACTION READ WRITE";

/// What a caller is told who tries to take it down.
pub(super) const MESSAGE: &str = "this session is read-only: nothing permits it to write";

/// What it can do.
pub(super) const HINT: &str = "Leave READ WRITE out, or ask your operator for permission to write.";

/// The wall of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    /// Whether the session was opened behind it: what RESET returns to.
    opened: bool,
    /// Whether it stands.
    pub(super) stands: bool,
    /// Whether it should.
    pub(super) wanted: bool,
    /// Whether it was taken down for the message in hand.
    pub(super) lowered: bool,
    /// Whether it was taken down for the open transaction.
    once: bool,
    /// Whether it could not be, as something has been run in it.
    too_late: bool,
}

impl Wall {
    /// As it is when a session is opened under these policies.
    pub(super) fn opened(policies: &SubjectPolicies, place: &Place) -> Self {
        let wanted = !policies.may_write(&place.model.name, &place.database);
        Self { opened: wanted, stands: wanted, wanted, lowered: false, once: false, too_late: false }
    }

    /// What the StartupMessage says of it. It comes last, so that it stands whatever the caller asked for.
    pub(super) fn setting(self) -> Option<(String, String)> {
        self.wanted.then(|| (SETTING.to_owned(), "on".to_owned()))
    }
}

impl Session {
    /// Puts the wall up, or takes it down, before the next message at rest if that is due. What may have changed it behind
    /// Sluice's back, such as a function, is looked at first.
    pub(super) fn tend_wall(&mut self) -> Option<Stall> {
        if self.awaiting_sync || self.wall.lowered || self.own_unreadable || self.script.is_some() {
            return None;
        }
        if !self.is_at_rest_for_wall() {
            // Whatever it was taken down for has to be over before anything else begins.
            let is_down = self.wall.wanted && !self.wall.stands && self.pipeline.status() == TransactionStatus::Idle;
            return is_down.then_some(Stall::Settle);
        }
        self.wall.once = false;
        if self.wall.wanted && self.state_changed {
            self.start_own(What::State);
            return Some(Stall::Own);
        }
        if self.wall.wanted == self.wall.stands {
            return None;
        }
        self.start_own(What::ReadOnly(self.wall.wanted));
        Some(Stall::Own)
    }

    /// Takes the wall down for a text that may be run and that a read-only transaction would refuse: temporary objects, the
    /// next number of a sequence. The next message at rest has it up again. Inside a transaction it is taken down for that
    /// one, which the target lets happen only before anything else was run in it.
    pub(super) fn lower_wall(&mut self, known: &Known) -> Option<Stall> {
        let needs = || known.analysed.statements.iter().any(Statement::needs_read_write);
        let is_due = self.wall.wanted && self.wall.stands && !self.own_unreadable;
        if !is_due || !needs() || known.judged.verdict.outcome() != Outcome::Allow || self.lifts_wall(known) {
            return None;
        }
        if self.script.is_none() && !(self.pipeline.is_empty() && self.staged.is_empty()) {
            // What is under way may begin the transaction, or end it.
            self.ask_for_replies();
            return Some(Stall::Settle);
        }
        if self.pipeline.status() == TransactionStatus::Open && !self.wall.once {
            self.start_own(What::ReadWriteOnce);
            return Some(Stall::Own);
        }
        if !self.runs.is_empty() || !self.is_at_rest_for_wall() {
            return None;
        }
        self.wall.lowered = true;
        self.start_own(What::ReadOnly(false));
        Some(Stall::Own)
    }

    /// Notes whether the open transaction may write now. It has failed if not.
    pub(super) fn lowered_once(&mut self, done: bool) {
        self.wall.once = done;
        if done {
            return;
        }
        if self.awaiting_sync {
            let request = self.request();
            self.tell_error(&Refusal::TooLate.tell(request));
            if self.script.is_none() {
                self.waiting = None;
                self.pending_request = None;
            }
        } else {
            self.wall.too_late = true;
        }
    }

    /// Whether the message in hand was to make something temporary where that is too late.
    pub(super) fn is_too_late(&mut self) -> bool {
        std::mem::take(&mut self.wall.too_late)
    }

    /// Whether a text would let a session write that may not.
    pub(super) fn lifts_wall(&self, known: &Known) -> bool {
        let once = self.wall.once;
        // The next transaction would be of the same kind.
        let chains = |statement: &Statement| {
            use TransactionStep::{Commit, Rollback};
            once && matches!(statement.transaction, Some(Commit { chain: true } | Rollback { chain: true }))
        };
        let lifts = |statement: &Statement| statement.changes.read_write || chains(statement);
        self.wall.wanted && known.analysed.statements.iter().any(lifts)
    }

    /// Notes that a request returns settings to what the session was opened with.
    pub(super) fn note_reset(&mut self, number: u64) {
        if self.wall.opened == self.wall.stands {
            return;
        }
        let Some(run) = self.runs.get(&number) else { return };
        let resets = |statement: &Statement| {
            let is_reset =
                |object: &Object| matches!(object, Object::Setting(name, _) if matches!(&**name, "all" | SETTING));
            let sets = statement.effects.iter().any(|effect| effect.verb == Verb::Set && is_reset(&effect.object));
            (sets && statement.changes.state) || statement.names == Some(NameUse::DiscardAll) || statement.is_opaque()
        };
        if run.analysed.statements.iter().any(resets) {
            self.wall.stands = self.wall.opened;
        }
    }

    fn is_at_rest_for_wall(&self) -> bool {
        self.is_at_rest_but_for_text() && self.script.is_none() && self.copy_starting.is_none() && self.own.is_none()
    }
}
