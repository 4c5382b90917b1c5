//! A channel to people: a message for each approval, one for all that are too many, and what became of them.
//!
//! What is to be told is looked up when it is told, so that nobody is asked for what is answered already; a channel that
//! was away for a while has nothing to catch up with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::clock;
use gateway::node::Node;
use gateway::sinks::{self, Pace, PositionError};
use ledger::ReadError;
use model::approval::Status;
use model::event::Event;
use model::id::ApprovalId;
use model::time::Timestamp;
use store::config::NotifyPace;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::about::Interest;
use super::failure::Failure;
use super::feed::{Feed, Told};
use super::kept::{How, Kept};
use super::words::{self, Notice};
use super::{Gauges, Links, People};

/// How long to wait at most before looking whether something is due.
const PAUSE: Duration = Duration::from_millis(200);

/// How many entries that are about no approval may pass before the position is kept.
const PASSED: u64 = 10_000;

/// What a channel works with.
pub(super) struct Setup {
    pub(super) node: Arc<Node>,
    pub(super) people: People,
    pub(super) links: Links,
    pub(super) interest: Interest,
    pub(super) limits: NotifyPace,
    pub(super) gauges: Gauges,
    pub(super) pace: Pace,
    pub(super) stop: CancellationToken,
    pub(super) path: PathBuf,
}

/// The channel at work.
pub(super) struct Task {
    setup: Setup,
    feed: Feed,
    kept: Kept,
    /// The position that is in the file.
    stored: u64,
    is_changed: bool,
    failures: u32,
    next_try: Instant,
    /// When the journal is read again that could not be read, and the file written that could not be written.
    reading: Again,
    keeping: Again,
}

/// When something is tried again that failed.
#[derive(Default)]
struct Again {
    failures: u32,
    after: Option<Instant>,
}

impl Again {
    fn is_due(&self) -> bool {
        self.after.is_none_or(|after| Instant::now() >= after)
    }

    fn tried(&mut self, went_well: bool, pace: &Pace) {
        if went_well {
            *self = Self::default();
        } else {
            self.after = Some(Instant::now() + sinks::doubled(self.failures, pace));
            self.failures = self.failures.saturating_add(1);
        }
    }
}

/// Tells people of approvals until Sluice stops.
pub(super) async fn run(setup: Setup) {
    let (gauges, feed) = (setup.gauges.clone(), Feed::new(Arc::clone(&setup.node)));
    match begin(&setup, &feed).await {
        Ok(kept) => {
            let stored = kept.position.next;
            let (next_try, reading, keeping) = (Instant::now(), Again::default(), Again::default());
            Task { setup, feed, kept, stored, is_changed: true, failures: 0, next_try, reading, keeping }.run().await;
        }
        Err(error) => gauges.stopped(&error),
    }
}

async fn begin(setup: &Setup, feed: &Feed) -> Result<Kept, PositionError> {
    let path = setup.path.clone();
    let kept = super::blocking(move || Kept::load(&path)).await?;
    let position = feed.begin(kept.as_ref().map(|kept| kept.position)).await?;
    Ok(Kept { position, ..kept.unwrap_or_default() })
}

