//! `[[sink]]` of `sluice.toml`: where the journal's events are sent.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use model::event::Event;

use super::credential::{SOURCE_ADVICE, secret};
use super::issuer::{is_alias, is_fetchable, is_loopback};
use super::targets::address;
use super::{CredentialSource, Section};

/// One place that the journal's events are sent to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkConfig {
    /// What metrics, logs and its position call it.
    pub name: Arc<str>,
    /// What is there.
    pub kind: SinkKind,
    /// The form of an event; OTLP has its own.
    pub format: SinkFormat,
    /// The kinds of events that are sent, of [`Event::KINDS`]; `None` stands for all.
    pub events: Option<BTreeSet<&'static str>>,
    /// Where it begins when it has no position yet.
    pub from: SinkStart,
}

/// What is at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkKind {
    /// A file, of which each line is an event.
    File(PathBuf),
    /// Standard output, of which each line is an event.
    Stdout,
    /// A syslog receiver (RFC 5424 over TCP).
    Syslog {
        /// Its host; an IPv6 address without brackets.
        host: Arc<str>,
        /// Its port.
        port: u16,
        /// Whether the connection is encrypted and the receiver verified (RFC 5425).
        tls: bool,
        /// The CA that its certificate must chain to; `None` means the system's.
        ca_file: Option<PathBuf>,
    },
    /// An OpenTelemetry collector (OTLP over HTTP).
    Otlp(Receiver),
    /// Anything that takes a signed POST.
    Webhook {
        /// Where.
        receiver: Receiver,
        /// The key of the signature.
        secret: CredentialSource,
    },
}

/// An HTTP server that events are posted to.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The whole URL. It may hold a secret, so it is never shown.
    pub url: String,
    /// The CA that its certificate must chain to; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// A file of further headers, a `Name: value` a line.
    pub headers_file: Option<PathBuf>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The form of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SinkFormat {
    /// As Sluice's own interfaces show it.
    #[default]
    Json,
    /// As the Open Cybersecurity Schema Framework has it.
    Ocsf,
}

/// Where a sink begins that has no position yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SinkStart {
    /// At the journal's first entry.
    Start,
    /// At what happens next.
    #[default]
    Now,
}

/// Reads every `[[sink]]`.
pub(super) fn sinks(root: &Section<'_, '_>) -> Vec<SinkConfig> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    for section in root.tables("sink") {
        if let Some(sink) = sink(&section) {
            if sinks.iter().any(|other| other.name == sink.name) {
                section.report("name", "another sink has it", "give each sink a name of its own: its position has it");
            }
            if sinks.iter().any(|other| is_same_place(&other.kind, &sink.kind)) {
                section.report("kind", "another sink writes there", "let each file have one sink");
            }
            sinks.push(sink);
        }
        section.finish();
    }
    sinks
}

