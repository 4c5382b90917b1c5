//! The oracle O1, for every test that uses a Sluice: whatever its target executed, its journal had permitted.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use effects::postgres::queries;
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
    let (own, mut permitted) = (permitted.own, permitted.counts);
    let executed = executed.iter().filter(|entry| entry.database == site.database() && entry.user != "postgres");
    let executed: Vec<&LoggedStatement> = executed.collect();
    let mut wrong = unexplained(&executed, &own);
    for entry in executed.into_iter().filter(|entry| is_a_clients(entry)) {
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

/// Sluice's own statements that the journal does not explain: each read on a session's connection and each reading of a
/// catalog has an entry, and each connection that asks for the catalog's version one for all that it asks.
fn unexplained(executed: &[&LoggedStatement], explained: &BTreeMap<String, usize>) -> BTreeSet<String> {
    let (mut wrong, mut needed) = (BTreeSet::new(), BTreeMap::<&str, usize>::new());
    let mut asked_for_version = BTreeSet::new();
    for entry in executed {
        let known = match &entry.kind {
            StatementKind::Execute(name) if name.starts_with(OWN) => on_a_sessions(&entry.text),
            StatementKind::Simple if entry.application == READER => on_its_own(&entry.text),
            _ => continue,
        };
        match known {
            Some(("catalog-version", _)) => drop(asked_for_version.insert(entry.pid)),
            Some((name, begins)) => *needed.entry(name).or_default() += usize::from(begins),
            None => drop(wrong.insert(format!("{} is none of Sluice's statements", entry.text))),
        }
    }
    needed.insert("catalog-version", asked_for_version.len());
    for (name, needed) in needed {
        let explained = explained.get(name).copied().unwrap_or_default();
        if explained < needed {
            wrong.insert(format!("{name} {needed} times, of which the journal has {explained}"));
        }
    }
    wrong
}

/// The name of a statement that Sluice runs on a session's connection, and whether it is the first of its entry.
fn on_a_sessions(text: &str) -> Option<(&'static str, bool)> {
    let user = || queries::USER.iter().position(|query| query.text() == text);
    match text {
        "SET SESSION default_transaction_read_only = on"
        | "SET SESSION default_transaction_read_only = off"
        | "SET TRANSACTION READ WRITE" => Some(("read-only", true)),
        _ if text.starts_with("EXPLAIN (FORMAT JSON) ") => Some(("explain", true)),
        _ if text.starts_with("SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))") => {
            Some(("session-state", true))
        }
        _ => user().map(|at| ("session-objects", at == 0)),
    }
}

/// Likewise of one that it runs on a connection of its own.
fn on_its_own(text: &str) -> Option<(&'static str, bool)> {
    let views = queries::view_texts(&[]);
    let views = views.split_once("'{}'").map_or(&*views, |(before, _)| before);
    let catalog = || queries::SYSTEM.iter().chain(&queries::user_with_views()).any(|query| query.text() == text);
    let first = queries::USER.first().is_some_and(|query| query.text() == text);
    match text {
        "SET lock_timeout = '100ms'" | "RESET lock_timeout" => Some(("catalog", false)),
        _ if text == queries::version() => Some(("catalog-version", true)),
        _ if catalog() || text.starts_with(views) => Some(("catalog", first)),
        _ => None,
    }
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
    database: String,
    /// How often each statement was permitted.
    pub counts: BTreeMap<String, usize>,
    /// How often it says that Sluice ran each kind of its own statements.
    own: BTreeMap<String, usize>,
}

impl Permitted {
    /// Of this Sluice, from the beginning.
    pub fn of(site: &Site) -> Self {
        let reader = Reader::open(Arc::new(RealDisk), &site.data().join("journal"), 0);
        let database = site.database().to_owned();
        Self { reader, texts: HashMap::new(), database, counts: BTreeMap::new(), own: BTreeMap::new() }
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
                Event::OwnStatement { database, name, .. } if *database == *self.database => {
                    *self.own.entry(name.to_string()).or_default() += 1;
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
