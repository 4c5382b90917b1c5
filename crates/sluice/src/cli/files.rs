//! How many files the process may have open: each session has three, a connection to each side and its tape.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes all that the system lets it have. The soft limit is low for programs that cannot wait for more than 1024 files
/// (select(2)); this is none of them.
pub(super) fn take_all() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the number of open files stays limited: with more sessions, connections are not accepted");
    }
}
