//! The catalog of each database behind Sluice, read on a connection of its own and kept at most a second behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use effects::postgres::{Catalog, Part, PartBuilder, labels, queries, saved};
use model::class::Labels;
use model::id::RevisionId;
use policy::OwnStatement;
use store::config::Databases;

use super::server::Server;
use super::session::Place;
use super::upstream::{ConnectError, OwnConnection};
use crate::node::Node;

/// How old a catalog may be before its version is asked for again (RULES.md 14).
const FRESH: Duration = Duration::from_millis(900);

/// How long reading a catalog may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long an open transaction waits for the reader of the catalog before it reads by itself.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether what was read then need not be asked for again yet.
pub(super) fn is_fresh(read: Instant) -> bool {
    read.elapsed() < FRESH
}

/// A catalog with a version, and the labels of its columns under one revision.
pub(super) struct Snapshot {
    pub(super) catalog: Arc<Catalog>,
    /// Counts the versions that were read of this database; a session's own reading keeps the number it was based on.
    pub(super) version: u64,
    labels: Mutex<Option<(RevisionId, Arc<Labels>)>>,
}

impl Snapshot {
    /// A session's own reading, which has in it all that the shared one of this version has.
    pub(super) fn of_session(catalog: Arc<Catalog>, version: u64) -> Self {
        Self { catalog, version, labels: Mutex::default() }
    }

    /// What is classified, under this revision.
    pub(super) fn labels(&self, active: &crate::revision::Active, target: &str) -> Arc<Labels> {
        let mut kept = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((revision, labels)) if *revision == active.id => Arc::clone(labels),
            _ => {
                let fresh = Arc::new(labels(&self.catalog, target, &active.classification));
                *kept = Some((active.id, Arc::clone(&fresh)));
                fresh
            }
        }
    }
}

/// Why a catalog cannot be saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExportError {
    /// The revision in force has no such target, or the target no such database.
    #[error("no such target or database")]
    Unknown,
    /// It cannot be read now; the log says why.
    #[error("the target's structure cannot be read now")]
    Unavailable,
}

/// Reads a database's whole structure once, as a text that `effects::postgres::saved` reads.
///
/// # Errors
/// See [`ExportError`].
pub async fn export(node: &Node, target: &str, database: &str) -> Result<String, ExportError> {
    let active = node.revisions.current();
    let server = active.targets.get(target).and_then(Server::of).filter(|server| match &server.postgres.databases {
        Databases::All => true,
        Databases::Only(names) => names.contains(database),
    });
    let server = server.ok_or(ExportError::Unknown)?;
    let read = tokio::time::timeout(DEADLINE, read_rows(node, &server, database)).await;
    read.unwrap_or(Err(ConnectError::Deadline)).map_err(|error| {
        tracing::warn!(target = %server.name(), %error, "the catalog cannot be read");
        ExportError::Unavailable
    })
}

/// What a database looks like, and what of it is classified under the revision in force.
#[derive(Debug)]
pub struct Structure {
    /// Its catalog.
    pub catalog: Arc<Catalog>,
    /// Its labels.
    pub labels: Arc<Labels>,
}

/// The structure of a database as sessions last saw it; where none did, read now if `may_read`. `None` if it is not known.
pub async fn structure(node: &Node, target: &str, database: &str, may_read: bool) -> Option<Structure> {
    let active = node.revisions.current();
    if let Some(snapshot) = node.catalogs.latest(target, database) {
        return Some(Structure { catalog: Arc::clone(&snapshot.catalog), labels: snapshot.labels(&active, target) });
    }
    if !may_read {
        return None;
    }
    let text = export(node, target, database).await.ok()?;
    let read = tokio::task::spawn_blocking(move || saved::read(&text)).await.ok()?;
    let catalog = read.inspect_err(|error| tracing::error!(%error, "a catalog that was just read is none")).ok()?;
    let labels = labels(&catalog, target, &active.classification);
    Some(Structure { catalog: Arc::new(catalog), labels: Arc::new(labels) })
}