impl Task {
    async fn run(mut self) {
        let stop = self.setup.stop.clone();
        while !stop.is_cancelled() {
            let has_more = tokio::select! { read = self.read_on() => read, () = stop.cancelled() => break };
            let did = match Instant::now() >= self.next_try {
                true => tokio::select! { did = self.step() => did, () = stop.cancelled() => break },
                false => Ok(false),
            };
            match &did {
                Ok(true) => self.failures = 0,
                Ok(false) => {}
                Err(failure) => self.failed(failure),
            }
            self.setup.gauges.waiting(self.kept.waiting(clock::now()));
            if matches!(did, Ok(true)) || has_more {
                continue;
            }
            if self.is_changed || self.kept.position.next.saturating_sub(self.stored) >= PASSED {
                self.keep().await;
            }
            tokio::select! {
                () = self.setup.node.recorder.grown() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
        self.keep_now().await;
    }

    /// Reads on, unless that has just failed. Whether there was anything about approvals.
    async fn read_on(&mut self) -> bool {
        if !self.reading.is_due() {
            return false;
        }
        let read = self.read().await;
        self.reading.tried(read.is_ok(), &self.setup.pace);
        read.unwrap_or_else(|error| {
            self.setup.gauges.failed(&error);
            false
        })
    }

    /// Takes in what happened. Whether there was anything about approvals.
    async fn read(&mut self) -> Result<bool, ReadError> {
        let Some(read) = self.feed.next(self.kept.position).await? else { return Ok(false) };
        read.told.iter().for_each(|told| self.take_in(told));
        self.kept.position = read.after;
        self.is_changed |= !read.told.is_empty();
        Ok(!read.told.is_empty())
    }

    fn take_in(&mut self, told: &Told) {
        match &told.event {
            Event::ApprovalAsked { asked, .. } if self.setup.interest.is_in(asked) => {
                let after = u64::try_from(self.setup.limits.after.as_millis()).unwrap_or(u64::MAX);
                self.kept.asked(told.approval, told.at.plus_millis(after));
            }
            Event::ApprovalAsked { .. } => {}
            _ => self.kept.changed(told.approval),
        }
    }

    /// Tells one thing; whether there was one.
    async fn step(&mut self) -> Result<bool, Failure> {
        if let Some((id, reference)) = self.kept.to_follow() {
            let followed = self.follow(id, &reference).await;
            return self.tried(id, followed);
        }
        let now = clock::now();
        if self.is_period_over(now) {
            if !self.kept.held().is_empty() {
                return self.digest(now).await.map(|()| true);
            }
            self.kept.told = 0;
        }
        match self.kept.to_tell(now) {
            Some(id) if self.kept.told < self.setup.limits.most => {
                let told = self.tell(id, now).await;
                self.tried(id, told)
            }
            Some(_) => {
                self.kept.hold(now);
                self.is_changed = true;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn tried(&mut self, id: ApprovalId, result: Result<(), Failure>) -> Result<bool, Failure> {
        if result.is_err() {
            self.kept.failed(id);
        }
        result.map(|()| true)
    }

    /// A clock that was set back ends the period too.
    fn is_period_over(&self, now: Timestamp) -> bool {
        let every = self.setup.limits.every.as_millis();
        now < self.kept.period || u128::from(now.millis_since(self.kept.period)) >= every
    }

    /// Tells of an approval, if it waits still.
    async fn tell(&mut self, id: ApprovalId, now: Timestamp) -> Result<(), Failure> {
        let Some(notice) = self.notice(id, now).await?.filter(Notice::is_open) else {
            self.forget(id);
            return Ok(());
        };
        let reference = self.setup.people.post(&notice).await?;
        self.setup.gauges.sent();
        self.kept.counted(now);
        if let Some(open) = self.kept.open.get_mut(&id) {
            (open.how, open.tries) = (How::Sent(reference), 0);
        }
        self.keep().await;
        Ok(())
    }

    /// Tells what became of an approval that was told of.
    async fn follow(&mut self, id: ApprovalId, reference: &str) -> Result<(), Failure> {
        let Some(notice) = self.notice(id, clock::now()).await? else {
            self.forget(id);
            return Ok(());
        };
        let (edits, status) = (self.setup.people.edits(), notice.approval.status);
        if edits || status != Status::Pending {
            self.setup.people.follow(reference, &notice).await?;
            self.setup.gauges.sent();
        }
        let is_over = !matches!(status, Status::Pending | Status::Approved);
        if is_over || !edits && status != Status::Pending {
            self.forget(id);
        } else if let Some(open) = self.kept.open.get_mut(&id) {
            (open.is_changed, open.tries) = (false, 0);
        }
        self.keep().await;
        Ok(())
    }

    /// Tells of all that got no message of their own, in one.
    async fn digest(&mut self, now: Timestamp) -> Result<(), Failure> {
        let (held, state) = (self.kept.held(), Arc::clone(&self.setup.node.state));
        let ids = held.clone();
        let found = super::blocking(move || {
            let found = ids.into_iter().map(|id| state.approval(id));
            found.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        });
        let waiting = found.await?.into_iter().map(crate::approvals::as_of_now);
        let waiting: Vec<_> = waiting.filter(|approval| approval.status == Status::Pending).collect();
        self.kept.told = 0;
        if !waiting.is_empty() {
            let (title, text) = words::digest(&waiting, self.kept.beyond);
            self.setup.people.say(&title, &text, self.setup.links.inbox().as_deref()).await?;
            self.setup.gauges.sent();
            self.kept.counted(now);
        }
        self.kept.beyond = 0;
        held.into_iter().for_each(|id| self.forget(id));
        self.keep().await;
        Ok(())
    }

    async fn notice(&self, id: ApprovalId, now: Timestamp) -> Result<Option<Notice>, Failure> {
        let found = super::approval(&self.setup.node, id).await?;
        let (link, after) = (self.setup.links.to(id), Some(self.setup.limits.after).filter(|after| !after.is_zero()));
        Ok(found.map(|approval| Notice { approval, link, after, now }))
    }

    fn forget(&mut self, id: ApprovalId) {
        self.kept.open.remove(&id);
        self.is_changed = true;
    }

    fn failed(&mut self, failure: &Failure) {
        self.setup.gauges.failed(failure);
        self.next_try = Instant::now() + failure.wait(self.failures, &self.setup.pace);
        self.failures = self.failures.saturating_add(1);
    }

    /// Keeps how things are; later, if that has just failed.
    async fn keep(&mut self) {
        self.is_changed = true;
        if self.keeping.is_due() {
            self.keep_now().await;
        }
    }

    async fn keep_now(&mut self) {
        let (kept, path) = (self.kept.clone(), self.setup.path.clone());
        let stored = super::blocking(move || kept.store(&path)).await;
        self.keeping.tried(stored.is_ok(), &self.setup.pace);
        match stored {
            Ok(()) => (self.is_changed, self.stored) = (false, self.kept.position.next),
            // It may be told again after a restart.
            Err(error) => self.setup.gauges.failed(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_again_after_twice_as_long_each_time_and_at_once_when_it_went_well() {
        let (mut again, pace) = (Again::default(), Pace::default());
        assert!(again.is_due());
        for failures in 0..4 {
            let before = Instant::now();
            again.tried(false, &pace);
            assert!(again.after >= Some(before + sinks::doubled(failures, &pace)), "{failures}");
        }
        assert!(!again.is_due());
        again.tried(true, &pace);
        assert!(again.is_due());
        again.tried(false, &pace);
        assert!(again.after <= Some(Instant::now() + pace.first_wait), "from the beginning");
    }
}