/// Whether two sinks would write into each other's lines.
fn is_same_place(one: &SinkKind, other: &SinkKind) -> bool {
    match (one, other) {
        (SinkKind::File(one), SinkKind::File(other)) => one == other,
        (SinkKind::Stdout, SinkKind::Stdout) => true,
        (_, _) => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    File,
    Stdout,
    Syslog,
    Otlp,
    Webhook,
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn sink(section: &Section<'_, '_>) -> Option<SinkConfig> {
    let name = section.parsed("name", "a short name of a-z, 0-9, - and _, at most 32", |text| {
        is_alias(text).then(|| Arc::from(text))
    });
    let words = [
        ("file", Word::File),
        ("stdout", Word::Stdout),
        ("syslog", Word::Syslog),
        ("otlp", Word::Otlp),
        ("webhook", Word::Webhook),
    ];
    let word = section.word("kind", &words);
    let events = events(section);
    let from = section.word("from", &[("start", SinkStart::Start), ("now", SinkStart::Now)]);
    // OTLP is a form of its own: there the setting is an unknown one.
    let format = match word {
        Some(Word::Otlp) => None,
        _ => section.word("format", &[("json", SinkFormat::Json), ("ocsf", SinkFormat::Ocsf)]),
    };
    let name = section.required("name", name, "write name = \"siem\"");
    let kind = section.required("kind", word, "write kind = \"file\", \"stdout\", \"syslog\", \"otlp\" or \"webhook\"");
    let kind = match kind {
        Some(word) => kind_of(word, section),
        None => {
            // Which of these belong there cannot be told, so none of them is called unknown.
            for key in ["path", "address", "tls", "url", "ca_file", "allow_http", "headers_file", "secret"] {
                section.take(key);
            }
            None
        }
    };
    Some(SinkConfig {
        name: name?,
        kind: kind?,
        format: format.unwrap_or_default(),
        events,
        from: from.unwrap_or_default(),
    })
}

fn kind_of(word: Word, section: &Section<'_, '_>) -> Option<SinkKind> {
    match word {
        Word::File => {
            let path = section.path("path");
            section.required("path", path, "write path = \"events.jsonl\"").map(SinkKind::File)
        }
        Word::Stdout => Some(SinkKind::Stdout),
        Word::Syslog => syslog(section),
        Word::Otlp => receiver(section).map(SinkKind::Otlp),
        Word::Webhook => {
            let (receiver, key) = (receiver(section), secret(section, "secret"));
            if key == Some(None) {
                section.required::<()>("secret", None, SOURCE_ADVICE);
            }
            Some(SinkKind::Webhook { receiver: receiver?, secret: key?? })
        }
    }
}

fn syslog(section: &Section<'_, '_>) -> Option<SinkKind> {
    let place = section.parsed("address", "a host and a port, such as \"siem.internal:6514\"", address);
    let tls = section.flag("tls").unwrap_or(true);
    let ca_file = section.path("ca_file");
    if !tls && ca_file.is_some() {
        section.report("ca_file", "nothing is verified with it", "write tls = true, or remove ca_file");
    }
    let (host, port) = section.required("address", place, "write address = \"siem.internal:6514\"")?;
    Some(SinkKind::Syslog { host, port, tls, ca_file })
}

/// Events go over TLS. Plain HTTP is for a collector on this machine, and only when asked for.
pub(super) fn receiver(section: &Section<'_, '_>) -> Option<Receiver> {
    let url = section.take("url");
    let (ca_file, headers_file) = (section.path("ca_file"), section.path("headers_file"));
    let allows_http = section.flag("allow_http").unwrap_or(false);
    let Some(url) = url else {
        return section.required("url", None, "write url = \"https://collector.example.com/v1/logs\"");
    };
    let is_safe = |text: &str| is_postable(text) || allows_http && is_plain(text) && is_loopback(text);
    let Some(text) = url.value.as_str().filter(|text| is_safe(text)) else {
        // The path of a webhook may be its secret: what stands there is not shown.
        url.report(
            "events cannot be sent safely there",
            "write a URL with https://; http:// is for this machine alone, with allow_http = true",
        );
        return None;
    };
    Some(Receiver { url: text.to_owned(), ca_file, headers_file })
}

/// As an issuer's URL; a query may follow it.
pub(super) fn is_postable(url: &str) -> bool {
    is_fetchable(url.split('?').next().unwrap_or_default(), "https://") && is_plain(url)
}

pub(super) fn is_plain(url: &str) -> bool {
    url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\'))
}

fn events(section: &Section<'_, '_>) -> Option<BTreeSet<&'static str>> {
    let names = section.texts("events")?;
    let known = names.iter().map(|name| Event::KINDS.into_iter().find(|kind| kind == name));
    let kinds = known.collect::<Option<BTreeSet<_>>>().filter(|kinds| !kinds.is_empty());
    if kinds.is_none() {
        let advice = format!("choose among {}", Event::KINDS.join(", "));
        section.report("events", "it has an unknown kind of event, or none", &advice);
    }
    kinds
}