async fn read_rows(node: &Node, server: &Server, database: &str) -> Result<String, ConnectError> {
    let mut connection = OwnConnection::open(node, server, database, OwnStatement::Catalog).await?;
    let mut text = format!("{}\n", saved::HEADER);
    for query in queries::SYSTEM.iter().chain(&queries::user_with_views()) {
        connection
            .query(OwnStatement::Catalog, &query.text(), &mut |row| {
                text.push_str(&saved::line(query, row));
                text.push('\n');
                Ok(())
            })
            .await?;
    }
    Ok(text)
}

/// A target and one of its databases.
type Key = (Arc<str>, Arc<str>);

/// Every catalog that sessions use.
#[derive(Default)]
pub(crate) struct Catalogs {
    databases: Mutex<HashMap<Key, Arc<Database>>>,
}

#[derive(Default)]
struct Database {
    /// Held while the catalog is read or its version asked for, so that many sessions ask once.
    reader: tokio::sync::Mutex<Reader>,
    latest: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

#[derive(Default)]
struct Reader {
    connection: Option<OwnConnection>,
    system: Option<Arc<Part>>,
    version: String,
}

impl Catalogs {
    fn database(&self, place: &Place) -> Arc<Database> {
        let key = (Arc::clone(&place.model.name), Arc::clone(&place.database));
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(databases.entry(key).or_default())
    }

    /// The catalog as it was last read, however long ago that is.
    fn latest(&self, target: &str, database: &str) -> Option<Arc<Snapshot>> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.get(&(Arc::from(target), Arc::from(database)))?.latest(None)
    }

    /// The catalog, at most a second behind.
    pub(super) async fn current(&self, node: &Node, place: &Place) -> Result<Arc<Snapshot>, ConnectError> {
        let database = self.database(place);
        match database.latest(Instant::now().checked_sub(FRESH)) {
            Some(snapshot) => Ok(snapshot),
            // In a box, as it may have to log in, and the task of every session would have room for that.
            None => Box::pin(database.refresh(node, place, Instant::now().checked_sub(FRESH))).await,
        }
    }

    /// Likewise, for a session in an open transaction: `None` if it cannot be had at once. Whoever holds up the reader may
    /// be waiting for that very transaction, which the server cannot see, so that nobody would ever go on.
    pub(super) async fn at_once(&self, node: &Node, place: &Place) -> Option<Arc<Snapshot>> {
        tokio::time::timeout(PATIENCE, self.current(node, place)).await.ok()?.ok()
    }

    /// The catalog as it is after what this session has just changed.
    pub(super) async fn reread(&self, node: &Node, place: &Place) -> Result<Arc<Snapshot>, ConnectError> {
        let database = self.database(place);
        Box::pin(database.refresh(node, place, Some(Instant::now()))).await
    }
}

