//! Scans of targets: long work that is begun, looked at and cancelled, each by a call of its own.
//!
//! A scan runs in this process and nowhere else, and is forgotten with it. One that nobody asks about any more is cancelled:
//! whoever began it is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use gateway::clock;
use gateway::postgres::{MOST_SCAN_ROWS, SCAN_ROWS, ScanError, ScanProgress, ScanReport, scan, scanned};
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::access::Caller;
use crate::answer::Answer;
use crate::app::App;
use crate::input::Params;
use crate::journal;
use crate::problem::Problem;
use crate::shape;

/// How many may run at once, one for each target.
const MOST_RUNNING: usize = 4;

/// How many are remembered.
const MOST_KEPT: usize = 32;

/// How long one that is over is remembered.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How long one goes on that nobody asks about.
const UNATTENDED: Duration = Duration::from_secs(60);

/// How often it is looked whether somebody asks.
const LOOK: Duration = Duration::from_secs(1);

/// Every scan of this process.
#[derive(Debug, Default)]
pub(crate) struct Scans {
    kept: Mutex<VecDeque<Arc<Scan>>>,
}

#[derive(Debug)]
struct Scan {
    id: String,
    target: Arc<str>,
    database: Arc<str>,
    by: SubjectKey,
    began: Timestamp,
    progress: ScanProgress,
    cancel: CancellationToken,
    seen: Mutex<Seen>,
}

/// What changes of a scan.
#[derive(Debug)]
struct Seen {
    /// When somebody last asked.
    asked: Instant,
    /// How it ended, and when.
    ended: Option<(Instant, Result<Arc<ScanReport>, ScanError>)>,
}

/// A lock that a panic has poisoned is still that of whole values.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scans {
    /// Takes a new one in, unless there are too many.
    fn begin(&self, scan: Scan) -> Result<Arc<Scan>, Problem> {
        let mut kept = locked(&self.kept);
        kept.retain(|scan| !scan.is_over_for(KEPT));
        let running = kept.iter().filter(|scan| !scan.is_over());
        if running.clone().any(|running| running.target == scan.target) {
            return Err(Problem::conflict("this target is being scanned; wait for it, or cancel it"));
        }
        if running.count() >= MOST_RUNNING {
            return Err(Problem::too_many("too many targets are being scanned; wait for one, or cancel it"));
        }
        if kept.len() >= MOST_KEPT
            && let Some(oldest) = kept.iter().position(|scan| scan.is_over())
        {
            drop(kept.remove(oldest));
        }
        let scan = Arc::new(scan);
        kept.push_back(Arc::clone(&scan));
        Ok(scan)
    }

    fn find(&self, id: &str) -> Result<Arc<Scan>, Problem> {
        let kept = locked(&self.kept);
        kept.iter().find(|scan| scan.id == id).cloned().ok_or_else(|| Problem::not_found("scan; it may be forgotten"))
    }
}

impl Scan {
    fn is_over(&self) -> bool {
        locked(&self.seen).ended.is_some()
    }

    fn is_over_for(&self, time: Duration) -> bool {
        locked(&self.seen).ended.as_ref().is_some_and(|(at, _)| at.elapsed() > time)
    }

    /// Ends when nobody has asked for a while.
    async fn abandoned(&self) {
        while !self.is_abandoned() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_abandoned(&self) -> bool {
        locked(&self.seen).asked.elapsed() > UNATTENDED
    }

    /// Runs to its end, or until it is cancelled, abandoned, or the process ends.
    async fn run(&self, app: &App, rows: u32) {
        let scanning = scan(&app.node, &self.target, &self.database, rows, &self.progress, &self.cancel);
        let ended = tokio::select! {
            ended = scanning => ended,
            () = self.abandoned() => Err(ScanError::Cancelled),
            () = app.draining.cancelled() => Err(ScanError::Cancelled),
        };
        locked(&self.seen).ended = Some((Instant::now(), ended.map(Arc::new)));
    }

    fn view(&self) -> View {
        let mut seen = locked(&self.seen);
        seen.asked = Instant::now();
        let (relations, done) = self.progress.relations();
        let (state, error, report) = match &seen.ended {
            None => ("running", None, None),
            Some((_, Ok(report))) => ("done", None, Some(Arc::clone(report))),
            Some((_, Err(ScanError::Cancelled))) => ("cancelled", None, None),
            Some((_, Err(error))) => ("failed", Some(error.to_string()), None),
        };
        View {
            id: self.id.clone(),
            target: Arc::clone(&self.target),
            database: Arc::clone(&self.database),
            by: self.by.clone(),
            began: self.began,
            state,
            relations,
            done,
            values: self.progress.values(),
            error,
            report,
        }
    }
}

/// A scan as it is told.
#[derive(Serialize)]
struct View {
    id: String,
    target: Arc<str>,
    database: Arc<str>,
    by: SubjectKey,
    began: Timestamp,
    state: &'static str,
    relations: u64,
    done: u64,
    values: u64,
    error: Option<String>,
    report: Option<Arc<ScanReport>>,
}

/// What is scanned.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScanParams {
    /// The target's database; its first unless given.
    database: Option<String>,
    /// How many rows of each relation are looked at, 1 to 1000; 200 unless given.
    rows: Option<u32>,
}

