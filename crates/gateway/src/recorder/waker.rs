//! A session writes on a thread of the runtime. If that write hangs, the thread may be the one that looks after sockets
//! and timers, and the others sleep until somebody wakes them: this does.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Recorder;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(25);

/// Wakes until it is dropped.
pub(super) struct Waker {
    _alive: Arc<()>,
}

impl Waker {
    pub(super) fn start(recorder: &Arc<Recorder>) -> Self {
        let alive = Arc::new(());
        let (watched, watching, runtime) = (Arc::downgrade(recorder), Arc::downgrade(&alive), Handle::current());
        let started = thread::Builder::new()
            .name("journal-watch".into())
            .spawn(move || while look(&watched, &watching, &runtime) {});
        if let Err(error) = started {
            tracing::error!(%error, "nobody watches the journal: a disk that hangs may hold up everything");
        }
        Self { _alive: alive }
    }
}

/// Looks once; says whether to go on.
fn look(recorder: &Weak<Recorder>, alive: &Weak<()>, runtime: &Handle) -> bool {
    thread::sleep(PERIOD);
    let Some(recorder) = recorder.upgrade().filter(|_| alive.strong_count() > 0) else { return false };
    if recorder.health.is_writing_slowly() {
        // A task that comes from outside wakes a thread, which then looks after sockets and timers.
        runtime.spawn(async {});
    }
    true
}