impl Database {
    /// The latest catalog, if its version was asked for at `since` or later.
    fn latest(&self, since: Option<Instant>) -> Option<Arc<Snapshot>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, snapshot) = latest.as_ref()?;
        since.is_none_or(|since| *at >= since).then(|| Arc::clone(snapshot))
    }

    async fn refresh(&self, node: &Node, place: &Place, since: Option<Instant>) -> Result<Arc<Snapshot>, ConnectError> {
        let mut reader = self.reader.lock().await;
        // Somebody else may have asked while this session waited for its turn.
        if let Some(snapshot) = self.latest(since) {
            return Ok(snapshot);
        }
        let asked = Instant::now();
        let had_connection = reader.connection.is_some();
        let mut read = tokio::time::timeout(DEADLINE, reader.read(node, place, self.latest(None))).await;
        if had_connection && matches!(&read, Ok(Err(error)) if !matches!(error, ConnectError::NotRecorded)) {
            // The connection may have died since it was last used.
            read = tokio::time::timeout(DEADLINE, reader.read(node, place, self.latest(None))).await;
        }
        let snapshot = match read {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(error)) => {
                tracing::warn!(target = %place.model.name, %error, "the catalog cannot be read");
                return Err(error);
            }
            Err(_) => return Err(ConnectError::Deadline),
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

impl Reader {
    async fn read(
        &mut self,
        node: &Node,
        place: &Place,
        latest: Option<Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, ConnectError> {
        // Put back when all is read: a caller that stops waiting in the middle leaves no half-read answer behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            // Its version is asked for again and again, and that is journaled once.
            None => OwnConnection::open(node, &place.server, &place.database, OwnStatement::CatalogVersion).await?,
        };
        let snapshot = self.read_on(&mut connection, node, latest).await?;
        self.connection = Some(connection);
        Ok(snapshot)
    }

    async fn read_on(
        &mut self,
        connection: &mut OwnConnection,
        node: &Node,
        latest: Option<Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, ConnectError> {
        let mut version = String::new();
        connection
            .query(OwnStatement::CatalogVersion, &queries::version(), &mut |row| {
                version = row.first().copied().flatten().unwrap_or_default().to_owned();
                Ok(())
            })
            .await?;
        match latest {
            Some(snapshot) if version == self.version => return Ok(snapshot),
            Some(_) | None => {}
        }
        connection.record(node, OwnStatement::Catalog).await?;
        if self.system.is_none() {
            self.system = Some(Arc::new(part(connection, queries::SYSTEM).await?));
        }
        let mut user = collected(connection, queries::USER).await?;
        if let Some(latest) = &latest {
            user.keep_views(&latest.catalog);
        }
        let complete = read_views(connection, &mut user).await?;
        let (system, user) = (self.system.clone().unwrap_or_default(), user.finish());
        // What could not be read now is asked for again with the next look.
        self.version = if complete { version } else { String::new() };
        let number = latest.map_or(1, |snapshot| snapshot.version + 1);
        let catalog = Arc::new(Catalog::new(system, user));
        Ok(Arc::new(Snapshot { catalog, version: number, labels: Mutex::default() }))
    }
}

/// How long the definition of a view may wait for whoever has locked the view, or what is under it.
const LOCKED: &str = "SET lock_timeout = '100ms'";
const NOT_LOCKED: &str = "RESET lock_timeout";

/// After how many views that cannot be read the others are left for the next look.
const MOST_LOCKED: usize = 20;

/// Reads the definitions that are not known yet; says whether all of them could be read. A view without its definition is
/// not understood: to read from it is opaque.
async fn read_views(connection: &mut OwnConnection, user: &mut PartBuilder) -> Result<bool, ConnectError> {
    let missing = user.views_without_text();
    if missing.is_empty() {
        return Ok(true);
    }
    connection.query(OwnStatement::Catalog, LOCKED, &mut |_| Ok(())).await?;
    let mut unreadable = 0;
    if !texts(connection, user, &missing).await? {
        // One that is locked, or was dropped meanwhile, does not keep the others from being read.
        for view in user.views_without_text() {
            unreadable += usize::from(!texts(connection, user, &[view]).await?);
            if unreadable == MOST_LOCKED {
                break;
            }
        }
    }
    connection.query(OwnStatement::Catalog, NOT_LOCKED, &mut |_| Ok(())).await?;
    Ok(unreadable == 0)
}

/// Reads these definitions, unless the server refuses.
async fn texts(connection: &mut OwnConnection, user: &mut PartBuilder, views: &[u32]) -> Result<bool, ConnectError> {
    let text = queries::view_texts(views);
    let mut take = |row: &[Option<&str>]| {
        user.row(&queries::VIEWS, row).map_err(|error| ConnectError::Protocol(error.to_string()))
    };
    match connection.query(OwnStatement::Catalog, &text, &mut take).await {
        Ok(()) => Ok(true),
        Err(ConnectError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn part(connection: &mut OwnConnection, all: &[queries::Query]) -> Result<Part, ConnectError> {
    collected(connection, all).await.map(PartBuilder::finish)
}

async fn collected(connection: &mut OwnConnection, all: &[queries::Query]) -> Result<PartBuilder, ConnectError> {
    let mut builder = PartBuilder::default();
    for query in all {
        connection
            .query(OwnStatement::Catalog, &query.text(), &mut |row| {
                builder.row(query, row).map_err(|error| ConnectError::Protocol(error.to_string()))
            })
            .await?;
    }
    Ok(builder)
}
