//! What `/metrics` shows. Labels are closed sets, or names of the configuration: no subject, statement or name of a
//! target's object ever becomes one.

use model::decision::Outcome;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// All metrics of one process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Live sessions.
    pub sessions: IntGauge,
    /// Sessions opened since the start.
    pub sessions_opened: IntCounter,
    /// Connections turned away before they became a session.
    pub sessions_refused: IntCounter,
    /// Requests decided, by outcome.
    pub decisions: IntCounterVec,
    /// Values delivered of classified data, by form (`clear`, `masked`).
    pub values: IntCounterVec,
    /// Approvals asked for.
    pub approvals_asked: IntCounter,
    /// Approvals spent.
    pub approvals_consumed: IntCounter,
    /// 1 while the journal can be written, else 0.
    pub journal_writable: IntGauge,
    /// 1 for the reason why the journal cannot be written, else 0 (`full`, `read_only`, `stalled`, `other`).
    pub journal_fault: IntGaugeVec,
    /// Entries that were left out because the journal could not be written for too long.
    pub journal_left_out: IntCounter,
    /// Entries written to the journal.
    pub journal_entries: IntCounter,
    /// fdatasync calls of the journal.
    pub journal_syncs: IntCounter,
    /// Seconds that a request waited for its entry to be durable, where it had to.
    pub journal_wait: Histogram,
    /// Sessions that ended because a task of theirs panicked.
    pub panics: IntCounter,
    /// Panics of work beside the sessions, by what it was.
    pub background_panics: IntCounterVec,
    /// The number of the revision in force.
    pub revision: IntGauge,
    /// Revisions refused because they were invalid.
    pub revisions_refused: IntCounter,
    /// Revocations in force.
    pub revocations: IntGauge,
    /// Events that a sink took, by sink.
    pub sink_events: IntCounterVec,
    /// Attempts to send to a sink that failed, by sink.
    pub sink_failures: IntCounterVec,
    /// Events that a sink's receiver accepted and then said it had rejected, by sink.
    pub sink_rejected: IntCounterVec,
    /// Entries of the journal that a sink has yet to acknowledge, by sink.
    pub sink_lag: IntGaugeVec,
    /// 1 while a sink goes on, 0 when it stopped and needs somebody, by sink.
    pub sink_running: IntGaugeVec,
    /// Messages about approvals that a channel took, by channel.
    pub notify_sent: IntCounterVec,
    /// Attempts to tell of an approval that failed, by channel.
    pub notify_failures: IntCounterVec,
    /// Answers that came by a channel and were not taken, by channel.
    pub notify_refused: IntCounterVec,
    /// What a channel has yet to tell, by channel.
    pub notify_waiting: IntGaugeVec,
    /// 1 while a channel goes on, 0 when it stopped and needs somebody, by channel.
    pub notify_running: IntGaugeVec,
    /// How many entries the static files hold (`journal.tiles_dir`).
    pub tiles_size: IntGauge,
    /// Parts of tapes that are in the archive since the start.
    pub archive_parts: IntCounter,
    /// What did not succeed with the archive, and is tried again.
    pub archive_failures: IntCounter,
    /// Parts of tapes that wait to be archived.
    pub archive_waiting: IntGauge,
    /// How many entries each witness has cosigned.
    pub witness_size: IntGaugeVec,
    /// Checkpoints that a witness did not cosign, by witness.
    pub witness_failures: IntCounterVec,
    /// 1 where a witness remembers another journal than this one, or more of it, else 0.
    pub witness_contradicts: IntGaugeVec,
}

