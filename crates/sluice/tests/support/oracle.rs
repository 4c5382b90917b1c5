//! The oracle O1, for every test that uses a Sluice: whatever its target executed, its journal had permitted.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ledger::{Reader, RealDisk};
use model::decision::Outcome;
use model::event::Event;
use model::id::Digest;
use testkit::demo::site::Site;
use testkit::normal::statements;
use testkit::postgres::{LoggedStatement, StatementKind};

use super::postgres;

/// The prepared statement that Sluice's own statements on a session's connection use, and what its other connections call
/// themselves.
const OWN: &str = "sluice$own";
const READER: &str = "sluice";

/// Longer texts are cut in the record.
const LONGEST: usize = 16 * 1024;

/// A Sluice that is looked at once more when a test has ended: see [`verify`].
pub struct Watched<S: Borrow<Site>> {
    site: S,
    /// How long the server's log was when the test began, if it keeps one.
    since: Option<u64>,
}

impl<S: Borrow<Site>> Watched<S> {
    /// Watches from now on.
    pub fn new(site: S) -> Result<Self> {
        Ok(Self { site, since: postgres()?.log_length()? })
    }
}

impl<S: Borrow<Site>> Deref for Watched<S> {
    type Target = Site;

    fn deref(&self) -> &Site {
        self.site.borrow()
    }
}

impl DerefMut for Watched<Site> {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.site
    }
}

impl<S: Borrow<Site>> Drop for Watched<S> {
    fn drop(&mut self) {
        if let Some(since) = self.since.filter(|_| !std::thread::panicking()) {
            verify(self.site.borrow(), since).expect("the server executed what the journal permitted");
        }
    }
}

/// Fails unless the journal has permitted everything that the server executed for this Sluice since its log was so long,
/// as often as it was executed.
fn verify(site: &Site, since: u64) -> Result<()> {
    // The server's log first: what is in it was decided before.
    let executed = postgres()?.statement_log_since(since)?;
    let mut permitted = Permitted::of(site);
    permitted.read_on()?;
    let mut permitted = permitted.counts;
    let executed = executed.iter().filter(|entry| entry.database == site.database() && entry.user != "postgres");
    let mut wrong = BTreeSet::new();
    for entry in executed.filter(|entry| is_a_clients(entry)) {
        // The record of what was permitted though it was not understood.
        let length = format!("({} bytes that were not understood)", entry.text.len());
        if let Some((_, count)) = permitted.iter_mut().find(|(text, count)| text.ends_with(&length) && **count > 0) {
            *count -= 1;
            continue;
        }
        for statement in statements(&entry.text) {
            match permitted.get_mut(&statement) {
                Some(count) if *count > 0 => *count -= 1,
                _ => {
                    wrong.insert(format!("{statement} ({:?}, {})", entry.kind, entry.application));
                }
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "executed and not permitted in {}:\n{}",
        site.database(),
        Vec::from_iter(wrong).join("\n")
    );
    Ok(())
}

/// Whether a statement is not Sluice's own. A later Execute of one portal is part of the first one's request, and the text
/// of a FunctionCall is only the server's description of it.
fn is_a_clients(entry: &LoggedStatement) -> bool {
    let is_own = match &entry.kind {
        StatementKind::Simple => entry.application == READER,
        StatementKind::Execute(name) => name.starts_with(OWN),
        StatementKind::Fetch(_) | StatementKind::FunctionCall => true,
    };
    !is_own && entry.text.len() <= LONGEST
}

/// What a journal permits, read as it grows.
pub struct Permitted {
    reader: Reader,
    texts: HashMap<Digest, Vec<String>>,
    /// How often each statement was permitted.
    pub counts: BTreeMap<String, usize>,
}

impl Permitted {
    /// Of this Sluice, from the beginning.
    pub fn of(site: &Site) -> Self {
        let reader = Reader::open(Arc::new(RealDisk), &site.data().join("journal"), 0);
        Self { reader, texts: HashMap::new(), counts: BTreeMap::new() }
    }

    /// Reads what has come since the last time.
    pub fn read_on(&mut self) -> Result<()> {
        while let Some((_, entry)) = self.reader.next()? {
            match entry.event {
                Event::Statement { id, text, .. } => {
                    // Not split: it is no SQL.
                    let whole = text.ends_with("not understood)");
                    self.texts.insert(id, if whole { vec![text] } else { statements(&text) });
                }
                Event::Decided { statements, outcome: Outcome::Allow, .. } => {
                    for id in statements {
                        for text in self.texts.get(&id).context("a statement without its text")? {
                            *self.counts.entry(text.clone()).or_default() += 1;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