/// Begins to look at names, types and a sample of values, for what the columns may be classified as. No value is kept or
/// shown. It runs on by itself: ask for it until it is over; a minute without being asked for cancels it.
#[utoipa::path(post, path = "/v1/targets/{target}/scan", tag = "revision",
    params(("target" = String, Path, description = "The target"), ScanParams),
    responses((status = 202, description = "It has begun", body = shape::ScanView),
        (status = 404, description = "No such target or database"),
        (status = 409, description = "The target is being scanned"),
        (status = 429, description = "Too many targets are being scanned"),
        (status = 503, description = "It cannot be recorded now")))]
pub(crate) async fn begin(
    State(app): State<App>,
    caller: Caller,
    Path(target): Path<String>,
    Params(params): Params<ScanParams>,
) -> Result<impl IntoResponse, Problem> {
    let active = app.node.revisions.current();
    let known = active.targets.get_key_value(&*target).map(|(name, config)| (Arc::clone(name), config.postgres()));
    let (name, postgres) = known.ok_or_else(|| Problem::not_found("target or database"))?;
    if postgres.is_none() {
        return Err(Problem::bad("only targets that speak PostgreSQL can be scanned"));
    }
    let rows = params.rows.unwrap_or(SCAN_ROWS);
    if !(1..=MOST_SCAN_ROWS).contains(&rows) {
        return Err(Problem::bad(format!("rows is a number from 1 to {MOST_SCAN_ROWS}")));
    }
    let database =
        scanned(&app.node, &name, params.database.as_deref()).map_err(|_| Problem::not_found("target or database"))?;
    let id = clock::random_bits().map_err(|_| Problem::internal())?;
    journal::act(&app, &caller, "target.scan", format!("{name}/{database}")).await?;
    let scan = app.scans.begin(Scan {
        id: format!("{id:016x}"),
        target: name,
        database,
        by: caller.subject.key.clone(),
        began: clock::now(),
        progress: ScanProgress::default(),
        cancel: CancellationToken::new(),
        seen: Mutex::new(Seen { asked: Instant::now(), ended: None }),
    })?;
    let (running, of) = (Arc::clone(&scan), app.clone());
    app.node.tasks.spawn(async move { running.run(&of, rows).await });
    Ok(Answer(StatusCode::ACCEPTED, scan.view()))
}

/// Shows how far a scan is, and what it found when it is done.
#[utoipa::path(get, path = "/v1/scans/{id}", tag = "revision",
    params(("id" = String, Path, description = "The scan")),
    responses((status = 200, description = "How far it is, or what it found", body = shape::ScanView),
        (status = 404, description = "No such scan")))]
pub(crate) async fn get(State(app): State<App>, Path(id): Path<String>) -> Result<impl IntoResponse, Problem> {
    Ok(Answer::ok(app.scans.find(&id)?.view()))
}

/// Cancels a scan. What it has read is forgotten.
#[utoipa::path(post, path = "/v1/scans/{id}/cancel", tag = "revision",
    params(("id" = String, Path, description = "The scan")),
    responses((status = 200, description = "It is over, or about to be", body = shape::ScanView),
        (status = 404, description = "No such scan"),
        (status = 503, description = "It cannot be recorded now")))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let scan = app.scans.find(&id)?;
    journal::act(&app, &caller, "scan.cancel", format!("{}/{}", scan.target, scan.database)).await?;
    scan.cancel.cancel();
    Ok(Answer::ok(scan.view()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(target: &str) -> Scan {
        Scan {
            id: format!("of-{target}"),
            target: target.into(),
            database: "d".into(),
            by: SubjectKey { issuer: "corp".into(), id: "ann".into() },
            began: Timestamp(0),
            progress: ScanProgress::default(),
            cancel: CancellationToken::new(),
            seen: Mutex::new(Seen { asked: Instant::now(), ended: None }),
        }
    }

    #[test]
    fn each_target_is_scanned_once_at_a_time_and_not_too_many_are() {
        let scans = Scans::default();
        let first = scans.begin(one("t0")).unwrap();
        assert!(scans.begin(one("t0")).is_err());
        for at in 1..MOST_RUNNING {
            scans.begin(one(&format!("t{at}"))).unwrap();
        }
        assert!(scans.begin(one("more")).is_err());
        locked(&first.seen).ended = Some((Instant::now(), Err(ScanError::Cancelled)));
        assert_eq!(first.view().state, "cancelled");
        assert!(scans.begin(one("more")).is_ok());
        assert!(scans.find("of-t1").is_ok() && scans.find("of-nothing").is_err());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let scans = Scans::default();
        for _ in 0..MOST_KEPT * 2 {
            let scan = scans.begin(one("t")).unwrap();
            locked(&scan.seen).ended = Some((Instant::now(), Err(ScanError::Unavailable)));
        }
        assert_eq!(locked(&scans.kept).len(), MOST_KEPT);
    }

    #[test]
    fn one_that_nobody_asks_about_is_abandoned() {
        let scan = one("t");
        locked(&scan.seen).asked = Instant::now().checked_sub(UNATTENDED * 2).unwrap();
        assert!(scan.is_abandoned());
        drop(scan.view());
        assert!(!scan.is_abandoned());
    }
}
