//! When targets were last reached, how long that took, and why not where they were not: of this process, since it started.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use model::time::Timestamp;
use serde::Serialize;

use crate::clock;

/// How connecting to one target went.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Contact {
    /// The last connection.
    pub reached: Option<Reached>,
    /// The last failure.
    pub failed: Option<Failed>,
    /// How many connections there were.
    pub connections: u64,
    /// How many failed.
    pub failures: u64,
}

/// A connection that came about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reached {
    /// When.
    pub at: Timestamp,
    /// How long it took with its login, in milliseconds.
    pub millis: u64,
}

/// A connection that did not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failed {
    /// When.
    pub at: Timestamp,
    /// Why, for operators: callers are not told.
    pub reason: Arc<str>,
}

/// How connecting to targets went, by their names.
#[derive(Debug, Default)]
pub struct Contacts(Mutex<HashMap<Arc<str>, Contact>>);

impl Contacts {
    /// How it went at a target; nothing, where nobody asked for it.
    pub fn at(&self, target: &str) -> Contact {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned().unwrap_or_default()
    }

    /// Notes how a connection went that was begun then, and gives that back.
    pub(crate) fn note<T, E: Display>(&self, target: &Arc<str>, began: Instant, went: Result<T, E>) -> Result<T, E> {
        let at = clock::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let contact = all.entry(Arc::clone(target)).or_default();
        match &went {
            Ok(_) => {
                let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                contact.reached = Some(Reached { at, millis });
                contact.connections = contact.connections.saturating_add(1);
            }
            Err(error) => {
                contact.failed = Some(Failed { at, reason: error.to_string().into() });
                contact.failures = contact.failures.saturating_add(1);
            }
        }
        drop(all);
        went
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_is_known_and_all_are_counted() {
        let (contacts, target) = (Contacts::default(), Arc::from("shop"));
        assert_eq!(contacts.at("shop"), Contact::default());
        for went in [Err("it is away"), Ok(()), Err("it refuses"), Ok(())] {
            assert_eq!(contacts.note(&target, Instant::now(), went), went);
        }
        let contact = contacts.at("shop");
        assert_eq!((contact.connections, contact.failures), (2, 2));
        assert_eq!(contact.failed.map(|failed| failed.reason).as_deref(), Some("it refuses"));
        assert!(contact.reached.is_some() && contacts.at("other") == Contact::default());
    }
}
