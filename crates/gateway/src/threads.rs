//! Work on all processors, for commands that have the machine to themselves.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work` with every number below `count`, on as many threads as there are processors.
pub fn on_all_processors(count: usize, work: &(dyn Fn(usize) + Sync)) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    work(at);
                }
            });
        }
    });
}
