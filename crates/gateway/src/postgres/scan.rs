//! `sluice target scan`: what the columns of a database may be classified as.
//!
//! It reads names, types, comments and a bounded sample of values, with the target's own credential, on a connection of
//! its own and in transactions that cannot write. Values go through the detectors of `masking` and are forgotten: what is
//! answered are names and counts. Nothing is run but what the server ships: relations with row security, views and foreign
//! tables, and tables with a foreign partition, are not sampled, as reading them runs what their owners wrote.
//!
//! Start with [`scan`]; what is asked is in `queries`, what is written down in `fragment`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use masking::suggest::{self, Confidence, Looks};
use model::class::Marking;
use model::effect::{ColumnName, TableName};
use policy::OwnStatement;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::server::Server;
use super::upstream::{ConnectError, OwnConnection};
use crate::node::Node;
use crate::revision::Active;

mod fragment;
mod queries;

use queries::{Column, Relation};

/// How long all of it may take; what was not sampled by then is said.
const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// How long reading the names may take, and one sample. The server is told to give up before.
const NAMES: Duration = Duration::from_secs(30);
const SAMPLE: Duration = Duration::from_secs(6);

/// The most columns that are looked at.
const MOST_COLUMNS: usize = 20_000;

/// How many rows of each relation are asked for, unless said otherwise, and at most.
pub const SCAN_ROWS: u32 = 200;
/// The most rows that may be asked for.
pub const MOST_SCAN_ROWS: u32 = 1_000;

/// How many bytes of values are taken of one relation, and of all of them.
const MOST_OF_ONE: usize = 4 << 20;
const MOST_OF_ALL: usize = 64 << 20;

/// How often a connection that broke is made anew.
const MOST_CONNECTIONS: usize = 5;

/// How far a scan is.
#[derive(Debug, Default)]
pub struct ScanProgress {
    relations: AtomicU64,
    done: AtomicU64,
    values: AtomicU64,
}

impl ScanProgress {
    /// How many relations there are, once that is known, and how many were looked at.
    pub fn relations(&self) -> (u64, u64) {
        (self.relations.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed))
    }

    /// How many values were looked at.
    pub fn values(&self) -> u64 {
        self.values.load(Ordering::Relaxed)
    }
}

/// What a scan found. Names are the target's own words; no value is in it.
#[derive(Clone, Debug, Serialize)]
pub struct ScanReport {
    /// The target.
    pub target: Arc<str>,
    /// The database.
    pub database: Arc<str>,
    /// How many relations were looked at.
    pub relations: u64,
    /// How many columns.
    pub columns: u64,
    /// How many of them are classified already, or public.
    pub classified: u64,
    /// How many values were looked at.
    pub values: u64,
    /// Whether there are more columns than are looked at.
    pub cut: bool,
    /// What may be classified, in the order of the names.
    pub proposals: Vec<Proposed>,
    /// Where values speak against the classification.
    pub contradictions: Vec<Contradiction>,
    /// What was not sampled, and why; it was judged by names and types.
    pub unsampled: Vec<Unsampled>,
    /// The proposals as lines for `classification.toml`; those that are not sure stand in comments.
    pub fragment: String,
}

/// A class that a column may carry.
#[derive(Clone, Debug, Serialize)]
pub struct Proposed {
    /// The column as `schema.table.column`.
    pub column: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The class.
    pub class: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// How many values were looked at.
    pub values: u64,
    /// How many of them have the form of the class.
    pub hits: u64,
    /// Why, in words.
    pub because: Vec<String>,
    #[serde(skip)]
    name: ColumnName,
}

/// A column whose values speak against what it is classified as.
#[derive(Clone, Debug, Serialize)]
pub struct Contradiction {
    /// The column as `schema.table.column`.
    pub column: String,
    /// What is wrong, in words.
    pub what: String,
}

/// A relation of which no value was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Unsampled {
    /// The relation as `schema.table`.
    pub relation: String,
    /// Why.
    pub why: &'static str,
}

/// Why there is no report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScanError {
    /// The revision in force has no such target that speaks PostgreSQL, or the target no such database.
    #[error("no such target or database")]
    Unknown,
    /// It cannot be read now; the log says why.
    #[error("the target cannot be scanned now; the log of Sluice says why")]
    Unavailable,
    /// Somebody ended it.
    #[error("it was cancelled")]
    Cancelled,
}

/// The database of a target that a scan would look at: the one that is named, or its first.
///
/// # Errors
/// [`ScanError::Unknown`].
pub fn scanned(node: &Node, target: &str, database: Option<&str>) -> Result<Arc<str>, ScanError> {
    let active = node.revisions.current();
    let server = active.targets.get(target).and_then(Server::of).ok_or(ScanError::Unknown)?;
    super::doctor::place(&server, database).ok_or(ScanError::Unknown)
}

