//! The prepared statements, portals and cursors of a session, as the target has them.
//!
//! There is one table for statements and one for portals, as at the server: what SQL calls PREPARE and DECLARE and what the
//! protocol calls Parse and Bind make and drop the same names.
//!
//! The protocol's names change when a message is sent, since what is pipelined behind it already uses them. Until it is
//! answered a change is *pending*: up to the next Sync it can be relied on, because the target skips whatever relies on a
//! message that failed; behind that Sync it cannot, and whoever needs the name waits. Names that SQL changes (PREPARE,
//! DECLARE, DEALLOCATE) change when the target has confirmed; nothing that could use them is analysed before that.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use effects::postgres::{NameUse, Statement};

use wire::postgres::part::Format;

use super::analysed::{Analysed, Epoch, Known};
use super::query::Origin;
use super::shape::Shape;

/// A prepared statement of the protocol.
pub(super) struct Prepared {
    /// The text that the target holds under this name, without a trailing comment.
    pub(super) text: Arc<str>,
    /// The parameter types that the client named.
    pub(super) types: Arc<[u32]>,
    /// How its plain literals were read: the target keeps what it read then, whatever is set later.
    pub(super) standard_conforming_strings: bool,
    /// What the target said its answer looks like; filled by the answer to a Describe.
    pub(super) shape: Arc<OnceLock<Arc<Shape>>>,
    /// What its text was read under when it was parsed. Under another, the description may name other columns.
    pub(super) epoch: Epoch,
    /// What came with its text in a trailing comment.
    pub(super) origin: Origin,
}

/// What a statement's name stands for.
#[derive(Clone)]
pub(super) enum StatementName {
    /// A Parse made it.
    Protocol(Arc<Prepared>),
    /// The statement of this number of an SQL text made it: a PREPARE.
    Sql { text: Arc<str>, at: usize, standard_conforming_strings: bool },
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
    /// The version of the names by which its statement was judged, if it goes by any.
    pub(super) names_at_bind: Option<u64>,
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
            names_at_bind: None,
        }
    }
}

/// What a portal's name stands for.
#[derive(Clone)]
pub(super) enum PortalName {
    /// A Bind made it.
    Portal(Portal),
    /// SQL's DECLARE made it.
    Cursor { statement: Arc<Statement>, text: Arc<Analysed>, hold: bool },
}

impl PortalName {
    /// The request that the portal is; a cursor is none.
    const fn run(&self) -> Option<u64> {
        match self {
            Self::Portal(portal) => Some(portal.run),
            Self::Cursor { .. } => None,
        }
    }
}

/// A change of a name that the target has not confirmed yet.
#[derive(Clone)]
pub(super) struct Change {
    table: Table,
    name: Box<str>,
    serial: u64,
}

#[derive(Clone, Copy)]
enum Table {
    Statements,
    Portals,
}

/// What a name stands for at the target, and what the messages under way make of it.
struct Versions<T> {
    confirmed: Option<T>,
    pending: Vec<Pending<T>>,
}

struct Pending<T> {
    serial: u64,
    /// How many Syncs were sent before.
    segment: u64,
    value: Option<T>,
}

impl<T> Versions<T> {
    /// What the next message of the client will find, if what is under way goes well.
    fn latest(&self) -> Option<&T> {
        self.pending.last().map_or(self.confirmed.as_ref(), |pending| pending.value.as_ref())
    }

    fn latest_mut(&mut self) -> Option<&mut T> {
        match self.pending.last_mut() {
            Some(pending) => pending.value.as_mut(),
            None => self.confirmed.as_mut(),
        }
    }

    fn is_certain(&self, segment: u64) -> bool {
        self.pending.last().is_none_or(|pending| pending.segment == segment)
    }

    /// Answers come in order, so an older change that is still here was made moot by this one. Returns what the name
    /// stood for before.
    fn confirm(&mut self, serial: u64) -> Vec<T> {
        let Some(at) = self.pending.iter().position(|pending| pending.serial == serial) else { return Vec::new() };
        let mut values: Vec<T> = self.confirmed.take().into_iter().collect();
        let last = self.pending.drain(..=at).fold(None, |older: Option<T>, pending| {
            values.extend(older);
            pending.value
        });
        self.confirmed = last;
        values
    }

    fn undo(&mut self, serial: u64) {
        self.pending.retain(|pending| pending.serial != serial);
    }

    fn is_nothing(&self) -> bool {
        self.confirmed.is_none() && self.pending.is_empty()
    }
}

