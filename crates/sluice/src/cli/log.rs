//! The log on standard error, and how much of it there can be.
//!
//! Many of its lines are caused by whoever can reach a port, so each place in the code that writes lines has a budget for
//! a span of time. What goes beyond it is counted, and the count is logged: in the next span by the task of
//! [`Budget::tell`], and when the process ends. Nothing is lost by that: the log is no record, the journal is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::config::{LogConfig, LogFormat, LogLevel};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::failure::Failure;

/// How many lines one place in the code may write in a span. There are some seventy such places.
const LINES: u32 = 50;

/// The span, and how often what was left out is told.
const SPAN: Duration = Duration::from_secs(10);

/// Lines with this target say what was left out, and have no budget.
const LEFT_OUT: &str = "sluice::left_out";

/// Logs to standard error. Libraries say at most what is wrong: what they say at lower levels may quote what passes.
pub(super) fn start(config: &LogConfig) -> Result<Budget, Failure> {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = [
        "sluice", "control", "gateway", "store", "ledger", "masking", "policy", "effects", "identity", "wire",
        "connect",
    ];
    let filter = ours.iter().fold(Targets::new().with_default(level.min(LevelFilter::WARN)), |filter, name| {
        filter.with_target(*name, level)
    });
    let budget = Budget::new(Instant::now);
    let registry = tracing_subscriber::registry().with(filter).with(budget.clone());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let set = match config.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    set.map(|()| budget).map_err(Failure::failed)
}

/// What each place in the code has written in its span. Clones share it.
#[derive(Clone)]
pub(super) struct Budget {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
    clock: Arc<dyn Fn() -> Instant + Send + Sync>,
}

/// One place in the code.
struct Place {
    since: Instant,
    written: u32,
    left_out: u64,
    /// The message of what was left out last: texts of Sluice's own, without the fields.
    message: String,
    metadata: &'static Metadata<'static>,
}

/// What one place in the code wanted to write and did not.
#[derive(Clone, PartialEq, Eq, Debug)]
struct LeftOut {
    lines: u64,
    message: String,
    level: Level,
    target: &'static str,
}

impl Budget {
    fn new(clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self { places: Arc::default(), clock: Arc::new(clock) }
    }

    /// Says what was left out, whenever a span is over. It ends with the task that it runs in.
    pub(super) async fn tell(self) {
        loop {
            tokio::time::sleep(SPAN).await;
            self.tell_now();
        }
    }

    /// Says what was left out since this was last said.
    pub(super) fn tell_now(&self) {
        for LeftOut { lines, message, level, target } in self.take_left_out() {
            tracing::warn!(target: LEFT_OUT, lines, of = target, level = %level, like = message, "lines were left out");
        }
    }

    fn take_left_out(&self) -> Vec<LeftOut> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let took = |place: &mut Place| {
            let lines = std::mem::take(&mut place.left_out);
            let (level, target) = (*place.metadata.level(), place.metadata.target());
            (lines > 0).then(|| LeftOut { lines, message: std::mem::take(&mut place.message), level, target })
        };
        places.values_mut().filter_map(took).collect()
    }

    /// Whether a line may be written.
    fn allows(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        // Whoever asks for more than `info` wants all of it.
        if metadata.target() == LEFT_OUT || *metadata.level() > Level::INFO {
            return true;
        }
        let now = (self.clock)();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Place { since: now, written: 0, left_out: 0, message: String::new(), metadata };
        let place = places.entry(metadata.callsite()).or_insert_with(fresh);
        if now.saturating_duration_since(place.since) >= SPAN {
            place.since = now;
            place.written = 0;
        }
        if place.written < LINES {
            place.written = place.written.saturating_add(1);
            return true;
        }
        if place.left_out == 0 {
            event.record(&mut Message(&mut place.message));
        }
        place.left_out = place.left_out.saturating_add(1);
        false
    }
}

impl<S: Subscriber> Layer<S> for Budget {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.allows(event)
    }
}

/// Takes the message of an event, and none of its fields.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests;