/// Looks at a database of a target; ends when `cancel` is cancelled.
///
/// # Errors
/// See [`ScanError`].
pub async fn scan(
    node: &Node,
    target: &str,
    database: &Arc<str>,
    rows: u32,
    progress: &ScanProgress,
    cancel: &CancellationToken,
) -> Result<ScanReport, ScanError> {
    let active = node.revisions.current();
    let server = active.targets.get(target).and_then(Server::of).ok_or(ScanError::Unknown)?;
    let rows = rows.clamp(1, MOST_SCAN_ROWS);
    let until = Instant::now() + DEADLINE;
    let scan = Scan { node, server: &server, database, active: &active, rows, until, progress };
    let scanned = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(ScanError::Cancelled),
        scanned = scan.run() => scanned,
    };
    scanned.map_err(|error| {
        tracing::warn!(target = %server.name(), %error, "the target cannot be scanned");
        ScanError::Unavailable
    })
}

/// One scan.
struct Scan<'a> {
    node: &'a Node,
    server: &'a Server,
    database: &'a Arc<str>,
    active: &'a Active,
    rows: u32,
    until: Instant,
    progress: &'a ScanProgress,
}

/// Why a relation has no sample.
enum NotSampled {
    /// The server would not, or there is nothing to ask for.
    For(&'static str),
    /// The connection cannot be used any more.
    Broken(ConnectError),
}

impl Scan<'_> {
    async fn run(&self) -> Result<ScanReport, ConnectError> {
        let mut connection = Some(self.connect().await?);
        let (relations, cut) = match &mut connection {
            Some(connection) => self.names(connection).await?,
            None => return Err(ConnectError::Internal("no connection")),
        };
        self.progress.relations.store(count(relations.len()), Ordering::Relaxed);
        let (mut report, mut connections, mut taken) = (self.report(&relations, cut), 1, 0);
        for relation in &relations {
            let mut looks = vec![Looks::default(); relation.columns.len()];
            let sampled = match &mut connection {
                _ if Instant::now() >= self.until => Err(NotSampled::For("the time was over")),
                _ if taken >= MOST_OF_ALL => Err(NotSampled::For("as much as may be read was read")),
                None => Err(NotSampled::For("the connection to the target broke too often")),
                Some(connection) => self.sample(connection, relation, &mut looks).await,
            };
            match sampled {
                Ok(bytes) => taken += bytes,
                Err(NotSampled::For(why)) => report.unsampled.push(unsampled(relation, why)),
                Err(NotSampled::Broken(ConnectError::NotRecorded)) => return Err(ConnectError::NotRecorded),
                Err(NotSampled::Broken(error)) => {
                    tracing::info!(target = %self.server.name(), %error, "a sample broke off");
                    report.unsampled.push(unsampled(relation, "the target did not answer with a sample"));
                    // What the broken answer brought does not count.
                    looks.fill(Looks::default());
                    connections += 1;
                    connection = if connections <= MOST_CONNECTIONS { self.connect().await.ok() } else { None };
                }
            }
            self.judge(relation, &looks, &mut report);
            self.progress.done.fetch_add(1, Ordering::Relaxed);
        }
        report.fragment = fragment::of(&report);
        Ok(report)
    }

    async fn connect(&self) -> Result<OwnConnection, ConnectError> {
        OwnConnection::open(self.node, self.server, self.database, OwnStatement::Scan).await
    }

    fn report(&self, relations: &[Relation], cut: bool) -> ScanReport {
        ScanReport {
            target: Arc::clone(self.server.name()),
            database: Arc::clone(self.database),
            relations: count(relations.len()),
            columns: relations.iter().map(|relation| count(relation.columns.len())).sum(),
            classified: 0,
            values: 0,
            cut,
            proposals: Vec::new(),
            contradictions: Vec::new(),
            unsampled: Vec::new(),
            fragment: String::new(),
        }
    }

    /// Every relation with its columns, and whether there are more.
    async fn names(&self, connection: &mut OwnConnection) -> Result<(Vec<Relation>, bool), ConnectError> {
        self.begin(connection).await?;
        let (mut relations, mut columns): (Vec<Relation>, usize) = (Vec::new(), 0);
        let mut take = |row: &[Option<&str>]| {
            columns += 1;
            if columns <= MOST_COLUMNS {
                queries::take(&mut relations, row).ok_or(ConnectError::Protocol("a row of no column".into()))?;
            } else if columns > MOST_COLUMNS + 1 {
                return Err(ConnectError::Protocol("more rows than were asked for".into()));
            }
            Ok(())
        };
        let text = queries::columns(MOST_COLUMNS + 1);
        timely(NAMES, connection.query(OwnStatement::Scan, &text, &mut take)).await?;
        self.end(connection).await?;
        Ok((relations, columns > MOST_COLUMNS))
    }