type Entries<T> = HashMap<Box<str>, Versions<T>>;

/// Every name of a session.
#[derive(Default)]
pub(super) struct Names {
    statements: Entries<StatementName>,
    portals: Entries<PortalName>,
    serial: u64,
    segment: u64,
    version: u64,
}

impl Names {
    /// Whether as many names are held as may be. Names that a Close under way frees do not count.
    pub(super) fn are_full(&self, most: usize) -> bool {
        let held = |count: usize| count >= most;
        held(self.statements.len() + self.portals.len()) && held(open(&self.statements) + open(&self.portals))
    }

    /// Likewise for portals and cursors alone.
    pub(super) fn are_portals_full(&self, most: usize) -> bool {
        self.portals.len() >= most && open(&self.portals) >= most
    }

    /// Counts the changes of names: as long as it is the same, so is what each name stands for.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// A Sync was sent: from now on what is pending may fail without what follows being skipped.
    pub(super) const fn synced(&mut self) {
        self.segment += 1;
    }

    /// Whether it is certain what this statement's name stands for when the next message arrives at the target.
    pub(super) fn is_certain_statement(&self, name: &str) -> bool {
        self.statements.get(name).is_none_or(|versions| versions.is_certain(self.segment))
    }

    /// Likewise for a portal's name.
    pub(super) fn is_certain_portal(&self, name: &str) -> bool {
        self.portals.get(name).is_none_or(|versions| versions.is_certain(self.segment))
    }

    /// Whether it is certain for every name.
    pub(super) fn are_certain(&self) -> bool {
        self.statements.values().all(|versions| versions.is_certain(self.segment))
            && self.portals.values().all(|versions| versions.is_certain(self.segment))
    }

    pub(super) fn statement(&self, name: &str) -> Option<&StatementName> {
        self.statements.get(name)?.latest()
    }

    pub(super) fn open(&self, name: &str) -> Option<&PortalName> {
        self.portals.get(name)?.latest()
    }

    /// The protocol's statement of this name.
    pub(super) fn prepared(&self, name: &str) -> Option<&Arc<Prepared>> {
        match self.statement(name)? {
            StatementName::Protocol(prepared) => Some(prepared),
            StatementName::Sql { .. } => None,
        }
    }

    /// The protocol's portal of this name.
    pub(super) fn portal(&self, name: &str) -> Option<&Portal> {
        match self.open(name)? {
            PortalName::Portal(portal) => Some(portal),
            PortalName::Cursor { .. } => None,
        }
    }

    pub(super) fn portal_mut(&mut self, name: &str) -> Option<&mut Portal> {
        match self.portals.get_mut(name)?.latest_mut()? {
            PortalName::Portal(portal) => Some(portal),
            PortalName::Cursor { .. } => None,
        }
    }

    /// Whether the name is an SQL cursor's.
    pub(super) fn is_cursor(&self, name: &str) -> bool {
        matches!(self.open(name), Some(PortalName::Cursor { .. }))
    }

    /// A Parse was sent.
    pub(super) fn prepare(&mut self, name: &str, prepared: Prepared) -> Change {
        self.change_statement(name, Some(StatementName::Protocol(Arc::new(prepared))))
    }

    /// A Bind was sent.
    pub(super) fn bind(&mut self, name: &str, portal: Portal) -> Change {
        self.change_portal(name, Some(PortalName::Portal(portal)))
    }

    /// A Close of a statement was sent.
    pub(super) fn close_statement(&mut self, name: &str) -> Change {
        self.change_statement(name, None)
    }

    /// A Close of a portal was sent.
    pub(super) fn close_portal(&mut self, name: &str) -> Change {
        self.change_portal(name, None)
    }

    fn change_statement(&mut self, name: &str, value: Option<StatementName>) -> Change {
        let serial = self.next();
        put(&mut self.statements, name, Pending { serial, segment: self.segment, value });
        Change { table: Table::Statements, name: name.into(), serial }
    }

    fn change_portal(&mut self, name: &str, value: Option<PortalName>) -> Change {
        let serial = self.next();
        put(&mut self.portals, name, Pending { serial, segment: self.segment, value });
        Change { table: Table::Portals, name: name.into(), serial }
    }

    const fn next(&mut self) -> u64 {
        self.version += 1;
        self.serial += 1;
        self.serial
    }

