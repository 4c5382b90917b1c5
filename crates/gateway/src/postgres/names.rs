//! The prepared statements, portals and cursors of a session, as the target has them.
//!
//! The protocol's names change when a message is sent, since what is pipelined behind it already uses them; each change
//! carries its [`Undo`] for the case that the target skips or refuses the message. Names that SQL changes (PREPARE,
//! DECLARE, DEALLOCATE) change when the target has confirmed; nothing that could use them is analysed before that.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use effects::postgres::{NameUse, Prepared as Lookup, Statement};

use wire::postgres::part::Format;

use super::analysed::{Analysed, Known};
use super::query::Origin;
use super::shape::Shape;

/// A prepared statement.
pub(super) struct Prepared {
    /// The text that the target holds under this name, without a trailing comment.
    pub(super) text: Arc<str>,
    /// The parameter types that the client named.
    pub(super) types: Arc<[u32]>,
    /// What it would do, as of `analysed.epoch`.
    pub(super) analysed: Arc<Analysed>,
    /// What the target said its answer looks like; filled by the answer to a Describe.
    pub(super) shape: Arc<OnceLock<Arc<Shape>>>,
    /// What came with its text in a trailing comment.
    pub(super) origin: Origin,
}

/// A portal: a statement bound to its parameters, which is one request.
#[derive(Clone)]
pub(super) struct Portal {
    /// The request's number.
    pub(super) run: u64,
    /// The statement as it was when it was bound.
    pub(super) analysed: Arc<Analysed>,
    /// What the target said the statement's answer looks like: a Describe of it may still be on its way.
    pub(super) statement_shape: Arc<OnceLock<Arc<Shape>>>,
    /// What the answer looks like in the formats of Bind.
    pub(super) shape: Arc<OnceLock<Arc<Shape>>>,
    /// Whether a Describe that will fill `shape` was sent.
    pub(super) described: bool,
    /// The result formats of Bind: none, one for all, or one for each column.
    pub(super) formats: Arc<[Format]>,
}

impl Portal {
    /// The unnamed portal of a statement of a script, which Sluice describes itself.
    pub(super) fn of_script(run: u64, known: &Known) -> Self {
        Self {
            run,
            analysed: Arc::clone(&known.analysed),
            statement_shape: Arc::default(),
            shape: Arc::default(),
            described: true,
            formats: Arc::default(),
        }
    }
}

/// How to take back a change of a name.
pub(super) enum Undo {
    /// What a statement's name stood for before.
    Statement(Box<str>, Option<Arc<Prepared>>),
    /// What a portal's name stood for before.
    Portal(Box<str>, Option<Portal>),
}

/// Every name of a session.
#[derive(Default)]
pub(super) struct Names {
    statements: HashMap<Box<str>, Arc<Prepared>>,
    sql_statements: HashMap<Box<str>, Arc<Statement>>,
    portals: HashMap<Box<str>, Portal>,
    cursors: HashMap<Box<str>, Cursor>,
}

struct Cursor {
    statement: Arc<Statement>,
    hold: bool,
}

impl Names {
    /// How many names are held.
    pub(super) fn count(&self) -> usize {
        self.statements.len() + self.sql_statements.len() + self.portals.len() + self.cursors.len()
    }

    /// How many portals are held.
    pub(super) fn portals(&self) -> usize {
        self.portals.len()
    }

    pub(super) fn prepared(&self, name: &str) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    /// The statement behind a name that SQL's PREPARE made, for a Bind to it.
    pub(super) fn sql_prepared(&self, name: &str) -> Option<&Arc<Statement>> {
        self.sql_statements.get(name)
    }

    pub(super) fn portal(&self, name: &str) -> Option<&Portal> {
        self.portals.get(name)
    }

    pub(super) fn portal_mut(&mut self, name: &str) -> Option<&mut Portal> {
        self.portals.get_mut(name)
    }

    /// What an SQL cursor of this name runs, for Describe and Execute of it as a portal.
    pub(super) fn is_cursor(&self, name: &str) -> bool {
        self.cursors.contains_key(name)
    }

    /// A Parse was sent.
    pub(super) fn prepare(&mut self, name: &str, prepared: Prepared) -> Undo {
        Undo::Statement(name.into(), self.statements.insert(name.into(), Arc::new(prepared)))
    }

    /// A Bind was sent.
    pub(super) fn bind(&mut self, name: &str, portal: Portal) -> Undo {
        Undo::Portal(name.into(), self.portals.insert(name.into(), portal))
    }

    /// A Close of a statement was sent.
    pub(super) fn close_statement(&mut self, name: &str) -> Undo {
        Undo::Statement(name.into(), self.statements.remove(name))
    }

    /// A Close of a portal was sent.
    pub(super) fn close_portal(&mut self, name: &str) -> Undo {
        Undo::Portal(name.into(), self.portals.remove(name))
    }

    /// The message that made a change was refused or skipped by the target.
    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Statement(name, Some(before)) => drop(self.statements.insert(name, before)),
            Undo::Statement(name, None) => drop(self.statements.remove(&name)),
            Undo::Portal(name, Some(before)) => drop(self.portals.insert(name, before)),
            Undo::Portal(name, None) => drop(self.portals.remove(&name)),
        }
    }

    /// A simple Query was sent: the target drops the unnamed statement and portal (exec_simple_query).
    pub(super) fn forget_unnamed(&mut self) {
        self.statements.remove("");
        self.portals.remove("");
    }

    /// The target confirmed what SQL does to names.
    pub(super) fn confirmed(&mut self, change: &NameUse) {
        match change {
            NameUse::Prepare { name, inner } => {
                self.sql_statements.insert((&**name).into(), Arc::clone(inner));
            }
            NameUse::Deallocate(Some(name)) => {
                self.statements.remove(&**name);
                self.sql_statements.remove(&**name);
            }
            NameUse::Deallocate(None) => {
                self.statements.clear();
                self.sql_statements.clear();
            }
            NameUse::Declare { name, inner, hold, .. } => {
                self.cursors.insert((&**name).into(), Cursor { statement: Arc::clone(inner), hold: *hold });
            }
            NameUse::Close(Some(name)) => {
                self.cursors.remove(&**name);
                self.portals.remove(&**name);
            }
            NameUse::Close(None) => {
                self.cursors.clear();
                self.portals.clear();
            }
            NameUse::DiscardAll => *self = Self::default(),
            NameUse::Execute { .. } | NameUse::Fetch(_) => {}
        }
    }

    /// A transaction ended: portals are gone, and cursors but for those declared WITH HOLD.
    pub(super) fn transaction_ended(&mut self) {
        self.cursors.retain(|_, cursor| cursor.hold);
        self.portals.clear();
    }

    /// What SQL prepared is not known any more: something opaque ran.
    pub(super) fn forget_sql(&mut self) {
        self.sql_statements.clear();
        self.cursors.clear();
    }
}

impl Lookup for Names {
    fn statement(&self, name: &str) -> Option<Arc<Statement>> {
        if let Some(statement) = self.sql_statements.get(name) {
            return Some(Arc::clone(statement));
        }
        let prepared = self.statements.get(name)?;
        match prepared.analysed.statements.as_slice() {
            [only] => Some(Arc::new(only.clone())),
            _ => None,
        }
    }

    fn cursor(&self, name: &str) -> Option<Arc<Statement>> {
        if let Some(cursor) = self.cursors.get(name) {
            return Some(Arc::clone(&cursor.statement));
        }
        match self.portals.get(name)?.analysed.statements.as_slice() {
            [only] => Some(Arc::new(only.clone())),
            _ => None,
        }
    }
}
