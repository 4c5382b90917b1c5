//! One sink at work.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Level, ReadError};
use prometheus::IntGauge;
use store::config::{SinkConfig, SinkStart};
use tokio_util::sync::CancellationToken;

use super::Pace;
use super::feed::{Batch, Feed};
use super::outlet::{Failure, Outlet};
use super::position::{Position, PositionError};
use crate::node::Node;
use crate::recorder::entry;

/// How long to wait at most before looking whether the journal has grown.
const PAUSE: Duration = Duration::from_millis(200);

/// How many entries are worth a batch at once.
const ENOUGH: u64 = 500;

/// How often it is said how far behind a sink is that waits.
const TICK: Duration = Duration::from_secs(1);

/// How many entries may pass a sink that wants none of them before its position is kept.
const PASSED: u64 = 10_000;

/// One sink.
pub(super) struct Task {
    node: Arc<Node>,
    config: SinkConfig,
    outlet: Outlet,
    pace: Pace,
    finishing: CancellationToken,
    feed: Option<Feed>,
    /// What the journal and the receiver agree on.
    at: Position,
    /// What of it is in the position's file.
    kept: u64,
}

/// Says that the sink goes on, for as long as it does: also where it ends by a panic.
struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl Task {
    pub(super) fn new(
        node: Arc<Node>,
        config: SinkConfig,
        outlet: Outlet,
        pace: Pace,
        finishing: CancellationToken,
    ) -> Self {
        let feed = Feed::new(Arc::clone(node.recorder.journal()), Arc::clone(&node.state), &config);
        Self { node, config, outlet, pace, finishing, feed: Some(feed), at: Position::default(), kept: 0 }
    }

    /// Sends what is in the journal and what comes, until there is nothing left to do and Sluice stops.
    pub(super) async fn run(mut self) {
        let running = Running(self.node.metrics.sink_running.with_label_values(&[&self.config.name]));
        running.0.set(1);
        if !self.record_use().await {
            return;
        }
        if let Err(error) = self.begin().await {
            tracing::error!(sink = %self.config.name, %error, "the sink has STOPPED: it cannot tell where to go on");
            return;
        }
        let mut failures = 0;
        loop {
            match self.read().await {
                Ok(Some(batch)) => {
                    failures = 0;
                    if !batch.events.is_empty() && !self.send(&batch).await {
                        break;
                    }
                    self.acknowledge(&batch).await;
                    self.gather().await;
                }
                Ok(None) if self.finishing.is_cancelled() => break,
                Ok(None) => self.wait_for_more().await,
                Err(error) => {
                    self.failed(&error);
                    if self.finishing.is_cancelled() {
                        break;
                    }
                    self.pause(doubled(failures, &self.pace)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
        if self.kept != self.at.next {
            self.keep().await;
        }
    }

    /// Has it in the journal that a secret is used, before it is: nothing is sent before the journal can be written. `false`:
    /// Sluice stops first.
    async fn record_use(&self) -> bool {
        let Some(used) = self.outlet.uses() else { return true };
        while self.node.recorder.record(vec![entry(used.clone())], Level::Process).await.is_err() {
            if self.finishing.is_cancelled() {
                return false;
            }
        }
        true
    }

    /// Finds the place to go on from, or where a sink begins that has none.
    async fn begin(&mut self) -> Result<(), PositionError> {
        let (path, journal) = (self.path(), Arc::clone(self.node.recorder.journal()));
        let first = self.config.from;
        let found = blocking(move || match Position::load(&path)? {
            Some(position) => position.confirm(&journal),
            None => {
                let next = if first == SinkStart::Start { 0 } else { journal.size() };
                let position = Position::before(&journal, next)?;
                position.store(&path).map_err(|source| PositionError::File { path, source })?;
                Ok(position)
            }
        });
        self.at = found.await?;
        self.kept = self.at.next;
        tracing::info!(sink = %self.config.name, entry = self.at.next, "the sink goes on");
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<Batch>, ReadError> {
        self.show_lag();
        let (recorder, at) = (&self.node.recorder, self.at);
        if recorder.journal().size() <= at.next {
            return Ok(None);
        }
        // What left must not be missing here after a power cut: a receiver would know more than the journal.
        let durable = recorder.durable_beyond(at.next).await;
        let Some(mut feed) = self.feed.take() else { return Ok(None) };
        let (feed, batch) = blocking(move || {
            let batch = feed.next(at, durable);
            (feed, batch)
        })
        .await;
        self.feed = Some(feed);
        batch
    }

    /// Sends a batch until it is taken. `false`: Sluice stops first, and it is sent again after the next start.
    async fn send(&mut self, batch: &Batch) -> bool {
        let mut failures = 0;
        loop {
            match self.outlet.deliver(batch, self.pace.deadline).await {
                Ok(rejected) => {
                    self.delivered(batch, rejected);
                    return true;
                }
                Err(failure) => {
                    self.failed(&failure);
                    if self.finishing.is_cancelled() {
                        return false;
                    }
                    self.pause(wait_after(failures, &failure, &self.pace)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    fn delivered(&self, batch: &Batch, rejected: u64) {
        let (name, metrics) = (&*self.config.name, &self.node.metrics);
        let sent = u64::try_from(batch.events.len()).unwrap_or(0);
        metrics.sink_events.with_label_values(&[name]).inc_by(sent.saturating_sub(rejected));
        if rejected > 0 {
            metrics.sink_rejected.with_label_values(&[name]).inc_by(rejected);
            let (first, last) = (batch.first, batch.last);
            tracing::error!(sink = name, rejected, first, last, "the receiver REJECTED events of these entries");
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        self.node.metrics.sink_failures.with_label_values(&[&self.config.name]).inc();
        let (name, entry) = (&self.config.name, self.at.next);
        tracing::error!(sink = %name, entry, %error, "the sink cannot send; nothing is lost, it is tried again");
    }

    async fn acknowledge(&mut self, batch: &Batch) {
        self.at = batch.after;
        self.show_lag();
        if !batch.events.is_empty() || self.at.next.saturating_sub(self.kept) >= PASSED {
            self.keep().await;
        }
    }

    async fn keep(&mut self) {
        let (path, at) = (self.path(), self.at);
        match blocking(move || at.store(&path)).await {
            Ok(()) => self.kept = at.next,
            Err(error) => {
                self.node.metrics.sink_failures.with_label_values(&[&self.config.name]).inc();
                tracing::error!(sink = %self.config.name, %error, "the sink's position cannot be kept: a restart sends twice");
            }
        }
    }

    async fn wait_for_more(&self) {
        tokio::select! {
            () = self.node.recorder.grown() => {}
            () = tokio::time::sleep(PAUSE) => return,
            () = self.finishing.cancelled() => return,
        }
        self.gather().await;
    }

    /// Lets entries gather, unless there are enough of them: a batch costs more than what is in it.
    async fn gather(&self) {
        let behind = self.node.recorder.journal().size().saturating_sub(self.at.next);
        if behind < ENOUGH {
            let _ = tokio::time::timeout(self.pace.gather, self.finishing.cancelled()).await;
        }
    }

    /// Waits, and says meanwhile how far behind it is. The end of Sluice ends the wait.
    async fn pause(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.finishing.is_cancelled() {
            let step = left.min(TICK);
            let _ = tokio::time::timeout(step, self.finishing.cancelled()).await;
            left = left.saturating_sub(step);
            self.show_lag();
        }
    }

    fn show_lag(&self) {
        let lag = self.node.recorder.journal().size().saturating_sub(self.at.next);
        let gauge = self.node.metrics.sink_lag.with_label_values(&[&self.config.name]);
        gauge.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    fn path(&self) -> std::path::PathBuf {
        self.node.layout().sinks().join(format!("{}.position", self.config.name))
    }
}

/// The wait after one more failure than these.
pub fn doubled(failures: u32, pace: &Pace) -> Duration {
    pace.first_wait.saturating_mul(2_u32.saturating_pow(failures)).min(pace.most_wait)
}

/// How long to wait after so many failures and this one.
fn wait_after(failures: u32, failure: &Failure, pace: &Pace) -> Duration {
    let doubled = doubled(failures, pace);
    let own = if failure.is_refusal() { pace.refused_wait.max(doubled) } else { doubled };
    own.max(failure.asked_to_wait().unwrap_or_default().min(pace.longest_wait))
}

/// Runs what blocks beside the runtime's own threads. A panic in it is this task's.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_heed_the_receiver_up_to_another() {
        let pace = Pace::default();
        let seconds = |failures, failure: &Failure| wait_after(failures, failure, &pace).as_secs_f64();
        let waits: Vec<f64> = [0, 1, 2, 3, 10, u32::MAX].map(|failures| seconds(failures, &Failure::Deadline)).into();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 30.0, 30.0]);
        let later = |asked| Failure::Later(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(asked)));
        assert_eq!([seconds(0, &later(0)), seconds(0, &later(60)), seconds(0, &later(86_400))], [0.5, 60.0, 300.0]);
        assert_eq!(seconds(0, &Failure::Refused(StatusCode::BAD_REQUEST)), 30.0);
    }
}
