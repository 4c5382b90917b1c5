//! Work beside the sessions: each kind in a task of its own, so that a defect in one ends no other, and is begun again.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long after a panic the work is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// All of it. Each goes on until it is stopped.
pub(crate) struct Background {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    again: Duration,
    metrics: Metrics,
}

impl Background {
    /// None yet.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { tasks: JoinSet::new(), stop: CancellationToken::new(), again: AGAIN, metrics }
    }

    /// Begins work of this name; `begin` makes it, again after a panic.
    pub(crate) fn keep<W>(&mut self, name: &'static str, begin: impl Fn() -> W + Send + 'static)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (stop, panics) = (self.stop.clone(), self.metrics.background_panics.with_label_values(&[name]));
        let again = self.again;
        self.tasks.spawn(async move {
            loop {
                let mut work = tokio::spawn(begin());
                tokio::select! {
                    () = stop.cancelled() => {
                        work.abort();
                        let _ = work.await;
                        return;
                    }
                    ended = &mut work => if !ended.is_err_and(|error| error.is_panic()) {
                        return;
                    },
                }
                panics.inc();
                tracing::error!(work = name, "work beside the sessions panicked, and is begun again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(again) => {}
                }
            }
        });
    }

    /// Stops all of it, wherever it is, and waits for that.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_panics_is_counted_and_begun_again_and_ends_nothing_else() {
        let metrics = Metrics::new().unwrap();
        let (fragile, sound, third) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut background = Background { again: Duration::ZERO, ..Background::new(metrics.clone()) };
        let (begun, told) = (Arc::clone(&fragile), Arc::clone(&third));
        background.keep("fragile", move || {
            let (begun, told) = (Arc::clone(&begun), Arc::clone(&told));
            async move {
                assert!(begun.fetch_add(1, Ordering::SeqCst) >= 2, "as it is meant to");
                told.notify_one();
                std::future::pending::<()>().await;
            }
        });
        let begun = Arc::clone(&sound);
        background.keep("sound", move || {
            let begun = Arc::clone(&begun);
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
        });
        tokio::time::timeout(Duration::from_secs(60), third.notified()).await.unwrap();
        assert_eq!(metrics.background_panics.with_label_values(&["fragile"]).get(), 2);
        background.stop().await;
        assert_eq!((fragile.load(Ordering::SeqCst), sound.load(Ordering::SeqCst)), (3, 1));
    }
}
