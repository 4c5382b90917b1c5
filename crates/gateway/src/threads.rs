//! Threads: work on all processors, for commands that have the machine to themselves, and work that may wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};

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

/// Does what may keep its thread waiting; if that `is_likely`, other tasks get another thread meanwhile.
pub(crate) fn may_block<T>(is_likely: bool, work: impl FnOnce() -> T) -> T {
    let can_hand_over = || Handle::try_current().is_ok_and(|at| at.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_likely && can_hand_over() { tokio::task::block_in_place(work) } else { work() }
}
