//! What a request of SSH is made into.

use std::sync::Arc;

use model::effect::{Effect, Facts, Object, Verb};
use model::event::Shown;

use crate::shown::Room;

/// What a channel will carry, for what reads and masks it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Carries {
    /// What programs write and read: text as far as one can tell.
    #[default]
    Text,
    /// A terminal, with its escape sequences.
    Terminal,
    /// SFTP: each operation is a request of its own.
    Sftp,
    /// The protocol of scp, rsync or git, with files in it.
    Files,
}

/// One request of SSH: a channel's, an SFTP operation, a forwarding.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// What it would do; never empty.
    pub effects: Vec<Effect>,
    /// What else policies may ask, with the kind of request: `exec`, `shell`, `subsystem`, `env`, `pty`, `sftp:open`,
    /// `direct-tcpip`, ….
    pub facts: Facts,
    /// The request with every literal as `$n`, such as `rm $1 $2`: what the journal's statement holds.
    pub statement: String,
    /// What stood there, secrets masked; cut to what an entry of the journal has room for.
    pub values: Vec<Shown>,
    /// The whole request for people, with secrets as `[secret]`. Nothing in it is escaped.
    pub shown: String,
    /// What its channel will carry, if it has one.
    pub carries: Carries,
}

impl Request {
    /// A request of this kind with one or more literals behind its name, as `kind $1 $2`.
    pub(super) fn of(kind: &'static str, effects: Vec<Effect>, values: &[&str]) -> Self {
        let mut statement = kind.to_owned();
        let mut shown = kind.to_owned();
        for (number, value) in (1_usize..).zip(values) {
            statement.push_str(&format!(" ${number}"));
            shown.push(' ');
            shown.push_str(value);
        }
        let mut room = Room::default();
        let values = values.iter().map(|value| room.clear(value)).collect();
        let facts = Facts { kind: kind.into(), bounded: true, multi: false, opaque: None };
        Self { effects, facts, statement, values, shown, carries: Carries::Text }
    }

    /// The same request, not understood.
    pub(super) fn opaque(mut self, why: impl Into<Arc<str>>) -> Self {
        let effect = Effect::new(Verb::Opaque, Object::Login);
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
        self.facts.opaque = Some(why.into());
        self
    }
}