impl Metrics {
    /// Registers all metrics under `sluice_`.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("sluice".into()), None)?;
        let wait = HistogramOpts::new("journal_wait_seconds", "Wait for a durable journal entry")
            .buckets(vec![0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0]);
        let journal_wait = Histogram::with_opts(wait)?;
        registry.register(Box::new(journal_wait.clone()))?;
        Ok(Self {
            sessions: gauge(&registry, "sessions", "Live sessions")?,
            sessions_opened: counter(&registry, "sessions_opened_total", "Sessions opened")?,
            sessions_refused: counter(&registry, "sessions_refused_total", "Connections turned away")?,
            decisions: counters(&registry, "decisions_total", "Requests decided", "outcome")?,
            values: counters(&registry, "classified_values_total", "Classified values delivered", "form")?,
            approvals_asked: counter(&registry, "approvals_asked_total", "Approvals asked for")?,
            approvals_consumed: counter(&registry, "approvals_consumed_total", "Approvals spent")?,
            journal_writable: gauge(&registry, "journal_writable", "1 while the journal can be written")?,
            journal_fault: gauges(&registry, "journal_fault", "1 for why it cannot be written", "reason")?,
            journal_left_out: counter(&registry, "journal_left_out_total", "Entries that were left out")?,
            journal_entries: counter(&registry, "journal_entries_total", "Journal entries written")?,
            journal_syncs: counter(&registry, "journal_syncs_total", "fdatasync calls of the journal")?,
            journal_wait,
            panics: counter(&registry, "session_panics_total", "Sessions ended by a panic")?,
            background_panics: counters(&registry, "background_panics_total", "Panics beside the sessions", "work")?,
            revision: gauge(&registry, "revision", "The revision in force")?,
            revisions_refused: counter(&registry, "revisions_refused_total", "Invalid revisions refused")?,
            revocations: gauge(&registry, "revocations", "Revocations in force")?,
            sink_events: counters(&registry, "sink_events_total", "Events that a sink took", "sink")?,
            sink_failures: counters(&registry, "sink_failures_total", "Attempts to send that failed", "sink")?,
            sink_rejected: counters(&registry, "sink_rejected_total", "Events that a receiver rejected", "sink")?,
            sink_lag: gauges(&registry, "sink_lag_entries", "Entries yet to be acknowledged", "sink")?,
            sink_running: gauges(&registry, "sink_running", "1 unless a sink stopped and needs somebody", "sink")?,
            notify_sent: counters(&registry, "notify_sent_total", "Messages that a channel took", "channel")?,
            notify_failures: counters(&registry, "notify_failures_total", "Attempts to tell that failed", "channel")?,
            notify_refused: counters(&registry, "notify_refused_total", "Answers that were not taken", "channel")?,
            notify_waiting: gauges(&registry, "notify_waiting", "What a channel has yet to tell", "channel")?,
            notify_running: gauges(&registry, "notify_running", "1 unless a channel needs somebody", "channel")?,
            tiles_size: gauge(&registry, "tiles_size", "Entries in the journal's static files")?,
            archive_parts: counter(&registry, "archive_parts_total", "Parts of tapes that were archived")?,
            archive_failures: counter(&registry, "archive_failures_total", "Attempts to archive that failed")?,
            archive_waiting: gauge(&registry, "archive_waiting", "Parts of tapes that wait to be archived")?,
            witness_size: gauges(&registry, "witness_size", "Entries that a witness has cosigned", "witness")?,
            witness_failures: counters(
                &registry,
                "witness_failures_total",
                "Checkpoints that a witness did not cosign",
                "witness",
            )?,
            witness_contradicts: gauges(
                &registry,
                "witness_contradicts",
                "1 where a witness remembers another journal, or more of it",
                "witness",
            )?,
            registry,
        })
    }

    /// Counts a decision.
    pub fn decided(&self, outcome: Outcome) {
        let label = match outcome {
            Outcome::Allow => "allow",
            Outcome::Deny => "deny",
            Outcome::Ask => "ask",
        };
        self.decisions.with_label_values(&[label]).inc();
    }

    /// Counts values delivered.
    pub fn disclosed(&self, disclosure: &model::disclosure::Disclosure) {
        for counts in disclosure.classes.values() {
            self.values.with_label_values(&["clear"]).inc_by(counts.clear);
            self.values.with_label_values(&["masked"]).inc_by(counts.masked);
        }
    }

    /// The exposition text (Prometheus text format 0.0.4).
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        // Writing to a Vec cannot fail, and every metric was valid when it was registered.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let metric = IntCounter::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
