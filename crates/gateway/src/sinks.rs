//! It flows on: the journal's events, sent elsewhere as they happen.
//!
//! Each `[[sink]]` is a task of its own that reads the journal by itself, a bounded batch at a time, and keeps the
//! position that its receiver has acknowledged in the data directory. So a slow or dead sink holds up nothing: it is
//! behind, which a metric shows, and goes on where it was when its receiver is back or Sluice was started again. What was
//! sent and not acknowledged is sent again, with the same position in the journal: at least once, and in order.
//!
//! What it must never do: hold up a request, send what the disk could still lose, skip an entry, or show a URL, a header
//! or an event in a log.
//!
//! Start with `sinks/task.rs`; what an event says is in `sinks/telling.rs`, its forms in `sinks/forms.rs`, and the places
//! it is sent to in `sinks/outlet.rs`.

use std::sync::Arc;
use std::time::Duration;

use store::config::{CredentialSource, SinkConfig, SinkKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::tls::{self, Verify};

mod feed;
mod forms;
mod known;
mod outlet;
mod position;
mod task;
mod telling;
#[cfg(test)]
mod tests;

use outlet::Outlet;
pub use outlet::{Failure, headers_of, is_plain, judge};
pub use position::{Position, PositionError, replace};
use task::Task;
pub use task::doubled;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long entries may gather once there is one.
    pub gather: Duration,
    /// How long a receiver may take for a batch.
    pub deadline: Duration,
    /// The wait after the first failure; each further one doubles it.
    pub first_wait: Duration,
    /// The longest of these.
    pub most_wait: Duration,
    /// The wait where the receiver will not have the batch, whatever it is that it dislikes.
    pub refused_wait: Duration,
    /// The longest wait that a receiver may ask for.
    pub longest_wait: Duration,
    /// How long sinks may take to send the rest when Sluice stops.
    pub goodbye: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(250),
            deadline: Duration::from_secs(20),
            first_wait: Duration::from_millis(500),
            most_wait: Duration::from_secs(30),
            refused_wait: Duration::from_secs(30),
            longest_wait: Duration::from_secs(300),
            goodbye: Duration::from_secs(5),
        }
    }
}

/// The running sinks.
#[derive(Debug)]
pub(crate) struct Sinks {
    tasks: JoinSet<()>,
    finishing: CancellationToken,
    goodbye: Duration,
}

impl Sinks {
    /// Starts every sink of the configuration.
    pub(crate) fn start(node: &Arc<Node>, pace: Pace) -> Self {
        let (mut tasks, finishing) = (JoinSet::new(), CancellationToken::new());
        for config in &node.config.sinks {
            match Outlet::of(config, node) {
                Ok(outlet) => {
                    tasks.spawn(Task::new(Arc::clone(node), config.clone(), outlet, pace, finishing.clone()).run());
                }
                Err(error) => {
                    node.metrics.sink_running.with_label_values(&[&config.name]).set(0);
                    tracing::error!(sink = %config.name, %error, "the sink cannot start; its events stay in the journal");
                }
            }
        }
        Self { tasks, finishing, goodbye: pace.goodbye }
    }

    /// Lets the sinks send what there is, for a short time; the rest is for the next start.
    pub(crate) async fn finish(mut self) {
        self.finishing.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.goodbye, all).await.is_err() {
            tracing::warn!(sinks = self.tasks.len(), "sinks are behind; they go on from there at the next start");
        }
        self.tasks.shutdown().await;
    }
}

/// What can only be seen when the files that a sink names are opened: its mistakes.
pub fn check(sink: &SinkConfig) -> Vec<String> {
    let (ca_file, receiver, secret) = match &sink.kind {
        SinkKind::File(_) | SinkKind::Stdout => (None, None, None),
        SinkKind::Syslog { ca_file, .. } => (ca_file.as_deref(), None, None),
        SinkKind::Otlp(receiver) => (receiver.ca_file.as_deref(), Some(receiver), None),
        SinkKind::Webhook { receiver, secret } => (receiver.ca_file.as_deref(), Some(receiver), Some(secret)),
    };
    let mut mistakes = Vec::new();
    if let SinkKind::File(path) = &sink.kind
        && let Some(dir) = path.parent().filter(|dir| !dir.is_dir())
    {
        mistakes.push(format!("{}: there is no such directory", dir.display()));
    }
    if let Some(path) = ca_file
        && let Err(error) = tls::client(Verify::Full, Some(path), None, &[])
    {
        mistakes.push(error.to_string());
    }
    if let Some(path) = receiver.and_then(|receiver| receiver.headers_file.as_deref())
        && let Err(error) = outlet::headers_in(path)
    {
        mistakes.push(error.to_string());
    }
    // A variable or a vault may be there for the service alone.
    if let Some(source @ CredentialSource::File(_)) = secret
        && let Err(error) = store::credential::resolve(source, &|_| None)
    {
        mistakes.push(error.to_string());
    }
    mistakes.into_iter().map(|mistake| format!("sink {}: {mistake}", sink.name)).collect()
}
