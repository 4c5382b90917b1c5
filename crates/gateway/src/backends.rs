//! Which of a target's server processes are Sluice's own connections: whatever else is connected there bypasses Sluice.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A target, and the number of a server process there.
type Backend = (Arc<str>, u32);

/// Those of all targets, while they live.
#[derive(Default)]
pub(crate) struct Backends(Mutex<HashMap<Backend, usize>>);

impl Backends {
    fn locked(&self) -> MutexGuard<'_, HashMap<Backend, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the server process of a connection; it leaves when the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, target: &Arc<str>, process: u32) -> OwnBackend {
        let backend = (Arc::clone(target), process);
        // Behind a pooler, several connections may have one number.
        *self.locked().entry(backend.clone()).or_default() += 1;
        OwnBackend { backends: Arc::clone(self), backend }
    }

    /// The numbers of a target.
    pub(crate) fn of(&self, target: &str) -> BTreeSet<u32> {
        self.locked().keys().filter(|(of, _)| **of == *target).map(|(_, process)| *process).collect()
    }
}

/// The place of one connection among them.
pub(crate) struct OwnBackend {
    backends: Arc<Backends>,
    backend: Backend,
}

impl Drop for OwnBackend {
    fn drop(&mut self) {
        let mut all = self.backends.locked();
        if let Some(count) = all.get_mut(&self.backend) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.backend);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_there_while_a_connection_has_it() {
        let (backends, target) = (Arc::new(Backends::default()), Arc::from("payments"));
        let (one, two) = (backends.enter(&target, 7), backends.enter(&target, 7));
        assert_eq!(backends.of("payments"), BTreeSet::from([7]));
        assert!(backends.of("other").is_empty());
        drop(one);
        assert_eq!(backends.of("payments"), BTreeSet::from([7]));
        drop(two);
        assert!(backends.of("payments").is_empty());
    }
}