    /// Begins a transaction that cannot write, waits for nobody, and runs no policy of a relation.
    async fn begin(&self, connection: &mut OwnConnection) -> Result<(), ConnectError> {
        timely(SAMPLE, connection.query(OwnStatement::Scan, queries::BEGIN, &mut |_| Ok(()))).await
    }

    async fn end(&self, connection: &mut OwnConnection) -> Result<(), ConnectError> {
        timely(SAMPLE, connection.query(OwnStatement::Scan, queries::END, &mut |_| Ok(()))).await
    }

    /// Looks at some values of a relation; returns how many bytes they had.
    async fn sample(
        &self,
        connection: &mut OwnConnection,
        relation: &Relation,
        looks: &mut [Looks],
    ) -> Result<usize, NotSampled> {
        if let Some(why) = relation.unfit() {
            return Err(NotSampled::For(why));
        }
        let mut bytes = 0;
        for text in queries::samples(relation, self.rows) {
            let seen = bytes;
            self.begin(connection).await.map_err(NotSampled::Broken)?;
            let mut take = |row: &[Option<&str>]| self.take(relation, row, looks, &mut bytes);
            let asked = timely(SAMPLE, connection.query(OwnStatement::Scan, &text, &mut take)).await;
            let refused = match asked {
                Ok(()) => None,
                Err(ConnectError::Refused(state)) => Some(queries::refused(&state)),
                Err(error) => return Err(NotSampled::Broken(error)),
            };
            self.end(connection).await.map_err(NotSampled::Broken)?;
            if let Some(why) = refused {
                return Err(NotSampled::For(why));
            }
            // Few pages may hold no row at all.
            if bytes > seen {
                break;
            }
        }
        Ok(bytes)
    }

    /// Looks at one row and forgets it.
    fn take(
        &self,
        relation: &Relation,
        row: &[Option<&str>],
        looks: &mut [Looks],
        bytes: &mut usize,
    ) -> Result<(), ConnectError> {
        let mut values = row.iter();
        for (column, looks) in relation.columns.iter().zip(looks).filter(|(column, _)| column.is_sampled) {
            let Some(value) = values.next() else {
                return Err(ConnectError::Protocol("a row that is too short".into()));
            };
            let Some(value) = value else { continue };
            *bytes += value.len().max(1);
            looks.take(&column.named(relation), value);
            self.progress.values.fetch_add(1, Ordering::Relaxed);
        }
        // Null in every column is a row all the same.
        *bytes += 1;
        if *bytes > MOST_OF_ONE {
            return Err(ConnectError::Protocol("more than was asked for".into()));
        }
        Ok(())
    }

    fn judge(&self, relation: &Relation, looks: &[Looks], report: &mut ScanReport) {
        for (column, looks) in relation.columns.iter().zip(looks) {
            report.values += looks.values();
            let name = ColumnName::new(TableName::new(&*relation.schema, &*relation.name), &*column.name);
            let named = column.named(relation);
            let marking = self.active.classification.marking(self.server.name(), self.database, &name);
            if let Some(what) = suggest::contradicts(&marking, &named, looks) {
                report.contradictions.push(Contradiction { column: name.to_string(), what });
            }
            if marking != Marking::Unmarked {
                report.classified += 1;
                continue;
            }
            let proposals = suggest::propose(&named, looks).into_iter();
            report.proposals.extend(proposals.map(|proposal| proposed(column, &name, looks, proposal)));
        }
    }
}

fn proposed(column: &Column, name: &ColumnName, looks: &Looks, proposal: suggest::Proposal) -> Proposed {
    Proposed {
        column: name.to_string(),
        type_name: column.type_name.clone(),
        hits: looks.hits(proposal.class.as_str()),
        class: proposal.class.to_string(),
        confidence: proposal.confidence,
        values: looks.values(),
        because: proposal.because,
        name: name.clone(),
    }
}

fn unsampled(relation: &Relation, why: &'static str) -> Unsampled {
    Unsampled { relation: format!("{}.{}", relation.schema, relation.name), why }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// A target that does not answer in time is given up.
async fn timely(limit: Duration, asked: impl Future<Output = Result<(), ConnectError>>) -> Result<(), ConnectError> {
    tokio::time::timeout(limit, asked).await.unwrap_or(Err(ConnectError::Deadline))
}