    /// The target did what the message said. Returns the requests whose portals are gone with it.
    pub(super) fn answered(&mut self, change: &Change) -> Vec<u64> {
        let mut gone = Vec::new();
        match change.table {
            Table::Statements => {
                settle(&mut self.statements, &change.name, |versions| drop(versions.confirm(change.serial)));
            }
            Table::Portals => {
                settle(&mut self.portals, &change.name, |versions| gone = versions.confirm(change.serial));
            }
        }
        gone.iter().filter_map(PortalName::run).collect()
    }

    /// The requests that portals stand for.
    pub(super) fn requests(&self) -> impl Iterator<Item = u64> {
        let values = |versions: &'_ Versions<PortalName>| {
            let pending = versions.pending.iter().filter_map(|pending| pending.value.as_ref());
            versions.confirmed.iter().chain(pending).filter_map(PortalName::run).collect::<Vec<_>>()
        };
        self.portals.values().flat_map(values)
    }

    /// The message that made a change was refused or skipped by the target.
    pub(super) fn undo(&mut self, change: &Change) {
        self.version += 1;
        match change.table {
            Table::Statements => settle(&mut self.statements, &change.name, |versions| versions.undo(change.serial)),
            Table::Portals => settle(&mut self.portals, &change.name, |versions| versions.undo(change.serial)),
        }
    }

    /// A simple Query was sent: the target drops the unnamed statement and portal (exec_simple_query).
    pub(super) fn forget_unnamed(&mut self) {
        self.version += 1;
        self.statements.remove("");
        self.portals.remove("");
    }

    /// The target confirmed what statement `at` of a text does to names.
    pub(super) fn confirmed(&mut self, change: &NameUse, of: &Arc<Analysed>, at: usize) {
        self.version += 1;
        match change {
            NameUse::Prepare { name, .. } => {
                let standard_conforming_strings = of.standard_conforming_strings;
                let value = StatementName::Sql { text: Arc::clone(&of.text), at, standard_conforming_strings };
                let versions = Versions { confirmed: Some(value), pending: Vec::new() };
                self.statements.insert((&**name).into(), versions);
            }
            NameUse::Deallocate(Some(name)) => drop(self.statements.remove(&**name)),
            NameUse::Deallocate(None) => self.statements.clear(),
            NameUse::Declare { name, inner, hold, .. } => {
                let (statement, text) = (Arc::clone(inner), Arc::clone(of));
                let value = PortalName::Cursor { statement, text, hold: *hold };
                let versions = Versions { confirmed: Some(value), pending: Vec::new() };
                self.portals.insert((&**name).into(), versions);
            }
            NameUse::Close(Some(name)) => drop(self.portals.remove(&**name)),
            NameUse::Close(None) => self.portals.clear(),
            NameUse::DiscardAll => self.forget_all(),
            // EXECUTE of a name that Parse made can be anything, also what changes names.
            NameUse::Execute { inner: Some(inner), .. } if inner.names.is_some() => self.forget_all(),
            NameUse::Execute { .. } | NameUse::Fetch(_) => {}
        }
    }

    fn forget_all(&mut self) {
        self.statements.clear();
        self.portals.clear();
    }

    /// A transaction ended: portals are gone, and cursors but for those declared WITH HOLD.
    pub(super) fn transaction_ended(&mut self) {
        self.version += 1;
        let held = |versions: &Versions<PortalName>| {
            matches!(versions.confirmed, Some(PortalName::Cursor { hold: true, .. })) && versions.pending.is_empty()
        };
        self.portals.retain(|_, versions| held(versions));
    }

    /// Which names there are is not known any more: something opaque ran.
    pub(super) fn forget_sql(&mut self) {
        self.version += 1;
        let sql = |versions: &Versions<StatementName>| matches!(versions.latest(), Some(StatementName::Sql { .. }));
        let cursor = |versions: &Versions<PortalName>| matches!(versions.latest(), Some(PortalName::Cursor { .. }));
        self.statements.retain(|_, versions| !sql(versions));
        self.portals.retain(|_, versions| !cursor(versions));
    }
}

/// How many names stand for something, if what is under way goes well.
fn open<T>(names: &Entries<T>) -> usize {
    names.values().filter(|versions| versions.latest().is_some()).count()
}

fn put<T>(names: &mut Entries<T>, name: &str, pending: Pending<T>) {
    let versions = names.entry(name.into()).or_insert_with(|| Versions { confirmed: None, pending: Vec::new() });
    versions.pending.push(pending);
}

fn settle<T>(names: &mut Entries<T>, name: &str, act: impl FnOnce(&mut Versions<T>)) {
    let Some(versions) = names.get_mut(name) else { return };
    act(versions);
    if versions.is_nothing() {
        names.remove(name);
    }
}
